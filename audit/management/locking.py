"""How a command takes the lock that one process at a time may hold."""

from __future__ import annotations

import threading
from collections.abc import Callable

from django.core.management.base import CommandError
from django.db import OperationalError, connections

from audit.ledger import partitions

RETRY_SECONDS = 1.0


def lock(
    take: Callable[[], None],
    busy: type[Exception],
    stopping: threading.Event,
    *,
    wait: bool,
    remedy: str = "stop it first",
) -> None:
    """Call `take`, which takes a lock for the sealer's session, until it succeeds or `stopping` is
    set.

    busy: what it raises while another process holds the lock. Raises CommandError for that unless
    `wait`, and for a session that a pooler shares; unless `wait`, OperationalError too.
    remedy: what to do about the other process, which the error says.
    """
    while not stopping.is_set():
        try:
            return take()
        except busy as error:
            if not wait:
                raise CommandError(f"{error}; {remedy}.") from None
        except partitions.SessionIsSharedError as error:
            raise CommandError(f"{error}.") from None
        except OperationalError:
            if not wait:
                raise
            connections["sealer"].close()
        stopping.wait(RETRY_SECONDS)

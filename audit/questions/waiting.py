"""Answers that are held back until there is something to say: few at once, without a connection.

A request that waits holds its thread. `dotenv_cloud.serving` has threads of their own for those;
under any other server they are too few to take all.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from django.db import connection

MOST_AT_ONCE = 6
MOST_OF_ONE = 3
"""Requests that wait in a process, and how many of them may be of one organization."""
LONGEST = 25
"""Seconds: clients of this API give up after 30."""
PAUSE = 0.5
"""Seconds between two looks at the database."""
RETRY_SECONDS = 5

Found = TypeVar("Found")


class TooManyWaitingError(Exception):
    """Others wait already; try again later, or ask without waiting."""

    def __init__(self) -> None:
        super().__init__(
            f"Too many requests are waiting. Try again in {RETRY_SECONDS} seconds, or leave out"
            " `wait`."
        )


class _Places:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._all = 0
        self._taken: Counter[uuid.UUID] = Counter()

    @contextmanager
    def one(self, organization: uuid.UUID) -> Iterator[None]:
        with self._lock:
            if self._all >= MOST_AT_ONCE or self._taken[organization] >= MOST_OF_ONE:
                raise TooManyWaitingError
            self._all += 1
            self._taken[organization] += 1
        try:
            yield
        finally:
            with self._lock:
                self._all -= 1
                self._taken[organization] -= 1
                self._taken += Counter()  # forgets those at zero


_places = _Places()


def wait_for(
    organization: uuid.UUID, seconds: int, look: Callable[[bool], Found | None]
) -> Found | None:
    """What `look` finds, asked again until it finds something or the time is over.

    look: reads in a transaction of its own; its argument says whether it is the last time. Between
    looks no connection is held. Raises TooManyWaitingError if it would have to wait and cannot.
    """
    found = look(seconds == 0)
    if found is not None or seconds == 0:
        return found
    until = time.monotonic() + seconds
    with _places.one(organization):
        while found is None:
            connection.close()  # back to the pool
            time.sleep(max(0.0, min(PAUSE, until - time.monotonic())))
            found = look(is_last := time.monotonic() >= until)
            if is_last:
                break
    return found

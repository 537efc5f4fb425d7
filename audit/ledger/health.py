"""How the log is: sealing, sizes, partitions. For health checks and metrics.

Only figures that name no organization, and that cost the same in a log of any size.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from django.db import connections

from organizations import ulid

MOST_COUNTED = 100_000
"""The inbox is counted up to here."""


@dataclass(frozen=True)
class State:
    """What one server says. `now` is its clock.

    sealed_at: when the sealer last looked; oldest_unsealed: when the oldest entry in the inbox was
    made, if there is one; unsealed: how many there are, up to MOST_COUNTED; sealed: how many ever
    were, removed ones included; partitions_until: the first month without a partition; wal: how far
    its write-ahead log goes, or a replica has followed it; replayed_at: of a replica, when the last
    change it has was committed.
    """

    now: dt.datetime
    sealed_at: dt.datetime
    oldest_unsealed: dt.datetime | None
    unsealed: int
    inbox_bytes: int
    sealed: int
    ledger_bytes: int
    partitions_until: dt.datetime
    wal: int
    replayed_at: dt.datetime | None

    @property
    def sealing_age(self) -> dt.timedelta:
        """How long the oldest entry waits to be sealed."""
        return self._since(self.oldest_unsealed)

    @property
    def sealer_silence(self) -> dt.timedelta:
        """How long ago a sealer last looked; a running one does so once a second."""
        return self._since(self.sealed_at)

    def lag(self, primary: State | None) -> dt.timedelta:
        """How far behind this replica is; zero if it has all that `primary`, read first, had: if
        nothing changes, the newest change is old although nothing is missing."""
        if primary is not None and self.wal >= primary.wal:
            return dt.timedelta()
        return self._since(self.replayed_at)

    def _since(self, moment: dt.datetime | None) -> dt.timedelta:
        return max(dt.timedelta(), self.now - moment) if moment else dt.timedelta()


def entries_by_action(using: str = "default") -> dict[tuple[str, str], int]:
    """How many entries were ever sealed, by action and result."""
    with connections[using].cursor() as cursor:
        cursor.execute("SELECT action, result, size FROM audit_count ORDER BY 1, 2")
        return {(action, result): size for action, result, size in cursor.fetchall()}


def read(using: str = "default") -> State:
    """Raises what the database raises when it cannot answer."""
    with connections[using].cursor() as cursor:
        cursor.execute("SELECT * FROM audit_state(%s)", [MOST_COUNTED])
        now, sealed_at, oldest, *rest = cursor.fetchone()
    return State(now, sealed_at, ulid.time_of(oldest) if oldest else None, *rest)

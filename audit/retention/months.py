"""What may be removed: months of the ledger older than the period, and of which organizations."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from django.db import connections

from audit.ledger import partitions
from audit.ledger.partitions import Lock, Partition
from audit.retention import BusyError, RetentionError, holds
from organizations import clock, ulid

OWNER = "owner"


@dataclass(frozen=True)
class Earlier:
    """The last removal of a range of ids."""

    held: frozenset[uuid.UUID]


@dataclass(frozen=True)
class Month(Partition):
    """A partition that is older than the period: a month, or the quarter or year that months were
    merged into. `earlier`: what was removed from the same range before."""

    earlier: Earlier | None

    @property
    def name(self) -> str:
        last = self.until - dt.timedelta(days=1)
        is_month = (self.since.year, self.since.month) == (last.year, last.month)
        return f"{self.since:%Y-%m}" if is_month else f"{self.since:%Y-%m}..{last:%Y-%m}"


@dataclass(frozen=True)
class Prospect:
    """How many entries a month has, and of which organizations they may be removed."""

    month: Month
    sizes: dict[uuid.UUID, int]
    removable: frozenset[uuid.UUID]
    held: frozenset[uuid.UUID]

    @property
    def may_go(self) -> int:
        """Entries, of which each resource's first and last change stay."""
        return sum(self.sizes[key] for key in self.removable)


@contextmanager
def only_run() -> Iterator[None]:
    """Be the one run of retention inside. Raises BusyError if there is another, RetentionError for
    a role that does not own the ledger."""
    with connections[OWNER].cursor() as cursor:
        cursor.execute(
            "SELECT current_user, pg_has_role(relowner, 'USAGE') FROM pg_class"
            " WHERE oid = 'public.audit_ledger'::regclass"
        )
        role, is_owner = cursor.fetchone()
        if not is_owner:
            raise RetentionError(
                f"{role} does not own the ledger; set DATABASE_OWNER_URL to the owner's role"
            )
    try:
        has_lock = partitions.take(Lock.RETENTION, OWNER)
    except partitions.SessionIsSharedError as error:
        raise RetentionError(str(error)) from None
    if not has_lock:
        raise BusyError("another retention run is in progress on this database")
    try:
        yield
    finally:
        connections[OWNER].close()  # the lock goes with it, whatever happened


def cutoff(months: int) -> dt.datetime:
    """The start of the oldest month that is kept: months of the calendar in UTC, besides this."""
    if months < 1:
        raise RetentionError("the period must be at least one month")
    now = clock.now().astimezone(dt.UTC)
    count = now.year * 12 + now.month - 1 - months
    return dt.datetime(count // 12, count % 12 + 1, 1, tzinfo=dt.UTC)


def prospects(months: int) -> list[Prospect]:
    """The months older than the period from which something may be removed, oldest first."""
    past = ulid.floor(cutoff(months))
    held = frozenset(holds.in_force(OWNER))
    found = (_prospect(month, held) for month in _months() if month.past <= past)
    return [prospect for prospect in found if prospect.may_go]


def _months() -> list[Month]:
    with connections[OWNER].cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT ON (first_id, past_id) first_id, past_id, held FROM audit_archive"
            " ORDER BY first_id, past_id, removed_at DESC"
        )
        earlier = {(row[0], row[1]): Earlier(frozenset(row[2])) for row in cursor.fetchall()}
    return [
        Month(part.table, part.first, part.past, earlier.get((part.first, part.past)))
        for part in partitions.every(OWNER)
    ]


def _prospect(month: Month, held: frozenset[uuid.UUID]) -> Prospect:
    """Once a month has been removed, only what a hold kept back then is left to go: what it kept
    as first and last changes stays, even if other changes have come since."""
    if month.earlier is not None and not month.earlier.held - held:
        return Prospect(month, {}, frozenset(), month.earlier.held)
    with connections[OWNER].cursor() as cursor:
        cursor.execute(f'SELECT organization_id, count(*) FROM "{month.table}" GROUP BY 1')
        sizes = dict(cursor.fetchall())
    kept_back = frozenset(sizes) if month.earlier is None else month.earlier.held
    return Prospect(month, sizes, (kept_back & frozenset(sizes)) - held, kept_back & held)


def beyond_partitions(months: int) -> int:
    """Entries older than the period that retention does not reach, as they lie in the default
    partition; counted to 1,000."""
    with connections[OWNER].cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM (SELECT FROM audit_ledger_default WHERE id < %s LIMIT 1000) AS e",
            [ulid.floor(cutoff(months))],
        )
        return int(cursor.fetchone()[0])

"""Merging: months of the ledger that are over become quarters, and quarters years.

Each partition that a question reaches is planned for: of 24 months that took 2 to 5 ms, more than
reading a page. A span is copied beside its partitions, compared with them, and takes their place
in one transaction: wherever this is killed the log is complete, and the copy is made again.
Writers notice nothing; readers and the sealer wait for the last step, some milliseconds.
"""

from __future__ import annotations

import datetime as dt
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

from django.db import connections

from audit.ledger import packing, partitions
from audit.ledger.partitions import LedgerIsBusyError, Lock, Partition, Swap
from organizations import clock, ulid


@dataclass(frozen=True)
class Span:
    """A quarter or a year that is over, and the partitions to merge into it."""

    name: str
    first: uuid.UUID
    past: uuid.UUID
    partitions: tuple[str, ...]

    @property
    def merged(self) -> Partition:
        """The partition that it becomes."""
        return Partition(f"audit_ledger_{self.name}", self.first, self.past)

    @property
    def beside(self) -> str:
        return f"audit_merging_{self.name}"


@dataclass(frozen=True)
class Merged:
    """locked: seconds for which readers and the sealer were kept waiting."""

    span: Span
    entries: int
    locked: float


def merge(using: str = "owner") -> Iterator[Merged]:
    """Merge what is over, the oldest first; a quarter only while its year is not over.

    Skipped for now: spans that still get entries from the inbox. Never merged: spans of which
    retention has removed a month, or that have entries in the default partition.
    Raises LedgerIsBusyError.
    """
    retention_is_busy = LedgerIsBusyError("retention is running on this ledger")
    with (
        packing.only_packer(using),
        partitions.only_one(Lock.RETENTION, using, retention_is_busy),
    ):
        partitions.drop_named(_LEFTOVERS, using)
        for span in _spans(using):
            yield _merge(span, using)


def _merge(span: Span, using: str) -> Merged:
    _copy(span, using)
    if _digest((span.beside,), using) != _digest(span.partitions, using):
        raise LedgerIsBusyError(
            f"{span.name} received entries while it was being copied; run the command again"
        )
    entries, locked = partitions.swap(
        Swap(
            {part: f"{span.beside}_{number}" for number, part in enumerate(span.partitions)},
            (span.beside, span.merged),
        ),
        using,
        before=lambda: _check(span, using),
    )
    partitions.drop_named(_LEFTOVERS, using)
    return Merged(span, entries, locked)


_LEFTOVERS = r"^audit_merging_\d{4}(_q\d)?(_\d+)?$"
"""Copies of a run that was killed, and partitions that a copy replaced."""


# -- What is over


def _spans(using: str) -> Iterator[Span]:
    now = clock.now().astimezone(dt.UTC) - dt.timedelta(days=1)
    parts = partitions.every(using)
    with connections[using].cursor() as cursor:
        for name, since, until in _calendar(now, [part.since for part in parts]):
            first, past = ulid.floor(since), ulid.floor(until)
            within = tuple(p.table for p in parts if first <= p.first and p.past <= past)
            cursor.execute(_IS_AT_REST, {"first": first, "past": past})
            if len(within) > 1 and cursor.fetchone() == (True,):
                yield Span(name, first, past, within)


def _calendar(
    now: dt.datetime, starts: list[dt.datetime]
) -> Iterator[tuple[str, dt.datetime, dt.datetime]]:
    """The years that are over, and the quarters of the current one that are."""
    for year in range(min(starts, default=now).year, now.year + 1):
        following = dt.datetime(year + 1, 1, 1, tzinfo=dt.UTC)
        if following <= now:
            yield f"{year}", dt.datetime(year, 1, 1, tzinfo=dt.UTC), following
            continue
        edges = [dt.datetime(year, month, 1, tzinfo=dt.UTC) for month in (1, 4, 7, 10)]
        for number, (since, until) in enumerate(
            zip(edges, [*edges[1:], following], strict=True), start=1
        ):
            if until <= now:
                yield f"{year}_q{number}", since, until


_IS_AT_REST = """
SELECT NOT EXISTS (SELECT FROM audit_inbox WHERE id < %(past)s)
    AND NOT EXISTS (SELECT FROM audit_ledger_default WHERE id >= %(first)s AND id < %(past)s)
    AND NOT EXISTS (SELECT FROM audit_archive WHERE first_id < %(past)s AND past_id > %(first)s)
"""


# -- The copy


def _copy(span: Span, using: str) -> None:
    partitions.make_beside(span.beside, span.first, span.past, using, is_indexed=False)
    for partition in span.partitions:
        partitions.copy(partition, span.beside, using)
    with connections[using].cursor() as cursor:
        # Concurrently, as sealing waits for long transactions. The indexes equal those of the
        # ledger, so attaching the table needs no others.
        cursor.execute(_INDEXES)
        for name, definition in cursor.fetchall():
            made = re.sub(
                r"INDEX \S+ ON (ONLY )?public\.audit_ledger ",
                f'INDEX CONCURRENTLY "{name}_{span.name}" ON public."{span.beside}" ',
                definition,
            )
            cursor.execute(made)
        cursor.execute(
            f'ALTER TABLE "{span.beside}" ADD PRIMARY KEY'
            f' USING INDEX "audit_ledger_pkey_{span.name}"'
        )
        cursor.execute(f'VACUUM (FREEZE, ANALYZE) "{span.beside}"')
        cursor.execute(f"COMMENT ON TABLE \"{span.beside}\" IS '{packing.MARK}'")


_INDEXES = """
SELECT c.relname, pg_get_indexdef(c.oid)
FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
WHERE i.indrelid = 'public.audit_ledger'::regclass
"""


def _digest(tables: tuple[str, ...], using: str) -> tuple[int, ...]:
    """What distinguishes one set of entries from any other: their number and content."""
    union = " UNION ALL ".join(f'SELECT e::text FROM "{table}" AS e' for table in tables)
    with connections[using].cursor() as cursor:
        cursor.execute(
            "SELECT count(*), COALESCE(sum(hashtextextended(e, 0)), 0),"
            f" COALESCE(sum(hashtextextended(e, 1)), 0) FROM ({union}) AS entry (e)"
        )
        return tuple(map(int, cursor.fetchone()))


def _check(span: Span, using: str) -> int:
    """Check that the partitions got no entry since they were compared; what is there never changes.
    Returns the number of entries."""
    partitions.lock_against_entries(span.partitions, using)
    entries = partitions.count(span.partitions, using)
    if entries != partitions.count((span.beside,), using):
        raise LedgerIsBusyError(
            f"{span.name} received entries while it was being copied; run the command again"
        )
    return entries

"""Merging: months of the ledger that are over become quarters, and quarters years.

Each partition that a question reaches is planned for: of 24 months that took 2 to 5 ms, more than
reading a page. A span is copied beside its partitions, compared with them, and takes their place
in one transaction: the log is whole wherever this is killed, and what was copied is copied anew.
Writers notice nothing; readers and the sealer wait for the last step, some milliseconds.
"""

from __future__ import annotations

import datetime as dt
import re
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

from django.db import OperationalError, connections, transaction

from audit.ledger import packing
from audit.retention import months as retention
from audit.retention import removal
from organizations import clock, ulid

CHUNK = 20_000
"""Entries that are copied by one statement: a transaction as long as all of it would hold back
sealing."""
PATIENCE = removal.PATIENCE


class LedgerIsBusyError(RuntimeError):
    """Somebody else works on the ledger's partitions, or reads it all the time."""


@dataclass(frozen=True)
class Span:
    """A quarter or a year that is over, and the partitions of which it will be made."""

    name: str
    first: uuid.UUID
    past: uuid.UUID
    partitions: tuple[str, ...]

    @property
    def table(self) -> str:
        return f"audit_ledger_{self.name}"

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

    Left for another time: what entries are still on their way to, and for ever: spans of which
    retention has removed a month, or whose entries came to lie in the default partition.
    Raises LedgerIsBusyError.
    """
    with packing.only_one(using), connections[using].cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [retention.LOCK])
        if not cursor.fetchone()[0]:
            raise LedgerIsBusyError("retention is at work on this ledger")
        try:
            _drop_leftovers(using)
            for span in _spans(using):
                yield _merge(span, using)
        finally:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [retention.LOCK])


def _merge(span: Span, using: str) -> Merged:
    _copy(span, using)
    if _digest((span.beside,), using) != _digest(span.partitions, using):
        raise LedgerIsBusyError(f"{span.name} got entries while it was copied; run it again")
    entries, locked = _replace(span, using)
    _drop_leftovers(using)
    return Merged(span, entries, locked)


# -- What is over


def _spans(using: str) -> Iterator[Span]:
    now = clock.now().astimezone(dt.UTC) - dt.timedelta(days=1)
    with connections[using].cursor() as cursor:
        cursor.execute(_PARTITIONS)
        parts = [(name, uuid.UUID(first), uuid.UUID(past)) for name, first, past in cursor]
        for name, since, until in _calendar(now, [ulid.time_of(first) for _, first, _ in parts]):
            first, past = ulid.floor(since), ulid.floor(until)
            partitions = tuple(part for part, a, b in parts if first <= a and b <= past)
            cursor.execute(_IS_AT_REST, {"first": first, "past": past})
            if len(partitions) > 1 and cursor.fetchone() == (True,):
                yield Span(name, first, past, partitions)


def _calendar(
    now: dt.datetime, starts: list[dt.datetime]
) -> Iterator[tuple[str, dt.datetime, dt.datetime]]:
    """The years that are over, and the quarters that are of the one that is not."""
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


_PARTITIONS = r"""
SELECT relname, bounds[1], bounds[2] FROM (
    SELECT c.relname, regexp_match(pg_get_expr(c.relpartbound, c.oid),
        'FROM \(''([0-9a-f-]{36})''\) TO \(''([0-9a-f-]{36})''\)') AS bounds
    FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'audit_ledger'::regclass
) AS part WHERE bounds IS NOT NULL ORDER BY bounds[1]
"""

_IS_AT_REST = """
SELECT NOT EXISTS (SELECT FROM audit_inbox WHERE id < %(past)s)
    AND NOT EXISTS (SELECT FROM audit_ledger_default WHERE id >= %(first)s AND id < %(past)s)
    AND NOT EXISTS (SELECT FROM audit_archive WHERE first_id < %(past)s AND past_id > %(first)s)
"""


# -- The copy


def _copy(span: Span, using: str) -> None:
    with connections[using].cursor() as cursor:
        # With the check, taking its place needs no look at the rows.
        cursor.execute(
            f'CREATE TABLE "{span.beside}" (LIKE audit_ledger INCLUDING DEFAULTS,'
            " CONSTRAINT audit_in_range CHECK (id >= %s AND id < %s))",
            [span.first, span.past],
        )
        for partition in span.partitions:
            last: uuid.UUID | None = uuid.UUID(int=0)
            while last is not None:
                cursor.execute(
                    f'WITH copied AS (INSERT INTO "{span.beside}" SELECT * FROM "{partition}"'
                    " WHERE id > %s ORDER BY id LIMIT %s RETURNING id)"
                    " SELECT id FROM copied ORDER BY id DESC LIMIT 1",
                    [last, CHUNK],
                )
                last = (cursor.fetchone() or (None,))[0]
        # Concurrently, as the sealer waits for whoever holds a transaction id for long. Equal to
        # those of the ledger, which takes them over.
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
        cursor.execute(
            f'CREATE TRIGGER audit_no_truncate BEFORE TRUNCATE ON "{span.beside}"'
            " FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse()"
        )
        cursor.execute(f'VACUUM (FREEZE, ANALYZE) "{span.beside}"')
        cursor.execute(f"COMMENT ON TABLE \"{span.beside}\" IS '{packing.MARK}'")


_INDEXES = """
SELECT c.relname, pg_get_indexdef(c.oid)
FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
WHERE i.indrelid = 'public.audit_ledger'::regclass
"""


def _digest(tables: tuple[str, ...], using: str) -> tuple[int, ...]:
    """What tells one set of entries from any other: how many, and what they say."""
    union = " UNION ALL ".join(f'SELECT e::text FROM "{table}" AS e' for table in tables)
    with connections[using].cursor() as cursor:
        cursor.execute(
            "SELECT count(*), COALESCE(sum(hashtextextended(e, 0)), 0),"
            f" COALESCE(sum(hashtextextended(e, 1)), 0) FROM ({union}) AS entry (e)"
        )
        return tuple(map(int, cursor.fetchone()))


def _drop_leftovers(using: str) -> None:
    """What was copied, by one that was killed, and what was replaced by a copy."""
    with connections[using].cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
            r" AND relname ~ '^audit_merging_\d{4}(_q\d)?(_\d+)?$' AND relkind = 'r'"
        )
        for (name,) in cursor.fetchall():
            cursor.execute(f'DROP TABLE "{name}"')


# -- Its place


def _replace(span: Span, using: str) -> tuple[int, float]:
    """Returns the number of entries, and for how long the ledger was held."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            with transaction.atomic(using=using):
                entries = _check(span, using)
                locked_at = _swap(span, using)
            return entries, time.monotonic() - locked_at
        except OperationalError as error:
            state = getattr(error.__cause__, "sqlstate", None)
            if state not in removal.TRY_AGAIN:
                raise
            if time.monotonic() > until:
                raise LedgerIsBusyError("the ledger is being read all the time") from error
        time.sleep(1.0)


def _check(span: Span, using: str) -> int:
    """That nothing came to the partitions since they were compared: what is there never changes."""
    tables = ", ".join(f'"{partition}"' for partition in span.partitions)
    with connections[using].cursor() as cursor:
        cursor.execute(f"SET LOCAL lock_timeout = '{removal.LOCK_TIMEOUT}'")
        cursor.execute(f"LOCK TABLE {tables} IN SHARE MODE")
        counts = []
        for several in (span.partitions, (span.beside,)):
            union = " UNION ALL ".join(f'SELECT FROM "{table}"' for table in several)
            cursor.execute(f"SELECT count(*) FROM ({union}) AS entry")
            counts.append(int(cursor.fetchone()[0]))
    if counts[0] != counts[1]:
        raise LedgerIsBusyError(f"{span.name} got entries while it was copied; run it again")
    return counts[0]


def _swap(span: Span, using: str) -> float:
    """Returns when it got the lock."""
    with connections[using].cursor() as cursor:
        cursor.execute("LOCK TABLE ONLY audit_ledger IN ACCESS EXCLUSIVE MODE")
        locked_at = time.monotonic()
        cursor.execute(f"SET LOCAL statement_timeout = '{removal.STATEMENT_TIMEOUT}'")
        for number, partition in enumerate(span.partitions):
            cursor.execute(f'ALTER TABLE audit_ledger DETACH PARTITION "{partition}"')
            # Dropped afterwards: the ledger need not wait for its files to be unlinked.
            cursor.execute(f'ALTER TABLE "{partition}" RENAME TO "{span.beside}_{number}"')
        cursor.execute(f'ALTER TABLE "{span.beside}" RENAME TO "{span.table}"')
        cursor.execute(
            f'ALTER TABLE audit_ledger ATTACH PARTITION "{span.table}"'
            " FOR VALUES FROM (%s) TO (%s)",
            [span.first, span.past],
        )
        cursor.execute(f'ALTER TABLE "{span.table}" DROP CONSTRAINT audit_in_range')
    return locked_at

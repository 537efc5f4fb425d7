"""The ledger's partitions: listing them, making them ahead, making a table beside them and swapping
it in. And the advisory locks by which processes that work on the log exclude each other.

A swap locks the ledger for some milliseconds. While someone reads it, it gives up quickly and
tries again, so that nobody queues behind; writers of entries do not touch the ledger at all.
`DETACH PARTITION CONCURRENTLY` cannot be used: PostgreSQL refuses it beside a default partition.
"""

from __future__ import annotations

import datetime as dt
import enum
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from django.db import OperationalError, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import errors

from organizations import clock, ulid

Result = TypeVar("Result")

AHEAD = dt.timedelta(days=92)
"""How far ahead partitions are made."""
CHUNK = 20_000
"""Entries that are copied by one statement: a transaction as long as all of it would hold back
sealing."""
PATIENCE = 300.0
"""Seconds of trying to swap, while long transactions read the ledger."""
LOCK_TIMEOUT = "200ms"
"""How long readers and the sealer may queue behind a try."""
STATEMENT_TIMEOUT = "5s"
"""How long they may wait at most, once it holds the lock."""

_TRY_AGAIN = {"55P03", "40P01"}  # not available in time, deadlock
_TOOK_TOO_LONG = "57014"


class LedgerIsBusyError(RuntimeError):
    """Another process works on the ledger's partitions, or reads it without a pause."""


class SessionIsSharedError(LedgerIsBusyError):
    """The connection goes through a pooler that gives each transaction any session."""

    def __init__(self) -> None:
        super().__init__(
            "the database is reached through a pooler that shares sessions between transactions"
            " (PgBouncer's pool_mode = transaction or statement): a lock taken there locks out"
            " nobody; give the server's own address, or a pool with pool_mode = session"
        )


# -- Advisory locks


class Lock(enum.IntEnum):
    """Each makes one at a time on a database: one sealer, one worker of evidence, one packer, one
    run of retention. Merging is packing that holds the lock of retention too."""

    SEALER = 0x61756469  # "audi"
    PACKER = 0x6175646A  # "audj"
    EVIDENCE = 0x6175646B  # "audk"
    RETENTION = 0x61756472  # "audr"


def take(lock: Lock, using: str) -> bool:
    """Whether the session has the lock now. It keeps it until it releases it or ends.

    Raises SessionIsSharedError where a session is not the connection's own.
    """
    _refuse_pooler(using)
    with connections[using].cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [int(lock)])
        return bool(cursor.fetchone()[0])


def _refuse_pooler(using: str) -> None:
    """A pooler in transaction mode lends out its sessions: the one that this connection had goes to
    the next, or this connection gets another one the next time."""
    ours = connections[using]
    before = _process(ours)
    other = ours.copy()
    try:
        is_lent = _process(other, "BEGIN") == before
        # While the other connection holds its session.
        is_lent = is_lent or any(_process(ours) != before for _ in range(3))
    except OperationalError as error:
        # In statement mode there are no transactions at all.
        if not isinstance(error.__cause__, errors.ProtocolViolation):
            raise
        is_lent = True
    finally:
        other.close()
    if is_lent:
        raise SessionIsSharedError


def _process(connection: BaseDatabaseWrapper, first: str = "") -> int:
    """The server's process that answers."""
    with connection.cursor() as cursor:
        if first:
            cursor.execute(first)
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])


@contextmanager
def only_one(lock: Lock, using: str, busy: Exception) -> Iterator[None]:
    """Have the lock inside. Raises `busy` if another session has it."""
    if not take(lock, using):
        raise busy
    try:
        yield
    finally:
        with connections[using].cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [int(lock)])


# -- Listing and making


@dataclass(frozen=True)
class Partition:
    """A month of the ledger, or the quarter or year that months were merged into: the entries from
    the id `first` to below `past`."""

    table: str
    first: uuid.UUID
    past: uuid.UUID

    @property
    def since(self) -> dt.datetime:
        return ulid.time_of(self.first)

    @property
    def until(self) -> dt.datetime:
        return ulid.time_of(self.past)


def every(using: str) -> list[Partition]:
    """All partitions but the default one, which has no bounds; the oldest first."""
    with connections[using].cursor() as cursor:
        cursor.execute(_EVERY)
        return [
            Partition(table, uuid.UUID(first), uuid.UUID(past))
            for table, first, past in cursor.fetchall()
        ]


_EVERY = r"""
SELECT relname, bounds[1], bounds[2] FROM (
    SELECT c.relname, regexp_match(pg_get_expr(c.relpartbound, c.oid),
        'FROM \(''([0-9a-f-]{36})''\) TO \(''([0-9a-f-]{36})''\)') AS bounds
    FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'public.audit_ledger'::regclass
) AS part WHERE bounds IS NOT NULL ORDER BY bounds[1]
"""


def make_ahead(since: dt.datetime, using: str = "sealer") -> int:
    """Make the monthly partitions from `since` to three months ahead that are missing."""
    with connections[using].cursor() as cursor:
        cursor.execute("SELECT audit_ensure_partitions(%s, %s)", [since, clock.now() + AHEAD])
        return int(cursor.fetchone()[0])


def make_beside(
    table: str, first: uuid.UUID, past: uuid.UUID, using: str, *, is_indexed: bool
) -> None:
    """Make an empty table that can become the partition from `first` to below `past`."""
    with connections[using].cursor() as cursor:
        # With the check, attaching the table need not scan its rows.
        cursor.execute(
            f'CREATE TABLE "{table}" (LIKE audit_ledger'
            f" INCLUDING {'ALL' if is_indexed else 'DEFAULTS'},"
            " CONSTRAINT audit_in_range CHECK (id >= %s AND id < %s))",
            [first, past],
        )
        cursor.execute(
            f'CREATE TRIGGER audit_no_truncate BEFORE TRUNCATE ON "{table}"'
            " FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse()"
        )


def copy(source: str, target: str, using: str, organization_id: uuid.UUID | None = None) -> int:
    """Copy the entries of one table to another, or those of an organization; returns how many."""
    is_wanted = "true" if organization_id is None else "organization_id = %(organization)s"
    last, total = uuid.UUID(int=0), 0
    with connections[using].cursor() as cursor:
        while True:
            cursor.execute(
                f'WITH copied AS (INSERT INTO "{target}" SELECT * FROM "{source}"'
                f" WHERE {is_wanted} AND id > %(last)s ORDER BY id LIMIT %(chunk)s RETURNING id)"
                " SELECT id, count(*) OVER () FROM copied ORDER BY id DESC LIMIT 1",
                {"organization": organization_id, "last": last, "chunk": CHUNK},
            )
            copied = cursor.fetchone()
            if copied is None:
                return total
            last = copied[0]
            total += copied[1]


def drop_named(pattern: str, using: str) -> None:
    """Drop the tables whose names match: leftovers of runs that were killed."""
    with connections[using].cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
            " AND relname ~ %s AND relkind = 'r'",
            [pattern],
        )
        for (name,) in cursor.fetchall():
            cursor.execute(f'DROP TABLE "{name}"')


# -- Swapping


@dataclass(frozen=True)
class Swap:
    """Partitions leave the ledger, and a table made beside them takes their place.

    leaving: what each of them is called afterwards; entering: the table that takes their place, if
    one does, and what it is as a partition.
    """

    leaving: Mapping[str, str]
    entering: tuple[str, Partition] | None


def swap(exchange: Swap, using: str, before: Callable[[], Result]) -> tuple[Result, float]:
    """Swap in one transaction, with patience; returns what `before` answered, and the seconds for
    which the ledger was locked.

    before: called in the transaction, ahead of the lock, once a try: checks and records.
    Raises LedgerIsBusyError.
    """
    until = time.monotonic() + PATIENCE
    while True:
        try:
            with transaction.atomic(using=using):
                with connections[using].cursor() as cursor:
                    cursor.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
                answer = before()
                locked_at = _exchange(exchange, using)
            return answer, time.monotonic() - locked_at
        except OperationalError as error:
            state = getattr(error.__cause__, "sqlstate", None)
            if state == _TOOK_TOO_LONG:
                raise LedgerIsBusyError(
                    f"swapping partitions took longer than {STATEMENT_TIMEOUT}, during which the"
                    " log"
                    " could not be read; try again when the server is less busy, or check whether"
                    " audit_ledger_default holds many entries"
                ) from error
            if state not in _TRY_AGAIN:
                raise
            if time.monotonic() > until:
                reader = _longest_reader(using)
                raise LedgerIsBusyError(
                    f"the ledger is being read without a pause{reader}"
                ) from error
        time.sleep(1.0)


def lock_against_entries(tables: Sequence[str], using: str) -> None:
    """Keep entries out of these tables until the transaction ends."""
    names = ", ".join(f'"{table}"' for table in tables)
    with connections[using].cursor() as cursor:
        cursor.execute(f"LOCK TABLE {names} IN SHARE MODE")


def count(tables: Sequence[str], using: str) -> int:
    union = " UNION ALL ".join(f'SELECT FROM "{table}"' for table in tables)
    with connections[using].cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM ({union}) AS entry")
        return int(cursor.fetchone()[0])


def _exchange(exchange: Swap, using: str) -> float:
    """Returns when it got the lock."""
    with connections[using].cursor() as cursor:
        cursor.execute("LOCK TABLE ONLY audit_ledger IN ACCESS EXCLUSIVE MODE")
        locked_at = time.monotonic()
        cursor.execute(f"SET LOCAL statement_timeout = '{STATEMENT_TIMEOUT}'")
        for table, name in exchange.leaving.items():
            cursor.execute(f'ALTER TABLE audit_ledger DETACH PARTITION "{table}"')
            # Dropped afterwards, so that the ledger does not wait until its files are unlinked.
            cursor.execute(f'ALTER TABLE "{table}" RENAME TO "{name}"')
        if exchange.entering is not None:
            beside, partition = exchange.entering
            cursor.execute(f'ALTER TABLE "{beside}" RENAME TO "{partition.table}"')
            cursor.execute(
                f'ALTER TABLE audit_ledger ATTACH PARTITION "{partition.table}"'
                " FOR VALUES FROM (%s) TO (%s)",
                [partition.first, partition.past],
            )
            cursor.execute(f'ALTER TABLE "{partition.table}" DROP CONSTRAINT audit_in_range')
    return locked_at


def _longest_reader(using: str) -> str:
    """Who has held the ledger longest, for the message."""
    with connections[using].cursor() as cursor:
        cursor.execute(
            "SELECT a.pid, a.usename, date_trunc('second', now() - a.xact_start)::text"
            " FROM pg_locks l JOIN pg_stat_activity a USING (pid)"
            " WHERE l.relation = 'public.audit_ledger'::regclass AND l.granted"
            " AND a.pid <> pg_backend_pid() ORDER BY a.xact_start LIMIT 1"
        )
        found = cursor.fetchone()
    return f" (process {found[0]} of {found[1]}, for {found[2]})" if found else ""

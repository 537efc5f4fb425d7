"""Packing: the months of the ledger that are over take up less room and no more work.

Indexes of a month grow by halves of pages, as each organization's entries come in between the
others'; built anew they are about half as large (measured: 579 bytes an entry become 363, of 916
with its row). The month is also frozen and marked all visible, so that no vacuum ever reads it
again. Nobody waits: readers and the sealer go on.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from django.db import connections

from audit.ledger import sealing

LOCK = sealing.LOCK + 1
"""The advisory lock that makes one packer at a time."""
MARK = "packed"
"""The comment of a partition that needs it no more."""


class PackerIsBusyError(RuntimeError):
    """Another packer holds the lock."""


@dataclass(frozen=True)
class Packed:
    """One partition, and its size on disk in bytes."""

    partition: str
    before: int
    after: int


def pack(using: str = "owner") -> Iterator[Packed]:
    """Pack each month that ended more than a day ago and is not packed yet, the oldest first.

    A month that entries are still on their way to, because sealing is behind, is left for the next
    time. Interrupted, it goes on where it stopped. Raises PackerIsBusyError.
    """
    with only_one(using), connections[using].cursor() as cursor:
        cursor.execute(_UNPACKED, [MARK])
        for (partition,) in cursor.fetchall():
            yield _pack(partition, using)


@contextmanager
def only_one(using: str) -> Iterator[None]:
    """Be the one packer inside. Raises PackerIsBusyError."""
    with connections[using].cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [LOCK])
        if not cursor.fetchone()[0]:
            raise PackerIsBusyError("another command is packing this ledger")
        try:
            yield
        finally:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [LOCK])


def _pack(partition: str, using: str) -> Packed:
    with connections[using].cursor() as cursor:
        name = connections[using].ops.quote_name(partition)
        before = _size(partition, using)
        cursor.execute(_LEFTOVERS, [partition])
        for (index,) in cursor.fetchall():
            cursor.execute(f"DROP INDEX {connections[using].ops.quote_name(index)}")
        cursor.execute(f"REINDEX TABLE CONCURRENTLY {name}")
        cursor.execute(f"VACUUM (FREEZE, ANALYZE) {name}")
        cursor.execute(f"COMMENT ON TABLE {name} IS '{MARK}'")
    return Packed(partition, before, _size(partition, using))


def _size(partition: str, using: str) -> int:
    with connections[using].cursor() as cursor:
        cursor.execute("SELECT pg_total_relation_size(%s::regclass)", [partition])
        return int(cursor.fetchone()[0])


# A partition's name tells its month; the default one has none.
_UNPACKED = r"""
WITH month AS (
    SELECT c.oid, c.relname, to_date(substring(c.relname from '\d{4}_\d{2}$'), 'YYYY_MM') AS first
    FROM pg_inherits JOIN pg_class AS c ON c.oid = inhrelid
    WHERE inhparent = 'audit_ledger'::regclass AND c.relname ~ '^audit_ledger_\d{4}_\d{2}$'
)
SELECT relname FROM month
WHERE (first + interval '1 month') AT TIME ZONE 'UTC' < now() - interval '1 day'
    AND obj_description(oid, 'pg_class') IS DISTINCT FROM %s
    AND NOT EXISTS (SELECT FROM audit_inbox
        WHERE id < audit_uuid7_floor((first + interval '1 month') AT TIME ZONE 'UTC'))
ORDER BY first
"""

# What REINDEX CONCURRENTLY leaves when it is interrupted.
_LEFTOVERS = r"""
SELECT c.relname FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
WHERE i.indrelid = %s::regclass AND NOT i.indisvalid AND c.relname ~ '_cc(new|old)\d*$'
"""

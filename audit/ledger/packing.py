"""Packing: past months of the ledger take less space and need no further maintenance.

Indexes of a month grow by halves of pages, as each organization's entries come in between the
others'; built anew they are about half as large (measured: 579 bytes an entry become 363, of 916
with its row). The month is also frozen and marked all visible, so that no vacuum ever reads it
again. Readers and the sealer do not wait.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

from django.db import connections

from audit.ledger import partitions
from audit.ledger.partitions import Lock, Partition
from organizations import clock

MARK = "packed"
"""The comment of a partition that is packed."""


class PackerIsBusyError(RuntimeError):
    """Another packer holds the lock."""


@dataclass(frozen=True)
class Packed:
    """One partition, and its size on disk in bytes."""

    partition: str
    before: int
    after: int


def pack(using: str = "owner") -> Iterator[Packed]:
    """Pack each partition that ended more than a day ago and is not packed yet, the oldest first.

    One that will still get entries, because sealing is behind, is left for the next run. An
    interrupted run can be continued. Raises PackerIsBusyError.
    """
    with only_packer(using):
        for partition in _unpacked(using):
            yield _pack(partition.table, using)


def only_packer(using: str) -> AbstractContextManager[None]:
    """Be the one packer inside. Raises PackerIsBusyError."""
    busy = PackerIsBusyError("another command is packing this ledger")
    return partitions.only_one(Lock.PACKER, using, busy)


def _unpacked(using: str) -> list[Partition]:
    yesterday = clock.now() - dt.timedelta(days=1)
    over = [part for part in partitions.every(using) if part.until < yesterday]
    with connections[using].cursor() as cursor:
        cursor.execute(_READY, [[part.table for part in over], [part.past for part in over], MARK])
        ready = {table for (table,) in cursor.fetchall()}
    return [part for part in over if part.table in ready]


_READY = """
SELECT "table" FROM unnest(%s::text[], %s::uuid[]) AS part ("table", past)
WHERE obj_description("table"::regclass, 'pg_class') IS DISTINCT FROM %s
    AND NOT EXISTS (SELECT FROM audit_inbox WHERE id < past)
"""


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


# What REINDEX CONCURRENTLY leaves when it is interrupted.
_LEFTOVERS = r"""
SELECT c.relname FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
WHERE i.indrelid = %s::regclass AND NOT i.indisvalid AND c.relname ~ '_cc(new|old)\d*$'
"""

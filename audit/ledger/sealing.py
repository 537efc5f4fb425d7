"""Sealing: entries move from the inbox to the ledger and get their gapless numbers.

Safe against late commits: only entries of transactions below the snapshot's xmin are taken, all
of which have ended, so nothing can appear behind (measured: a poller that follows ids loses a
sixth under load; this loses none). Order is (xid, id). One sealer works at a time.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from audit.ledger import partitions
from audit.ledger.partitions import Lock

BATCH = 20_000
"""Entries a transaction moves, about; a transaction's entries are never split."""
FIELD_BLOCK = 1024
"""Entries of a log that share one note about a changed field."""
LONGEST_FIELD_NAME = 100
"""What a note keeps of a field's name."""


@dataclass(frozen=True)
class Sealed:
    """What one round did. `lag` is the age of the oldest entry left in the inbox."""

    entries: int
    is_behind: bool


class SealerIsBusyError(RuntimeError):
    """Another sealer holds the lock."""


def lock(using: str = "sealer") -> None:
    """Become the sealer until the connection closes. Raises SealerIsBusyError if there is one."""
    with connections[using].cursor() as cursor:
        # The server would keep the lock of a machine that is gone for two hours.
        cursor.execute(
            "SET tcp_keepalives_idle = 20; SET tcp_keepalives_interval = 5;"
            " SET tcp_keepalives_count = 3; SET tcp_user_timeout = '20s'"
        )
    if not partitions.take(Lock.SEALER, using):
        raise SealerIsBusyError("another sealer is at work on this database")


def flush_repeats(using: str = "sealer") -> int:
    """Record the counts of refusals and views repeated within a minute that is over."""
    with connections[using].cursor() as cursor:
        cursor.execute("SELECT audit_flush_repeats()")
        return int(cursor.fetchone()[0])


def record_start(why: str, using: str = "sealer") -> None:
    """Record in the platform's own log that sealing began, and why."""
    with connections[using].cursor() as cursor:
        cursor.execute("SELECT audit_enter_sealing(%s)", [why])


def seal(using: str = "sealer", batch: int = BATCH) -> Sealed:
    """Move one batch of settled entries, in one transaction."""
    connection = connections[using]
    with transaction.atomic(using=using):
        lo, upper, is_behind = _window(connection, batch)
        moved = _move(connection, lo, upper)
        with connection.cursor() as cursor:
            # Of transactions that have ended: nobody asks any more who left in them.
            cursor.execute("DELETE FROM audit_left WHERE xid < %s::xid8", [upper])
            cursor.execute(
                "UPDATE audit_sealing SET lo = %s::xid8, sealed_at = now() WHERE %s > 0"
                " OR sealed_at < now() - interval '1 second'",
                [upper, moved],
            )
    return Sealed(moved, is_behind)


def _window(connection: BaseDatabaseWrapper, batch: int) -> tuple[str, str, bool]:
    """The half-open range of transaction ids to take, and whether more is settled above it."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT lo::text, system_identifier = (SELECT system_identifier FROM"
            " pg_control_system()), pg_snapshot_xmin(pg_current_snapshot())::text"
            " FROM audit_sealing FOR UPDATE"
        )
        lo, same_cluster, xmin = cursor.fetchone()
        if not same_cluster or int(lo) > int(xmin):
            _start_incarnation(connection)
            lo = "0"
        cursor.execute(
            "SELECT min(xid)::text, (SELECT xid::text FROM audit_inbox WHERE xid >= %s::xid8"
            " AND xid < %s::xid8 ORDER BY xid OFFSET %s LIMIT 1)"
            " FROM audit_inbox WHERE xid >= %s::xid8 AND xid < %s::xid8",
            [lo, xmin, batch, lo, xmin],
        )
        first, past_batch = cursor.fetchone()
    if past_batch is None:
        return lo, xmin, False
    # A transaction larger than the batch is taken whole.
    return lo, (past_batch if past_batch != first else str(int(first) + 1)), True


def _start_incarnation(connection: BaseDatabaseWrapper) -> None:
    """The cluster is another one (a restore, a failover that lost WAL): its transaction ids say
    nothing about entries that came with the data. Those have all committed; seal them now."""
    _move(connection, "0", str(2**63))
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM audit_left")
        cursor.execute(
            "UPDATE audit_sealing SET lo = '0', incarnation = incarnation + 1, sealed_at = now(),"
            " system_identifier = (SELECT system_identifier FROM pg_control_system())"
        )
        cursor.execute("SELECT audit_enter_sealing('new_incarnation')")


def _move(connection: BaseDatabaseWrapper, lo: str, upper: str) -> int:
    """Move the entries of transactions from `lo` up to `upper`; returns how many."""
    with connection.cursor() as cursor:
        # The planner takes the batch for a handful of rows and would compare each with each
        # (66 s for 20,000 entries; 0.7 s with hash joins).
        cursor.execute(
            "SET LOCAL enable_nestloop = off; SET LOCAL enable_mergejoin = off;"
            " SET LOCAL work_mem = '64MB'"
        )
        cursor.execute(_MOVE, [lo, upper])
        return int(cursor.fetchone()[0])


_MOVE = f"""
WITH moved AS MATERIALIZED (
    DELETE FROM audit_inbox WHERE xid >= %s::xid8 AND xid < %s::xid8 RETURNING *,
        COALESCE(resource_id, '00000000-0000-0000-0000-000000000000') AS resource_key,
        COALESCE(actor_id, '00000000-0000-0000-0000-000000000000') AS actor_key
), numbered AS MATERIALIZED (
    -- Counted from the end: the log's new size less the entries of the batch that come after.
    SELECT *,
        count(*) OVER (PARTITION BY organization_id ORDER BY xid DESC, id DESC) - 1 AS after,
        count(*) OVER (PARTITION BY organization_id, resource_type, resource_key
            ORDER BY xid DESC, id DESC) - 1 AS after_of_resource,
        count(*) OVER (PARTITION BY organization_id, actor_type, actor_key
            ORDER BY xid DESC, id DESC) - 1 AS after_of_actor
    FROM moved
), log AS (
    INSERT INTO audit_log AS l (organization_id, size)
    SELECT organization_id, count(*) FROM moved GROUP BY 1 ORDER BY 1
    ON CONFLICT (organization_id) DO UPDATE SET size = l.size + EXCLUDED.size
    RETURNING organization_id, size
), subject AS (
    INSERT INTO audit_subject AS s (organization_id, kind, type, id, size)
    SELECT organization_id, 'resource', resource_type, resource_key, count(*)
    FROM moved GROUP BY 1, 3, 4
    UNION ALL
    SELECT organization_id, 'actor', actor_type, actor_key, count(*) FROM moved GROUP BY 1, 3, 4
    ON CONFLICT (organization_id, kind, type, id) DO UPDATE SET size = s.size + EXCLUDED.size
    RETURNING organization_id, kind, type, id, size
), counted AS (
    INSERT INTO audit_count AS c (action, result, size)
    SELECT action, result, count(*) FROM moved GROUP BY 1, 2
    ON CONFLICT (action, result) DO UPDATE SET size = c.size + EXCLUDED.size
), label AS (
    INSERT INTO audit_label (organization_id, kind, label, type, id)
    SELECT DISTINCT organization_id, 'resource', resource_label, resource_type, resource_id
    FROM moved WHERE resource_id IS NOT NULL
    UNION ALL
    SELECT DISTINCT organization_id, 'actor', actor_label, actor_type, actor_id
    FROM moved WHERE actor_id IS NOT NULL
    ON CONFLICT DO NOTHING
), sealed AS (
    INSERT INTO audit_ledger (id, organization_id, actor_id, resource_id, request_id, seq,
        resource_seq, actor_seq, ip, actor_type, actor_label, action, resource_type,
        resource_label, result, interface, user_agent, changes, context)
    SELECT e.id, e.organization_id, e.actor_id, e.resource_id, e.request_id,
        log.size - e.after, r.size - e.after_of_resource, a.size - e.after_of_actor,
        e.ip, e.actor_type, e.actor_label, e.action, e.resource_type, e.resource_label,
        e.result, e.interface, e.user_agent, e.changes, e.context
    FROM numbered e
    -- LEFT fixes the order of joins; a missing number would be refused by NOT NULL.
    LEFT JOIN log ON log.organization_id = e.organization_id
    LEFT JOIN subject r ON r.organization_id = e.organization_id AND r.kind = 'resource'
        AND r.type = e.resource_type AND r.id = e.resource_key
    LEFT JOIN subject a ON a.organization_id = e.organization_id AND a.kind = 'actor'
        AND a.type = e.actor_type AND a.id = e.actor_key
    RETURNING organization_id, id, seq, changes
), field AS (
    INSERT INTO audit_field AS f (organization_id, field, block, first_id, last_id)
    SELECT organization_id, left(name, {LONGEST_FIELD_NAME}), seq / {FIELD_BLOCK},
        (array_agg(id ORDER BY id))[1], (array_agg(id ORDER BY id DESC))[1]
    FROM sealed, jsonb_object_keys(changes) AS name WHERE changes <> '{{}}' GROUP BY 1, 2, 3
    ON CONFLICT (organization_id, field, block) DO UPDATE SET
        first_id = least(f.first_id, EXCLUDED.first_id),
        last_id = greatest(f.last_id, EXCLUDED.last_id)
    WHERE f.first_id > EXCLUDED.first_id OR f.last_id < EXCLUDED.last_id
)
SELECT count(*) FROM sealed
"""

"""What stays of a month: copied to a table beside its partition, whose place it takes.

That is each resource's first and last change, and all entries of organizations under legal hold.
Many short statements: one transaction as long as this would hold back sealing.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection

from django.db import connections

from audit.ledger import partitions
from audit.retention.months import OWNER, Month

# A change is what names a field. Looked for in the whole ledger: one in another month may be
# earlier or later. By LIMIT, so that it stays a look into an index for each resource: asked as NOT
# EXISTS it becomes a join that reads the organization's whole log (five times as long with ten
# months of it).
_FIRST_AND_LAST = """
WITH outermost AS (
    SELECT resource_id, (array_agg(id ORDER BY id))[1] AS first,
        (array_agg(id ORDER BY id DESC))[1] AS last
    FROM "{table}"
    WHERE organization_id = %(organization)s AND resource_id IS NOT NULL AND changes <> '{{}}'
    GROUP BY resource_id
)
SELECT first FROM outermost AS o LEFT JOIN LATERAL (
    SELECT true AS is_there FROM audit_ledger AS e WHERE e.organization_id = %(organization)s
    AND e.resource_id = o.resource_id AND e.id < %(first)s AND e.changes <> '{{}}' LIMIT 1
) AS earlier ON true WHERE is_there IS NULL
UNION
SELECT last FROM outermost AS o LEFT JOIN LATERAL (
    SELECT true AS is_there FROM audit_ledger AS e WHERE e.organization_id = %(organization)s
    AND e.resource_id = o.resource_id AND e.id >= %(past)s AND e.changes <> '{{}}' LIMIT 1
) AS later ON true WHERE is_there IS NULL
"""


def first_and_last_changes(month: Month, organization_id: uuid.UUID) -> set[uuid.UUID]:
    with connections[OWNER].cursor() as cursor:
        cursor.execute(
            _FIRST_AND_LAST.format(table=month.table),
            {"organization": organization_id, "first": month.first, "past": month.past},
        )
        return {key for (key,) in cursor.fetchall()}


def table(month: Month) -> str:
    return f"audit_kept_{month.since:%Y_%m}"


def drop(month: Month) -> None:
    with connections[OWNER].cursor() as cursor:
        cursor.execute(f'DROP TABLE IF EXISTS "{table(month)}"')


def drop_leftovers() -> None:
    """Drop the tables of runs that were killed."""
    partitions.drop_named(r"^audit_kept_\d{4}_\d{2}$", OWNER)


def make(month: Month) -> None:
    drop(month)
    partitions.make_beside(table(month), month.first, month.past, OWNER, is_indexed=True)


def copy(month: Month, keys: Collection[uuid.UUID]) -> int:
    wanted = sorted(keys)
    with connections[OWNER].cursor() as cursor:
        for start in range(0, len(wanted), partitions.CHUNK):
            cursor.execute(
                f'INSERT INTO "{table(month)}" SELECT * FROM "{month.table}" WHERE id = ANY(%s)',
                [wanted[start : start + partitions.CHUNK]],
            )
    return len(wanted)


def copy_all(month: Month, organization_id: uuid.UUID) -> int:
    return partitions.copy(month.table, table(month), OWNER, organization_id)

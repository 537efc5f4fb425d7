"""What the evidence still needs of entries that leave: the leaves of blocks that are not full yet.

The tree keeps the hash of every leaf. The index of a block is made when the block is full, of leaf
data, which the ledger no longer has once the entry has left.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping

from django.db import connections

from audit.evidence import index, reading
from audit.retention import BusyError
from audit.retention.months import OWNER
from organizations import ulid

_UNPROVED = """
SELECT g.organization_id FROM unnest(%s::uuid[], %s::text[]) AS g (organization_id, numbers)
JOIN audit_head h USING (organization_id)
WHERE NOT g.numbers::int8multirange <@ int8range(1, h.size, '[]')
"""
_UNFINISHED = """
SELECT g.organization_id, h.size, g.numbers
FROM unnest(%s::uuid[], %s::text[]) AS g (organization_id, numbers)
JOIN audit_head h USING (organization_id)
WHERE h.size %% %s > 0
    AND g.numbers::int8multirange && int8range(h.size - h.size %% %s, h.size, '(]')
"""


def keep(leaving: Mapping[uuid.UUID, str]) -> None:
    """Keep them, in the transaction in which the entries leave. leaving: the numbers, as a
    multirange, by organization. Raises BusyError if some have no leaf yet, as nobody could say
    afterwards what they were."""
    organizations, numbers = list(leaving), list(leaving.values())
    with connections[OWNER].cursor() as cursor:
        cursor.execute(_UNPROVED, [organizations, numbers])
        for (organization,) in cursor.fetchall():
            raise BusyError(
                f"entries of {ulid.to_text(organization)} are not in the evidence yet; run"
                " `manage.py audit_evidence --once`, then this command again"
            )
        cursor.execute(_UNFINISHED, [organizations, numbers, index.BLOCK, index.BLOCK])
        for organization, size, leaves_with in cursor.fetchall():
            for each in reading.leaves(organization, size - size % index.BLOCK, size, OWNER):
                # One that was removed before evidence began says so by itself.
                if each.parts is not None and each.data is not None:
                    cursor.execute(
                        "INSERT INTO audit_leaf_kept (organization_id, seq, leaf)"
                        " SELECT %s, %s, %s WHERE %s::bigint <@ %s::int8multirange",
                        [organization, each.seq, each.data, each.seq, leaves_with],
                    )

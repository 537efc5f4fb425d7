"""What the evidence still needs of entries that leave, or whose leaf is withheld: the leaves of
blocks that are not full yet, and the keys of blocks that are. And what it must not keep: salts.

The tree keeps the hash of every leaf. The index of a block is made when the block is full, of leaf
data, which the ledger no longer has once the entry has left; and an answer by the index shows keys
of the block, which are made of the same.
"""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Iterable, Mapping

from django.db import connections

from audit.evidence import index, leaf, reading, tiles
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


def keep_keys(organization: uuid.UUID, block: int) -> None:
    """Keep the key table of a block that is full, if it can be made and was not kept before."""
    first = block * index.BLOCK
    with connections[OWNER].cursor() as cursor:
        cursor.execute(
            "SELECT FROM audit_block WHERE organization_id = %s AND n = %s AND keys_kept IS NULL",
            [organization, block],
        )
        if cursor.fetchone() is None:
            return
        leaves = list(reading.leaves(organization, first, first + index.BLOCK, OWNER))
        if any(each.data is None for each in leaves):
            return
        cursor.execute(
            "UPDATE audit_block SET keys_kept = %s WHERE organization_id = %s AND n = %s",
            [
                index.written_table(index.table([each.subjects() for each in leaves])),
                organization,
                block,
            ],
        )


def zero_salts(organization: uuid.UUID, numbers: Iterable[int]) -> None:
    """Zero the salts of these numbers, which were erased or have left. In a transaction in which
    the worker cannot write them anew."""
    with connections[OWNER].cursor() as cursor:
        for tile, some in itertools.groupby(
            sorted(numbers), key=lambda number: (number - 1) // tiles.WIDTH
        ):
            places = [(number - 1) % tiles.WIDTH for number in some]
            cursor.execute(
                "SELECT first, salts FROM audit_salt WHERE organization_id = %s AND n = %s"
                " ORDER BY first FOR UPDATE",
                [organization, tile],
            )
            for first, salts in cursor.fetchall():
                zeroed = bytearray(salts)
                for place in places:
                    at = leaf.SALT * (place - first)
                    if 0 <= at < len(zeroed):
                        zeroed[at : at + leaf.SALT] = bytes(leaf.SALT)
                if zeroed != bytes(salts):
                    cursor.execute(
                        "UPDATE audit_salt SET salts = %s"
                        " WHERE organization_id = %s AND n = %s AND first = %s",
                        [bytes(zeroed), organization, tile, first],
                    )

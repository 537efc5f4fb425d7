"""What the evidence still needs of entries that leave, or whose leaf is withheld: the leaves of
blocks that are not full yet, and the keys of blocks that are. And what it must not keep: salts.

The tree keeps the hash of every leaf. The index of a block is made when the block is full, of leaf
data, which the ledger no longer has once the entry has left; and an answer by the index shows keys
of the block, which are made of the same.
"""

from __future__ import annotations

import itertools
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from django.db import connections, transaction

from audit.entry import as_json
from audit.evidence import index, leaf, notes, reading, tiles
from audit.retention import BusyError
from audit.retention.months import OWNER
from organizations import ulid

_AT_ONCE = 64 * tiles.WIDTH
"""Numbers whose salts are zeroed in one transaction, at most."""
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


Ranges = Sequence[tuple[int, int]]
"""Numbers: the first and the last of each unbroken range, in order."""


def leaves(organization: uuid.UUID, numbers: Ranges) -> Iterator[reading.Leaf]:
    """The leaves of these numbers, in order."""
    ranges = iter(numbers)
    first, last = next(ranges)
    for each in reading.leaves(organization, first - 1, numbers[-1][1], OWNER):
        while each.seq > last:
            first, last = next(ranges)
        if each.seq >= first:
            yield each


def blocks(organization: uuid.UUID, numbers: Ranges) -> tuple[list[int], list[int]]:
    """The full blocks that have only such numbers, and those that have some."""
    full = reading.size(organization, OWNER) // index.BLOCK
    held: Counter[int] = Counter()
    for first, last in numbers:
        for block in range((first - 1) // index.BLOCK, (last - 1) // index.BLOCK + 1):
            start = block * index.BLOCK
            held[block] += min(last, start + index.BLOCK) - max(first, start + 1) + 1
    known = [(block, count) for block, count in sorted(held.items()) if block < full]
    whole = [block for block, count in known if count == index.BLOCK]
    return whole, [block for block, count in known if count < index.BLOCK]


def key_lines(organization: uuid.UUID, whole: Iterable[int]) -> Iterator[bytes]:
    """The keys of blocks as an archive has them: a line a block, with the hash of each key and its
    postings, in base64."""
    for block in whole:
        keys = _table(organization, block)
        if keys is not None:
            pairs = [[notes.in_base64(key), notes.in_base64(places)] for key, places in keys]
            yield as_json.canonical_line({"block": block, "keys": pairs}).encode()


def forget(manifest: str) -> None:
    """Zero the salts of what was removed with this archive, and let go what was kept of it that
    nothing needs any more. Once it is done, doing it again changes nothing."""
    with connections[OWNER].cursor() as cursor:
        cursor.execute(
            "SELECT organization_id, lower(r), upper(r) FROM audit_removal,"
            " LATERAL unnest(numbers) AS r WHERE manifest = %s ORDER BY 1, 2",
            [manifest],
        )
        ranges = cursor.fetchall()
    for organization, first, past in ranges:
        for start in range(first, past, _AT_ONCE):
            with transaction.atomic(using=OWNER), connections[OWNER].cursor() as cursor:
                # Against the worker, which makes one row of the runs of a full tile.
                cursor.execute(
                    "SELECT FROM audit_head WHERE organization_id = %s FOR UPDATE", [organization]
                )
                numbers = range(start, min(past, start + _AT_ONCE))
                zero_salts(organization, numbers)
                cursor.execute(
                    "DELETE FROM audit_salt_kept WHERE organization_id = %s"
                    " AND seq BETWEEN %s AND %s",
                    [organization, numbers[0], numbers[-1]],
                )
                cursor.execute(
                    "DELETE FROM audit_leaf_kept k USING audit_block b WHERE k.organization_id = %s"
                    " AND k.seq BETWEEN %s AND %s AND b.organization_id = k.organization_id"
                    " AND b.n = (k.seq - 1) / %s AND b.keys_kept IS NOT NULL",
                    [organization, numbers[0], numbers[-1], index.BLOCK],
                )


def keep_keys(organization: uuid.UUID, block: int) -> None:
    """Keep the key table of a block that is full, if it can be made and was not kept before."""
    with connections[OWNER].cursor() as cursor:
        cursor.execute(
            "SELECT FROM audit_block WHERE organization_id = %s AND n = %s AND keys_kept IS NULL",
            [organization, block],
        )
        if cursor.fetchone() is None:
            return
        keys = _table(organization, block)
        if keys is None:
            return
        cursor.execute(
            "UPDATE audit_block SET keys_kept = %s WHERE organization_id = %s AND n = %s",
            [index.written_table(keys), organization, block],
        )


def _table(organization: uuid.UUID, block: int) -> index.Table | None:
    """The keys of a full block; None if not all of its leaves are known any more."""
    kept = reading.kept_keys(organization, block, OWNER)
    if kept is not None:
        return kept
    first = block * index.BLOCK
    found = list(reading.leaves(organization, first, first + index.BLOCK, OWNER))
    if any(each.data is None for each in found):
        return None
    return index.table([each.subjects() for each in found])


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

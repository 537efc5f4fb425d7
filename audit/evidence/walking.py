"""The proof that an answer is complete: a walk of a log's index, by keys and a window of time.

What lies outside of the window is given by its hash and its times; each block inside shows, for
every key that is looked up, the entries that have it, or the two neighbours between which it would
stand.
"""

from __future__ import annotations

import bisect
import hashlib
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import connections

from audit.evidence import index, notes, reading, tree

EVER = (0, 2**48)
"""A window that is open at both ends."""
_TABLES = 1_024
"""Key tables of blocks that a process keeps, of about 15 kB each: making one takes milliseconds."""


def renamings(keys: Sequence[str]) -> list[str]:
    """The keys of renamings of what these paths name, and of what they lie below: who asks by a
    name has to see that it was taken away in the time asked for."""
    found: list[str] = []
    for kind, _, path in (key.partition("\n") for key in keys):
        while kind == "path" and path:
            found.append(f"renamed\n{path}")
            path = path[: max(path.rfind("/"), path.rfind("#"), 0)]
    return list(dict.fromkeys(found))


Restored = Callable[[reading.Leaf], reading.Leaf]
"""Gives a leaf that left what an archive has of it."""


@dataclass
class Walk:
    """Of the blocks before the tail of a log of this size. items: as packs have it, once it was
    walked; named: the numbers of entries that have one of the keys; here: without keys, the blocks
    whose entries all have to be in the pack."""

    organization: uuid.UUID
    size: int
    keys: Sequence[str]
    since: int
    until: int
    using: str = "default"
    restored: Restored | None = None
    items: list[Any] = field(default_factory=list)
    named: set[int] = field(default_factory=set)
    here: list[int] = field(default_factory=list)

    @property
    def blocks(self) -> int:
        return max(self.size - 1, 0) // index.BLOCK

    @property
    def tail(self) -> int:
        """How many entries are before the tail."""
        return self.blocks * index.BLOCK

    def zones(self) -> list[tuple[index.Block, index.Zone]]:
        with connections[self.using].cursor() as cursor:
            cursor.execute(
                "SELECT n, entries, since, until, keys, root FROM audit_block"
                " WHERE organization_id = %s AND n < %s ORDER BY n",
                [self.organization, self.blocks],
            )
            blocks = [
                index.Block(number, entries, since, until, keys, bytes(root))
                for number, entries, since, until, keys, root in cursor.fetchall()
            ]
        if len(blocks) != self.blocks:
            raise reading.MissingHashesError(f"the index has {len(blocks)} of {self.blocks} blocks")
        return [(block, block.zone()) for block in blocks]

    def steps(self, zones: Sequence[tuple[index.Block, index.Zone]]) -> Iterator[int]:
        """Walk; gives the number of each block before it is opened, so that each can be read in a
        transaction of its own."""
        if zones:
            yield from self._at(0, len(zones), _Joined(zones), zones)

    def opened(self, zones: Sequence[tuple[index.Block, index.Zone]]) -> int:
        """How many blocks are opened."""
        return sum(not self._is_outside(zone) for _, zone in zones)

    def _at(
        self,
        first: int,
        past: int,
        joined: _Joined,
        zones: Sequence[tuple[index.Block, index.Zone]],
    ) -> Iterator[int]:
        zone = joined(first, past)
        if self._is_outside(zone):
            self.items.append(_skipped(zone))
        elif past - first > 1:
            self.items.append(1)
            middle = first + (1 << (past - first - 1).bit_length() - 1)
            yield from self._at(first, middle, joined, zones)
            yield from self._at(middle, past, joined, zones)
        elif not self.keys:
            self.here.append(first)
            self.items.append(2)
        else:
            yield first
            self.items.append(self._open(*zones[first]))

    def _is_outside(self, zone: index.Zone) -> bool:
        return zone.until < self.since or zone.since >= self.until

    def _open(self, block: index.Block, zone: index.Zone) -> list[Any]:
        known = table_of(self.organization, block, self.using, self.restored)
        if known is None:
            # Some of it left under retention: it cannot be shown what was there.
            return [*_skipped(zone), "gap"]
        opened: list[Any] = [block.entries, block.since, block.until, block.keys]
        leaves = index.key_leaves(known)
        for key in self.keys:
            place, given = _looked_up(known, hashlib.sha256(key.encode()).digest())
            outer = tree.outside(
                _Nodes(leaves), len(leaves), [(place, place + len(given))] if given else []
            )
            opened += [
                place,
                [[notes.in_base64(each), notes.in_base64(at)] for each, at in given],
                [notes.in_base64(each) for each in outer],
            ]
            if len(given) == 1 and given[0][0] == hashlib.sha256(key.encode()).digest():
                postings = given[0][1]
                self.named.update(
                    block.number * index.BLOCK + int.from_bytes(postings[at : at + 2], "big") + 1
                    for at in range(0, len(postings), 2)
                )
        return opened


def _skipped(zone: index.Zone) -> list[Any]:
    return [notes.in_base64(zone.hash), zone.since, zone.until]


def _looked_up(known: index.Table, wanted: bytes) -> tuple[int, index.Table]:
    """What is shown of a table for a key, and the place of the first of it: its leaf, or its
    neighbours."""
    place = bisect.bisect_left(known, (wanted, b""))
    if place < len(known) and known[place][0] == wanted:
        return place, [known[place]]
    first = max(place - 1, 0)
    return first, known[first : place + 1]


class _Nodes:
    """Subtrees over the leaves of a table."""

    def __init__(self, leaves: Sequence[bytes]) -> None:
        self._leaves = leaves

    def __call__(self, level: int, place: int) -> bytes:
        return tree.root_of(self._leaves[place << level : place + 1 << level])


class _Joined:
    """Zones of subtrees of blocks, each joined once."""

    def __init__(self, zones: Sequence[tuple[index.Block, index.Zone]]) -> None:
        self._zones = zones
        self._known: dict[tuple[int, int], index.Zone] = {}

    def __call__(self, first: int, past: int) -> index.Zone:
        if past - first == 1:
            return self._zones[first][1]
        known = self._known.get((first, past))
        if known is None:
            middle = first + (1 << (past - first - 1).bit_length() - 1)
            known = index.join(self(first, middle), self(middle, past))
            self._known[first, past] = known
        return known


_Tables = dict[tuple[uuid.UUID, int], index.Table]


_kept: _Tables = {}
"""What blocks have never changes. Nobody sees another's: they are asked by organization."""


def table_of(
    organization: uuid.UUID, block: index.Block, using: str, restored: Restored | None = None
) -> index.Table | None:
    """The keys of a block; None if not all of its leaves are known any more. Raises MismatchError
    if they are not those that the log commits to."""
    known = _kept.get((organization, block.number))
    if known is not None:
        return known
    first = block.number * index.BLOCK
    made = reading.kept_keys(organization, block.number, using)
    if made is None:
        found = reading.leaves(organization, first, first + index.BLOCK, using)
        leaves = list(map(restored, found) if restored else found)
        if any(each.data is None for each in leaves):
            return None
        made = index.table([each.subjects() for each in leaves])
    if tree.root_of(index.key_leaves(made)) != block.root:
        raise reading.MismatchError(organization, first + 1)
    while len(_kept) >= _TABLES:
        _kept.pop(next(iter(_kept)), None)
    _kept[organization, block.number] = made
    return made

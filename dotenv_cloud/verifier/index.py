"""The index: of each block of 256 entries a sorted table of keys, in a tree of blocks that knows
time, to whose root the first entry after each block commits."""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, NamedTuple

from dotenv_cloud.verifier.entries import BLOCK, END_OF_TIME, Entry, keys_of
from dotenv_cloud.verifier.trees import (
    fold,
    from_base64,
    hashes_of,
    integer,
    located,
    require,
    root_of,
    split,
)


class Zone(NamedTuple):
    """A subtree of blocks: its hash, and the earliest and latest time, in ms, of its entries."""

    hash: bytes
    since: int
    until: int

    def packed(self) -> bytes:
        return self.since.to_bytes(6, "big") + self.until.to_bytes(6, "big") + self.hash

    def joined(self, right: Zone) -> Zone:
        hashed = sha256(b"\x04" + self.packed() + right.packed()).digest()
        return Zone(hashed, min(self.since, right.since), max(self.until, right.until))

    def root(self) -> bytes:
        return sha256(b"\x04" + self.packed()).digest()


def block_zone(block: int, entries: int, since: int, until: int, keys: int, root: bytes) -> Zone:
    last = Zone(keys.to_bytes(4, "big") + root, since, until).packed()
    return Zone(sha256(b"\x03" + struct.pack(">QI", block, entries) + last).digest(), since, until)


def index_block(block: int, entries: Sequence[Entry]) -> Zone:
    """Of one block, from leaf data of all its entries."""
    postings: dict[bytes, list[int]] = {}
    for offset, entry in enumerate(entries):
        require(entry.data, "it is withheld, so its block cannot be indexed", "", entry.seq)
        for key in keys_of(entry.leaf):
            postings.setdefault(sha256(key.encode()).digest(), []).append(offset)
    table = [key + struct.pack(f">{len(at)}H", *at) for key, at in sorted(postings.items())]
    root = root_of(len(table), fold(0, [sha256(b"\x02" + each).digest() for each in table]), ())
    kept = [entry.time for entry in entries if not entry.removed]
    since, until = (min(kept), max(kept)) if len(kept) == BLOCK else (0, END_OF_TIME - 1)
    return block_zone(block, len(kept), since, until, len(table), root)


def index_roots(zones: Iterable[Zone]) -> Iterator[bytes]:
    """Of the first block, of the first two, and so on."""
    stack: list[tuple[int, Zone]] = []
    for zone in zones:
        width = 1
        while stack and stack[-1][0] == width:
            zone, width = stack.pop()[1].joined(zone), width * 2
        stack.append((width, zone))
        for _, left in reversed(stack[:-1]):
            zone = left.joined(zone)
        yield zone.root()


@dataclass
class Walk:
    """What a walk of the zone tree of so many blocks shows, for these keys and times."""

    blocks: int
    keys: Sequence[str]
    since: int
    until: int
    here: list[int] = field(default_factory=list)  # blocks of which all entries are in the pack
    gaps: list[tuple[int, int, int, int]] = field(default_factory=list)  # entries, times
    named: dict[int, set[str]] = field(default_factory=dict)  # entries, with keys they stand under

    def root(self, items: object, present: Mapping[int, Zone] | None = None) -> bytes:
        """The index root that the items lead to; they are in pre-order.

        present: the zones of the blocks that are here, once their entries were read.
        """
        rest = iter(items if isinstance(items, list) else ())

        def at(start: int, end: int) -> Zone:
            item: Any = next(rest, None)
            fits = "the walk does not have the shape of the tree"
            if item == 1 and type(item) is int and end - start > 1:
                return at(start, split(start, end)).joined(at(split(start, end), end))
            with located("", start * BLOCK + 1):
                if item == 2 and type(item) is int and end - start == 1 and not self.keys:
                    self.here.append(start)
                    return present[start] if present else Zone(bytes(32), 0, 0)
                require(isinstance(item, list) and len(item) > 2, fits)
                if item[3:] in ([], ["gap"]):
                    return self.skipped(start, end, item)
                opens = end - start == 1 and self.keys and len(item) == 4 + 3 * len(self.keys)
                require(opens, fits)
                return self.opened(start, item)

        found = at(0, self.blocks).root() if self.blocks else b""
        require(next(rest, None) is None, "the walk has more than the tree")
        return found

    def skipped(self, start: int, end: int, item: list[Any]) -> Zone:
        since, until = (integer(each, 0, END_OF_TIME - 1, "a time") for each in item[1:3])
        if item[3:]:
            self.gaps.append((start * BLOCK + 1, end * BLOCK, since, until))
        outside = item[3:] or until < self.since or since >= self.until
        require(outside, f"a part of the window is skipped, to entry {end * BLOCK:,}")
        return Zone(from_base64(item[0], 32), since, until)

    def opened(self, block: int, item: list[Any]) -> Zone:
        """A block, with what it has, or has not, under each key that is looked up."""
        entries, size = (integer(each, 0, 1 << 31, "a count") for each in (item[0], item[3]))
        since, until = (integer(each, 0, END_OF_TIME - 1, "a time") for each in item[1:3])
        roots = set()
        for number, key in enumerate(self.keys):
            place, given, hashes = item[4 + 3 * number : 7 + 3 * number]
            place = integer(place, 0, size, "a position")
            require(isinstance(given, list) and len(given) < 3, "more keys are given than needed")
            table = [(from_base64(key, 32), from_base64(at)) for key, at in given]
            leaves = [sha256(b"\x02" + key + at).digest() for key, at in table]
            known = {(place + n, place + n + 1): leaf for n, leaf in enumerate(leaves)}
            roots.add(root_of(size, known, hashes_of(hashes)))
            wanted, found = sha256(key.encode()).digest(), [key for key, _ in table]
            if found == [wanted]:
                offsets = [at for (at,) in struct.iter_unpack(">H", table[0][1])]
                ascending = offsets and offsets == sorted({*offsets}) and offsets[-1] < BLOCK
                require(ascending, "postings are not ascending numbers below 256")
                for offset in offsets:
                    self.named.setdefault(block * BLOCK + offset + 1, set()).add(key)
                continue
            after = place + bisect_left(found, wanted)  # where it would stand, between neighbours
            inside = [place for place in (after - 1, after) if 0 <= place < size]
            right = (
                wanted not in found
                and found == sorted(found)
                and sorted(known) == [(each, each + 1) for each in inside]
            )
            require(right, "neither the key is given nor both neighbours of its place")
        require(len(roots) == 1, "the keys of a block lead to different roots")
        return block_zone(block, entries, since, until, size, roots.pop())

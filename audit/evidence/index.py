"""The index of a log, by blocks of 256 entries: what makes a filtered answer provable.

The keys of an entry follow from its leaf data alone. A block's keys, each with the places of the
entries that have it, are hashed as a tree in the order of their hashes, so that two neighbours show
that nothing lies between them. The records of all full blocks, with the times that they hold, are
a tree too, and the first leaf after each full block has its root.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from audit.evidence import tree
from audit.evidence.leaf import Subjects

BLOCK = 256
KEY = b"\x02"
RECORD = b"\x03"
ZONE = b"\x04"
EVER = (0, 2**48 - 1)
"""The times of a block with a removed leaf: it is never skipped."""
PREFIXES = 8
"""Of a path, so many of its beginnings are keys."""
_UNUSUAL = frozenset({"admin", "command", "database"})


def keys(entry: Subjects) -> list[str]:
    """What an entry is found by, each once."""
    found = [
        *_of_actor(entry.actor_type, entry.actor_id, entry.action),
        *_of_resource(entry.resource_type, entry.resource_id, entry.label),
        *_of_the_rest(entry.was, entry.result, entry.interface),
    ]
    return list(dict.fromkeys(found))


def _of_actor(type_name: str, key: str, action: str) -> list[str]:
    return [
        f"actor\n{type_name}\n{key}",
        f"action\n{action}",
        f"actor-action\n{type_name}\n{key}\n{action}",
    ]


def _of_resource(type_name: str, key: str, label: str | None) -> list[str]:
    return [f"resource\n{type_name}\n{key}", f"type\n{type_name}", *_paths(label)]


def _of_the_rest(was: str | None, result: str, interface: str) -> list[str]:
    found = list(_paths(was))
    if was:
        found.append(f"renamed\n{was}")
    if result != "success":
        found.append(f"result\n{result}")
    if interface in _UNUSUAL:
        found.append(f"interface\n{interface}")
    return found


def _paths(label: str | None) -> Iterator[str]:
    if not label:
        return
    cuts = [at for at, letter in enumerate(label) if letter in "/#"][:PREFIXES]
    for cut in cuts:
        if cut:
            yield f"path\n{label[:cut]}"
    yield f"path\n{label}"


# What repeats is hashed once: who does what, and a thing and the paths above it.


@lru_cache(16_384)
def _hashes_of_actor(type_name: str, key: str, action: str) -> tuple[bytes, ...]:
    return _hashed(_of_actor(type_name, key, action))


@lru_cache(32_768)
def _hashes_of_resource(type_name: str, key: str, label: str | None) -> tuple[bytes, ...]:
    return _hashed(_of_resource(type_name, key, label))


@lru_cache(1_024)
def _hashes_of_the_rest(was: str | None, result: str, interface: str) -> tuple[bytes, ...]:
    return _hashed(_of_the_rest(was, result, interface))


def _hashed(texts: list[str]) -> tuple[bytes, ...]:
    return tuple(hashlib.sha256(text.encode()).digest() for text in texts)


def hashes(entry: Subjects) -> tuple[bytes, ...]:
    """The hashes of its keys."""
    if entry.hashes is not None:
        return entry.hashes
    rest = _hashes_of_the_rest(entry.was, entry.result, entry.interface)
    found = (
        _hashes_of_actor(entry.actor_type, entry.actor_id, entry.action)
        + _hashes_of_resource(entry.resource_type, entry.resource_id, entry.label)
        + rest
    )
    # Of a thing that was renamed, both names may lie below the same.
    return tuple(dict.fromkeys(found)) if entry.was else found


Table = list[tuple[bytes, bytes]]
"""The keys of a block in order: hash and postings, which are places in the block in 16 bits."""


def table(block: Sequence[Subjects | None]) -> Table:
    """Of the leaves of a block; None for one that was removed."""
    found: dict[bytes, bytearray] = {}
    for place, entry in enumerate(block):
        if entry is None:
            continue
        at = _PLACES[place]
        for key in hashes(entry):
            known = found.get(key)
            if known is None:
                found[key] = bytearray(at)
            else:
                known += at
    return [(key, bytes(found[key])) for key in sorted(found)]


_PLACES = [struct.pack(">H", place) for place in range(BLOCK)]


def key_leaves(keys_of_block: Table) -> list[bytes]:
    return [hashlib.sha256(KEY + key + postings).digest() for key, postings in keys_of_block]


@dataclass(frozen=True)
class Block:
    """number: counted from 0; entries: those that are not removed; since, until: earliest and
    latest time of them, in milliseconds; keys: how many; root: of their tree."""

    number: int
    entries: int
    since: int
    until: int
    keys: int
    root: bytes

    def record(self) -> bytes:
        return hashlib.sha256(
            RECORD
            + struct.pack(">QI", self.number, self.entries)
            + self.since.to_bytes(6, "big")
            + self.until.to_bytes(6, "big")
            + struct.pack(">I", self.keys)
            + self.root
        ).digest()

    def zone(self) -> Zone:
        return Zone(self.record(), self.since, self.until)


def written_table(keys_of_block: Table) -> bytes:
    """A table as it is kept once the leaves are gone."""
    return b"".join(
        key + struct.pack(">H", len(postings) // 2) + postings for key, postings in keys_of_block
    )


def read_table(data: bytes) -> Table:
    found, at = [], 0
    while at < len(data):
        [count] = struct.unpack_from(">H", data, at + 32)
        past = at + 34 + 2 * count
        found.append((data[at : at + 32], data[at + 34 : past]))
        at = past
    return found


def block(number: int, times: Sequence[int], subjects: Sequence[Subjects | None]) -> Block:
    """The record of a full block. times: of its entries, in milliseconds, without removed ones."""
    known = table(subjects)
    is_whole = len(times) == BLOCK
    since, until = (min(times), max(times)) if is_whole else EVER
    return Block(number, len(times), since, until, len(known), tree.root_of(key_leaves(known)))


@dataclass(frozen=True)
class Zone:
    """A part of the index, and the times that the entries in it have."""

    hash: bytes
    since: int
    until: int

    def written(self) -> bytes:
        return self.since.to_bytes(6, "big") + self.until.to_bytes(6, "big") + self.hash


ZONE_BYTES = 44


def read_zone(data: bytes) -> Zone:
    return Zone(data[12:], int.from_bytes(data[:6], "big"), int.from_bytes(data[6:12], "big"))


def read_zones(edge: bytes) -> list[Zone]:
    return [read_zone(edge[at : at + ZONE_BYTES]) for at in range(0, len(edge), ZONE_BYTES)]


def join(left: Zone, right: Zone) -> Zone:
    return Zone(
        hashlib.sha256(ZONE + left.written() + right.written()).digest(),
        min(left.since, right.since),
        max(left.until, right.until),
    )


def append(edge: list[Zone], number: int, zone: Zone) -> None:
    """Add the zone of block `number` to the edge of the tree of all before, in place."""
    while number & 1:
        zone = join(edge.pop(), zone)
        number >>= 1
    edge.append(zone)


def root(edge: Sequence[Zone]) -> bytes:
    """The index root of the blocks with this edge, of which there is at least one."""
    found = edge[-1]
    for left in reversed(edge[:-1]):
        found = join(left, found)
    return hashlib.sha256(ZONE + found.written()).digest()

"""The Merkle tree of a log: RFC 6962 §2.1, with the proofs of RFC 9162 §2.1.3 and §2.1.4.

What is kept of a growing tree is its *edge*: the roots of its full subtrees, left to right, as many
as its size has bits set. Whatever else is asked is made of hashes that `Nodes` looks up.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence

LEAF = b"\x00"
NODE = b"\x01"
EMPTY = hashlib.sha256().digest()
"""The root of a tree without leaves."""

HASH = 32
"""Bytes of one."""

Nodes = Callable[[int, int], bytes]
"""The root of a full subtree: of the 2**level leaves from `index` * 2**level on."""


def leaf_hash(data: bytes) -> bytes:
    return hashlib.sha256(LEAF + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(NODE + left + right).digest()


def split(edge: bytes) -> list[bytes]:
    """The hashes that are written one after the other."""
    return [edge[at : at + HASH] for at in range(0, len(edge), HASH)]


def append(edge: list[bytes], size: int, leaf: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Add the hash of leaf number `size`, counted from 0, to an edge, in place. Gives each full
    subtree that it completes, the leaf itself first: level, index, root."""
    level, index = 0, size
    yield level, index, leaf
    while index & 1:
        leaf = node_hash(edge.pop(), leaf)
        level, index = level + 1, index >> 1
        yield level, index, leaf
    edge.append(leaf)


def root(edge: Sequence[bytes]) -> bytes:
    """That of the tree with this edge."""
    if not edge:
        return EMPTY
    found = edge[-1]
    for left in reversed(edge[:-1]):
        found = node_hash(left, found)
    return found


def root_of(hashes: Sequence[bytes]) -> bytes:
    """That of the tree with these leaf hashes: level by level, what has no neighbour goes up."""
    level = list(hashes)
    while len(level) > 1:
        above = [node_hash(*pair) for pair in zip(level[::2], level[1::2], strict=False)]
        level = above + level[-1:] if len(level) & 1 else above
    return level[0] if level else EMPTY


def subtree(nodes: Nodes, first: int, past: int) -> bytes:
    """The root over the leaves from `first` to below `past`, which are one of the subtrees."""
    count = past - first
    if count & (count - 1) == 0:
        return nodes(count.bit_length() - 1, first // count)
    middle = first + _left(count)
    return node_hash(subtree(nodes, first, middle), subtree(nodes, middle, past))


def inclusion(nodes: Nodes, index: int, size: int) -> list[bytes]:
    """The path that leads from a leaf to the root (RFC 9162 §2.1.3.1)."""
    if not 0 <= index < size:
        raise ValueError(f"a log of {size} has no leaf {index}")
    path: list[bytes] = []
    first, past = 0, size
    while past - first > 1:
        middle = first + _left(past - first)
        if index < middle:
            path.append(subtree(nodes, middle, past))
            past = middle
        else:
            path.append(subtree(nodes, first, middle))
            first = middle
    return path[::-1]


def consistency(nodes: Nodes, old: int, size: int) -> list[bytes]:
    """What shows that the log of `old` leaves became this one (RFC 9162 §2.1.4.1)."""
    if not 0 <= old <= size:
        raise ValueError(f"a log of {size} was never one of {old}")
    if old in (0, size):
        return []
    path: list[bytes] = []
    first, past, is_known = 0, size, True
    while old != past:
        middle = first + _left(past - first)
        if old <= middle:
            path.append(subtree(nodes, middle, past))
            past = middle
        else:
            path.append(subtree(nodes, first, middle))
            first, is_known = middle, False
    if not is_known:
        path.append(subtree(nodes, first, past))
    return path[::-1]


def outside(nodes: Nodes, size: int, shown: Sequence[tuple[int, int]]) -> list[bytes]:
    """The roots of the largest subtrees that hold nothing of `shown`, left to right: with the
    leaves of `shown` (ranges from a leaf to below another, in order) they make the root."""
    found: list[bytes] = []

    def walk(first: int, past: int, ranges: Sequence[tuple[int, int]]) -> None:
        inside = [each for each in ranges if each[0] < past and each[1] > first]
        if not inside:
            found.append(subtree(nodes, first, past))
        elif past - first > 1 and not (inside[0][0] <= first and inside[0][1] >= past):
            middle = first + _left(past - first)
            walk(first, middle, inside)
            walk(middle, past, inside)

    if size:
        walk(0, size, shown)
    return found


def _left(count: int) -> int:
    """How many of `count` leaves are in the left subtree: the largest power of two below."""
    return 1 << (count - 1).bit_length() - 1

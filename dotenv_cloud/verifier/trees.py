"""Trees of hashes, RFC 6962 §2.1, and how it is said that something is not as it was signed."""

from __future__ import annotations

import json
import re
import struct
import zipfile
import zlib
from base64 import b64decode, b64encode
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import sha256
from typing import Any


class Refused(Exception):
    """Something is not as it was signed."""

    def __init__(self, message: str, file: str = "", number: int = 0) -> None:
        super().__init__(message, file, number)  # all three, to travel between processes
        self.message, self.file, self.number = message, file, number

    def __str__(self) -> str:
        entry = f"entry {self.number:,}" if self.number else ""
        return ": ".join(filter(None, (", ".join(filter(None, (self.file, entry))), self.message)))


DAMAGED = zipfile.BadZipFile, zlib.error, struct.error, EOFError, RuntimeError, OSError


@contextmanager
def located(file: str, number: int = 0) -> Iterator[None]:
    """Adds file and number to what is refused inside; what cannot be unpacked is refused too."""
    try:
        yield
    except Refused as error:
        raise Refused(error.message, error.file or file, error.number or number) from None
    except (*DAMAGED, TypeError, ValueError, LookupError, AttributeError):
        raise Refused("it is damaged or malformed", file, number) from None


def require(holds: object, message: str, file: str = "", number: int = 0) -> None:
    if not holds:
        raise Refused(message, file, number)


def from_base64(text: Any, size: int | None = None) -> bytes:
    """RFC 4648 §4 with padding; other encodings of the same bytes are refused."""
    try:
        data = b64decode(text, validate=True)
    except (TypeError, ValueError):
        data = b""
    require(b64encode(data).decode() == text and size in (None, len(data)), "it is not base64")
    return data


def hashes_of(texts: object) -> list[bytes]:
    require(isinstance(texts, list), "its hashes are not a list")
    return [from_base64(text, 32) for text in texts]  # type: ignore[attr-defined]


def decimal(text: str) -> int:
    plain = re.fullmatch(r"0|[1-9][0-9]{0,18}", text) and int(text) < 1 << 63
    require(plain, "a number is not a decimal without leading zeros below 2^63")
    return int(text)


def integer(value: object, least: int, most: int, what: str) -> int:
    if type(value) is not int or not least <= value <= most:
        raise Refused(f"{what} is not a whole number from {least:,} to {most:,}")
    return value


def from_json(data: bytes) -> Any:
    """JSON with whole numbers only and no member twice."""

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        require(len(dict(pairs)) == len(pairs), "a member is given twice")
        return dict(pairs)

    try:
        options: Any = {"parse_float": decimal, "parse_constant": decimal}
        return json.loads(data.decode(), object_pairs_hook=members, **options)
    except (ValueError, RecursionError):
        raise Refused("it is not JSON") from None


LEAF, NODE = b"\x00", b"\x01"
Hashes = Sequence[bytes]
Subtrees = dict[tuple[int, int], bytes]
"""Hashes of subtrees by the leaves they cover, [start, end), counted from 0."""


def node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(NODE + left + right).digest()


def split(start: int, end: int) -> int:
    """Where the left subtree ends: it holds the largest power of two below the number of leaves."""
    return start + (1 << ((end - start - 1).bit_length() - 1))


def fold(first: int, hashes: Hashes) -> Subtrees:
    """The largest subtrees that consecutive leaves fill, of which the first is leaf `first`."""
    found: Subtrees = {}
    level, position, width = list(hashes), first, 1
    while level:
        if position % 2:
            found[position * width, (position + 1) * width] = level.pop(0)
            position += 1
        if len(level) % 2:
            last = position + len(level) - 1
            found[last * width, (last + 1) * width] = level.pop()
        level = [node_hash(*pair) for pair in zip(level[::2], level[1::2], strict=True)]
        position, width = position // 2, width * 2
    return found


def root_of(size: int, known: Mapping[tuple[int, int], bytes], proof: Iterable[bytes]) -> bytes:
    """The root of a tree of `size` leaves from `known` subtrees and a hash of the proof for each
    largest subtree without a known leaf, left to right."""
    starts, hashes = sorted(known), iter(proof)

    def at(start: int, end: int) -> bytes:
        if (start, end) in known:
            return known[start, end]
        nearest = bisect_left(starts, (start, 0))
        if nearest == len(starts) or starts[nearest][0] >= end:
            found = next(hashes, b"")
            require(len(found) == 32, "the proof lacks a hash")
            return found
        return node_hash(at(start, split(start, end)), at(split(start, end), end))

    most = max((end for _, end in starts), default=0)
    require(most <= size, f"there are more leaves than the {size:,} of the tree")
    root = at(0, size) if size else sha256().digest()
    require(next(hashes, None) is None, "the proof has a hash more than needed")
    return root


def around(start: int, end: int, size: int, proof: Hashes) -> tuple[list[bytes], list[bytes]]:
    """What lies before and after the subtree [start, end), left to right, of a proof for it, which
    goes upwards: RFC 6962 §2.1.1."""
    before, after, low, high = list[bytes](), list[bytes](), 0, size
    for beside in reversed(proof):
        require((low, high) != (start, end), "the proof has a hash more than needed")
        middle = split(low, high)
        if end <= middle:
            after, high = [beside, *after], middle
        else:
            before, low = [*before, beside], middle
    return before, after


def verify_inclusion(index: int, size: int, leaf: bytes, proof: Hashes, root: bytes) -> None:
    """That the leaf of this hash is number `index`, from 0, of the tree of `size` leaves."""
    require(0 <= index < size, f"index {index:,} is not in a log of {size:,} entries")
    before, after = around(index, index + 1, size, proof)
    right = root_of(size, {(index, index + 1): leaf}, before + after) == root
    require(right, "the proof does not lead to the root of the checkpoint")


def verify_consistency(size1: int, size2: int, root1: bytes, root2: bytes, proof: Hashes) -> None:
    """That the log of `size2` entries begins with the one of `size1`, unaltered."""
    require(1 <= size1 <= size2, f"a log of {size2:,} entries cannot continue one of {size1:,}")
    if size1 == size2:
        same = root1 == root2 and not proof
        return require(same, f"two checkpoints of {size1:,} entries have different roots")
    start = size1 & (size1 - 1)  # of the last of the subtrees that the old leaves fill
    require(proof, "the proof lacks a hash")
    last, *beside = proof if start else [root1, *proof]
    before, after = around(start, size1, size2, beside)
    known = {(start, size1): last}
    right = root_of(size1, known, before) == root1
    right = root_of(size2, known, before + after) == root2 and right
    return require(right, f"the log of {size2:,} entries does not continue that of {size1:,}")

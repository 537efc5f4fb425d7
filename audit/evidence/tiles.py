"""Tiles: hashes of the tree by 256, and leaf data by 256 (C2SP tlog-tiles).

Tile n of level L holds hashes of the tree's level 8 × L, from number 256 × n on. A tile that is not
full is asked for with its width.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH = 256
BITS = 8
"""Levels of the tree that a tile covers."""
MOST = 2**53 - 1

_PATH = re.compile(
    r"(?:([0-9]|[1-5][0-9]|6[0-3])|entries)/((?:x[0-9]{3}/)*[0-9]{3})(?:\.p/([0-9]{1,3}))?"
)


@dataclass(frozen=True)
class Tile:
    """level: None for a bundle of entries."""

    level: int | None
    number: int
    width: int

    @property
    def is_partial(self) -> bool:
        return self.width < WIDTH


def parse(path: str) -> Tile | None:
    """What `<L>/<N>[.p/<W>]` or `entries/<N>[.p/<W>]` names; None if it is not written so."""
    found = _PATH.fullmatch(path)
    if found is None:
        return None
    level, digits, width = found.groups()
    parts = digits.replace("x", "").split("/")
    if len(parts) > 1 and parts[0] == "000":
        return None
    if width is not None and (width.startswith("0") or int(width) >= WIDTH):
        return None
    number = int("".join(parts))
    if number > MOST:
        return None
    return Tile(int(level) if level else None, number, int(width or WIDTH))


def path(tile: Tile) -> str:
    digits = str(tile.number)
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    parts = [digits[at : at + 3] for at in range(0, len(digits), 3)]
    folders = "".join(f"x{part}/" for part in parts[:-1])
    level = "entries" if tile.level is None else str(tile.level)
    return f"{level}/{folders}{parts[-1]}" + (f".p/{tile.width}" if tile.is_partial else "")


def width_at(size: int, level: int, number: int) -> int:
    """How many hashes the tile has in a log of this size; 0 if there is none."""
    hashes = size >> (BITS * level)
    return max(0, min(WIDTH, hashes - number * WIDTH))


def bundle(leaves: Sequence[bytes]) -> bytes:
    """An entry bundle: each leaf's data after its length in 16 bits."""
    return b"".join(len(data).to_bytes(2, "big") + data for data in leaves)

"""What archives have of a log: the leaves of entries that left, for packs that show them.

An archive has the lines of its entries in the order of their numbers, and so are they read: going
back begins anew. Nobody has to believe an archive: a line is used only if its leaf has the hash
that the tree has.
"""

from __future__ import annotations

import gzip
import heapq
import json
import re
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

from audit import policy
from audit.evidence import leaf, tree
from audit.evidence.reading import Leaf
from audit.retention.archive import ArchiveError
from organizations import ulid

_REDACTED = re.compile(rb'"sha256:([0-9a-f]{64})"')
_PLACE = re.compile(rb'"seq":([0-9]+),"v":1\}$')


class Archived:
    """The lines of one log, in the archives below these directories."""

    def __init__(self, organization: uuid.UUID, directories: Sequence[Path]) -> None:
        """Raises ArchiveError where there is none."""
        name = f"{ulid.to_text(organization)}.lines.gz"
        self._files = [
            file
            for directory in directories
            for file in sorted((*directory.glob(name), *directory.glob(f"*/{name}")))
        ]
        if not self._files:
            places = ", ".join(map(str, directories))
            raise ArchiveError(f"there is no {name} in {places}")
        self._lines: Iterator[tuple[int, bytes]] = iter(())
        self._next = _END
        self._begin()

    def restored(self, found: Leaf) -> Leaf:
        """A leaf of which the database has the hash alone, with what an archive has of it."""
        if found.data is not None or found.is_withheld:
            return found
        if found.seq < self._next[0]:
            self._begin()
        while self._next[0] < found.seq:
            self._next = next(self._lines, _END)
        seq, line = self._next
        made = _read(line) if seq == found.seq else None
        return made if made and made.hash == found.hash else found

    def _begin(self) -> None:
        self._lines = heapq.merge(*map(_numbered, self._files))
        self._next = next(self._lines, _END)


_END = (2**63, b"")


def _numbered(file: Path) -> Iterator[tuple[int, bytes]]:
    """The lines of a file with their numbers; one that is withheld has none."""
    try:
        with gzip.open(file, "rb") as lines:
            for line in lines:
                data = line.removeprefix(b'{"leaf":').split(b",\t", 1)[0]
                if found := _PLACE.search(data):
                    yield int(found[1]), line.rstrip(b"\n")
    except (OSError, EOFError) as error:
        raise ArchiveError(f"{file} cannot be read: {error}") from error


def _read(line: bytes) -> Leaf | None:
    """The leaf of a line, None if it is not one."""
    pieces = line.removesuffix(b"}").split(b",\t")
    if len(pieces) != 6:
        return None
    data = pieces[0].removeprefix(b'{"leaf":')
    try:
        shown = json.loads(data)
        parts = tuple(
            piece.removeprefix(f'"{name}":'.encode())
            for name, piece in zip(leaf.PART_NAMES, pieces[1:5], strict=True)
        )
        salts = json.loads(b"{" + pieces[5] + b"}")
        erased = {
            number: bytes.fromhex(found[1].decode())
            for number, part in enumerate(parts)
            if (found := _REDACTED.fullmatch(part))
        }
        keeps = policy.keeps_detail(shown["action"], shown["resource"]["type"])
        whole = bytes.fromhex(salts["salt"]) if "salt" in salts else None
        each = {
            number: bytes.fromhex(salt)
            for number, salt in enumerate(salts.get("salts", ()))
            if salt is not None
        }
        own, origin, resource, detail = parts
    except (ValueError, KeyError, TypeError):
        return None
    return Leaf(
        shown["seq"],
        tree.leaf_hash(data),
        data,
        (own, origin, resource, detail),
        whole,
        each,
        erased,
        keeps,
    )

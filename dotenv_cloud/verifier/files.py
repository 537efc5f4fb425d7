"""The files of a pack, which is a zip that anybody may have made."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from io import FileIO
from pathlib import Path
from typing import Any

from dotenv_cloud.verifier.trees import from_json, located, require

READ, LINE = 1 << 20, 64 << 20
UNREAD = {"README.txt", "checkpoint.tsr", "checkpoint.ots"}
MEMBER = re.compile(
    r"checkpoint(\.text|\.tsr|\.ots)?|(pack|index|zones|removed)\.json|README\.txt|heads|proof"
    r"|(entries|tail|entries/[0-9]{12})\.ndjson"
)


class Bounded(FileIO):
    """Of which nothing large is read at once, such as a directory that would fill memory."""

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(min(size, READ) if size and size > 0 else READ) or b""
        require(len(data) < READ, "its directory is too large")
        return data


class Pack:
    """Nothing is unpacked to a disk, and what nobody has read in the end is too much."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with located("the pack"):
            self.zip = zipfile.ZipFile(Bounded(path))
            members = self.zip.infolist()
            self.sizes = {each.filename: each.file_size for each in members}
            self.unread = {*self.sizes} - UNREAD
            require(len(members) == len(self.sizes) < 10_000, "a file is twice in it, or too many")
            for each in members:
                name = re.sub(r"[^a-z0-9._/-]", "?", each.filename[:80])
                require(MEMBER.fullmatch(each.filename), "it is not a file of a pack", name)
                most = min(4 << 30, 4096 + 200 * each.compress_size)
                require(each.file_size <= most, "it is too large or packed too tightly", name)
                plain = each.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
                require(plain, "it is packed in another way than packs are", name)
            most = 4096 * len(members) + 200 * path.stat().st_size
            require(sum(self.sizes.values()) <= most, "its files overlap")

    def chunks(self, name: str) -> Iterator[bytes]:
        require(name in self.sizes, "it is missing", name)
        self.unread.discard(name)
        with located(name), self.zip.open(name) as file:
            yield from iter(lambda: file.read(READ - 1), b"")

    def read(self, name: str, most: int = READ) -> bytes:
        require(self.sizes.get(name, 0) <= most, f"it is larger than {most:,} bytes", name)
        return b"".join(self.chunks(name))

    def json(self, name: str, most: int = READ) -> Any:
        with located(name):
            return from_json(self.read(name, most))

    def lines(self, name: str) -> Iterator[bytes]:
        """Split at 0x0A and nowhere else."""
        pending, held = list[bytes](), 0
        for chunk in self.chunks(name):
            first, *lines = chunk.split(b"\n")
            pending.append(first)
            held += len(first)
            text = b"\0" not in first and (held < 20_000 or b"\t" in pending[0])
            require(text and held <= LINE, "a line is too long, or not text", name)
            if lines:
                yield b"".join(pending)
                yield from lines[:-1]
                pending, held = [lines[-1]], len(lines[-1])
        require(held == 0, "its last line does not end", name)

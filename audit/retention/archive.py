"""Archives: entries that leave the ledger under retention, as files that stay readable.

A directory holds a file an organization, the lines of its NDJSON export, and `manifest.json`, which
lists what each file contains. Of a log that has evidence there are two more: `.lines` with the
lines of the evidence, salts in them, from which the leaves can be made that the tree has the hashes
of; and `.keys` with the keys of each block of the index that left whole. All are gzipped. The
SHA-256 of the manifest names the archive. Written to last (synced, readable by the owner alone) and
read back before anything is removed.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import uuid
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from organizations import ulid

MANIFEST = "manifest.json"
FORMAT = "dotenv-audit-archive-2"


class ArchiveError(Exception):
    """An archive is not what its manifest says. The message names the file."""


class Numbers:
    """The numbers of entries, as ranges; they come nearly in order."""

    def __init__(self) -> None:
        self._ranges: list[list[int]] = []

    def add(self, number: int) -> None:
        if self._ranges and self._ranges[-1][1] + 1 == number:
            self._ranges[-1][1] = number
        else:
            self._ranges.append([number, number])

    def ranges(self) -> list[tuple[int, int]]:
        """First and last number of each unbroken range, in order."""
        merged: list[tuple[int, int]] = []
        for first, last in sorted(map(tuple, self._ranges)):
            if merged and merged[-1][1] + 1 == first:
                merged[-1] = (merged[-1][0], last)
            else:
                merged.append((first, last))
        return merged


@dataclass(frozen=True)
class Beside:
    """A file of evidence beside an organization's file; count: of its lines."""

    file: str
    count: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class File:
    """What the manifest says of one organization's file. `numbers`: first and last of each
    unbroken range of the entries' numbers in the organization's log; `lines`, `keys`: what is
    beside it, of a log that has evidence."""

    organization: str
    file: str
    entries: int
    numbers: list[tuple[int, int]]
    first_id: str
    last_id: str
    bytes: int
    sha256: str
    lines: Beside | None = None
    keys: Beside | None = None

    @property
    def organization_id(self) -> uuid.UUID:
        return ulid.parse(self.organization)

    @property
    def multirange(self) -> str:
        """The numbers as PostgreSQL writes them: {[1,4],[7,7]}."""
        return f"{{{','.join(f'[{first},{last}]' for first, last in self.numbers)}}}"


class _Hashed:
    """A file that is being written, and the SHA-256 of what was written to it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.sha256 = hashlib.sha256()
        self.size = 0
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        self._file = os.fdopen(descriptor, "wb")

    def write(self, data: bytes) -> int:
        self.sha256.update(data)
        self.size += len(data)
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()


def write_file(
    directory: Path, organization_id: uuid.UUID, entries: Iterable[tuple[uuid.UUID, int, str]]
) -> File | None:
    """Write the entries (id, number, line) of one organization. None, and no file, without any."""
    organization = ulid.to_text(organization_id)
    path = directory / f"{organization}.ndjson.gz"
    numbers, count = Numbers(), 0
    first = last = uuid.UUID(int=0)
    # Without a name and a time inside, equal entries make equal files.
    with closing(_Hashed(path)) as file, gzip.GzipFile("", "wb", fileobj=file, mtime=0) as zipped:
        for key, number, line in entries:
            zipped.write(f"{line}\n".encode())
            numbers.add(number)
            first, last = (first if count else key), key
            count += 1
    if not count:
        path.unlink()
        return None
    return File(
        organization=organization,
        file=path.name,
        entries=count,
        numbers=numbers.ranges(),
        first_id=ulid.to_text(first),
        last_id=ulid.to_text(last),
        bytes=file.size,
        sha256=file.sha256.hexdigest(),
    )


def write_beside(
    directory: Path, organization_id: uuid.UUID, kind: str, lines: Iterable[bytes]
) -> Beside:
    """Write a file of evidence; kind: `lines` or `keys`."""
    path = directory / f"{ulid.to_text(organization_id)}.{kind}.gz"
    count = 0
    with closing(_Hashed(path)) as file, gzip.GzipFile("", "wb", fileobj=file, mtime=0) as zipped:
        for line in lines:
            zipped.write(line + b"\n")
            count += 1
    return Beside(path.name, count, file.size, file.sha256.hexdigest())


def write_manifest(directory: Path, since: str, until: str, files: list[File]) -> str:
    """Finish the archive; returns the SHA-256 that names it."""
    head = json.dumps(
        {
            "format": FORMAT,
            "since": since,
            "until": until,
            "entries": sum(file.entries for file in files),
        }
    )
    lines = ",\n".join(json.dumps(asdict(file)) for file in files)
    with closing(_Hashed(directory / MANIFEST)) as written:
        written.write(f'{head[:-1]}, "files": [\n{lines}\n]}}\n'.encode())
    sync(directory)
    return written.sha256.hexdigest()


def sync(directory: Path) -> None:
    """Let the names in `directory` outlast a power failure."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def manifest_of(directory: Path) -> str | None:
    """The SHA-256 of the manifest in `directory`, None when there is none."""
    path = directory / MANIFEST
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None


def verify(directory: Path, manifest: str) -> list[File]:
    """Read the whole archive and compare it with its manifest, line by line.

    Raises ArchiveError, which says what is wrong.
    """
    found = manifest_of(directory)
    if found is None:
        raise ArchiveError(f"{directory / MANIFEST} is missing")
    if found != manifest:
        raise ArchiveError(f"{directory / MANIFEST} has the SHA-256 {found}, not {manifest}")
    listed = json.loads((directory / MANIFEST).read_bytes())
    files = [_file(each) for each in listed["files"]]
    for file in files:
        _verify_file(directory / file.file, file)
        for beside in (file.lines, file.keys):
            if beside is not None:
                _verify_beside(directory / beside.file, beside)
    return files


def _file(listed: dict[str, Any]) -> File:
    beside = {name: Beside(**listed[name]) for name in ("lines", "keys") if listed.get(name)}
    numbers = [(first, last) for first, last in listed["numbers"]]
    return File(**listed | {"numbers": numbers} | beside)


def _verify_beside(path: Path, listed: Beside) -> None:
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest != listed.sha256:
            raise ArchiveError(f"{path} has the SHA-256 {digest}, not {listed.sha256}")
        with gzip.open(path, "rb") as lines:
            count = sum(1 for _ in lines)
    except (OSError, EOFError, ValueError) as error:
        raise ArchiveError(f"{path} cannot be read: {error}") from error
    if count != listed.count:
        raise ArchiveError(f"{path} has {count} lines, not {listed.count}")


def _verify_file(path: Path, listed: File) -> None:
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest != listed.sha256:
            raise ArchiveError(f"{path} has the SHA-256 {digest}, not {listed.sha256}")
        numbers, count = Numbers(), 0
        for entry in _entries(path):
            if entry["organization"] != listed.organization:
                raise ArchiveError(f"{path} contains an entry of {entry['organization']}")
            numbers.add(entry["seq"])
            count += 1
    except (OSError, EOFError, ValueError) as error:
        raise ArchiveError(f"{path} cannot be read: {error}") from error
    if count != listed.entries or numbers.ranges() != listed.numbers:
        raise ArchiveError(f"{path} does not contain the entries that the manifest lists")


def _entries(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)

"""What was signed last of each log, in a file outside the database.

A database that went back to a backup has forgotten what was signed since, and would sign other
entries under the same numbers: two histories under one name. So each signature is in this file, on
the disk, before anybody can have it, and a log is signed on only if its tree still is what was
signed.

120 bytes a record: id of the log, size, root, signature by the key that was current then, from
which the checkpoint can be made again. Records are added at the end; the last one of a log counts.
"""

from __future__ import annotations

import base64
import os
import struct
import tempfile
import uuid
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from audit.evidence import notes, signing

RECORD = struct.Struct(">16sQ32s64s")
BATCH = 5_000
"""Records that are added at once, at most. After a crash, any of the last may be half there."""
LONG = 100_000
"""Records that were superseded, until the file is written anew."""


class UnusableError(RuntimeError):
    """The file is not what this service wrote, or cannot be read or written."""


class Signed(NamedTuple):
    """The checkpoint that was signed last of a log."""

    organization: uuid.UUID
    size: int
    root: bytes
    signature: bytes

    def text(self) -> bytes:
        """What was signed."""
        name = signing.origin(self.organization)
        return notes.checkpoint_text(name, self.size, self.root).encode()

    def is_signed_by(self, keys: Iterable[Ed25519PublicKey]) -> bool:
        for key in keys:
            try:
                key.verify(self.signature, self.text())
            except InvalidSignature:
                continue
            return True
        return False


def of_note(organization: uuid.UUID, note: str) -> Signed:
    """What is remembered of a checkpoint: its first signature is the current key's."""
    _, size, root, _, line, *_ = note.split("\n")
    signature = base64.b64decode(line.rsplit(" ", 1)[1])[4:]
    return Signed(organization, int(size), base64.b64decode(root), signature)


class Memory:
    """The file, and what is in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.exists = False
        self._last: dict[uuid.UUID, Signed] = {}
        self._records = 0

    def read(self, public: Sequence[bytes]) -> None:
        """Read it; `public`: the keys by one of which each record is signed. No file is an empty
        one. Raises UnusableError."""
        keys = [Ed25519PublicKey.from_public_bytes(each) for each in public]
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            self.exists, self._last, self._records = False, {}, 0
            return
        except OSError as error:
            raise UnusableError(f"{self.path} cannot be read: {error.strerror}") from error
        count = len(content) // RECORD.size
        last: dict[uuid.UUID, Signed] = {}
        for number in range(count):
            key, *fields = RECORD.unpack_from(content, number * RECORD.size)
            found = Signed(uuid.UUID(bytes=key), *fields)
            if found.is_signed_by(keys):
                last[found.organization] = found
            elif number < count - BATCH:
                raise UnusableError(
                    f"record {number + 1:,} of {self.path} is damaged, or signed by a key that is"
                    " not known, or for another AUDIT_ORIGIN"
                )
        if count and not last:
            raise UnusableError(
                f"no record of {self.path} is signed by a known key, for this AUDIT_ORIGIN"
            )
        self.exists, self._last = True, last
        self._records = count
        if len(content) != len(last) * RECORD.size:
            self._rewrite()

    def __getitem__(self, organization: uuid.UUID) -> Signed | None:
        return self._last.get(organization)

    def all(self) -> list[Signed]:
        return list(self._last.values())

    def add(self, signed: Sequence[Signed]) -> None:
        """Have these on the disk, then return. Raises UnusableError."""
        self._last |= {each.organization: each for each in signed}
        if not self.exists or self._records + len(signed) > len(self._last) + LONG:
            self._rewrite()
            return
        try:
            descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND)
            with os.fdopen(descriptor, "ab") as file:
                file.write(b"".join(map(_written, signed)))
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise UnusableError(f"{self.path} cannot be written: {error.strerror}") from error
        self._records += len(signed)

    def _rewrite(self) -> None:
        """One record a log, in a new file that takes the place of the old one."""
        try:
            # Readable by its user alone, as mkstemp makes it.
            descriptor, name = tempfile.mkstemp(dir=self.path.parent, prefix=f".{self.path.name}-")
            with os.fdopen(descriptor, "wb") as file:
                file.write(b"".join(map(_written, self._last.values())))
                file.flush()
                os.fsync(file.fileno())
            os.replace(name, self.path)
            directory = os.open(self.path.parent, os.O_RDONLY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
        except OSError as error:
            raise UnusableError(f"{self.path} cannot be written: {error.strerror}") from error
        self.exists, self._records = True, len(self._last)


def _written(signed: Signed) -> bytes:
    return RECORD.pack(signed.organization.bytes, signed.size, signed.root, signed.signature)

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
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from audit.evidence import notes, signing

RECORD = struct.Struct(">16sQ32s64s")
BATCH = 5_000
"""Records that are added at once, at most. After a crash, any of the last may be half there."""
_UNKNOWN_FORKS = 8
LONG = 100_000
"""Records that were superseded, until the file is written anew."""


class UnusableError(RuntimeError):
    """The file is not what this service wrote, or cannot be read or written."""


class Signed(NamedTuple):
    """The checkpoint that was signed last of a log. fork: under which origin; it is not in the
    file, and found by the signature."""

    organization: uuid.UUID
    size: int
    root: bytes
    signature: bytes
    fork: int = 0

    @property
    def origin(self) -> str:
        return signing.origin(self.organization, self.fork)

    def text(self) -> bytes:
        """What was signed."""
        return notes.checkpoint_text(self.origin, self.size, self.root).encode()

    def signed_by(self, keys: Iterable[Ed25519PublicKey]) -> Ed25519PublicKey | None:
        """Which of these keys signed it."""
        for key in keys:
            try:
                key.verify(self.signature, self.text())
            except InvalidSignature:
                continue
            return key
        return None

    def note(self, public: Iterable[bytes]) -> str:
        """The checkpoint made again; `public`: the keys of which one signed it."""
        key = self.signed_by(map(Ed25519PublicKey.from_public_bytes, public))
        if key is None:
            raise UnusableError("a checkpoint is not signed by a known key")
        signature = notes.key_id(self.origin, key.public_bytes_raw()) + self.signature
        return f"{self.text().decode()}\n— {self.origin} {notes.in_base64(signature)}\n"


def of_note(organization: uuid.UUID, note: str) -> Signed:
    """What is remembered of a checkpoint: its first signature is the current key's."""
    name, size, root, _, line, *_ = note.split("\n")
    signature = base64.b64decode(line.rsplit(" ", 1)[1])[4:]
    fork = signing.fork_of(name, organization) or 0
    return Signed(organization, int(size), base64.b64decode(root), signature, fork)


class Memory:
    """The file, and what is in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.exists = False
        self._last: dict[uuid.UUID, Signed] = {}
        self._forks: Mapping[uuid.UUID, int] = {}
        self._records = 0

    def read(self, public: Sequence[bytes], forks: Mapping[uuid.UUID, int]) -> None:
        """Read it; `public`: the keys by one of which each record is signed; forks: the last one of
        each log that has any. No file is an empty one. Raises UnusableError."""
        self._forks = forks
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
            found = _of_fork(
                Signed(uuid.UUID(bytes=key), *fields), keys, forks.get(uuid.UUID(bytes=key), 0)
            )
            if found is not None:
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
        found = self._last.get(organization)
        return found if found and found.fork >= self._forks.get(organization, 0) else None

    def all(self) -> list[Signed]:
        """Of each log the last, but for those that were forked since."""
        return [last for key in self._last if (last := self[key]) is not None]

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


def _of_fork(found: Signed, keys: Sequence[Ed25519PublicKey], current: int) -> Signed | None:
    """With the fork under whose origin it is signed; None if it is signed under none. A database
    that was set back may know of fewer forks than there were."""
    for fork in dict.fromkeys((current, *range(current + _UNKNOWN_FORKS))):
        each = found._replace(fork=fork)
        if each.signed_by(keys) is not None:
            return each
    return None


def _written(signed: Signed) -> bytes:
    return RECORD.pack(signed.organization.bytes, signed.size, signed.root, signed.signature)

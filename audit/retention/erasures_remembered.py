"""What was erased, in a file outside the database, so that it can be erased again after a restore.

It lies beside the memory of signatures (`AUDIT_MEMORY`, with `.erasures` added), where no backup
takes it back. A line an entry, JSON: numbers, parts and the hash of the leaf, and why; nothing of
what was erased.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from django.conf import settings

from audit.retention import RetentionError
from organizations import ulid


class Remembered(NamedTuple):
    """An erasure. hash: of the leaf, by which the entry is known; parts: as in `audit_erasure`."""

    organization: uuid.UUID
    number: int
    hash: bytes
    parts: tuple[int, ...]
    reason: str
    requested_by: str
    at: str

    def line(self) -> str:
        said = {
            "organization": ulid.to_text(self.organization),
            "entry": self.number,
            "leaf": self.hash.hex(),
            "parts": self.parts,
            "reason": self.reason,
            "requested_by": self.requested_by,
            "at": self.at,
        }
        return json.dumps(said, ensure_ascii=False)


def path() -> Path:
    memory = settings.AUDIT_MEMORY
    return Path(memory.with_name(f"{memory.name}.erasures"))


def add(erased: Iterable[Remembered]) -> None:
    """Have these on the disk, then return. Raises RetentionError."""
    lines = "".join(f"{each.line()}\n" for each in erased)
    try:
        path().parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path(), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "a", encoding="utf-8") as file:
            if _is_cut_off():
                # By a crash, before anything was erased.
                file.write("\n")
            file.write(lines)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise RetentionError(
            f"{path()} cannot be written, so nothing was erased: {error.strerror}"
        ) from error


def _is_cut_off() -> bool:
    content = path().read_bytes()
    return content != b"" and not content.endswith(b"\n")


def read() -> Iterator[Remembered]:
    """All of them; none without the file. A line that a crash cut off is left out. Raises
    RetentionError."""
    try:
        # Not `splitlines`: a reason may hold a line separator, which JSON leaves as it is.
        lines = path().read_text(encoding="utf-8").split("\n")
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        raise RetentionError(f"{path()} cannot be read: {error}") from error
    for number, line in enumerate(lines, 1):
        if not line.endswith("}"):
            continue
        try:
            said = json.loads(line)
            yield Remembered(
                ulid.parse(said["organization"]),
                said["entry"],
                bytes.fromhex(said["leaf"]),
                tuple(said["parts"]),
                said["reason"],
                said["requested_by"],
                said["at"],
            )
        except (ValueError, KeyError, TypeError) as error:
            raise RetentionError(f"line {number} of {path()} is damaged: {error}") from error

"""Whether a log may be signed: whether its tree still is what the worker remembers to have signed.

If the database went back (a restore, a failover), the logs that were signed since are not signed
any more. If the memory went back itself, or is gone, it cannot tell, and nothing is signed.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from audit.evidence import notes, reading, signing, tree
from audit.evidence.memory import Memory, Signed, UnusableError, of_note
from organizations import ulid

__all__ = ["Recall", "UnusableError", "of_note", "remember"]

AGAIN = 20.0
"""Seconds until what was refused is looked at again: somebody may have put it right."""

Rows = Callable[[str, Sequence[Any]], list[tuple[Any, ...]]]


class Recall:
    """The memory, compared with the database that `rows` asks."""

    def __init__(self, path: Path, rows: Rows) -> None:
        self._memory = Memory(path)
        self._rows = rows
        self._looked_at: float | None = None
        self._unusable: tuple[float, str] | None = None
        self.refused: dict[uuid.UUID, str] = {}
        """Logs that are not signed, with the reason."""
        self.forks: dict[uuid.UUID, int] = {}
        """The number of the last fork of each log that has any."""

    def look(self, keys: Sequence[notes.Key]) -> None:
        """Compare all logs, the first time and as long as something is refused. Raises
        UnusableError if the memory cannot be relied on."""
        if self._looked_at is not None and (
            not self.refused or time.monotonic() < self._looked_at + AGAIN
        ):
            self._refuse_stopped()
            return
        if self._unusable and time.monotonic() < self._unusable[0] + AGAIN:
            raise UnusableError(self._unusable[1])
        self.forks = _forks(self._rows)
        self._memory.read(public(self._rows, keys), self.forks)
        heads = _heads(self._rows)
        behind = [key for key, head in heads.items() if self._is_behind(key, head.signed)]
        if behind:
            raise UnusableError(self._behind(behind[0], len(behind)))
        self.refused = {}
        for last in self._memory.all():
            head = heads.get(last.organization, _NO_HEAD)
            if not self._is_continued(last, head.size, head.root, head.signed, head.signed_root):
                self._refuse(last, head.size)
        self._looked_at, self._unusable = time.monotonic(), None
        self._refuse_stopped()

    def _refuse_stopped(self) -> None:
        """Refuse the logs of which somebody has a checkpoint that they do not continue."""
        for organization, origin, size in self._rows("SELECT * FROM audit_stops()", []):
            if origin == signing.origin(organization, self.forks.get(organization, 0)):
                self.refused[organization] = (
                    f"Log {ulid.to_text(organization)} is not signed: a client has a checkpoint of"
                    f" {size:,} entries with this service's signature, and the log does not"
                    " continue it. The database and AUDIT_MEMORY were both set back, or somebody"
                    " else signs with the key; see docs/operations.md"
                )

    def give_up(self, error: UnusableError) -> None:
        """Sign nothing for a while, then look at everything again."""
        now = time.monotonic()
        if self._unusable is None or now >= self._unusable[0] + AGAIN:
            self._unusable = (now, str(error))
        self._looked_at = None

    def may_sign(self, organization: uuid.UUID, size: int, root: bytes, signed: int) -> bool:
        """Whether this head continues what was signed last. `signed`: the size that was, as the
        database has it."""
        if self._is_behind(organization, signed):
            raise UnusableError(self._behind(organization, 1))
        last = self._memory[organization]
        if last is None or (last.size == signed and last.size < size):
            return True
        if self._is_continued(last, size, root, signed, b""):
            return True
        self._refuse(last, size)
        return False

    def add(self, signed: Sequence[Signed]) -> None:
        self._memory.add(signed)

    def _is_behind(self, organization: uuid.UUID, signed: int) -> bool:
        last = self._memory[organization]
        return signed > (last.size if last else 0)

    def _behind(self, organization: uuid.UUID, count: int) -> str:
        path = self._memory.path
        what = f"does not know the last checkpoints of {count:,} logs, such as"
        if not self._memory.exists:
            what = "is not there, although checkpoints were signed, such as of"
        return (
            f"AUDIT_MEMORY, {path}, {what} {ulid.to_text(organization)}: it was lost, or comes from"
            " a backup. Put the newest one back. If there is none, and you are sure that the"
            " database was never set back, run `manage.py audit_evidence --remember`"
        )

    def _is_continued(
        self, last: Signed, size: int, root: bytes, signed: int, signed_root: bytes
    ) -> bool:
        if last.fork > self.forks.get(last.organization, 0):
            return False
        if last.size >= size:
            return (last.size, last.root) == (size, root)
        if last.size == signed and signed_root:
            return last.root == signed_root
        # The database does not know of it: it went back, or the worker was killed in between.
        try:
            nodes = _Nodes(last.organization, self._rows)
            return tree.subtree(nodes, 0, last.size) == last.root
        except reading.MissingHashesError:
            return False

    def _refuse(self, last: Signed, size: int) -> None:
        self.refused[last.organization] = (
            f"Log {ulid.to_text(last.organization)} is not signed: a checkpoint of {last.size:,}"
            f" entries was signed, and the database has {size:,}, or others. It was set back by a"
            " restore or a failover. Restore it up to what was signed, or `manage.py audit_fork`;"
            " see docs/operations.md"
        )

    def last(self, organization: uuid.UUID) -> Signed | None:
        """What was signed last of a log, under its present origin."""
        return self._memory[organization]


class _Head:
    """A tree in the database."""

    def __init__(self, size: int, edge: bytes, signed: int, note: str | None) -> None:
        self.size, self.signed = size, signed
        self.root = tree.root(tree.split(bytes(edge)))
        self.note = note
        self.signed_root = reading.Checkpoint(uuid.UUID(int=0), signed, note).root if note else b""


_NO_HEAD = _Head(0, b"", 0, None)


class _Nodes(reading.Tree):
    """A tree, as the worker may read it."""

    def __init__(self, organization: uuid.UUID, rows: Rows) -> None:
        super().__init__(organization)
        self._rows = rows

    def tile(self, level: int, number: int) -> bytes:
        [(hashes,)] = self._rows(
            "SELECT audit_tile_hashes(%s, %s::smallint, %s)", [self._organization, level, number]
        )
        return bytes(hashes or b"")


def remember(path: Path, rows: Rows, keys: Sequence[notes.Key]) -> int:
    """Put into the memory what the database says was signed, of the logs of which it knows less;
    how many these were. What it knows beyond the database stays."""
    memory = Memory(path)
    memory.read(public(rows, keys), _forks(rows))
    lacking = []
    for organization, head in _heads(rows).items():
        last = memory[organization]
        if head.note and head.signed > (last.size if last else 0):
            lacking.append(of_note(organization, head.note))
    memory.add(lacking)
    return len(lacking)


def _heads(rows: Rows) -> dict[uuid.UUID, _Head]:
    return {key: _Head(*head) for key, *head in rows("SELECT * FROM audit_signed_heads()", [])}


def _forks(rows: Rows) -> dict[uuid.UUID, int]:
    return dict(rows("SELECT * FROM audit_forks()", []))  # type: ignore[arg-type]


def public(rows: Rows, keys: Sequence[notes.Key]) -> list[bytes]:
    """The keys of the settings, and all that were announced."""
    announced = [bytes(key) for _, key in rows("SELECT * FROM audit_signing_keys()", [])]
    return list(dict.fromkeys([key.public for key in keys] + announced))

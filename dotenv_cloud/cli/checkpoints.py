"""The last checkpoint of each log that a command relied on, and whether the log continues it.

Every command that reads a log asks first, so whoever uses the command is a witness without doing
anything: a server that rewrites a log, or shows two, is found out by those who asked before. What
is kept is beside the pinned keys, in a file for each log by its origin; it never gets smaller.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import fcntl
import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dotenv_cloud import verifier
from dotenv_cloud.cli import files, log_keys, output, session
from dotenv_cloud.cli.client import Api
from dotenv_cloud.cli.errors import Exit, Failure
from dotenv_cloud.verifier import Checkpoint, Key, Refused

_LONGEST_NOTE = 1 << 20
_NOTHING_THERE = frozenset({"no_checkpoint", "not_found"})


@contextlib.contextmanager
def connect() -> Iterator[Api]:
    """The API, of which the log continues what was seen of it before."""
    with session.connect() as api:
        check(api)
        yield api


@dataclass(frozen=True)
class Log:
    """One of the logs that the server has for an organization: its own, or `heads`.

    segments: what its routes are called below `audit`.
    """

    api: Api
    segments: tuple[str, ...] = ()

    def address(self, *segments: str) -> str:
        return self.api.of_organization("audit", *self.segments, *segments)

    @property
    def _named(self) -> Path:
        """Where it is kept what this log was called: another name is another log."""
        asked = "\n".join((self.api.url, self.api.organization, *self.segments))
        return directory() / f"{hashlib.sha256(asked.encode()).hexdigest()}.origin"

    @property
    def origin(self) -> str:
        """What it was called; empty when it is asked for the first time."""
        return read(self._named).decode(errors="replace").strip()

    def forget(self) -> None:
        """Take whatever the log is called next time."""
        self._named.unlink(missing_ok=True)

    def remember(self, origin: str) -> None:
        if origin != self.origin:
            write(self._named, f"{origin}\n".encode())


def directory() -> Path:
    return log_keys.directory()


def kept_file(origin: str) -> Path:
    return directory() / hashlib.sha256(origin.encode()).hexdigest()


def check(api: Api, also: Sequence[Checkpoint] = ()) -> Checkpoint | None:
    """That the log continues the checkpoint that was kept; the new one is kept from then on. None
    if nothing was signed yet. also: others that it has to continue. Exit code 7 if it does not."""
    return check_log(Log(api), None, also)


def check_log(
    log: Log, keys: Sequence[Key] | None = None, also: Sequence[Checkpoint] = ()
) -> Checkpoint | None:
    """keys: those that are trusted; by default those pinned, or announced by one that is."""
    origin = log.origin
    note = read(kept_file(origin)) if origin else b""
    before = parsed(note) if note else None
    try:
        answer = _ask(log, before)
    except Failure as failure:
        if before is None and failure.error in _NOTHING_THERE | {"", "insufficient_permissions"}:
            # Nothing to compare with; what was asked for tells what is wrong.
            output.detail(f"The log's checkpoint was not fetched: {failure.message}")
            return None
        if before is not None and failure.error in _NOTHING_THERE:
            raise refused(log, note, b"", "the server has no checkpoint of it any more") from None
        if before is not None and failure.error == "validation_failed":
            newest = log_keys.text(log.api, log.address("checkpoint"))
            if _name_in(newest) != origin:
                raise _renamed(log, note, newest, origin) from None
            raise refused(log, note, newest, "the server's is of fewer entries") from None
        raise
    proof, _, newest = answer.partition(b"\n\n") if before else (b"", b"", answer)
    if origin and _name_in(newest) != origin:
        raise _renamed(log, note, newest, origin)
    try:
        now = _signed(log, newest, keys)
        if before is not None:
            _verify(proof, before, now)
    except Refused as error:
        raise refused(log, note, newest, str(error)) from None
    _keep(now.origin, newest, now)
    log.remember(now.origin)
    for each in also:
        if each.origin == now.origin:
            _continue(log, each, keys)
    return now


def _ask(log: Log, before: Checkpoint | None) -> bytes:
    if before is None:
        return log_keys.text(log.api, log.address("checkpoint"))
    return log_keys.text(log.api, log.address("consistency"), [("old", str(before.size))])


def _continue(log: Log, old: Checkpoint, keys: Sequence[Key] | None) -> None:
    """That the log continues another checkpoint too, such as that of a pack."""
    try:
        proof, _, newest = _ask(log, old).partition(b"\n\n")
    except Failure as failure:
        if failure.error != "validation_failed":
            raise
        newest = log_keys.text(log.api, log.address("checkpoint"))
        why = "the server's is of fewer entries"
        raise refused(log, old.text.encode(), newest, why) from None
    try:
        now = _signed(log, newest, keys)
        _verify(proof, old, now)
    except Refused as error:
        raise refused(log, old.text.encode(), newest, str(error)) from None


def _signed(log: Log, note: bytes, keys: Sequence[Key] | None) -> Checkpoint:
    with verifier.located("the newest checkpoint"):
        name = _name_in(note)
        if keys:
            # A fork has the log's name and a number.
            own = re.escape(keys[0].name)
            verifier.require(
                re.fullmatch(rf"{own}(/[1-9][0-9]{{0,8}})?", name), "it is of another log"
            )
            named = [Key(name, key.type, key.public) for key in keys]
            return verifier.read_checkpoint(note, named)
        pinned = log_keys.pinned(name)
        if pinned and any(key in pinned for key in _signers(note, pinned)):
            return verifier.read_checkpoint(note, pinned)
        return verifier.read_checkpoint(note, log_keys.trusted(log.api, ()))


def _name_in(note: bytes) -> str:
    """What log a checkpoint says that it is of."""
    return note.split(b"\n", 1)[0].decode(errors="replace")


def _signers(note: bytes, keys: Sequence[Key]) -> list[Key]:
    return [key for key, _ in verifier.verify_note(note, keys)[1]]


def _verify(proof: bytes, before: Checkpoint, now: Checkpoint) -> None:
    """What `consistency` answered."""
    size, *hashes = proof.decode(errors="replace").rstrip("\n").split("\n")
    verifier.require(size == f"old {before.size}", "the proof is of another size than was asked")
    if before.size == 0:
        return
    found = verifier.hashes_of(hashes)
    verifier.verify_consistency(before.size, now.size, before.root, now.root, found)


def parsed(note: bytes) -> Checkpoint:
    """A checkpoint that was verified when it was kept."""
    try:
        text, _ = verifier.verify_note(note, ())
        return Checkpoint(*verifier.three_lines(text), text)
    except Refused as error:
        raise Failure(
            f"A checkpoint that was kept in {directory()} is damaged: {output.safe(str(error))}."
        ) from None


# --- what is kept ---------------------------------------------------------------------------------


def _keep(origin: str, note: bytes, now: Checkpoint) -> None:
    """Have it on the disk, unless another command was quicker with a later one."""
    path = kept_file(origin)
    with _locked():
        known = read(path)
        if known and parsed(known).size >= now.size:
            return
        write(path, note)


@contextlib.contextmanager
def _locked() -> Iterator[None]:
    try:
        files.make_private_directory(directory())
        lock = os.open(directory() / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise Failure(f"Cannot write to {directory()}: {error.strerror}.") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_LONGEST_NOTE)
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise Failure(f"Cannot read {path}: {error.strerror}.") from None


def write(path: Path, content: bytes) -> None:
    try:
        files.make_private_directory(path.parent)
        with files.replacing(path) as file:
            file.write(content)
    except OSError as error:
        raise Failure(f"Cannot write {path}: {error.strerror}.") from None


# --- what is wrong --------------------------------------------------------------------------------


def refused(log: Log, before: bytes, now: bytes, why: str) -> Failure:
    """The log is not what it was. Both checkpoints are kept as proof, and the server is shown what
    it signed."""
    path = _keep_proof(before, now)
    message = f"The log is not the one that was seen before: {output.safe(why)}."
    if not log.segments and _show(log, before):
        message += " The server was shown what it signed, and does not sign this log any more."
    return Failure(
        message,
        Exit.UNVERIFIED,
        f"Both checkpoints are in {path}. Keep them: together they prove it. Ask whoever runs the"
        " service.",
    )


def _renamed(log: Log, before: bytes, now: bytes, origin: str) -> Failure:
    name = _name_in(now)
    path = _keep_proof(before, now)
    what = "The log was forked" if name.startswith(f"{origin}/") else "This is another log"
    return Failure(
        f"{what}: it is called {output.safe(name)} now, and was {output.safe(origin)}.",
        Exit.UNVERIFIED,
        f"The checkpoints of both are in {path}. If you were told of it, accept it with"
        " `dotenv audit keys --pin`.",
    )


def _keep_proof(before: bytes, now: bytes) -> Path:
    moment = dt.datetime.now(dt.UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    path = directory() / f"proof-{moment}"
    write(path / "before", before)
    if now:
        write(path / "now", now)
    return path


def _show(log: Log, note: bytes) -> bool:
    try:
        log.api.post(log.address("seen"), {"checkpoint": note.decode()})
    except (Failure, UnicodeDecodeError) as error:
        return isinstance(error, Failure) and error.error == "log_not_continued"
    return False

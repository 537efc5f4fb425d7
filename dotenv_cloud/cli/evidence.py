"""`dotenv audit proof`, `evidence` and `keys`: fetched from the server, and verified before they
are said to be there.

The keys of a log are pinned when it is first asked for; from then on a key counts only if one that
is pinned announced it.
"""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from dotenv_cloud import verifier
from dotenv_cloud.cli import accounts, evidence_verify, files, output, session, times
from dotenv_cloud.cli.client import Api
from dotenv_cloud.cli.errors import Exit, Failure
from dotenv_cloud.cli.evidence_verify import Trust
from dotenv_cloud.cli.options import Command
from dotenv_cloud.verifier import Entry, Key, Question, Refused

_ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}", re.IGNORECASE)
_MOST_TEXT = 1 << 20
_PROVABLE = ("action", "type", "result", "interface")
"""Filters that are members of leaf data as they are."""

key_option = click.option(
    "--key",
    "keys",
    multiple=True,
    metavar="VKEY",
    help="A key of the log, or a file with it. [default: those pinned]",
)
_target_option = click.option(
    "-o",
    "--output",
    "target",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write it to this file.",
)
_force_option = click.option("--force", is_flag=True, help="Replace the file if it exists.")


@click.command("proof", cls=Command)
@click.argument("entry_id", metavar="ID")
@_target_option
@_force_option
@key_option
def proof(entry_id: str, target: Path | None, force: bool, keys: Sequence[str]) -> None:
    """Fetch the proof that the entry ID is in the log, and verify it.

    The file is a C2SP tlog-proof with the entry in it; `dotenv audit verify FILE --key VKEY` checks
    it on any machine, without a server.
    """
    if not _ULID.fullmatch(entry_id):
        raise Failure(
            f"{entry_id!r} is not the id of an entry (26 letters and digits).", Exit.USAGE
        )
    with session.connect() as api:
        trusted = _trusted(api, keys)
        data = _text(api, api.of_organization("audit", "entries", entry_id.upper(), "proof"))
    with _refusals("The proof"):
        report = verifier.verify_proof(data, None, Trust(trusted))
        shown = _leaf_in(data).get("id")
        verifier.require(shown == entry_id.upper(), f"it is of the entry {shown}")
    if target is not None:
        with files.output(target, overwrite=force) as file:
            file.write(data)
    for sentence in evidence_verify.sentences(report):
        click.echo(output.safe(sentence))
    if target is not None:
        output.success(f"Wrote {target}.")


def _leaf_in(data: bytes) -> dict[str, Any]:
    """The leaf data of a proof that holds."""
    extra = data.split(b"\n", 2)[1].decode().removeprefix("extra ")
    line = verifier.from_base64(extra)
    return verifier.read_line(line, 0).leaf


def evidence(
    query: Sequence[tuple[str, str]], target: Path, force: bool, keys: Sequence[str]
) -> None:
    """Fetch a pack of what `query` finds, or of the whole log, and verify it."""
    filters = [(name, value) for name, value in query if name != "tz"]
    with session.connect() as api:
        trusted = _trusted(api, keys)
        address = api.of_organization("audit", "evidence")
        groups = _groups(api) if any(name == "action" for name, _ in filters) else frozenset()
        with (
            api.stream(address, list(query)) as response,
            files.output(target, overwrite=force) as file,
        ):
            size = 0
            for part in response.iter_bytes():
                file.write(part)
                size += len(part)
            file.flush()
            asked = _asked(filters, response.headers, groups)
            until = asked.question.until if asked else verifier.END_OF_TIME
            is_over = until <= dt.datetime.now(dt.UTC).timestamp() * 1000
            with _refusals("The pack"):
                report = verifier.verify(
                    Path(file.name),
                    Trust(trusted),
                    asked.question if asked else None,
                    as_of=not is_over,
                    processes=os.cpu_count() or 1,
                )
            if report.missing:
                raise Failure(" ".join(map(output.safe, report.missing)), Exit.UNVERIFIED)
    by_the_server = asked.by_the_server if asked else ()
    sentences = evidence_verify.sentences(report)
    if by_the_server:
        # The verifier knows nothing of these filters: what it says of others would be too much.
        shown = len(report.matches)
        sentences[2:] = [f"Entries shown, each in the log as it was sealed: {shown:,}."]
    for sentence in sentences:
        click.echo(output.safe(sentence))
    if by_the_server:
        output.warn(
            f"That no other entry matches {', '.join(by_the_server)} is the server's word:"
            " leaf data does not tell."
        )
    output.success(f"Wrote {size:,} bytes to {target}.")


@dataclass(frozen=True)
class _Asked:
    """What the verifier has to find answered. by_the_server: filters that leaf data cannot decide;
    of entries without a line it is then only known that the server says they do not match."""

    question: Question
    by_the_server: tuple[str, ...]


def _groups(api: Api) -> frozenset[str]:
    """Names of groups of actions, which no leaf has."""
    known = api.get(api.of_organization("audit", "catalogue"))["data"].get("groups", [])
    return frozenset(str(group["name"]) for group in known)


def _asked(
    filters: Iterable[tuple[str, str]], headers: Any, groups: frozenset[str]
) -> _Asked | None:
    """As the verifier asks it; None for the whole log."""
    sets: list[frozenset[str]] = []
    rest: list[str] = []
    given: dict[str, list[str]] = {}
    for name, value in filters:
        given.setdefault(name, []).extend(part for part in value.split(",") if part)
    if not given:
        return None
    for name, values in given.items():
        if name in ("since", "until", "when"):
            continue
        keys = [[] if value in groups else _keys(name, value) for value in values]
        if all(keys):
            sets.append(frozenset(key for each in keys for key in each))
        else:
            rest.append(f"--{name.replace('_', '-')}")
    since, until = (_milliseconds(headers.get(name)) for name in ("Audit-Since", "Audit-Until"))
    question = Question(
        tuple(sets),
        0 if since is None else since,
        verifier.END_OF_TIME if until is None else until,
        _has_line if rest else None,
    )
    return _Asked(question, tuple(rest))


def _has_line(entry: Entry, leaf: dict[str, Any]) -> bool:
    """Whether the server shows the entry as one that matches."""
    return entry.part(1) is not None


def _keys(name: str, value: str) -> list[str]:
    """The keys of the index that a filter's value stands for; none if leaf data cannot tell."""
    if name in _PROVABLE and "*" not in value:
        return [f"{name}\n{value}"]
    if name == "resource" and "*" not in value and not _ULID.fullmatch(value):
        return [f"path\n{value.strip('/').lower()}"]
    if name == "actor" and _ULID.fullmatch(value):
        return [f"actor\n{kind}\n{value.upper()}" for kind in ("user", "api_key")]
    return []


def _milliseconds(text: str | None) -> int | None:
    moment = times.parse(text) if text else None
    if moment is None:
        return None
    return (moment - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(milliseconds=1)


@click.command("keys", cls=Command)
@click.option("--pin", is_flag=True, help="Trust the keys that the server lists, from now on.")
def keys(pin: bool) -> None:
    """Show the public keys of the log, and check them against those that are pinned.

    Compare them with somebody who knows them. Exit code 7 if a key is not pinned and none that is
    announced it.
    """
    with session.connect() as api:
        listed = _listed(api)
        if pin:
            path = _pin(listed)
            output.success(f"Pinned in {path}.")
        else:
            _check(api, listed)
    for key in listed:
        click.echo(output.safe(_vkey(key)))


# --- the keys that are trusted --------------------------------------------------------------------


def _trusted(api: Api, given: Sequence[str]) -> list[Key]:
    """Those given, or those pinned; on first use, those that the server lists."""
    if given:
        return [evidence_verify._key(each) for each in given]
    return _check(api, _listed(api))


def _listed(api: Api) -> list[Key]:
    text = _text(api, api.of_organization("audit", "keys")).decode(errors="replace")
    with _refusals("The server's list of keys"):
        found = [Key.parse(line) for line in text.splitlines()]
        verifier.require(found, "it is empty: nothing was signed yet")
        verifier.require(len({key.name for key in found}) == 1, "its keys are of several logs")
    return found


def _check(api: Api, listed: Sequence[Key]) -> list[Key]:
    """The pinned keys of the log, with those that they announced, which are pinned then."""
    path = _file_of(listed[0].name)
    if not path.exists():
        _pin(listed)
        output.warn("This log is asked for the first time here: its keys are trusted from now on.")
        for key in listed:
            output.note(output.safe(_vkey(key)))
        output.note("Compare them with somebody who knows them.")
        return list(listed)
    pinned = [Key.parse(line) for line in path.read_text().splitlines()]
    unknown = [key for key in listed if key not in pinned]
    if not unknown:
        return pinned
    with _refusals("The announcement of keys"):
        chain = evidence_verify.follow_rotations(_announcements(api), pinned[-1])
    strange = [key for key in unknown if key not in chain]
    if strange:
        raise Failure(
            f"The server lists a key of this log that none of the pinned ones announced:"
            f" {output.safe(_vkey(strange[0]))}.",
            Exit.UNVERIFIED,
            f"The pinned ones are in {path}. Ask whoever runs the service; `dotenv audit keys"
            " --pin` trusts the new one.",
        )
    _pin([*pinned, *unknown])
    output.note("A new key of this log was announced by the one before it, and is pinned now.")
    return [*pinned, *unknown]


def _announcements(api: Api) -> list[bytes]:
    """The notes in which keys are announced, the oldest first."""
    parts = _text(api, "/.well-known/dotenv-audit-keys").rstrip(b"\n").split(b"\n\n")
    return [
        text + b"\n\n" + signatures + b"\n"
        for text, signatures in zip(parts[::2], parts[1::2], strict=False)
    ]


def _file_of(origin: str) -> Path:
    directory = accounts.default_file().parent / "audit"
    return directory / f"{hashlib.sha256(origin.encode()).hexdigest()}.keys"


def _pin(trusted: Sequence[Key]) -> Path:
    path = _file_of(trusted[0].name)
    try:
        files.make_private_directory(path.parent)
        with files.replacing(path) as file:
            file.write("".join(f"{_vkey(key)}\n" for key in trusted).encode())
    except OSError as error:
        raise Failure(f"Cannot write {path}: {error.strerror}.") from None
    return path


def _vkey(key: Key) -> str:
    encoded = base64.b64encode(bytes([key.type]) + key.public).decode()
    return f"{key.name}+{key.id.hex()}+{encoded}"


# --- the server -----------------------------------------------------------------------------------


def _text(api: Api, address: str) -> bytes:
    with api.stream(address) as response:
        data = b""
        for part in response.iter_bytes():
            data += part
            if len(data) > _MOST_TEXT:
                raise Failure("The server sent more than a proof can be.", Exit.UNVERIFIED)
    return data


@contextlib.contextmanager
def _refusals(what: str) -> Iterator[None]:
    """What the verifier refuses inside ends the command."""
    try:
        yield
    except Refused as error:
        raise Failure(
            f"{what} does not hold: {output.safe(str(error))}.", Exit.UNVERIFIED
        ) from None

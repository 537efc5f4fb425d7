"""`dotenv audit proof`, `evidence` and `keys`: fetched from the server, and verified before they
are said to be there.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from dotenv_cloud import verifier
from dotenv_cloud.cli import (
    checkpoints,
    evidence_verify,
    files,
    log_keys,
    output,
    session,
    times,
)
from dotenv_cloud.cli.client import Api
from dotenv_cloud.cli.errors import Exit, Failure
from dotenv_cloud.cli.evidence_verify import Trust
from dotenv_cloud.cli.options import Command
from dotenv_cloud.verifier import Entry, Question

_LONGEST_ROUND = 600
"""Seconds that the server may wait for the next round of `heads`."""
_ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}", re.IGNORECASE)
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
        trust = Trust(log_keys.trusted(api, keys))
        data = log_keys.text(
            api, api.of_organization("audit", "entries", entry_id.upper(), "proof")
        )
        with log_keys.refusals("The proof"):
            report = verifier.verify_proof(data, None, trust)
            shown = _leaf_in(data).get("id")
            verifier.require(shown == entry_id.upper(), f"it is of the entry {shown}")
        checkpoints.check(api, [report.checkpoint])
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
    query: Sequence[tuple[str, str]],
    target: Path,
    force: bool,
    keys: Sequence[str],
    *,
    in_heads: bool = False,
    stamp: bool = False,
    redact: str = "",
) -> None:
    """Fetch a pack of what `query` finds, or of the whole log, and verify it. in_heads: with its
    place in a round of `heads`; stamp: with a time stamp; redact: parts to withhold."""
    filters = [(name, value) for name, value in query if name != "tz"]
    with session.connect() as api:
        trust = Trust(log_keys.trusted(api, keys))
        address = api.of_organization("audit", "evidence")
        wanted = [*query, *([("heads", "true")] if in_heads else [])]
        wanted += [("stamp", "true")] if stamp else []
        wanted += [("redact", redact)] if redact else []
        groups = _groups(api) if any(name == "action" for name, _ in filters) else frozenset()
        with (
            api.stream(address, wanted, _LONGEST_ROUND if in_heads else 30) as response,
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
            with log_keys.refusals("The pack"):
                report = verifier.verify(
                    Path(file.name),
                    trust,
                    asked.question if asked else None,
                    as_of=not is_over,
                    run=evidence_verify.parallel,
                )
            if in_heads and report.heads is None:
                raise Failure("The server did not show a round of heads.", Exit.UNVERIFIED)
            if report.missing:
                raise Failure(" ".join(map(output.safe, report.missing)), Exit.UNVERIFIED)
            checkpoints.check(api, [report.checkpoint])
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
        listed = log_keys.listed(api)
        if pin:
            path = log_keys.pin(listed)
            checkpoints.Log(api).remember(listed[0].name)
            checkpoints.Log(api, ("heads",)).forget()
            output.success(f"Pinned in {path}.")
        else:
            log_keys.check(api, listed)
    for key in listed:
        click.echo(output.safe(log_keys.vkey(key)))

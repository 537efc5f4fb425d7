"""`dotenv audit proof`, `evidence` and `keys`: fetched from the server, and verified before they
are said to be there.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

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
from dotenv_cloud.verifier import Entry, Question, Report

_LONGEST_ROUND = 600
"""Seconds that the server may wait for the next round of `heads`."""
_MOST_RENAMINGS = 8
"""Renamings in a row that are followed; what is beyond is said."""
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
            is_it = shown == entry_id.upper() or bool(report.withheld)
            verifier.require(is_it, f"it is of the entry {shown}")
        checkpoints.check(api, [report.checkpoint])
    if target is not None:
        with files.output(target, overwrite=force) as file:
            file.write(data)
    for sentence in evidence_verify.sentences(report):
        click.echo(output.safe(sentence))
    if report.withheld:
        output.warn(
            f"It was erased as a whole. That {entry_id.upper()} has this number is the server's"
            " word."
        )
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
    options: Sequence[tuple[str, str]] = (),
) -> None:
    """Fetch a pack of what `query` finds, or of the whole log, and verify it. One that does not
    hold is not written; one that proves less than was asked is, and ends with 7. options: of the
    pack, not of the question: its place in a round of `heads`, a time stamp, without a tail, parts
    to withhold."""
    with session.connect() as api:
        trust = Trust(log_keys.trusted(api, keys))
        groups = _groups(api) if any(name == "action" for name, _ in query) else frozenset()
        with files.output(target, overwrite=force) as file:
            asked, report = _fetched(api, trust, query, options, groups, file)
            for _ in range(_MOST_RENAMINGS):
                others = _other_names(report)
                if not others:
                    break
                names = output.safe(" and ".join(others))
                output.note(f"It was renamed in that time: asking for {names} too.")
                query = [*query, *(("resource", each) for each in others)]
                asked, report = _fetched(api, trust, query, options, groups, file)
            size = file.tell()
            if ("heads", "true") in options and report.heads is None:
                raise Failure("The server did not show a round of heads.", Exit.UNVERIFIED)
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
    if report.missing:
        # What is in it holds, and may be all that there is: of an entry that was erased as a whole
        # nobody can tell whether it matches.
        raise Failure(
            f"{target} holds, and proves less than was asked:"
            f" {' '.join(map(output.safe, report.missing))}",
            Exit.UNVERIFIED,
        )
    output.success(f"Wrote {size:,} bytes to {target}.")


def _fetched(
    api: Api,
    trust: Trust,
    query: Sequence[tuple[str, str]],
    options: Sequence[tuple[str, str]],
    groups: frozenset[str],
    file: BinaryIO,
) -> tuple[_Asked | None, Report]:
    """What was asked, and what the pack proves that is in the file now."""
    filters = [(name, value) for name, value in query if name != "tz"]
    patience = _LONGEST_ROUND if ("heads", "true") in options else 30
    wanted = [*query, *options]
    file.seek(0)
    file.truncate()
    with api.stream(api.of_organization("audit", "evidence"), wanted, patience) as response:
        for part in response.iter_bytes():
            file.write(part)
        file.flush()
        asked = _asked(filters, response.headers, groups)
    until = asked.question.until if asked else verifier.END_OF_TIME
    is_over = until <= dt.datetime.now(dt.UTC).timestamp() * 1000
    with log_keys.refusals("The pack"):
        report = verifier.verify(
            Path(file.name),
            trust,
            asked.question if asked else None,
            # A closed pack has no entry of its request, and ends before the newest ones.
            as_of=not is_over or ("closed", "true") in options,
            run=evidence_verify.parallel,
        )
    return asked, report


def _other_names(report: Report) -> list[str]:
    """Other names, within the time asked for, of what is asked for by a path."""
    names = [name for _, lacking in evidence_verify.renamings(report) for name in lacking]
    return list(dict.fromkeys(names))


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

"""`dotenv audit verify`: what a pack or a proof shows, in words, without server or network.

`dotenv_cloud.verifier` decides; here are the question, whose keys are trusted, and the sentences.
"""

from __future__ import annotations

import collections
import datetime as dt
import hashlib
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from dotenv_cloud import verifier
from dotenv_cloud.cli import output
from dotenv_cloud.cli.errors import Exit, Failure
from dotenv_cloud.cli.options import Command, current_options
from dotenv_cloud.verifier import Checkpoint, Entry, Key, Refused, Report

_ID = r"[0-7][0-9A-HJKMNP-TV-Z]{25}"
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_MOST_NOTE = 1 << 20


@click.command("verify", cls=Command)
@click.argument("path", metavar="FILE", type=_FILE)
@click.option(
    "--key", "keys", multiple=True, metavar="VKEY", help="A key of the log, or a file with it."
)
@click.option(
    "--witness",
    "witnesses",
    multiple=True,
    metavar="VKEY",
    help="A witness that has to have seen it.",
)
@click.option(
    "--at-least",
    type=click.IntRange(min=0),
    metavar="N",
    help="How many of the witnesses. [default: all]",
)
@click.option("--resource", multiple=True, metavar="VALUE", help="A path, or TYPE:ID.")
@click.option("--actor", multiple=True, metavar="VALUE", help="An id, TYPE:ID, or a label.")
@click.option("--action", multiple=True, metavar="VALUE", help="What was done: create, delete, …")
@click.option("--type", "type_", multiple=True, metavar="VALUE", help="Kind of resource.")
@click.option("--result", multiple=True, metavar="VALUE", help="success, denied or failed.")
@click.option("--interface", multiple=True, metavar="VALUE", help="web, api, cli, …")
@click.option("--ip", multiple=True, metavar="VALUE", help="Client address.")
@click.option("--since", metavar="TIME", help="Not before this day or moment; UTC.")
@click.option("--until", metavar="TIME", help="Before this day or moment; UTC.")
@click.option("--as-of", is_flag=True, help="Accept a window that may not have been over.")
@click.option("--whole", is_flag=True, help="Recompute every index, from a pack of all entries.")
@click.option("--line", type=_FILE, help="The entry's line, if it is not in the proof.")
@click.option(
    "--rotation",
    "rotations",
    type=_FILE,
    multiple=True,
    help="Announcement of a later key, in order, from the key that is given on.",
)
@click.option(
    "--with",
    "continuation",
    type=(_FILE, _FILE),
    metavar="NOTE PROOF",
    help="A checkpoint by a key you trust, and the proof that it continues this one.",
)
@click.option(
    "--stolen",
    type=(str, str),
    multiple=True,
    metavar="VKEY DAY",
    help="A key that counts only for what a witness saw before that day.",
)
@click.option("--seen", type=_FILE, multiple=True, help="A checkpoint of this log that you kept.")
@click.option("--fork", type=click.IntRange(min=1), metavar="K", help="Accept fork K of the log.")
def verify(
    path: Path,
    keys: Sequence[str],
    witnesses: Sequence[str],
    at_least: int | None,
    as_of: bool,
    whole: bool,
    line: Path | None,
    rotations: Sequence[Path],
    continuation: tuple[Path, Path] | None,
    stolen: Sequence[tuple[str, str]],
    seen: Sequence[Path],
    fork: int | None,
    **question: Any,
) -> None:
    """Verify a pack or a proof, without a server.

    \b
    Is this everything that happened to my-app/production in November?
      dotenv audit verify november.zip --key acme.vkey --witness w1.vkey \\
        --resource my-app/production --since 2026-11-01 --until 2026-12-01
    """
    if not keys:
        raise Failure("Give the key of the log with --key.", Exit.USAGE)
    trusted = [given_key(each) for each in keys]
    cosigners = [given_key(each) for each in witnesses]
    until = {given_key(each): _time(day, 0) for each, day in stolen}
    asked = _question(question)
    try:
        for key in list(trusted):
            trusted += follow_rotations([_small(note) for note in rotations], key)[1:]
        continued = continuation and tuple(map(_small, continuation))
        trust = Trust(trusted, cosigners, continued, until)
        report = verifier.verify(
            path,
            trust,
            asked,
            line=_small(line, 64 << 20).removesuffix(b"\n") if line else None,
            whole=whole,
            as_of=as_of,
            witnesses=cosigners,
            at_least=at_least,
            run=parallel,
        )
        for note in (*seen, *kept(report.checkpoint.origin)):
            compare(report.checkpoint, _small(note), trusted)
        report.missing += forks(report, trusted, fork or 0)
        said = sentences(report, whole=whole)
    except Refused as error:
        raise Failure(f"{path.name}: {output.safe(error)}.", Exit.UNVERIFIED) from None
    for sentence in said:
        click.echo(output.safe(sentence))
    if report.missing:
        raise Failure(" ".join(output.safe(each) for each in report.missing), Exit.UNVERIFIED)
    click.echo("OK")


def parallel(function: Callable[[Any], Any], tasks: Sequence[Any]) -> Iterator[Any]:
    """As `map`, by as many processes as there are processors."""
    workers = min(os.cpu_count() or 1, len(tasks))
    if workers < 2:
        yield from map(function, tasks)
        return
    with ProcessPoolExecutor(workers) as pool:
        yield from pool.map(function, tasks)


def _small(path: Path, most: int = _MOST_NOTE) -> bytes:
    with path.open("rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise Failure(f"{path} is larger than {most:,} bytes.", Exit.UNVERIFIED)
    return data


def given_key(text: str) -> Key:
    """A key as given, or as it stands in a file."""
    try:
        return Key.parse(text)
    except Refused as error:
        reason = error.message
    try:
        return Key.parse(_small(Path(text)).decode())
    except Refused as error:
        reason = error.message
    except (OSError, ValueError):
        reason = reason if "+" in text else "it is neither a key nor a file"
    raise Failure(f"--key or --witness {output.safe(text)[:80]}: {reason}.", Exit.USAGE)


# --- who is trusted -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Trust:
    """Reads the checkpoint of a pack: signed by a pinned key, or continued by one that is."""

    keys: Sequence[Key]
    witnesses: Sequence[Key] = ()
    continuation: tuple[bytes, ...] | None = None
    stolen: Mapping[Key, int] = field(default_factory=dict)
    """Keys, and until when (in ms) a witness has to have seen what they signed."""

    def __call__(self, note: bytes) -> Checkpoint:
        if self.continuation is None:
            return self._signed(note, [*self.keys, *self.stolen])
        later_note, proof = self.continuation
        keys = [key for key in self.keys if key not in self.stolen]
        later = verifier.read_checkpoint(later_note, keys)
        text, signed = verifier.verify_note(note, self.witnesses)
        seen = verifier.seen_by(signed, self.keys, self.witnesses)
        old = Checkpoint(*verifier.three_lines(text), text, later.signed_by, seen)
        verifier.require(old.origin == later.origin, "it is of another log than the later one")
        head, _, after = proof.partition(b"\n\n")
        size, *hashes = head.decode("ascii", "replace").rstrip("\n").split("\n")
        leads = size == f"old {old.size}" and after in (b"", later_note)
        verifier.require(leads, "the proof of consistency is of other checkpoints")
        found = verifier.hashes_of(hashes)
        verifier.verify_consistency(old.size, later.size, old.root, later.root, found)
        return old

    def _signed(self, note: bytes, keys: Sequence[Key]) -> Checkpoint:
        found = verifier.read_checkpoint(note, keys, self.witnesses)
        days = [self.stolen.get(key) for key in found.signed_by]
        if None not in days:
            day = min(each for each in days if each is not None)
            before = any(at * 1000 < day for _, at in found.cosigned)
            message = f"its key was stolen, and no witness saw it before {verifier.iso(day)}"
            verifier.require(before, message)
        return found


def kept(origin: str) -> list[Path]:
    """The last checkpoint of the log that a command of this user relied on."""
    directory = current_options().accounts_file.parent / "audit"
    path = directory / hashlib.sha256(origin.encode()).hexdigest()
    return [path] if path.is_file() else []


def compare(checkpoint: Checkpoint, note: bytes, keys: Sequence[Key]) -> None:
    """Two checkpoints of one size have one root."""
    with verifier.located("the checkpoint seen before"):
        seen = verifier.read_checkpoint(note, keys)
        same = seen.size != checkpoint.size or seen.root == checkpoint.root
        message = f"it has another root for the same {seen.size:,} entries: two logs were shown"
        verifier.require(same, message)


def follow_rotations(notes: Iterable[bytes], pinned: Key) -> list[Key]:
    """The pinned key and those after it: each is announced by a note that the one before and it
    itself signed. Announcements older than the pinned key are passed over."""
    name = pinned.name.rpartition("/audit/")[0] + "/audit/keys"
    chain, number = [pinned], None
    for note in notes:
        text, _ = verifier.verify_note(note, ())
        lines = text.split("\n")
        form = len(lines) == 5 and lines[0] == name and not lines[4]
        verifier.require(form, f"it is not an announcement of a key of {name}")
        data = verifier.from_base64(lines[2])
        old, new = renamed(chain[-1], name), Key(name, data[0], data[1:])
        known = len(new.public) == verifier.KEY_SIZES.get(new.type)
        verifier.require(known and new.type != verifier.COSIGNATURE, "its key is of no known type")
        signed = {key for key, _ in verifier.verify_note(note, {old, new})[1]}
        if number is None and (new == old or old not in signed):
            continue
        verifier.require(signed == {old, new}, f"key {lines[1]} is not signed by the one before it")
        following = number is None or verifier.decimal(lines[1]) == number + 1
        verifier.require(following, f"key {lines[1]} does not follow key {number}")
        number = verifier.decimal(lines[1])
        chain.append(renamed(new, pinned.name))
    return chain


def renamed(key: Key, name: str) -> Key:
    return Key(name, key.type, key.public)


def forks(report: Report, keys: Sequence[Key], accepted: int) -> list[str]:
    """What is missing if the log was forked: entries that were signed, and are not in it."""
    found = re.search(r"/audit/[^/]+/([1-9][0-9]*)$", report.checkpoint.origin)
    number, lost = int(found[1]) if found else 0, []
    for entry in report.special:
        if entry.kind == b"fork":
            with verifier.located("the entry of a fork", entry.seq):
                context = (entry.part(3) or {}).get("context") or {}
                last, common = (_signed(context.get(each), keys) for each in ("last", "common"))
                fits = common.size <= last.size and common.size < entry.seq
                verifier.require(fits, "its two checkpoints contradict each other")
                lost.append(last.size - common.size)
    if accepted == number and not (lost and not number):
        return []
    if accepted and accepted != number:
        return [f"This is not fork {accepted} of the log, but {number or 'the log itself'}."]
    many = f"{sum(lost):,} entries" if lost else "An unknown number of entries"
    return [f"{many} that were signed are not in this log: it is fork {number}."]


def _signed(note: object, keys: Sequence[Key]) -> Checkpoint:
    data = str(note).encode()
    origin = str(note).partition("\n")[0]
    return verifier.read_checkpoint(data, [renamed(key, origin) for key in keys])


# --- the question -------------------------------------------------------------------------------


def _question(given: dict[str, Any]) -> verifier.Question | None:
    """What is asked, or None: then the pack says what it answers."""
    names = ("resource", "actor", "action", "type_", "result", "interface", "ip")
    values = {
        name: [part for each in given[name] for part in each.split(",") if part] for name in names
    }
    since, until = _time(given["since"], 0), _time(given["until"], verifier.END_OF_TIME)
    keys = [
        frozenset(f"{name.rstrip('_')}\n{value}" for value in values[name])
        for name in ("action", "type_", "result", "interface")
        if values[name]
    ]
    parts: dict[tuple[int, str], frozenset[str]] = {}
    if values["resource"]:
        keys.append(
            frozenset(
                _typed("resource", each) or f"path\n{each.strip('/')}"
                for each in values["resource"]
            )
        )
    if values["actor"]:
        actors = [_actor(each) for each in values["actor"]]
        if all(actors):
            keys.append(frozenset(key for each in actors for key in each))
        else:
            parts[0, "label"] = frozenset(values["actor"])
    if values["ip"]:
        parts[1, "ip"] = frozenset(values["ip"])
    if not keys and not parts and not given["since"] and not given["until"]:
        return None
    return verifier.Question(tuple(keys), since, until, PartsHave(parts) if parts else None)


def _typed(kind: str, value: str) -> str | None:
    found = re.fullmatch(rf"([a-z_]+):({_ID}|-)", value)
    return f"{kind}\n{found[1]}\n{found[2]}" if found else None


def _actor(value: str) -> list[str]:
    """The keys of an actor by TYPE:ID, or by an id alone: a person's or an API key's."""
    if re.fullmatch(_ID, value):
        return [f"actor\n{kind}\n{value}" for kind in ("user", "api_key")]
    typed = _typed("actor", value)
    return [typed] if typed else []


def _time(text: str | None, default: int) -> int:
    if text is None:
        return default
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        raise Failure(
            f"{text!r} is not a day or a moment, such as 2026-11-01.", Exit.USAGE
        ) from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
    return (moment - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(milliseconds=1)


@dataclass(frozen=True)
class PartsHave:
    """Conditions on what can be erased or redacted; what is not shown cannot be told."""

    wanted: dict[tuple[int, str], frozenset[str]]

    def __call__(self, entry: Entry, leaf: dict[str, Any]) -> bool | None:
        told = []
        for (part, member), values in self.wanted.items():
            given = entry.part(part)
            told.append(None if given is None else given.get(member) in values)
        return False if False in told else None if None in told else True


# --- what is said -------------------------------------------------------------------------------


def sentences(report: Report, *, whole: bool = False) -> list[str]:
    """What is proved, and no more."""
    checkpoint, question = report.checkpoint, report.question
    signed = " and ".join(sorted(key.id.hex() for key in checkpoint.signed_by))
    seen = "".join(
        f"; cosigned {verifier.iso(at * 1000)} UTC by {name}" for name, at in report.seen
    )
    said = [f"{checkpoint.origin}, {checkpoint.size:,} entries, signed by key {signed}{seen}"]
    said.append(f"fingerprint {checkpoint.size}-{checkpoint.root.hex()[:12]}")
    if report.kind == "proof":
        said.append(_entry(report))
    elif question == verifier.Question():
        said.append(_everything(report))
    else:
        said += [_answer(report), *_renamings(report), *_over(report)]
    said += _aside(report)
    if report.heads:
        said.append(f"It is the one head of this log in its round of {report.heads.origin}.")
    if whole and not report.missing:
        said.append("Every index is that of its entries.")
    if not report.missing:
        said.append(f"Nothing was altered, removed, inserted or moved.{_redacted(report)}")
    return said


def _entry(report: Report) -> str:
    number = report.end
    if report.withheld:
        return f"Entry {number:,} of the log is proved to be there; it is not shown."
    if report.removed:
        return f"Entry {number:,} was removed before evidence began."
    if report.entry is None:
        return f"The entry is number {number:,} of the log, as it was sealed."
    leaf, at = report.entry.leaf, verifier.iso(report.entry.time)
    actor, resource = leaf["actor"], leaf["resource"]
    by = (report.entry.part(0) or {}).get("label") or actor["id"] or ""
    of = resource.get("label") or (report.entry.part(2) or {}).get("label") or resource["id"] or ""
    return (
        f"The entry is number {number:,} of the log, as it was sealed: {leaf['action']},"
        f" {resource['type']} {of}, by {actor['type']} {by}, {leaf['result']}, at {at} UTC."
    )


def _everything(report: Report) -> str:
    entries = f"Entries {report.first + 1:,} to {report.end:,}"
    if report.kind == "leaves":
        return f"{entries} are all here by their leaf data, as they were sealed."
    return f"{entries} are all here, as they were sealed."


def _answer(report: Report) -> str:
    count = len(report.matches)
    has = {0: "none has", 1: "1 has"}.get(count, f"{count:,} have")
    others = f"{', no others' if count else ''}{_not_renamed(report)}"
    if report.withheld:
        others = f"{', no others' if count else ''} but perhaps those that are withheld"
    if report.gaps:
        others = ""
    entries = f"entries {report.first + 1:,} to {report.end:,}"
    return f"Of {entries}, {has} {_asked(report.question)}{others}."


_NAMES = {"path": "path", "actor-action": "actor and action", "renamed": "former path"}


def _asked(question: verifier.Question) -> str:
    """`the path my-app or below and a time from 2026-11-01 to 2026-12-01 UTC`."""
    said = []
    for keys in question.keys:
        texts = sorted(key.partition("\n")[2].replace("\n", " ") for key in keys)
        kind = min(keys).partition("\n")[0]
        below = " or below" if kind == "path" else ""
        said.append(f"the {_NAMES.get(kind, kind)} {' or '.join(texts)}{below}")
    if isinstance(question.also, PartsHave):
        for (part, member), values in question.also.wanted.items():
            said.append(f"the {verifier.PARTS[part]} {member} {' or '.join(sorted(values))}")
    since, until = (verifier.iso(each) for each in (question.since, question.until))
    if question.since and question.until < verifier.END_OF_TIME:
        said.append(f"a time from {since} to {until} UTC")
    elif question.since:
        said.append(f"a time from {since} UTC on")
    elif question.until < verifier.END_OF_TIME:
        said.append(f"a time before {until} UTC")
    return " and ".join(said) or "any time"


def _paths(report: Report) -> list[str]:
    keys = [key for keys in report.question.keys for key in sorted(keys)]
    return [path for kind, _, path in (key.partition("\n") for key in keys) if kind == "path"]


def _not_renamed(report: Report) -> str:
    """Whether what was asked for, or what it lies below, kept its name meanwhile."""
    paths = _paths(report)
    if not paths or report.withheld or _renamings(report):
        return ""
    keys = verifier.renamings(f"path\n{each}" for each in paths)
    names = [key.partition("\n")[2] for key in keys]
    if len(paths) == 1:
        names[0] = "it"
    who = f"{names[0]} was not" if len(names) == 1 else f"neither {' nor '.join(names)} was"
    return f"; {who} renamed{' in that time' if report.question.windowed else ''}"


def _renamings(report: Report) -> list[str]:
    return [sentence for sentence, _ in renamings(report)]


def renamings(report: Report) -> list[tuple[str, list[str]]]:
    """What each renaming in the time did to the paths that were asked for, in a sentence; and the
    names that nobody asked for yet."""
    question, asked, found = report.question, _paths(report), []
    for entry in report.special:
        if not entry.renames or not question.since <= entry.time < question.until:
            continue
        was, now = (str(entry.leaf["resource"].get(each, "")) for each in ("was", "label"))
        paths = [path for path in asked if f"{path}/".startswith((f"{was}/", f"{was}#"))]
        if paths:
            others = [now + path[len(was) :] for path in paths]
            lacking = [other for other in others if other not in asked]
            at = f"{verifier.iso(entry.time)} UTC"
            more = f"; ask for {' and '.join(lacking)} too" if lacking else ""
            sentence = f"Entry {entry.seq:,}: {was} was renamed to {now} at {at}{more}."
            found.append((sentence, lacking))
    return found


def _over(report: Report) -> list[str]:
    """What shows that the window was over, each by whose word."""
    until, request = report.question.until, report.request
    if until == verifier.END_OF_TIME:
        return []
    said = []
    over = request is not None and request.time >= until
    if request is not None and over:
        said.append(
            f"As the server has it, the window was over: it entered the request for this pack as"
            f" entry {request.seq:,}, at {verifier.iso(request.time)} UTC."
        )
    after = [(name, at) for name, at in report.seen if at * 1000 >= until]
    for name, at in after:
        who = "The witness" if len(report.seen) == 1 else f"The witness {name}"
        said.append(f"{who} saw this log on {verifier.iso(at * 1000)[:16]} UTC, after the window.")
    if over and not after:
        said.append("That time is the server's word; no witness saw the log after the window.")
    if not over:
        to = f"; the log had come to {verifier.iso(report.reached)} UTC" if report.reached else ""
        said.append(f"This is so as of entry {report.end:,}{to}.")
    return said


def _aside(report: Report) -> list[str]:
    """What is in the log and not shown."""
    said = []
    if report.undecided:
        many = len(report.undecided)
        said.append(f"cannot be told: {many:,}, as a part of each is redacted.")
    if report.withheld:
        said.append(f"{len(report.withheld):,} withheld: proved to be there, not shown.")
    if report.removed:
        began = min(each.seq for each in report.special if each.kind == b"evidence_began")
        many = len(report.removed)
        said.append(f"{many:,} entries before number {began:,} were removed before evidence began.")
    for entry in report.special:
        if entry.kind == b"remove":
            said.append(f"Entry {entry.seq:,} is a removal of entries under retention.")
    return said


def _redacted(report: Report) -> str:
    if not report.redacted:
        return ""
    count = collections.Counter(part for parts in report.redacted for part in parts)
    which = ", ".join(f"{verifier.PARTS[part]} ({count[part]:,})" for part in sorted(count))
    many = len(report.redacted)
    return f" {many:,} of them {'has' if many == 1 else 'have'} redacted parts: {which}."

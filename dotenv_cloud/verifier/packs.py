"""What a pack or a proof shows: the verdict, from `verify` downwards.

Nothing is believed but what follows from the checkpoint that the caller trusts: hashes are made of
what is read here, they have to lead to the root, and the answer has to be what the index names.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from dotenv_cloud.verifier.checkpoints import Checkpoint, Key, open_proof, verify_head
from dotenv_cloud.verifier.entries import (
    BLOCK,
    END_OF_TIME,
    FILE,
    KEPT_DETAIL,
    Entry,
    keys_of,
    read_leaf,
    read_line,
    renamings,
)
from dotenv_cloud.verifier.files import LINE, READ, Pack
from dotenv_cloud.verifier.index import Walk, Zone, index_block, index_roots
from dotenv_cloud.verifier.trees import (
    Hashes,
    Refused,
    Subtrees,
    fold,
    hashes_of,
    integer,
    located,
    require,
    root_of,
    verify_inclusion,
)

Trust = Callable[[bytes], Checkpoint]
Run = Callable[..., Iterable[Any]]
"""As `map`, perhaps in several processes."""


@dataclass(frozen=True)
class Question:
    """What the auditor asks for: entries with one key of each set, a time in [since, until), in ms,
    and whatever `also` demands, which returns None where it cannot tell."""

    keys: tuple[frozenset[str], ...] = ()
    since: int = 0
    until: int = END_OF_TIME
    also: Callable[[Entry, dict[str, Any]], bool | None] | None = None

    @cached_property
    def windowed(self) -> bool:
        return self.since > 0 or self.until < END_OF_TIME

    def matches(self, entry: Entry) -> bool | None:
        if entry.removed or not entry.data:
            return False if entry.removed else None
        if self.windowed and not self.since <= entry.time < self.until:
            return False
        if not self.keys and not self.also:
            return True
        leaf = entry.leaf
        has = [*keys_of(leaf), *(f"{each}\n{leaf.get(each)}" for each in ("result", "interface"))]
        if any(keys.isdisjoint(has) for keys in self.keys):
            return False
        return self.also(entry, leaf) if self.also else True


EVERYTHING = Question()


@dataclass
class Report:
    """What is proved, of entries first + 1 to end; with anything `missing`, less than was asked."""

    checkpoint: Checkpoint
    kind: str
    question: Question
    first: int = 0
    end: int = 0
    matches: list[int] = field(default_factory=list)
    undecided: list[int] = field(default_factory=list)
    withheld: list[int] = field(default_factory=list)
    removed: list[int] = field(default_factory=list)
    redacted: list[tuple[int, ...]] = field(default_factory=list)  # parts, of each such answer
    special: list[Entry] = field(default_factory=list)  # KEPT_DETAIL, and those that rename
    indexes: list[Entry] = field(default_factory=list)  # the first entries after blocks
    closed: bool = False  # it ends before the tail, on purpose
    reached: int = 0  # the latest time in the tail, ms
    gaps: list[tuple[int, int, int, int]] = field(default_factory=list)  # entries, times
    entry: Entry | None = None  # of a proof of one
    request: Entry | None = None
    heads: Checkpoint | None = None
    missing: list[str] = field(default_factory=list)

    @property
    def seen(self) -> tuple[tuple[str, int], ...]:
        """Witnesses of the checkpoint and of its round of `heads`, and when, in seconds."""
        return self.checkpoint.cosigned + (self.heads.cosigned if self.heads else ())

    def add(self, entry: Entry) -> bool | None:
        """Counts the entry; returns whether it is an answer."""
        number, match = entry.seq, self.question.matches(entry)
        if match:
            self.matches.append(number)
            if entry.redacted:
                self.redacted.append(entry.redacted)
        elif entry.removed or not entry.data:
            (self.removed if entry.removed else self.withheld).append(number)
        elif match is None:
            self.undecided.append(number)
        if number > (self.checkpoint.size - 1) // BLOCK * BLOCK:
            self.reached = max(self.reached, entry.time)
        if number % BLOCK == 1 and number > 1:
            self.indexes.append(entry)
        if entry.renames or entry.kind in KEPT_DETAIL:
            self.special.append(entry)
        return match

    def merge(self, other: Report) -> None:
        for name in (
            "matches",
            "undecided",
            "withheld",
            "removed",
            "redacted",
            "special",
            "indexes",
        ):
            getattr(self, name).extend(getattr(other, name))
        self.reached = max(self.reached, other.reached)


def verify(
    path: Path,
    trust: Trust,
    question: Question | None = None,
    *,
    line: bytes | None = None,
    whole: bool = False,
    as_of: bool = False,
    witnesses: Sequence[Key] = (),
    at_least: int | None = None,
    run: Run = map,
) -> Report:
    """A pack or a tlog-proof; raises Refused.

    trust: reads a checkpoint, as `read_checkpoint` does with the keys that are pinned. as_of: the
    answer as of the checkpoint is enough. witnesses: those that have to have seen it, or its round
    of `heads`: all, or `at_least` so many.
    """
    with path.open("rb") as file:
        start = file.read(READ)
        if start.startswith(b"c2sp.org/tlog-proof@v1\n"):
            report = verify_proof(start + file.read(LINE), line, trust)
        else:
            require(start.startswith(b"PK\3\4"), "it is neither a pack nor a tlog-proof")
            report = verify_pack(path, trust, question, whole, witnesses, run)
    wanted, seen = {key.name for key in witnesses}, {name for name, _ in report.seen}
    if len(wanted & seen) < (len(wanted) if at_least is None else at_least):
        lacking = ", ".join(sorted(wanted - seen)) or "no others are known"
        report.missing.append(f"Too few witnesses saw this checkpoint; missing: {lacking}.")
    until, over = report.question.until, report.request.time if report.request else 0
    if not as_of and over < until < END_OF_TIME:
        to = f"; the log had come to {iso(report.reached)} UTC" if report.reached else ""
        report.missing.append(f"It is not shown that the window was over{to}.")
    elif report.closed and not as_of:
        rest = f"{report.end + 1:,} to {report.checkpoint.size:,}"
        report.missing.append(f"Entries {rest} are not in it.")
    return report


def verify_pack(
    path: Path,
    trust: Trust,
    question: Question | None = None,
    whole: bool = False,
    witnesses: Sequence[Key] = (),
    run: Run = map,
) -> Report:
    """question: what it has to answer; without one it is what the pack says that it answers.
    whole: recompute every index."""
    pack = Pack(path)
    with located("checkpoint"):
        checkpoint = trust(pack.read("checkpoint"))
    manifest, windowed = pack.json("pack.json"), "zones.json" in pack.sizes
    with located("pack.json"):
        kind = str(manifest.get("kind")) if isinstance(manifest, dict) else ""
        version = kind in ("range", "leaves", "filter") and integer(manifest.get("v"), 1, 1, "v")
        require(version, "it is not that of a pack of version 1")
        key = manifest.get("key") if kind == "filter" else []
        keys: list[str] = key if isinstance(key, list) else [key]
        texts = all(isinstance(each, str) and each for each in keys)
        require(texts and bool(keys) == (kind == "filter"), "its key is not a text, or several")
        if kind == "filter" or windowed:
            since, until = (integer(manifest.get(n), 0, END_OF_TIME, n) for n in ("since", "until"))
            question = question or Question((frozenset(keys),) if keys else (), since, until)
            same = (since, until) == (question.since, question.until)
            require(same, f"it answers another window, from {iso(since)} to {iso(until)}")
            asked = kind != "filter" or frozenset(keys) in question.keys
            require(asked, "it answers another key than was asked")
    report = Report(checkpoint, kind, question or EVERYTHING, 0, checkpoint.size)
    reading = Reading(pack, manifest, report, run, {})
    if kind == "filter":
        reading.indexed("index.json", [*dict.fromkeys([*keys, *renamings(keys)])])
    elif windowed:
        reading.indexed("zones.json", [])
    else:
        reading.range(whole)
        if question and report.end - report.first < checkpoint.size:
            report.missing.append(f"Only entries {report.first + 1:,} to {report.end:,} are in it.")
    if kind != "filter" and question and report.withheld:
        many = len(report.withheld)
        entries = "1 withheld entry matches" if many == 1 else f"{many:,} withheld entries match"
        report.missing.append(f"Whether {entries} is not shown.")
    if whole and (kind == "filter" or windowed):
        report.missing.append("Every index can be recomputed from a pack of all entries only.")
    check_log(pack, manifest, report)
    if "heads" in pack.sizes:
        with located("heads"):
            report.heads = verify_head(pack.read("heads"), checkpoint, witnesses)
    text = checkpoint.text.encode()
    same = "checkpoint.text" not in pack.sizes or pack.read("checkpoint.text") == text
    require(same, "it is not the text of the checkpoint", "checkpoint.text")
    require(not pack.unread, "it is not part of what is proved", min(pack.unread, default=""))
    return report


def check_log(pack: Pack, manifest: dict[str, Any], report: Report) -> None:
    """What entries about the log itself have to say: of removed ones, and of the request."""
    size, root = report.checkpoint.size, report.checkpoint.root
    with located("removed.json"):
        for each in pack.json("removed.json") if "removed.json" in pack.sizes else []:
            entry = read_line(each["line"].encode(), 0)
            verify_inclusion(entry.seq - 1, size, entry.hash, hashes_of(each["proof"]), root)
            report.special.append(entry)
    began = [each.seq for each in report.special if each.kind == b"evidence_began"]
    for number in report.removed:
        before = began and number < min(began)
        require(before, "it was removed, and not before evidence began", "", number)
    if manifest.get("request") is not None:
        with located("pack.json"):
            number = integer(manifest["request"], 1, report.end, "the number of the request")
            exports = {each.seq: each for each in report.special if each.kind == b"export"}
            report.request = exports.get(number)
            require(report.request, "its request is not an export that is in the pack")


class Reading(NamedTuple):
    """A pack while it is read."""

    pack: Pack
    manifest: dict[str, Any]
    report: Report
    run: Run
    known: Subtrees

    def files(self, pieces: Iterable[tuple[int, int]], indexed: bool) -> dict[int, Zone]:
        """Read the files of entries, which hold adjoining pieces up to a multiple of 65,536."""
        spans, zones, report = list[tuple[int, int]](), dict[int, Zone](), self.report
        for start, end in pieces:
            adjoins = spans and spans[-1][1] == start and start % FILE
            spans.append((spans.pop()[0] if adjoins else start, end))
        empty = (Report(report.checkpoint, report.kind, report.question) for _ in spans)
        parts = [Part(self.pack.path, *span, indexed, next(empty)) for span in spans]
        self.pack.unread.difference_update(part.name for part in parts)
        for known, found, read in self.run(Part.read, parts):
            self.known.update(known)
            zones.update(found)
            report.merge(read)
        return zones

    def root(self, proof: Hashes, name: str) -> None:
        checkpoint = self.report.checkpoint
        with located(name):
            right = root_of(checkpoint.size, self.known, proof) == checkpoint.root
            require(right, "the entries do not lead to the root of the checkpoint")

    def range(self, whole: bool) -> None:
        report, size = self.report, self.report.checkpoint.size
        with located("pack.json"):
            first = integer(self.manifest.get("first"), 0, size - 1, "first")
            count = integer(self.manifest.get("entries"), 1, size - first, "entries")
            edge = hashes_of(self.manifest.get("edge"))
        report.first, report.end = first, first + count
        cuts = [first, *range((first // FILE + 1) * FILE, report.end, FILE), report.end]
        zones = self.files(zip(cuts, cuts[1:], strict=False), whole)
        self.root(edge, "entries")
        require(not whole or first == 0, "only a pack from entry 1 on shows every index")
        roots, begun = dict(enumerate(index_roots(zones[each] for each in sorted(zones)), 1)), False
        for entry in report.indexes:
            lost = begun and entry.data and not entry.index_root
            require(not lost, "it has no index, though an earlier one has", "entries", entry.seq)
            begun = begun or bool(entry.index_root)
            right = not whole or entry.index_root in (b"", roots[entry.seq // BLOCK])
            require(right, "its index is not that of the entries before", "entries", entry.seq)

    def indexed(self, name: str, keys: Sequence[str]) -> None:
        """A walk of the index, the entries that it names or that are here, and the tail."""
        report, size = self.report, self.report.checkpoint.size
        question, blocks = report.question, max(size - 1, 0) // BLOCK
        full, closed = blocks * BLOCK, self.manifest.get("closed") is True
        report.end, stop = (full, full + 1) if closed else (size, size)
        report.closed = closed
        require(blocks or not closed, "a closed pack has a full block", "pack.json")
        items = self.pack.json(name, min(LINE, 4096 + blocks * (256 + 4096 * len(keys))))
        walk = Walk(blocks, keys, question.since, question.until)
        with located(name):
            root = walk.root(items)
        if keys:
            tail = self.named(walk, full)
        else:
            tail = {}
            zones = self.files(((n * BLOCK, (n + 1) * BLOCK) for n in walk.here), True)
            root = Walk(blocks, keys, question.since, question.until).root(items, zones)
        lines = self.pack.lines("tail.ndjson")
        for number in range(full + 1, stop + 1):
            if number not in tail:
                with located("tail.ndjson", number):
                    line = next(lines, None)
                    require(line is not None, "it is missing")
                    entry, whole = shown(line or b"", number)
                    tail[number] = entry
                    if number <= report.end:
                        lacks = report.add(entry) is not False and not whole
                        require(not lacks or question == EVERYTHING, LACKS_LINE)
            elif number <= report.end:
                report.add(tail[number])
            self.known[number - 1, number] = tail[number].hash
        over = next(lines, None) is None and max(tail, default=0) <= stop
        require(over, "there is more than the tail", "tail.ndjson")
        index = tail[full + 1].index_root if blocks else b""
        require(index == root, f"it does not lead to the index in entry {full + 1:,}", name)
        proof = self.pack.read("proof", LINE)
        self.root([proof[at : at + 32] for at in range(0, len(proof), 32)], "proof")
        report.gaps = walk.gaps
        for first, end, since, until in walk.gaps:
            times = f"between {iso(since)} and {iso(until)} UTC"
            report.missing.append(f"Not complete {times}, entries {first:,} … {end:,}.")

    def named(self, walk: Walk, full: int) -> dict[int, Entry]:
        """The entries that the index names; returns those of the tail with one of the keys."""
        tail: dict[int, Entry] = {}
        numbers, last = iter(sorted(walk.named)), full
        for line in self.pack.lines("entries.ndjson"):
            number = next(numbers, 0)
            with located("entries.ndjson", number):
                entry = read_line(line, number)
                has = {*keys_of(entry.leaf)}
                if number:
                    right = entry.seq == number and (not entry.data or walk.named[number] <= has)
                    require(right, "the index names another entry here")
                    self.known[number - 1, number] = entry.hash
                    self.report.add(entry)
                else:
                    right = entry.seq > last and not has.isdisjoint(walk.keys)
                    require(right, "the index does not name it", "", entry.seq)
                    tail[entry.seq], last = entry, entry.seq
        left = next(numbers, 0)
        require(not left, "the index names it, and it is missing", "entries.ndjson", left)
        return tail


class Part(NamedTuple):
    """A file of entries first + 1 to end, to be read perhaps in a process of its own."""

    path: Path
    first: int
    end: int
    indexed: bool
    report: Report

    @property
    def name(self) -> str:
        return file_name(self.first)

    def read(self) -> tuple[Subtrees, dict[int, Zone], Report]:
        hashes, block, zones, number = list[bytes](), list[Entry](), dict[int, Zone](), self.first
        question, bare = self.report.question, self.report.kind == "leaves"
        try:
            for number, line in enumerate(Pack(self.path).lines(self.name), self.first + 1):
                require(number <= self.end, "it is more than the pack says")
                entry, whole = shown(line, number, bare)
                if self.report.add(entry) is not False and not whole and question != EVERYTHING:
                    raise Refused(LACKS_LINE)
                hashes.append(entry.hash)
                if self.indexed:
                    block = [entry] if number % BLOCK == 1 else [*block, entry]
                    if number % BLOCK == 0 and len(block) == BLOCK:
                        zones[number // BLOCK - 1] = index_block(number // BLOCK - 1, block)
        except Refused as error:
            where = error.number or (number if number > self.first else 0)
            raise Refused(error.message, self.name, where) from None
        require(number == self.end, "it is missing", self.name, number + 1)
        return fold(self.first, hashes), zones, self.report


def file_name(first: int) -> str:
    return f"entries/{first:012}.ndjson"


LACKS_LINE = "it matches, but its line is not given"


def shown(line: bytes, number: int, bare: bool = True) -> tuple[Entry, bool]:
    """Entry `number`, and whether by its line or, if `bare` may be, by leaf data alone."""
    whole = not bare or b"\t" in line or line.startswith(b'{"leaf":')
    entry = read_line(line, number) if whole else read_leaf(line)
    if entry.seq != number:
        raise Refused(f"in its place stands entry {entry.seq:,}")
    return entry, whole


def verify_proof(data: bytes, line: bytes | None, trust: Trust) -> Report:
    """A tlog-proof of one entry. Its line is the extra data, or given."""
    with located("the proof"):
        extra, index, proof, note = open_proof(data)
    with located("checkpoint"):
        checkpoint = trust(note)
    with located("the line", index + 1):
        entry = read_line(extra or line or b"", index + 1)
        require(entry.seq == index + 1, f"it is of entry {entry.seq:,}")
    with located("the proof", index + 1):
        verify_inclusion(index, checkpoint.size, entry.hash, proof, checkpoint.root)
    report = Report(checkpoint, "proof", EVERYTHING, index, index + 1, entry=entry)
    report.add(entry)
    return report


def iso(time: int) -> str:
    """A time in ms: a date if it is the beginning of a day."""
    moment = dt.datetime(1970, 1, 1) + dt.timedelta(milliseconds=min(time, 253402300799999))
    return moment.isoformat(" ", "milliseconds").removesuffix(".000").removesuffix(" 00:00:00")

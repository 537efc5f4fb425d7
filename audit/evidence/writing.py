"""The worker: it follows the sealer, adds what was sealed to each log's tree, and signs the heads.

A round reads entries that have no leaf yet, by their numbers, and writes hashes, salts, blocks and
heads in one transaction, which is refused if a tree is not where it was. So it does not matter when
a worker is killed, and going on after a crash, following the sealer and catching up with a log from
before there was evidence are the same. A head is signed after its transaction has committed.
"""

from __future__ import annotations

import datetime as dt
import itertools
import json
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from django.conf import settings
from django.db import IntegrityError, connections

from audit.entry.bulk_json import Row
from audit.evidence import heads, index, leaf, notes, recalling, signing, tiles, tree
from audit.evidence.leaf import Leaf, Subjects
from audit.ledger import partitions
from audit.ledger.partitions import Lock
from organizations import ulid

BATCH = 20_000
"""Entries that a round reads, about."""
LOGS = 5_000
"""Logs that a round reads, and heads that it signs."""
LEFT_OUT = 60.0
"""Seconds until a log that was left out is tried again."""
SLACK = 10_000
"""Milliseconds by which an entry may be older than one that was sealed before it, to be found at
once; an older one is found by the notes on its block."""


class WorkerIsBusyError(RuntimeError):
    """Another worker holds the lock."""


class MissingEntryError(RuntimeError):
    """A number has no entry, and retention did not remove it."""


@dataclass(frozen=True)
class Worked:
    """What a round did. is_behind: more waits for the next one; refused: logs that are left out,
    with the reason; unsigned: why nothing was signed, if something is wrong with the key or the
    memory; set_back: logs that are not signed, with the reason."""

    entries: int
    signed: int
    is_behind: bool
    refused: dict[uuid.UUID, str]
    unsigned: str = ""
    set_back: dict[uuid.UUID, str] = field(default_factory=dict)


class _Log(NamedTuple):
    """A log that has grown beyond its tree. sealed: its last number; size: that of its tree."""

    organization: uuid.UUID
    sealed: int
    size: int
    edge: bytes
    index_edge: bytes


@dataclass
class _Writing:
    """What a round adds, as `audit_extend` takes it."""

    heads: list[Any] = field(default_factory=list)
    tiles: list[Any] = field(default_factory=list)
    salts: list[Any] = field(default_factory=list)
    blocks: list[Any] = field(default_factory=list)
    entries: int = 0

    def add(self, other: _Writing) -> None:
        for name in ("heads", "tiles", "salts", "blocks"):
            getattr(self, name).extend(getattr(other, name))
        self.entries += other.entries


def lock(using: str = "sealer") -> None:
    """Become the worker until the connection closes. Raises WorkerIsBusyError if there is one."""
    if not partitions.take(Lock.EVIDENCE, using):
        raise WorkerIsBusyError("another worker is making evidence on this database")


class Worker:
    """It remembers how far each log was, to find what is new in it at once."""

    def __init__(self, using: str = "sealer") -> None:
        self._using = using
        self._newest: dict[uuid.UUID, int] = {}
        """Milliseconds of the newest entry of each log that it has made a leaf of."""
        self._is_announced = False
        self._refused: dict[uuid.UUID, tuple[float, str]] = {}
        """Logs that are left out until a moment: they would take the room of all others."""
        self._unsigned = ""
        self._recall = recalling.Recall(settings.AUDIT_MEMORY, self._rows)
        self._rounds = heads.Rounds(self._rows)

    def round(self, batch: int = BATCH) -> Worked:
        """Make leaves of what was sealed, one batch at most, and sign."""
        started = self._now()
        logs = self._unproved()
        chosen: list[tuple[_Log, int]] = []
        room = batch
        for log in logs:
            if self._is_left_out(log.organization):
                continue
            upto = min(log.sealed, log.size + max(room, 1))
            chosen.append((log, upto))
            room -= upto - log.size
            if room <= 0:
                break
        writing = self._extended(chosen)
        if writing.heads:
            self._call(
                "audit_extend(%s, %s, %s, %s)",
                [
                    json.dumps(part)
                    for part in (writing.heads, writing.tiles, writing.salts, writing.blocks)
                ],
            )
        is_behind = len(logs) == LOGS or sum(log.sealed - log.size for log in logs) > batch
        signed = self._sign()
        # What is refused stays behind, and the others go on.
        refused = {log.organization for log in logs} & self._refused.keys()
        is_proved = not is_behind and not refused
        set_back = self._recall.refused
        is_signed = is_proved and signed is not None and not set_back and not self._due(0, 1)
        why = self._unsigned or next(iter(set_back.values()), "")
        self._call(
            "audit_proved(%s, %s, %s, %s, %s)", [started, is_proved, is_signed, len(set_back), why]
        )
        return Worked(
            writing.entries,
            signed or 0,
            is_behind and bool(writing.heads),
            {organization: self._refused[organization][1] for organization in refused},
            self._unsigned,
            dict(set_back),
        )

    def remember(self) -> int:
        """Make the memory from the database (`recalling.remember`), and enter that."""
        count = recalling.remember(settings.AUDIT_MEMORY, self._rows, signing.keys())
        if count:
            self._call("audit_enter_sealing(%s)", ["memory_made_anew"])
        return count

    # -- Leaves

    def _unproved(self) -> list[_Log]:
        rows = self._rows("SELECT * FROM audit_unproved(%s)", [LOGS])
        return [_Log(key, sealed, size, bytes(a), bytes(b)) for key, sealed, size, a, b in rows]

    def _is_left_out(self, organization: uuid.UUID) -> bool:
        until, _ = self._refused.get(organization, (0.0, ""))
        return time.monotonic() < until

    def _extended(self, chosen: Sequence[tuple[_Log, int]]) -> _Writing:
        """What the trees of these logs get, each up to a number."""
        writing = _Writing()
        found = self._read(chosen, self._newest)
        incomplete = [
            (log, upto)
            for log, upto in chosen
            if len(found.get(log.organization, ())) != upto - _after(log, upto)
        ]
        if incomplete:
            # Some are older than was looked, or retention removed them.
            found |= self._read(incomplete, {})
        kept = self._kept(chosen)
        for log, upto in chosen:
            rows = found.get(log.organization, [])
            try:
                leaves = self._leaves(log, upto, rows, kept.get(log.organization, {}))
                part = _extend(log, leaves, upto)
            except MissingEntryError as error:
                self._refused[log.organization] = (time.monotonic() + LEFT_OUT, str(error))
                continue
            self._refused.pop(log.organization, None)
            writing.add(part)
            if rows:
                newest = max(int(row.id[:12], 16) for row in rows)
                self._newest[log.organization] = max(newest, self._newest.get(log.organization, 0))
        return writing

    def _read(
        self, chosen: Sequence[tuple[_Log, int]], newest: dict[uuid.UUID, int]
    ) -> dict[uuid.UUID, list[Row]]:
        """The entries that these logs need, in order. Of a block that becomes full all are read:
        its index needs them."""
        rows = self._rows(
            "SELECT * FROM audit_entries_to_prove(%s, %s, %s, %s::uuid[])",
            [
                [log.organization for log, _ in chosen],
                [_after(log, upto) for log, upto in chosen],
                [upto for _, upto in chosen],
                [
                    _least_id(newest.get(log.organization, 0))
                    if _after(log, upto) == log.size
                    else None
                    for log, upto in chosen
                ],
            ],
        )
        found = itertools.groupby(map(Row._make, rows), key=lambda row: row.organization_id)
        return {uuid.UUID(key): list(group) for key, group in found}

    def _kept(self, chosen: Sequence[tuple[_Log, int]]) -> dict[uuid.UUID, dict[int, Leaf]]:
        """The leaves that the ledger cannot give any more, of blocks that become full."""
        again = [(log, _after(log, upto)) for log, upto in chosen if _after(log, upto) < log.size]
        if not again:
            return {}
        found: dict[uuid.UUID, dict[int, Leaf]] = {}
        for organization, number, *kept in self._rows(
            "SELECT * FROM audit_kept_leaves(%s, %s, %s)",
            [
                [log.organization for log, _ in again],
                [after for _, after in again],
                [log.size for log, _ in again],
            ],
        ):
            found.setdefault(organization, {})[number] = _from_kept(number, *kept)
        return found

    def _leaves(
        self, log: _Log, upto: int, rows: Sequence[Row], kept: Mapping[int, Leaf]
    ) -> Iterator[Leaf | None]:
        """The leaves from the number after `_after(log, upto)` to `upto`; None for an entry that
        retention removed. kept: those that the ledger cannot give any more."""
        first = _after(log, upto) + 1
        made = leaf.from_rows(rows)
        if not kept and len(rows) == upto - first + 1 and int(rows[-1].seq or 0) == upto:
            yield from made
            return
        removed = {
            number
            for (number,) in self._rows(
                "SELECT * FROM audit_removed_numbers(%s, %s, %s)",
                [log.organization, first - 1, upto],
            )
        }
        present = {each.seq: each for each in made} | {**kept}
        for number in range(first, upto + 1):
            if number in present:
                yield present[number]
            elif number in removed:
                yield None
            else:
                raise MissingEntryError(
                    f"entry {number} is not in the ledger, and retention did not remove it"
                )

    # -- Signatures

    def _sign(self) -> int | None:
        """Sign the heads that are due; how many. None where nothing can be signed."""
        if not signing.keys():
            return None
        self._unsigned = ""
        try:
            # Of another key than was announced under its number nothing is signed.
            self._announce_key(signing.keys())
            self._recall.look(signing.keys())
            signed = self._sign_due()
            if self._rounds.add_if_due(self._now(), self._recall.refused):
                signed += self._sign_due()
            return signed
        except IntegrityError as error:
            self._unsigned = str(error).split("\n", 1)[0]
        except recalling.UnusableError as error:
            self._recall.give_up(error)
            self._unsigned = str(error)
        return None

    def _sign_due(self) -> int:
        keys = signing.keys()
        signed = []
        for organization, size, edge, last, former, began_late in self._due(
            settings.AUDIT_CHECKPOINT_SECONDS, LOGS
        ):
            root = tree.root(tree.split(bytes(edge)))
            if not self._recall.may_sign(organization, size, root, last):
                continue
            entry = None
            if organization == notes.HEADS:
                pass  # It has no entries, and none about it.
            elif began_late:
                label = ulid.to_text(organization)
                context = {"size": size, "root": notes.in_base64(root)}
                entry = ["evidence_began", "audit_log", label, context]
            elif former not in (0, keys[0].number):
                entry = self._rotation(organization, former)
            note = signing.checkpoint(
                organization, size, root, self._recall.forks.get(organization, 0)
            )
            signed.append([str(organization), size, note, keys[0].number, entry])
        if signed:
            # On the disk before anybody can have them.
            self._recall.add(
                [recalling.of_note(uuid.UUID(key), note) for key, _, note, *_ in signed]
            )
            self._call("audit_sign(%s)", [json.dumps(signed)])
        return len(signed)

    def _due(self, seconds: float, most: int) -> list[tuple[Any, ...]]:
        """Heads that were signed so long ago, and have grown or were signed by another key."""
        return self._rows(
            "SELECT * FROM audit_unsigned(%s, %s, %s, %s::uuid[])",
            [seconds, signing.keys()[0].number, most, list(self._recall.refused)],
        )

    def _announce_key(self, keys: Sequence[notes.Key]) -> None:
        if self._is_announced:
            return
        key = keys[0]
        self._call(
            "audit_announce_key(%s, %s, %s)", [key.number, key.public, signing.announcement(keys)]
        )
        self._is_announced = True

    def _rotation(self, organization: uuid.UUID, former: int) -> list[Any]:
        name = signing.origin(organization, self._recall.forks.get(organization, 0))
        current = signing.keys()[0]
        context = {"new_vkey": notes.vkey(name, current.public)}
        for number, public in self._rows("SELECT * FROM audit_signing_keys()", []):
            if number == former:
                context["old_vkey"] = notes.vkey(name, bytes(public))
        return ["rotate", "signing_key", str(current.number), context]

    # -- The database

    def _now(self) -> dt.datetime:
        [(now,)] = self._rows("SELECT clock_timestamp()", [])
        return now  # type: ignore[no-any-return]

    def _rows(self, sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        with connections[self._using].cursor() as cursor:
            cursor.execute(sql, parameters)
            found: list[tuple[Any, ...]] = cursor.fetchall()
        return found

    def _call(self, call: str, parameters: Sequence[Any]) -> None:
        self._rows(f"SELECT {call}", parameters)


def _after(log: _Log, upto: int) -> int:
    """The number after which entries are read: all of a block that becomes full."""
    start = log.size - log.size % index.BLOCK
    return start if upto // index.BLOCK > log.size // index.BLOCK else log.size


def _least_id(milliseconds: int) -> uuid.UUID | None:
    return uuid.UUID(int=max(0, milliseconds - SLACK) << 80) if milliseconds else None


def _from_kept(number: int, data: bytes | None, at: int | None, keys: bytes | None) -> Leaf:
    """A leaf of which only the data is left, or its time and the hashes of its keys, as its block's
    index needs it."""
    if data is None:
        subjects = leaf.withheld_subjects(tree.split(bytes(keys or b"")))
    else:
        at, subjects = leaf.subjects_of(bytes(data))
    assert at is not None
    return Leaf(number, "", "", "", (b"", b"", b"", b""), subjects, at)


class _Runs:
    """Hashes by tile, as they come."""

    def __init__(self, organization: str) -> None:
        self._organization = organization
        self._runs: dict[tuple[int, int], tuple[int, list[bytes]]] = {}

    def put(self, level: int, place: int, data: bytes) -> None:
        number, first = divmod(place, tiles.WIDTH)
        self._runs.setdefault((level, number), (first, []))[1].append(data)

    def written(self) -> Iterator[list[Any]]:
        for (level, number), (first, run) in self._runs.items():
            yield [self._organization, level, number, first, notes.in_base64(b"".join(run))]


def _extend(log: _Log, leaves: Iterator[Leaf | None], upto: int) -> _Writing:
    """What the tree of one log gets."""
    organization = str(log.organization)
    edge, zones = tree.split(log.edge), index.read_zones(log.index_edge)
    runs = _Runs(organization)
    blocks: list[Any] = []
    subjects: list[Subjects | None] = []
    times: list[int] = []
    salts = leaf.new_salts(upto - log.size)
    commits: leaf.Index | None = None
    if log.size and log.size % index.BLOCK == 0:
        commits = leaf.Index(index.root(zones), log.size // index.BLOCK)
    number = _after(log, upto)
    is_indexed = upto // index.BLOCK > log.size // index.BLOCK
    for each in leaves:
        if number >= log.size:
            at = leaf.SALT * (number - log.size)
            salt = salts[at : at + leaf.SALT]
            if each is None:
                data = leaf.removed(number + 1, commits)
            else:
                data = each.data(leaf.digest(salt, each.parts), commits)
            commits = None
            for level, place, root in tree.append(edge, number, tree.leaf_hash(data)):
                if level % tiles.BITS == 0:
                    runs.put(level // tiles.BITS, place, root)
        number += 1
        if is_indexed:
            subjects.append(each.subjects if each else None)
            if each:
                times.append(each.time)
            if number % index.BLOCK == 0:
                block = index.block(number // index.BLOCK - 1, times, subjects)
                index.append(zones, block.number, block.zone())
                commits = leaf.Index(index.root(zones), block.number + 1)
                is_withheld = any(each and each.hashes is not None for each in subjects)
                keys = index.written_table(index.table(subjects)) if is_withheld else None
                blocks.append(_written_block(organization, block, commits.root, keys))
                subjects, times = [], []
    return _Writing(
        heads=[
            [
                organization,
                log.size,
                upto,
                notes.in_base64(b"".join(edge)),
                notes.in_base64(b"".join(zone.written() for zone in zones)),
            ]
        ],
        tiles=list(runs.written()),
        salts=list(_salt_runs(organization, log.size, salts)),
        blocks=blocks,
        entries=upto - log.size,
    )


def _written_block(
    organization: str, block: index.Block, index_root: bytes, keys: bytes | None
) -> list[Any]:
    """keys: to be kept, where a leaf is withheld and they cannot be made anew."""
    return [
        organization,
        block.number,
        block.entries,
        block.since,
        block.until,
        block.keys,
        notes.in_base64(block.root),
        notes.in_base64(index_root),
        None if keys is None else notes.in_base64(keys),
    ]


def _salt_runs(organization: str, size: int, salts: bytes) -> Iterator[list[Any]]:
    at = 0
    while at < len(salts):
        number, first = divmod(size + at // leaf.SALT, tiles.WIDTH)
        past = at + leaf.SALT * (tiles.WIDTH - first)
        yield [organization, number, first, notes.in_base64(salts[at:past])]
        at = past

"""A filter pack has the answer to its question, all of it and nothing else: by the verifier, which
shares no code with what makes packs, and by looking at every entry."""

from __future__ import annotations

import contextlib
import datetime as dt
import functools
import random
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction

from audit.context import command
from audit.entry.as_json import rfc3339
from audit.evidence import index as block_index
from audit.evidence import leaf, notes, reading, signing
from audit.export import packs
from audit.questions import tenant_scope
from audit.questions.asking import ask
from audit.questions.provable import EVER, Provable
from dotenv_cloud import verifier
from dotenv_cloud.cli.evidence_verify import Trust
from organizations import clock
from organizations.models import Organization
from tests import evidence
from tests.conftest import Connection
from tests.factories import OrganizationFactory
from tests.query import seeding

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "sealer", "owner"])

LOGS = ((1, 3), (252, 4), (255, 5), (300, 6), (513, 7), (700, 8), (769, 9), (1_025, 10))
"""Entries, besides a few of the organization itself, and a seed."""
QUESTIONS = 260
"""To each log: more than 2,000 in all."""


class Log:
    """A log whose times are out of order, with its key and the keys of each entry."""

    def __init__(self, connection: Connection, size: int = 1_500, seed: int = 5) -> None:
        signing.keys.cache_clear()
        self.organization: Organization = OrganizationFactory.create(name="Acme")
        chance = random.Random(seed)
        now = clock.now()
        made_up = seeding.Organization(self.organization.pk, 3)
        rows = made_up.rows(size, now - dt.timedelta(hours=30), now)
        # In parts, of which each is sealed after another one of a later time.
        length = max(size // 15, 1)
        parts = [rows[at : at + length] for at in range(0, len(rows), length)]
        chance.shuffle(parts)
        for part in parts:
            seeding.receive(connection, part)
            evidence.seal_all()
        evidence.prove_all()
        checkpoint = reading.newest(self.organization.pk, "owner")
        assert checkpoint is not None
        self.checkpoint = checkpoint
        name = signing.origin(self.organization.pk)
        self.vkey = notes.vkey(name, signing.keys()[0].public)
        found = evidence.rows(connection, self.organization.pk)
        self.entries: Mapping[int, tuple[int, frozenset[str]]] = {
            made.seq: (made.time, frozenset(block_index.keys(made.subjects)))
            for made in leaf.from_rows(list(found.values()))
        }

    def pack(self, proved: Provable, path: Path) -> Path:
        with transaction.atomic():
            tenant_scope.enter([self.organization.pk])
            pack = packs.Pack(self.organization, None, self.checkpoint, 0, proved)
        path.write_bytes(b"".join(pack))
        return path

    def lines(self) -> list[bytes]:
        """Of every entry, as packs have them."""
        with transaction.atomic():
            tenant_scope.enter([self.organization.pk])
            found = reading.leaves(self.organization.pk, 0, self.checkpoint.size)
            return [each.line() + b"\n" for each in found]

    def verified(self, path: Path, proved: Provable) -> verifier.Report:
        question = verifier.Question((frozenset(proved.keys),), proved.since, proved.until)
        trust = Trust([verifier.Key.parse(self.vkey)])
        return verifier.verify(path, trust, question, as_of=True)

    def plain(self, proved: Provable) -> list[int]:
        """The numbers of the answer, by looking at every entry."""
        return [
            seq
            for seq, (time, keys) in sorted(self.entries.items())
            if proved.since <= time < proved.until and not keys.isdisjoint(proved.keys)
        ]


@pytest.fixture
def log(owner_connection: Connection) -> Log:
    with command(["manage.py", "test"]):
        return Log(owner_connection)


@pytest.fixture
def remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves and tiles of a log that does not grow are read from the database once, and no part of
    a pack in a transaction of its own."""
    leaves, of_log = reading.leaves, functools.cache(reading.Tree)

    @functools.cache
    def known(*where: Any) -> list[reading.Leaf]:
        return list(leaves(*where))

    monkeypatch.setattr(reading, "leaves", lambda *where: iter(known(*where)))
    monkeypatch.setattr(reading, "Tree", of_log)
    monkeypatch.setattr(packs.Pack, "_reading", lambda pack: contextlib.nullcontext())


@pytest.mark.parametrize(("size", "seed"), LOGS)
def test_random_questions_are_answered_completely(
    size: int, seed: int, owner_connection: Connection, remembered: None, tmp_path: Path
) -> None:
    """The pack holds, its answer is the plain one, and with an entry less or more it is refused."""
    with command(["manage.py", "test"]):
        log = Log(owner_connection, size, seed)
    with transaction.atomic():
        tenant_scope.enter([log.organization.pk])
        _ask_at_random(log, random.Random(seed), tmp_path / "pack.zip")


def _ask_at_random(log: Log, chance: random.Random, path: Path) -> None:
    known = sorted({key for _, keys in log.entries.values() for key in keys})
    times = sorted(time for time, _ in log.entries.values())
    absent = ["path\nnothing", "actor\nuser\n" + "7" * 26, "action\nno such thing"]
    every = log.lines()
    for turn in range(QUESTIONS):
        keys = tuple({chance.choice(known if chance.random() < 0.9 else absent) for _ in range(2)})
        since, until = sorted(chance.choices(times, k=2)) if chance.random() < 0.8 else EVER
        proved = Provable(keys[: chance.choice((1, 2))], since, until)
        report = log.verified(log.pack(proved, path), proved)
        assert sorted(report.matches) == log.plain(proved), proved
        assert not report.missing
        with zipfile.ZipFile(path) as pack:
            files = {name: pack.read(name) for name in pack.namelist()}
        lines = files["entries.ndjson"].splitlines(keepends=True)
        place = chance.randrange(len(lines) + 1)
        if turn % 2 and place < len(lines):
            del lines[place]
        else:
            lines.insert(place, chance.choice(every))
        files["entries.ndjson"] = b"".join(lines)
        with zipfile.ZipFile(path, "w") as pack:
            for name, data in files.items():
                pack.writestr(name, data)
        with pytest.raises(verifier.Refused):
            log.verified(path, proved)


@pytest.mark.parametrize("is_closed", [False, True])
def test_packs_of_windows_hold_exactly_what_is_inside(
    log: Log, remembered: None, tmp_path: Path, is_closed: bool
) -> None:
    """Of all entries, and of a question to the leaves: no other block touches the window."""
    chance, path = random.Random(17), tmp_path / "pack.zip"
    trust = Trust([verifier.Key.parse(log.vkey)])
    end = (log.checkpoint.size - 1) // 256 * 256 if is_closed else log.checkpoint.size
    times = sorted(time for time, _ in log.entries.values())
    sizes = set()
    for turn in range(24):
        since, until = sorted(chance.sample(times, k=2))
        given = {"since": _rfc3339(since), "until": _rfc3339(until), "views": "true"}
        keys: tuple[frozenset[str], ...] = ()
        if turn % 2:
            given["result"], keys = "success", (frozenset(["result\nsuccess"]),)
        with transaction.atomic():
            asked = ask([log.organization], given)
            assert asked.is_valid(), asked.errors
            tenant_scope.enter([log.organization.pk])
            pack = packs.Pack(
                log.organization,
                asked,
                log.checkpoint,
                0,
                is_range=not turn % 2,
                is_closed=is_closed,
            )
            data = b"".join(pack)
        path.write_bytes(data)
        sizes.add(len(data))
        question = verifier.Question(keys, since, until)
        report = verifier.verify(path, trust, question, as_of=True)
        assert (report.kind, report.end) == ("leaves" if turn % 2 else "range", end)
        refused = [f"result\n{result}" for result in ("denied", "failed")]
        assert report.matches == [
            seq
            for seq, (time, has) in sorted(log.entries.items())
            if since <= time < until and seq <= end
            if not turn % 2 or has.isdisjoint(refused)
        ]
        assert not report.missing
        with zipfile.ZipFile(path) as made:
            files = {name: made.read(name) for name in made.namelist()}
        name = chance.choice([name for name in files if name.endswith(".ndjson") and files[name]])
        lines = files[name].splitlines(keepends=True)
        del lines[chance.randrange(len(lines))]
        with zipfile.ZipFile(path, "w") as made:
            for each, content in files.items():
                made.writestr(each, b"".join(lines) if each == name else content)
        with pytest.raises(verifier.Refused):
            verifier.verify(path, trust, question, as_of=True)
    assert min(sizes) < max(sizes) / 2


def _rfc3339(milliseconds: int) -> str:
    return rfc3339(dt.datetime.fromtimestamp(0, dt.UTC) + dt.timedelta(milliseconds=milliseconds))


def test_an_answer_that_lacks_an_entry_is_refused(log: Log, tmp_path: Path) -> None:
    times = sorted(time for time, _ in log.entries.values())
    proved = Provable(("path\napp-1",), times[300], times[900])
    path = log.pack(proved, tmp_path / "pack.zip")
    assert len(log.verified(path, proved).matches) > 5
    with zipfile.ZipFile(path) as pack:
        files = {name: pack.read(name) for name in pack.namelist()}
    lines = files["entries.ndjson"].splitlines(keepends=True)
    for left_out in (0, len(lines) // 2, len(lines) - 1):
        shorter = tmp_path / "shorter.zip"
        with zipfile.ZipFile(shorter, "w") as pack:
            for name, data in files.items():
                if name == "entries.ndjson":
                    data = b"".join(line for n, line in enumerate(lines) if n != left_out)
                pack.writestr(name, data)
        with pytest.raises(verifier.Refused):
            log.verified(shorter, proved)


def test_no_more_of_the_log_is_shown_than_the_window_needs(log: Log, tmp_path: Path) -> None:
    times = sorted(time for time, _ in log.entries.values())
    narrow = Provable(("action\ndelete",), times[10], times[12])
    everything = Provable(("action\ndelete",), *EVER)
    sizes = [
        log.pack(proved, tmp_path / "pack.zip").stat().st_size for proved in (narrow, everything)
    ]
    assert sizes[0] < sizes[1] * 0.75


def test_two_logs_do_not_share_what_is_kept_of_blocks(
    log: Log, owner_connection: Connection, tmp_path: Path
) -> None:
    proved = Provable(("action\ndelete",), *EVER)
    log.pack(proved, tmp_path / "pack.zip")
    with command(["manage.py", "test"]):
        other = Log.__new__(Log)
        other.organization = OrganizationFactory.create(name="Other")
        now = clock.now()
        rows = seeding.Organization(other.organization.pk, 9).rows(
            600, now - dt.timedelta(hours=1), now
        )
        seeding.receive(owner_connection, rows)
        evidence.seal_all()
        evidence.prove_all()
    checkpoint = reading.newest(other.organization.pk, "owner")
    assert checkpoint is not None
    other.checkpoint = checkpoint
    other.vkey = notes.vkey(signing.origin(other.organization.pk), signing.keys()[0].public)
    report = other.verified(other.pack(proved, tmp_path / "other.zip"), proved)
    assert report.checkpoint.size == checkpoint.size

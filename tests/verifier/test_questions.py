"""Random questions to random logs: what is proved is the plain answer, no entry more or less."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from dotenv_cloud import verifier
from tests.verifier.making import DAY, NOVEMBER, Log, canonical, joined, zipped

PATHS = ("", "/production", "/staging", "/production/backend", "/production/backend/TOKEN#12")


def some_log(draw: random.Random) -> Log:
    """Times in disorder, removed entries, renamings, and any size."""
    log = Log()
    size = draw.choice([1, 2, 255, 256, 257, 512, 513, 514, 768, 769, draw.randrange(1, 900)])
    removed = draw.choice([0, 0, draw.randrange(1, 300)])
    spread = draw.choice([1, DAY, 30 * DAY])
    for number in range(size):
        time = NOVEMBER + number * spread // size + draw.randrange(spread)
        if number < removed and draw.random() < 0.3:
            log.remove()
        elif draw.random() < 0.02:
            log.add("zzz", "update", time, type="project", was=f"p{draw.randrange(3)}")
        else:
            log.add(
                f"p{draw.randrange(3)}{draw.choice(PATHS)}",
                draw.choice(["read", "update", "delete"]),
                time,
                type=draw.choice(["target", "secret", "user"]),
                result=draw.choice(["success"] * 5 + ["denied"]),
                interface=draw.choice(["web", "api", "database"]),
                actor=draw.choice(["01HZX3J5C8M4Q2V7T9W0Y6B1DE", None]),
            )
    log.add("audit_log", "evidence_began", NOVEMBER + spread, type="audit_log", resource=None)
    return log


@pytest.mark.parametrize("seed", range(20))
def test_filter_packs_are_the_plain_answer(seed: int, tmp_path: Path) -> None:
    draw = random.Random(seed)
    log, path = some_log(draw), tmp_path / "pack.zip"
    began = canonical([log.proved(len(log.entries))])

    def verified(files: dict[str, bytes], question: verifier.Question | None) -> verifier.Report:
        path.write_bytes(zipped(files | {"removed.json": began}))
        key = log.signer.key
        trust = lambda note: verifier.read_checkpoint(note, [key])  # noqa: E731
        return verifier.verify(path, trust, question, as_of=True)

    all_keys = sorted({key for entry in log.entries for key in entry.keys})
    for turn in range(100):
        keys = draw.sample(all_keys, 1) if draw.random() < 0.7 else draw.sample(all_keys, 2)
        keys = ["path\np0/never"] if draw.random() < 0.1 else keys
        since, until = sorted(NOVEMBER + draw.randrange(40 * DAY) - DAY for _ in range(2))
        if draw.random() < 0.3:
            since, until = 0, 1 << 48
        question = verifier.Question((frozenset(keys),), since, until)
        closed = len(log.entries) > 256 and draw.random() < 0.3
        pack = log.filter(*keys, since=since, until=until, closed=closed)
        report = verified(pack, question)
        assert report.end == ((len(log.entries) - 1) // 256 * 256 if closed else len(log.entries))
        assert report.matches == [
            number
            for number, entry in enumerate(log.entries[: report.end], 1)
            if {*keys} & {*entry.keys} and since <= entry.time < until
        ]
        assert not report.missing
        if turn % 5:
            continue
        lines = pack["entries.ndjson"].split(b"\n")[:-1]
        if lines:
            less = [*lines]
            less.pop(draw.randrange(len(lines)))
            with pytest.raises(verifier.Refused):
                verified(pack | {"entries.ndjson": joined(less)}, question)
        more = [*lines]
        more.insert(draw.randrange(len(lines) + 1), draw.choice(log.entries).line)
        with pytest.raises(verifier.Refused):
            verified(pack | {"entries.ndjson": joined(more)}, question)


@pytest.mark.parametrize("seed", range(6))
def test_packs_of_all_entries_and_of_windows(seed: int, tmp_path: Path) -> None:
    draw = random.Random(seed)
    log, path = some_log(draw), tmp_path / "pack.zip"
    size = len(log.entries)
    trust = lambda note: verifier.read_checkpoint(note, [log.signer.key])  # noqa: E731

    def verified(files: dict[str, bytes], question: verifier.Question | None) -> verifier.Report:
        path.write_bytes(zipped(files | {"removed.json": canonical([log.proved(size)])}))
        return verifier.verify(path, trust, question, as_of=True, whole=question is None)

    for _ in range(8):
        since, until = sorted(NOVEMBER + draw.randrange(40 * DAY) - DAY for _ in range(2))
        key = draw.choice([key for entry in log.entries for key in entry.keys])
        both = verifier.Question((frozenset([key]),), since, until)
        plain = [
            number
            for number, entry in enumerate(log.entries, 1)
            if key in entry.keys and since <= entry.time < until
        ]
        assert verified(log.leaves(plain), both).matches == plain
        assert verified(log.range(), both).matches == plain
        assert verified(log.window(since, until), both).matches == plain
        if plain:
            with pytest.raises(verifier.Refused, match="it matches, but its line is not given"):
                verified(log.leaves(plain[1:]), both)
        first = draw.randrange(size)
        end = draw.randrange(first, size) + 1
        part = verified(log.range(first, end), None if first == 0 else verifier.Question())
        assert (part.first, part.end) == (first, end)


def test_a_window_pack_without_one_of_its_blocks(tmp_path: Path) -> None:
    log, path = Log().fill(800), tmp_path / "pack.zip"
    trust = lambda note: verifier.read_checkpoint(note, [log.signer.key])  # noqa: E731
    pack = log.window(NOVEMBER, NOVEMBER + DAY)
    walk = json.loads(pack["zones.json"])
    assert walk == [1, 1, 2, 2, 2]
    walk[3] = [canonical(0).decode(), 0, 0]
    forgeries: list[object] = [
        [1, 1, 2, 1, 2],
        [1, 2, 2],
        walk,
        [*walk, 2],
        [True, 1, 2, 2, 2],
        1,
        {},
    ]
    for forged in forgeries:
        path.write_bytes(zipped(pack | {"zones.json": canonical(forged)}))
        with pytest.raises(verifier.Refused):
            verifier.verify(path, trust, as_of=True)

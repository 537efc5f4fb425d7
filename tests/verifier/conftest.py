"""A log to make packs of, and `dotenv audit verify` in this process."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from dotenv_cloud.cli import main
from tests.verifier.making import DAY, NOVEMBER, WITNESS, Log, zipped

SINCE, UNTIL = ("--since", "2025-11-02"), ("--until", "2025-11-05")
FROM, TO = NOVEMBER + DAY, NOVEMBER + 4 * DAY
APP = ("--resource", "my-app/production")
AFTER = (TO + DAY) // 1000


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str


Verify = Callable[..., Said]


@pytest.fixture
def verify(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Verify:
    """Runs the command on a pack's files, or on the bytes of one, with the key of the log."""
    monkeypatch.setenv("HOME", str(tmp_path))

    def run(content: dict[str, bytes] | bytes, *arguments: str, key: str = "") -> Said:
        path = tmp_path / "november.zip"
        path.write_bytes(zipped(content) if isinstance(content, dict) else content)
        capfd.readouterr()
        with pytest.raises(SystemExit) as stopped:
            main(["audit", "verify", str(path), "--key", key or Log().signer.vkey, *arguments])
        captured = capfd.readouterr()
        assert isinstance(stopped.value.code, int)
        return Said(stopped.value.code, captured.out, captured.err)

    return run


def refused(said: Said, *fragments: str) -> None:
    """Exit 7, no OK anywhere, and what is wrong, in which file, at which number."""
    assert said.code == 7, said
    assert "OK" not in said.out + said.err, said
    for fragment in fragments:
        assert fragment in said.err, said


def holds(said: Said, *fragments: str) -> None:
    assert said.code == 0, said
    assert said.out.endswith("OK\n"), said
    for fragment in fragments:
        assert fragment in said.out, said


@pytest.fixture(scope="session")
def log() -> Log:
    """700 entries: two blocks and a tail; my-app/production at 5, 300, 640 and around."""
    made, draw = Log(), random.Random(16)
    for number in range(1, 700):
        time = NOVEMBER + number * DAY // 100
        if number in (5, 120, 300, 301, 640):
            made.add("my-app/production", "delete", time)
        elif number == 310:
            made.add("my-app/production/API_TOKEN", "read", time, type="secret")
        else:
            path = f"project-{draw.randrange(9)}/{draw.choice(['staging', 'production'])}"
            made.add(path, draw.choice(["read", "update"]), time)
    made.add("audit_log", "export", TO + DAY, type="audit_log", resource=None)
    return made


@pytest.fixture(scope="session")
def asked(log: Log) -> dict[str, bytes]:
    """The answer for my-app/production, from the 2nd to the 5th, requested after that."""
    return log.filter("path\nmy-app/production", since=FROM, until=TO, request=len(log.entries)) | {
        "checkpoint": log.cosigned(AFTER, WITNESS)
    }

"""Ways to run the command in the tests: in this process, as a program, and on a terminal."""

from __future__ import annotations

import io
import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from dotenv_cloud.cli import main
from tests.cli.recorder import REPOSITORY, TOKEN, Result, Run, Server


@pytest.fixture(autouse=True)
def _fresh_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No account, no setting, a home of its own and a known time zone."""
    for name in list(os.environ):
        if name.startswith("DOTENV_") or name in {"COLUMNS", "NO_COLOR", "CI"}:
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def server() -> Iterator[Server]:
    with Server().running() as running:
        yield running


@pytest.fixture
def signed_in(server: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    """The server, with key and address in the environment."""
    monkeypatch.setenv("DOTENV_API_URL", server.url)
    monkeypatch.setenv("DOTENV_API_KEY", TOKEN)
    return server


@pytest.fixture
def dotenv(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the command in this process; standard input is not a terminal."""

    def run(*arguments: str, stdin: str = "") -> Result:
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        capfd.readouterr()  # what the test itself printed is not output of the command
        with pytest.raises(SystemExit) as stopped:
            main(arguments)
        captured = capfd.readouterr()
        code = stopped.value.code
        assert isinstance(code, int)
        return Result(code, captured.out, captured.err)

    return run


@pytest.fixture
def program() -> Run:
    """Runs the command as a program of its own."""

    def run(*arguments: str, stdin: str = "") -> Result:
        done = subprocess.run(
            [sys.executable, "-m", "dotenv_cloud.cli", *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            cwd=REPOSITORY,
            timeout=60,
        )
        return Result(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def terminal() -> Callable[..., tuple[int, str]]:
    """Runs the command on a terminal of 80 columns, and types each answer at its prompt."""

    def run(
        *arguments: str, answers: Sequence[tuple[str, str]] = (), columns: int = 80
    ) -> tuple[int, str]:
        command = [sys.executable, "-m", "dotenv_cloud.cli", *arguments]
        environment = {**os.environ, "COLUMNS": str(columns), "TERM": "xterm"}
        child, descriptor = pty.fork()
        if child == 0:
            os.chdir(REPOSITORY)
            os.execve(command[0], command, environment)  # noqa: S606 - no shell wanted
        shown, waiting, read_until = "", list(answers), time.monotonic() + 60
        while time.monotonic() < read_until:
            if not select.select([descriptor], [], [], 0.2)[0]:
                continue
            try:
                part = os.read(descriptor, 65536)
            except OSError:  # Linux says EIO when the other side has closed
                break
            if not part:
                break
            shown += part.decode(errors="replace")
            if waiting and waiting[0][0] in shown:
                os.write(descriptor, f"{waiting.pop(0)[1]}\n".encode())
        os.close(descriptor)
        _, status = os.waitpid(child, 0)
        return os.waitstatus_to_exitcode(status), shown.replace("\r\n", "\n")

    return run

"""`make run` needs nothing, says how to sign in, keeps its data and leaves no process behind."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from django.conf import settings

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

HELLO = "Stop with Ctrl-C."


@dataclass
class Run:
    """One `manage.py run`, which said hello."""

    process: subprocess.Popen[str]
    port: int
    said: str

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def end(self, number: int) -> int:
        self.process.send_signal(number)
        return self.process.wait(60)


def free_port() -> int:
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        return int(chosen.getsockname()[1])


def command(data_dir: Path, port: int) -> subprocess.Popen[str]:
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("DATABASE_", "DJANGO_", "DOTENV_"))
    }
    environment |= {
        "DATA_DIR": str(data_dir),
        "PORT": str(port),
        "HOME": "/nonexistent",
    }
    return subprocess.Popen(
        [sys.executable, "manage.py", "run"],
        cwd=settings.BASE_DIR,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("run")


@pytest.fixture
def serve(data_dir: Path) -> Iterator[Callable[[], Run]]:
    runs: list[Run] = []

    def start() -> Run:
        port, lines = free_port(), []
        process = command(data_dir, port)
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            if line.strip() == HELLO:
                break
        run = Run(process, port, "".join(lines))
        assert lines[-1].strip() == HELLO, run.said
        runs.append(run)
        return run

    yield start
    for run in runs:
        run.process.kill()
        run.process.communicate()


def processes_of(data_dir: Path) -> list[str]:
    """The command lines of everything that belongs to that directory."""
    found = []
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            words = (directory / "cmdline").read_bytes() + (directory / "environ").read_bytes()
        except OSError:
            continue
        if os.fsencode(data_dir) in words and directory.name != str(os.getpid()):
            found.append(words.split(b"\0\0")[0].decode(errors="replace"))
    return found


def assert_all_end(data_dir: Path) -> None:
    deadline = time.monotonic() + 60
    while left := processes_of(data_dir):
        assert time.monotonic() < deadline, left
        time.sleep(0.1)


def passwords(said: str) -> list[str]:
    return re.findall(r"@acme\.example +(\S+)", said)


def test_it_says_how_to_get_in_and_answers(serve: Callable[[], Run], data_dir: Path) -> None:
    run = serve()
    assert f"dotEnv Cloud is running at {run.url}" in run.said
    for role in ("Owner", "Developer", "Auditor", "Compliance officer"):
        assert re.search(rf"^  {role} +\S+@acme\.example +\S+$", run.said, re.MULTILINE)
    [key] = re.findall(r"^API key +(dotenv_\w+)$", run.said, re.MULTILINE)
    [organization] = re.findall(r"^Organization +(\S+)$", run.said, re.MULTILINE)

    answer = httpx.get(
        f"{run.url}/api/v1/{organization}/projects",
        headers={"Authorization": f"Bearer {key}"},
        timeout=30,  # its workers may still be loading
    )
    assert answer.status_code == 200
    assert answer.json()["data"]

    assert run.end(signal.SIGINT) == 0
    assert_all_end(data_dir)
    log = (data_dir / "server.log").read_text()
    assert key not in log
    assert answer.headers["X-Request-Id"] in log


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children of a killed parent")
def test_later_runs_share_the_data_and_a_killed_one_leaves_no_process_behind(
    serve: Callable[[], Run], data_dir: Path
) -> None:
    serve().end(signal.SIGTERM)  # has made the demo, unless a test before has
    assert_all_end(data_dir)
    first, second = serve(), serve()
    for run in (first, second):
        assert "Creating the demo" not in run.said
    assert passwords(second.said) == passwords(first.said) != []
    first.end(signal.SIGTERM)
    assert httpx.get(f"{second.url}/api/v1/user", timeout=30).status_code == 401
    second.end(signal.SIGKILL)
    assert_all_end(data_dir)


def test_a_port_in_use_is_named(data_dir: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        process = command(data_dir, port)
        said, _ = process.communicate(timeout=60)
    assert process.returncode != 0
    assert f"Port {port} cannot be used" in said
    assert "PORT=8001" in said

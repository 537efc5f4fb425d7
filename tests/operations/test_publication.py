"""A publication that covers the log: sealing goes on, and a subscriber follows it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from django.conf import settings

from dotenv_cloud.demo import embedded
from dotenv_cloud.demo.embedded import Server
from tests.operations.conftest import SEED, wait_until


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One with two databases: `dotenv_cloud`, and `subscriber` with the same tables."""
    if settings.EMBEDDED_SERVER is None:
        pytest.skip("a server is started here, which takes the embedded one's binaries")
    directory: Path = tmp_path_factory.mktemp("publication")
    server = embedded.at(directory / "server", settings.EMBEDDED_SERVER.binaries, durable=False)
    embedded.start(server)
    try:
        execute(server, "postgres", "ALTER SYSTEM SET wal_level = logical")
        user = embedded._system_user(server)
        embedded._run(server, user, "pg_ctl", "stop", f"--pgdata={server.cluster}", "--mode=fast")
        embedded._launch(server, user)
        execute(server, "postgres", f"CREATE DATABASE subscriber OWNER {embedded.OWNER}")
        for database in (embedded.DATABASE, "subscriber"):
            run(server, database, "manage.py", "migrate", "--database", "owner", "--verbosity", "0")
        yield server
    finally:
        embedded.release(server)


def execute(server: Server, database: str, *statements: str) -> list[tuple[object, ...]]:
    with psycopg.connect(server.url(embedded.SUPERUSER, database), autocommit=True) as connection:
        for statement in statements:
            found = connection.execute(statement)  # type: ignore[call-overload]
        return found.fetchall() if found.description else []


def run(server: Server, database: str, *command: str) -> str:
    done = subprocess.run(
        [sys.executable, *command],
        env=os.environ
        | {
            "DJANGO_SETTINGS_MODULE": "dotenv_cloud.settings",
            "DOTENV_TEST": "1",
            "DATABASE_URL": server.url(embedded.APPLICATION, database),
            "DATABASE_OWNER_URL": server.url(embedded.OWNER, database),
            "DATABASE_SEALER_URL": server.url(embedded.SEALER, database),
        },
        cwd=settings.BASE_DIR,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_sealing_continues_while_a_subscriber_follows_every_table(server: Server) -> None:
    execute(
        server,
        embedded.DATABASE,
        "CREATE PUBLICATION everything FOR ALL TABLES",
        "SELECT pg_create_logical_replication_slot('follower', 'pgoutput')",
    )
    address = server.url(embedded.SUPERUSER, embedded.DATABASE)
    execute(
        server,
        "subscriber",
        f"CREATE SUBSCRIPTION follower CONNECTION '{address}' PUBLICATION everything"
        " WITH (create_slot = false, slot_name = 'follower', copy_data = false)",
    )
    try:
        run(server, embedded.DATABASE, "-c", SEED)
        sealed = run(server, embedded.DATABASE, "manage.py", "seal", "--once")
        assert "Sealed 0" not in sealed
        entries = "SELECT seq, id, action FROM audit_ledger ORDER BY id"
        there = execute(server, embedded.DATABASE, entries)
        assert sealed == f"Sealed {len(there)} entries.\n"
        wait_until(lambda: execute(server, "subscriber", entries) == there, within=30)
        waiting = "SELECT count(*) FROM audit_inbox"
        wait_until(lambda: execute(server, "subscriber", waiting) == [(0,)], within=30)
    finally:
        execute(server, "subscriber", "DROP SUBSCRIPTION follower")
        execute(server, embedded.DATABASE, "DROP PUBLICATION everything")


def test_every_table_has_what_a_subscriber_finds_a_row_by(server: Server) -> None:
    assert (
        execute(
            server,
            embedded.DATABASE,
            "SELECT relname FROM pg_class c WHERE relnamespace = 'public'::regnamespace"
            " AND relkind IN ('r', 'p') AND relreplident <> 'f' AND NOT EXISTS ("
            "   SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary)",
        )
        == []
    )

"""The tests' database: a real PostgreSQL, migrated by the owner's role, used by the application's.

Each run makes a database of its own, so that two runs do not meet. Without DATABASE_URL the
embedded server has it (POSTGRES_BIN: another server's binaries); with one, DATABASE_SUPERUSER_URL
has to be there too.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import hypothesis
import psycopg
import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connections
from django.test import TransactionTestCase
from psycopg import sql
from psycopg.conninfo import make_conninfo

from audit.export import download
from dotenv_cloud.demo import embedded
from keys import crypto

# The same examples in each run, so that a change is not refused for what it did not touch;
# HYPOTHESIS_PROFILE=search draws new ones.
hypothesis.settings.register_profile("repeat", derandomize=True, deadline=None)
hypothesis.settings.register_profile("search", deadline=None)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeat"))

# What migrations and post_migrate put there, and what nothing but them changes.
KEPT = {"auth_permission", "django_content_type", "django_migrations"}


@dataclass(frozen=True)
class Databases:
    """This run's database, by role."""

    superuser: str
    owner: str
    application: str
    sealer: str

    @property
    def environment(self) -> dict[str, str]:
        """For a process of its own that has to use the same database."""
        return {
            "DATABASE_URL": self.application,
            "DATABASE_OWNER_URL": self.owner,
            "DATABASE_SEALER_URL": self.sealer,
            "DATABASE_SUPERUSER_URL": self.superuser,
        }


def _superuser_url() -> str:
    if settings.EMBEDDED_SERVER is not None:
        return str(settings.EMBEDDED_SERVER.url(embedded.SUPERUSER, "postgres"))
    url = os.environ.get("DATABASE_SUPERUSER_URL")
    if not url:
        pytest.exit("DATABASE_URL is set, so the tests need DATABASE_SUPERUSER_URL too.", 4)
    return url


def _drop_leftovers(connection: psycopg.Connection) -> None:
    """Drop the databases of runs that were killed."""
    query = "SELECT datname FROM pg_database WHERE datname ~ '^test_[0-9]+$'"
    for (name,) in connection.execute(query).fetchall():
        try:
            os.kill(int(name.removeprefix("test_")), 0)
        except ProcessLookupError:
            connection.execute(
                sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
            )
        except PermissionError:
            continue


def _make_database(connection: psycopg.Connection, name: str) -> None:
    users = {alias: connections[alias].settings_dict["USER"] for alias in connections}
    for statement in (
        "CREATE DATABASE {name} OWNER {owner}",
        "REVOKE ALL ON DATABASE {name} FROM PUBLIC",
        "GRANT CONNECT ON DATABASE {name} TO {default}, {sealer}",
    ):
        connection.execute(
            sql.SQL(statement).format(
                name=sql.Identifier(name),
                **{alias: sql.Identifier(user) for alias, user in users.items()},
            )
        )


def _url(alias: str) -> str:
    found = connections[alias].settings_dict
    return make_conninfo(
        dbname=found["NAME"],
        user=found["USER"],
        password=found["PASSWORD"] or None,
        host=found["HOST"] or None,
        port=found["PORT"] or None,
    )


@pytest.fixture(scope="session")
def databases(django_test_environment: None, django_db_blocker: Any) -> Iterator[Databases]:
    with django_db_blocker.unblock():
        if settings.EMBEDDED_SERVER is not None:
            embedded.start(settings.EMBEDDED_SERVER)
        superuser = _superuser_url()
        name = f"test_{os.getpid()}"
        with psycopg.connect(superuser, autocommit=True) as connection:
            _drop_leftovers(connection)
            _make_database(connection, name)
        before = {alias: connections[alias].settings_dict["NAME"] for alias in connections}
        for alias in connections:
            connections[alias].close()
            connections[alias].settings_dict["NAME"] = name

        call_command("migrate", database="owner", verbosity=0)
        connections["owner"].close()
        found = Databases(
            superuser=make_conninfo(superuser, dbname=name),
            owner=_url("owner"),
            application=_url("default"),
            sealer=_url("sealer"),
        )
        with psycopg.connect(found.superuser, autocommit=True) as connection:
            _remember(connection)
        settings.AUDIT_MEMORY.parent.mkdir(parents=True, exist_ok=True)
        settings.AUDIT_MEMORY.unlink(missing_ok=True)
        yield found

        for alias in connections:
            connections[alias].close()
            connections[alias].settings_dict["NAME"] = before[alias]
        with psycopg.connect(superuser, autocommit=True) as connection:
            connection.execute(
                sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name))
            )


# -- Between two transactional tests
#
# Django empties tables with TRUNCATE, as the role of the connection. Here that role must not, and
# the audit tables refuse it to everybody: so the superuser does it, with triggers out of action.

_TABLES = """
    SELECT relname FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
    ORDER BY relname
"""
_COLUMNS = """
    SELECT attname FROM pg_attribute
    WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
    ORDER BY attnum
"""


def _tables(connection: psycopg.Connection) -> list[str]:
    return [name for (name,) in connection.execute(_TABLES) if name not in KEPT]


def _columns(connection: psycopg.Connection, table: str) -> sql.Composed:
    names = connection.execute(_COLUMNS, [f'public."{table}"']).fetchall()
    return sql.SQL(", ").join(sql.Identifier(name) for (name,) in names)


def _remember(connection: psycopg.Connection) -> None:
    """Copy the rows that migrations made, to put them back after each emptying."""
    connection.execute("CREATE SCHEMA made_by_migrations")
    for table in _tables(connection):
        source = sql.Identifier("public", table)
        copy = sql.Identifier("made_by_migrations", table)
        if connection.execute(sql.SQL("SELECT 1 FROM {} LIMIT 1").format(source)).fetchone():
            connection.execute(sql.SQL("CREATE TABLE {} AS TABLE {}").format(copy, source))


# TRUNCATE gives every index a new file, 300 of them, which takes ten times as long as deleting the
# few rows that a test leaves. Files that have grown are truncated all the same.
_DELETE = """
DO $$
DECLARE
    t regclass;
    s regclass;
    has_rows boolean;
BEGIN
    FOR t IN SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace
        AND relkind = 'r' AND pg_relation_size(oid) > 0 AND relname <> ALL ({kept})
    LOOP
        EXECUTE format('SELECT EXISTS (SELECT FROM %s)', t) INTO has_rows;
        IF has_rows THEN
            EXECUTE format('DELETE FROM %s', t);
        END IF;
    END LOOP;
    FOR s IN SELECT c.oid FROM pg_class c
        JOIN pg_depend d ON d.objid = c.oid AND d.deptype IN ('a', 'i')
        WHERE c.relkind = 'S' AND c.relnamespace = 'public'::regnamespace
        AND d.refclassid = 'pg_class'::regclass
        -- Asked in a CASE, or the planner may ask it of what is not a sequence.
        AND CASE c.relkind WHEN 'S' THEN pg_sequence_last_value(c.oid) END IS NOT NULL
    LOOP
        PERFORM setval(s, 1, false);
    END LOOP;
END $$
"""
_LARGEST = """
    SELECT COALESCE(max(pg_relation_size(oid)), 0) FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
"""
_GROWN = 400_000


def empty(connection: psycopg.Connection) -> None:
    """Bring the database back to what it was when it had just been migrated, and forget what was
    signed."""
    settings.AUDIT_MEMORY.unlink(missing_ok=True)
    with connection.transaction():
        connection.execute("SET LOCAL session_replication_role = replica")
        connection.execute("SET LOCAL lock_timeout = '20s'")
        row = connection.execute(_LARGEST).fetchone()
        assert row is not None
        if row[0] > _GROWN:
            tables = sql.SQL(", ").join(
                sql.Identifier("public", table) for table in _tables(connection)
            )
            connection.execute(sql.SQL("TRUNCATE {} RESTART IDENTITY").format(tables))
        else:
            connection.execute(sql.SQL(_DELETE).format(kept=sql.Literal(sorted(KEPT))))
        copies = (
            "SELECT relname FROM pg_class WHERE relnamespace = 'made_by_migrations'::regnamespace"
        )
        for (table,) in connection.execute(copies).fetchall():
            connection.execute(
                sql.SQL("INSERT INTO {} ({columns}) SELECT {columns} FROM {}").format(
                    sql.Identifier("public", table),
                    sql.Identifier("made_by_migrations", table),
                    columns=_columns(connection, table),
                )
            )


@pytest.fixture(scope="session")
def django_db_setup(databases: Databases) -> Iterator[None]:
    with (
        pytest.MonkeyPatch.context() as patch,
        psycopg.connect(databases.superuser, autocommit=True) as connection,
    ):
        patch.setattr(TransactionTestCase, "_fixture_teardown", lambda self: empty(connection))
        yield


# -- Connections beside Django's, one a role

Connection = psycopg.Connection[tuple[Any, ...]]


@pytest.fixture
def superuser_connection(databases: Databases) -> Iterator[Connection]:
    with psycopg.connect(databases.superuser, autocommit=True) as connection:
        yield connection


@pytest.fixture
def owner_connection(databases: Databases) -> Iterator[Connection]:
    with psycopg.connect(databases.owner, autocommit=True) as connection:
        yield connection


@pytest.fixture
def application_connection(databases: Databases) -> Iterator[Connection]:
    with psycopg.connect(databases.application, autocommit=True) as connection:
        yield connection


@pytest.fixture
def sealer_connection(databases: Databases) -> Iterator[Connection]:
    with psycopg.connect(databases.sealer, autocommit=True) as connection:
        yield connection


# -- Deriving keys

DERIVE_QUICKLY = {"admin", "api", "browser", "journeys", "promises", "query", "retention", "web"}
"""Directories of tests in which no client derives a key itself, which takes it 600,000 rounds."""


@pytest.fixture(autouse=True)
def quick_derivation(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand rounds instead of a twelfth of a second for each project that a test makes."""
    if request.path.relative_to(settings.BASE_DIR / "tests").parts[0] in DERIVE_QUICKLY:
        monkeypatch.setattr(crypto, "ITERATIONS", 1_000)


# -- Exports


@pytest.fixture(autouse=True)
def no_export_is_running(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that a test did not read holds its place until the garbage collector comes."""
    monkeypatch.setattr(download, "_places", download._Places())


# -- Order: random, by pytest-randomly, but workers take files as they come, so the long ones come
# first. The first lines of a run name its seed, and `--randomly-seed` repeats the order.

LONG = (
    "retention/test_removal.py",
    "browser/test_accessibility.py",
    "operations/",
    "fuzz/",
    "test_run.py",
    "promises/test_auditor_changes_nothing.py",
    "promises/test_measured_coverage.py",
    "test_adding_a_model.py",
    "cli/test_secrets.py",
    "web/test_who_sees_what.py",
    "compat/test_clients.py",
    "admin/test_admin.py",
    "demo/",
    "browser/",
    "promises/test_sealing.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    root = settings.BASE_DIR / "tests"

    def place(item: pytest.Item) -> int:
        path = item.path.relative_to(root).as_posix()
        return next((n for n, long in enumerate(LONG) if path.startswith(long)), len(LONG))

    items.sort(key=place)

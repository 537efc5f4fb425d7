"""Packing: a past month becomes smaller, keeps its content, and stays append-only."""

from __future__ import annotations

import datetime as dt
import io
import uuid

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import DatabaseError, connections

from audit.ledger import packing
from audit.ledger.partitions import Lock
from tests.conftest import Connection
from tests.query import seeding

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "owner", "sealer"])

MONTH = "audit_ledger_2019_03"


@pytest.fixture
def old_month(owner_connection: Connection) -> None:
    """A month long over with the interleaved entries of twenty organizations."""
    organizations = [seeding.Organization(uuid.uuid4(), seed) for seed in range(20)]
    since, until = (dt.datetime(2019, 3, day, tzinfo=dt.UTC) for day in (2, 30))
    rows = [row for each in organizations for row in each.rows(200, since, until)]
    seeding.seal(owner_connection, sorted(rows, key=lambda row: row.id))
    # The partition outlives a test, and one before may have packed it.
    owner_connection.execute(f"COMMENT ON TABLE {MONTH} IS NULL")


def packed() -> str:
    said = io.StringIO()
    call_command("audit_pack", "--no-merge", stdout=said)
    return said.getvalue()


def contents(connection: Connection) -> object:
    return connection.execute(
        f"SELECT count(*), md5(string_agg(e::text, '' ORDER BY id)) FROM {MONTH} AS e"
    ).fetchone()


def test_a_past_month_is_packed_once_and_says_the_same(
    old_month: None, owner_connection: Connection
) -> None:
    before = contents(owner_connection)
    found = {each.partition: each for each in packing.pack()}
    assert found[MONTH].after < found[MONTH].before
    assert contents(owner_connection) == before
    assert MONTH not in packed()
    with pytest.raises(DatabaseError, match="entries are never changed"):
        connections["owner"].cursor().execute(f"DELETE FROM {MONTH}")


def test_a_month_that_is_not_over_is_left(old_month: None, owner_connection: Connection) -> None:
    this_month = f"audit_ledger_{dt.datetime.now(dt.UTC):%Y_%m}"
    owner_connection.execute("SELECT audit_ensure_partitions(now(), now())")
    assert this_month not in packed()


def test_a_month_with_entries_still_to_come_is_left(
    old_month: None, owner_connection: Connection
) -> None:
    late = seeding.Organization(uuid.uuid4(), 99).rows(
        1, dt.datetime(2019, 3, 5, tzinfo=dt.UTC), dt.datetime(2019, 3, 6, tzinfo=dt.UTC)
    )
    seeding.receive(owner_connection, late)
    assert MONTH not in packed()


def test_an_interrupted_packing_leaves_nothing_behind(
    old_month: None, owner_connection: Connection, superuser_connection: Connection
) -> None:
    before = contents(owner_connection)
    with superuser_connection.transaction():
        superuser_connection.execute(f"SELECT FROM {MONTH} LIMIT 1")  # rebuilding waits for it
        connections["owner"].cursor().execute("SET statement_timeout = '500ms'")
        with pytest.raises(DatabaseError, match="statement timeout"):
            list(packing.pack())
    connections["owner"].cursor().execute("RESET statement_timeout")
    invalid = (
        f"SELECT count(*) FROM pg_index WHERE NOT indisvalid AND indrelid = '{MONTH}'::regclass"
    )
    assert owner_connection.execute(invalid).fetchone() != (0,)
    assert MONTH in packed()
    assert owner_connection.execute(invalid).fetchone() == (0,)
    assert contents(owner_connection) == before


def test_two_packers_do_not_meet(superuser_connection: Connection) -> None:
    superuser_connection.execute("SELECT pg_advisory_lock(%s)", [Lock.PACKER])
    with pytest.raises(CommandError, match="another command is packing"):
        packed()
    superuser_connection.execute("SELECT pg_advisory_unlock(%s)", [Lock.PACKER])
    packed()

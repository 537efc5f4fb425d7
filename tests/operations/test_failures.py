"""What docs/operations.md promises of each failure, with real servers that fail."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import psycopg
import pytest

from dotenv_cloud.demo import embedded
from tests.operations.conftest import Site, assert_sealed_without_a_gap, wait_until

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def held_transaction(site: Site) -> Iterator[psycopg.Connection]:
    """One that has a number and does not end, as of a forgotten psql."""
    with psycopg.connect(site.primary.url(embedded.SUPERUSER)) as connection:
        connection.execute("SELECT pg_current_xact_id()")
        yield connection


def test_a_long_transaction_holds_sealing_back_and_nothing_else(
    site: Site, held_transaction: psycopg.Connection
) -> None:
    assert site.rename("Meanwhile").status_code == 200
    site.catch_up()
    assert site.newest_change() == "Meanwhile"
    wait_until(lambda: "sealing" in site.health()[1].get("problems", {}))
    status, found = site.health()
    assert status == 503
    assert "long transaction" in found["problems"]["sealing"]
    assert site.metrics()["dotenv_audit_sealing_age_seconds"] > 3
    held_transaction.rollback()
    assert_sealed_without_a_gap(site)
    wait_until(lambda: site.health()[0] == 200)


def test_a_lost_database_is_reported_at_once_and_waited_for(site: Site) -> None:
    postmaster = int((site.primary.cluster / "postmaster.pid").read_text().split()[0])
    os.kill(postmaster, signal.SIGKILL)
    try:
        wait_until(lambda: embedded._process_id(site.primary) is None)
        started = time.monotonic()
        answer = site.rename("Lost")
        assert (answer.status_code, answer.json()["error"]) == (503, "unavailable")
        assert answer.headers["Retry-After"]
        page = site.request("GET", "/", None, cookies={"sessionid": "of-somebody"})
        assert page.status_code == 503
        assert "The database is not responding. Nothing was changed" in page.text
        assert site.request("GET", "/health/ready", None).status_code == 503
        assert site.request("GET", "/health/live", None).status_code == 200
        assert time.monotonic() - started < 45  # nobody hangs until a proxy gives up
    finally:
        site.start_database(site.primary)
    wait_until(lambda: site.rename("Back").status_code == 200)
    assert_sealed_without_a_gap(site)
    assert site.processes["sealer"].poll() is None
    wait_until(lambda: site.health()[0] == 200)
    # The log may be read from the replica, which first has to find its primary again.
    wait_until(lambda: site.newest_change() == "Back")


def test_a_clock_that_jumps_back_changes_times_and_no_numbers(site: Site) -> None:
    assert site.rename("Before the jump").status_code == 200
    assert_sealed_without_a_gap(site)
    [made] = site.query("SELECT pg_get_functiondef('audit_uuid7(timestamptz)'::regprocedure)")
    assert "FROM moment)" in made
    site.query(made.replace("FROM moment)", "FROM moment - interval '1 hour')"))
    try:
        assert site.rename("After the jump").status_code == 200
        assert_sealed_without_a_gap(site)
    finally:
        site.query(made)
    counts = site.query(
        "SELECT array_agg(changes -> 'name' ->> 1 ORDER BY seq),"
        " array_agg(changes -> 'name' ->> 1 ORDER BY id) FROM audit_ledger"
        " WHERE changes -> 'name' ->> 1 LIKE '% the jump'"
    )
    assert counts == (
        ["Before the jump", "After the jump"],
        ["After the jump", "Before the jump"],
    )

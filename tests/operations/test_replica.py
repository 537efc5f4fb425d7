"""Review pages read a replica, in the same tenant scope; what they write goes to the primary."""

from __future__ import annotations

import time

import psycopg
import pytest

from dotenv_cloud.demo import embedded
from tests.operations.conftest import Site, wait_until

pytestmark = pytest.mark.timeout(300)


def test_the_log_is_read_from_the_replica_and_the_reading_entered(site: Site) -> None:
    site.catch_up()
    views = (
        "SELECT (SELECT count(*) FROM audit_entry WHERE action = 'view')"
        " + (SELECT COALESCE(sum(repeats), 0) FROM audit_repeat)"
    )
    (before,) = site.query(views)
    assert site.entries()["meta"]["as_of"] is None
    connected = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'dotenv_app'"
    assert site.query(connected, site.replica)[0] >= 1
    assert site.query(views)[0] > before


def test_an_entry_is_on_the_page_as_soon_as_the_replica_has_it(site: Site) -> None:
    assert site.rename("Soon").status_code == 200
    site.catch_up()
    assert site.newest_change() == "Soon"


def test_a_replica_that_is_behind_says_so(site: Site) -> None:
    site.catch_up()
    site.query("SELECT pg_wal_replay_pause()", site.replica)
    try:
        assert site.rename("Not there yet").status_code == 200
        time.sleep(2.5)  # longer than REPLICA_MAX_LAG_SECONDS
        meta = site.entries()["meta"]
        assert site.newest_change() != "Not there yet"
        assert meta["as_of"] is not None
        assert any("replica that answered is behind" in note for note in meta["notes"])
        status, health = site.health()
        assert (status, health["status"]) == (503, "failing")
        assert "s behind" in health["problems"]["replica"]
        assert site.metrics()["dotenv_replica_lag_seconds"] > 2
    finally:
        site.query("SELECT pg_wal_replay_resume()", site.replica)
    wait_until(lambda: site.newest_change() == "Not there yet")
    wait_until(lambda: site.entries()["meta"]["as_of"] is None)


def test_the_tenant_scope_stands_on_the_replica_too(site: Site) -> None:
    site.catch_up()
    with psycopg.connect(site.replica.url(embedded.APPLICATION)) as connection:
        assert connection.execute("SELECT count(*) FROM audit_entry").fetchone() == (0,)
        connection.execute("SELECT set_config('audit.organizations', '*', true)")
        assert connection.execute("SELECT count(*) > 0 FROM audit_entry").fetchone() == (True,)


def test_the_primary_answers_when_the_replica_is_gone(site: Site) -> None:
    site.stop_database(site.replica)
    try:
        assert site.rename("From the primary").status_code == 200
        assert site.newest_change() == "From the primary"
        assert "the replica is not responding" in site.log("web").read_text()
        status, health = site.health()
        assert status == 503
        assert set(health["problems"]) == {"replica"}
        assert site.request("GET", "/health/ready", None).status_code == 200
        assert site.metrics()['dotenv_database_up{role="replica"}'] == 0
    finally:
        site.start_database(site.replica)
    site.catch_up()
    wait_until(lambda: site.health()[0] == 200)
    # These workers leave the replica alone for ten seconds; those of the next test shall not.
    site.stop("web")
    site.start_web()

"""The replica takes over. In a file of its own: no other test could use this site afterwards."""

from __future__ import annotations

import signal

import pytest

from dotenv_cloud.demo import embedded
from tests.operations.conftest import Site, assert_sealed_without_a_gap

pytestmark = pytest.mark.timeout(300)


def test_the_replica_takes_over(site: Site) -> None:
    assert site.rename("Before the failover").status_code == 200
    site.catch_up()
    site.stop("web")
    site.stop("sealer", signal.SIGKILL)
    site.stop_database(site.primary)
    embedded._run(
        site.replica, site.user, "pg_ctl", "promote", f"--pgdata={site.replica.cluster}", "--wait"
    )
    site.primary, site.replica = site.replica, site.primary
    try:
        site.start_sealer()
        site.start_web()
        assert site.newest_change() == "Before the failover"
        assert site.rename("After the failover").status_code == 200
        assert site.newest_change() == "After the failover"
        assert_sealed_without_a_gap(site)
    finally:
        site.stop("web")
        site.stop("sealer", signal.SIGKILL)
        site.stop_database(site.primary)
        site.primary, site.replica = site.replica, site.primary

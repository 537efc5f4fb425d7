"""Health and metrics: right whichever worker answers, and nearly silent to strangers."""

from __future__ import annotations

import os
import re
import signal

import pytest
from django.test import Client
from pytest_django.fixtures import Settings

from tests.operations.conftest import METRICS_TOKEN, Site, wait_until

pytestmark = pytest.mark.timeout(300)


def test_all_is_well(site: Site) -> None:
    wait_until(lambda: site.health()[0] == 200 and site.health()[1]["log"]["inbox_entries"] == 0)
    _, found = site.health()
    assert found["problems"] == {}
    assert found["log"]["sealed_entries"] > 0
    assert found["log"]["ledger_bytes"] > 0
    assert found["replica"]["lag_seconds"] < 2


@pytest.mark.parametrize("path", ["/health", "/health/live", "/health/ready"])
def test_a_stranger_learns_that_it_works_and_no_more(site: Site, path: str) -> None:
    wait_until(lambda: site.health()[0] == 200)
    for token in (None, "", "wrong"):  # the API key of the site is no better than none
        answer = site.request("GET", path, token)
        assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_metrics_are_for_who_has_the_token(site: Site) -> None:
    assert site.request("GET", "/metrics", None).status_code == 401
    assert site.request("GET", "/metrics").status_code == 401
    assert site.request("GET", "/metrics", METRICS_TOKEN).status_code == 200
    assert site.request("POST", "/metrics", METRICS_TOKEN).status_code == 405


def test_every_worker_is_counted(site: Site) -> None:
    name = 'dotenv_http_requests_total{method="GET",route="api/v1/user",status="200"}'
    before = site.metrics().get(name, 0)
    for _ in range(40):  # each on a connection of its own: both workers get some
        assert site.request("GET", "/api/v1/user").status_code == 200
    assert site.metrics()[name] == before + 40


def test_a_worker_that_replaces_another_continues_its_counts(site: Site) -> None:
    name = 'dotenv_http_requests_total{method="GET",route="api/v1/user",status="200"}'
    site.request("GET", "/api/v1/user")
    before = site.metrics()[name]
    main = site.processes["web"].pid
    with open(f"/proc/{main}/task/{main}/children") as children:
        workers = [int(child) for child in children.read().split()]
    assert len(workers) == 2
    for worker in workers:
        os.kill(worker, signal.SIGKILL)
    wait_until(lambda: site.get("/api/v1/user") is not None)
    for _ in range(20):
        wait_until(lambda: site.get("/api/v1/user") is not None)
    assert site.metrics()[name] >= before + 20


def test_metrics_name_routes_and_no_organization(site: Site) -> None:
    site.entries()
    wait_until(lambda: site.metrics()["dotenv_audit_entries_sealed_total"] > 0)
    text = site.request("GET", "/metrics", METRICS_TOKEN).text
    routes = set(re.findall(r'route="([^"]*)"', text))
    assert "api/v1/organizations/<str:organization>/audit/entries" in routes
    for hidden in (site.slug, site.token, site.project):
        assert f'"{hidden}' not in text
        assert f"/{hidden}" not in text
    found = site.metrics()
    assert found["dotenv_audit_partitions_ahead_seconds"] > 31 * 24 * 3600
    assert found['dotenv_database_up{role="primary"}'] == 1


def test_entries_are_counted_by_action_once_they_are_sealed(site: Site) -> None:
    updates = 'dotenv_audit_entries_total{action="update",result="success"}'
    wait_until(lambda: site.query("SELECT count(*) = 0 FROM audit_inbox") == (True,))
    before = site.metrics().get(updates, 0)
    assert site.rename("Counted").status_code == 200
    wait_until(lambda: site.metrics().get(updates) == before + 1)

    def adds_up() -> bool:
        found = site.metrics()
        by_action = (
            found[name] for name in found if name.startswith("dotenv_audit_entries_total{")
        )
        return sum(by_action) == found["dotenv_audit_entries_sealed_total"]

    wait_until(adds_up)  # a round of the sealer may fall between the two figures


def test_a_sealer_that_died_is_reported(site: Site) -> None:
    site.stop("sealer", signal.SIGKILL)
    try:
        wait_until(lambda: site.health()[0] == 503)
        _, found = site.health()
        assert "manage.py seal" in found["problems"]["sealer"]
        # Requests are served all the same.
        assert site.request("GET", "/health/ready", None).status_code == 200
        assert site.rename("Without a sealer").status_code == 200
        assert site.request("GET", "/health", None).json() == {"status": "failing"}
    finally:
        site.start_sealer()
    wait_until(lambda: site.health()[0] == 200)


def test_an_evidence_worker_that_died_is_reported(site: Site) -> None:
    wait_until(lambda: site.health()[0] == 200)
    assert site.rename("In the tree").status_code == 200
    wait_until(lambda: site.health()[1]["evidence"]["unproved_entries"] == 0)
    wait_until(lambda: site.metrics()["dotenv_audit_unsigned_logs"] == 0)
    site.stop("evidence", signal.SIGKILL)
    try:
        wait_until(lambda: site.health()[0] == 503)
        _, found = site.health()
        assert "manage.py audit_evidence" in found["problems"]["evidence"]
        assert site.metrics()["dotenv_audit_evidence_silence_seconds"] > 1
        assert site.rename("Without evidence").status_code == 200
    finally:
        site.start_evidence()
    wait_until(lambda: site.health()[0] == 200)


def test_without_a_token_of_its_own_there_are_no_metrics(
    settings: Settings, client: Client
) -> None:
    settings.METRICS_TOKEN = ""
    answer = client.get("/metrics", headers={"authorization": "Bearer "})
    assert answer.status_code == 404


def test_probes_come_by_address_and_without_tls(settings: Settings, client: Client) -> None:
    settings.SECURE_SSL_REDIRECT = True
    settings.ALLOWED_HOSTS = ["dotenv.example.com"]
    answer = client.get("/health/live", headers={"host": "10.1.2.3:8000"})
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})

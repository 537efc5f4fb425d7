"""Every surface says so when a question reaches what retention removed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import call_command
from django.db import transaction
from django.test import Client

from audit.export import formats
from audit.models import Entry
from organizations.models import Organization, User
from tests.factories import ApiKeyFactory
from tests.retention.conftest import A_MONTH, retention

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "owner", "sealer"])

REMOVED = "Entries before 2021-03-01 00:00 UTC were removed under retention on"


@pytest.fixture
def owner(acme: Organization) -> User:
    return acme.memberships.get().user


@pytest.fixture
def browser(owner: User) -> Client:
    client = Client()
    client.force_login(owner)
    return client


@pytest.fixture
def removed(sealed: None, tmp_path: Path) -> list[str]:
    """The manifests of what was removed, oldest month first."""
    retention(tmp_path, "--apply")
    return [path.name.partition("-")[2][3:] for path in sorted(tmp_path.iterdir())]


def page(client: Client, **question: str) -> str:
    return client.get("/o/acme/activity", question).content.decode()


def asked(owner_key: str, path: str) -> Any:
    return Client().get(
        f"/api/v1/organizations/acme/audit/{path}", headers={"authorization": f"Bearer {owner_key}"}
    )


@pytest.fixture
def key(acme: Organization) -> str:
    return ApiKeyFactory.create(organization=acme, auditor=True).token


def test_the_activity_page_shows_the_retention_boundary_of_what_is_asked(
    removed: list[str], browser: Client
) -> None:
    shown = page(browser)
    assert REMOVED in shown
    assert f"archived with the manifest {removed[1]}" in shown
    assert "and 1 earlier." in shown
    january = page(browser, when="2021-01")
    assert "Entries before 2021-02-01 00:00 UTC were removed" in january
    assert f"archived with the manifest {removed[0]}" in january
    assert "removed under retention on" not in page(browser, since="2021-03-01", tz="UTC")
    assert "removed under retention on" not in page(browser, until="2020-12-31", tz="UTC")


def test_a_history_never_calls_an_entry_first_that_was_kept(
    removed: list[str], browser: Client, key: str, acme: Organization
) -> None:
    kept = asked(key, "entries?until=2021-02-01&per_page=1").json()["data"][0]["attributes"]
    history = browser.get(f"/o/acme/history/resource/{kept['resource']['id']}").content.decode()
    assert "Oldest entry kept" in history
    assert "First entry" not in history
    assert REMOVED in history
    young = browser.get(f"/o/acme/history/resource/{acme.memberships.get().ulid}").content.decode()
    assert "First entry" in young
    assert REMOVED not in young


def test_nothing_is_said_where_nothing_was_removed(sealed: None, browser: Client) -> None:
    assert "removed under retention on" not in page(browser)


def test_the_total_counts_what_is_left(
    sealed: None, browser: Client, tmp_path: Path, owner_connection: psycopg.Connection[Any]
) -> None:
    browser.get("/o/acme/activity")
    retention(tmp_path, "--apply")
    [(left,)] = owner_connection.execute(
        "SELECT count(*) FROM audit_entry e JOIN organizations_organization o"
        " ON o.id = e.organization_id WHERE o.slug = 'acme'"
    ).fetchall()
    assert left < A_MONTH
    assert f"<strong>{left}</strong> entries" in page(browser, views="true")


def test_the_api_shows_the_retention_boundary(removed: list[str], key: str) -> None:
    meta = asked(key, "entries").json()["meta"]
    assert meta["retention_boundary"]["before"] == "2021-03-01T00:00:00.000Z"
    assert meta["retention_boundary"]["manifest"].startswith(removed[1])
    assert meta["retention_boundary"]["archives"] == 2
    newest = asked(key, "entries?per_page=2").json()["meta"]
    assert newest["retention_boundary"] == meta["retention_boundary"]
    assert newest["notes"] == []  # what was asked for is all there
    for reaching in ("entries", "entries?until=2021-02-15", "entries?when=2021-01&per_page=2"):
        notes = asked(key, reaching).json()["meta"]["notes"]
        assert "removed under retention on" in notes[0]
    above = asked(key, "entries?since=2021-03-01&tz=UTC").json()["meta"]
    assert (above["retention_boundary"], above["notes"]) == (None, [])


@pytest.mark.parametrize("format", ["ndjson", "csv", "ocsf"])
def test_an_export_shows_it_in_a_header(
    removed: list[str], key: str, browser: Client, format: str
) -> None:
    for response in (
        asked(key, f"entries/export?format={format}"),
        browser.get("/o/acme/activity/export", {"format": format}),
    ):
        assert response.status_code == 200
        assert response["Audit-Retention-Boundary"].startswith(
            "before=2021-03-01T00:00:00.000Z; removed_at="
        )
        assert f"manifest={removed[1]}" in response["Audit-Retention-Boundary"]
    assert not asked(key, "entries/export?since=2021-03-01").has_header("Audit-Retention-Boundary")


def test_an_export_breaks_off_when_entries_are_removed_meanwhile(
    sealed: None, acme: Organization, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(formats, "CHUNK", 20)
    monkeypatch.setattr(formats, "FIRST_CHUNK", 20)
    with transaction.atomic():
        mine = Entry.objects.visible([acme.pk])  # type: ignore[attr-defined]
    chunks = formats.written("ndjson", mine)
    assert next(chunks)
    retention(tmp_path, "--apply")
    with pytest.raises(formats.RemovedMeanwhileError):
        next(chunks)


def test_the_admin_shows_the_retention_boundary_of_each_organization(
    removed: list[str], owner: User, browser: Client
) -> None:
    call_command("admin_access", owner.email)
    shown = browser.get("/admin/audit/entry/").content.decode()
    assert f"Acme: {REMOVED}" in shown
    assert "Other:" not in shown


def test_the_activity_page_shows_a_legal_hold_until_it_is_lifted(
    acme: Organization, other: Organization, browser: Client
) -> None:
    assert "legal hold" not in page(browser)
    call_command("audit_hold", "place", "other", "--reason", "Not ours", "--by", "someone")
    call_command(
        "audit_hold", "place", "acme", "--reason", "Case <7>", "--by", "legal@acme.example"
    )
    shown = page(browser)
    assert "Under legal hold since" in shown
    assert "requested by legal@acme.example: Case &lt;7&gt;." in shown
    assert "Not ours" not in shown
    call_command("audit_hold", "lift", "acme", "--reason", "Settled", "--by", "legal@acme.example")
    assert "Under legal hold" not in page(browser)

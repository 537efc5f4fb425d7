"""An export that ends says so in the log: how many entries left, and whether that was all."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.signals import request_finished
from django.db import close_old_connections
from django.test import Client, RequestFactory

from audit import context
from audit.context import Actor, Origin
from audit.export import download, formats
from audit.models import Entry
from audit.policy import ActorType, Interface
from audit.questions.filters import EntryFilter
from organizations import ulid
from organizations.models import Organization, User
from tests.factories import EnvironmentFactory, ProjectFactory, TargetFactory
from tests.web.conftest import ADDRESS, Browser, Entries

EXPORT = "/o/acme/activity/export"


@pytest.fixture
def client(owner: User, acme: Organization, browser: Browser) -> Client:
    return browser(owner)


@pytest.fixture
def environments(acme: Organization, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twelve of them, exported five at a time."""
    target = TargetFactory.create(project__organization=acme, project__name="Shop", name="Web")
    for number in range(12):
        EnvironmentFactory.create(target=target, name=f"Stage {number}")
    monkeypatch.setattr(formats, "FIRST_CHUNK", 5)
    monkeypatch.setattr(formats, "CHUNK", 5)


@pytest.mark.parametrize("format", [*formats.FORMATS])
def test_a_whole_export_is_entered_before_and_after(
    client: Client, acme: Organization, environments: None, entries: Entries, format: str
) -> None:
    answer = client.get(EXPORT, {"type": "environment", "format": format})
    [begun] = entries(acme, action="export")
    assert not entries(acme, action="end_export")
    assert answer["Audit-Count"] == "12"
    text = b"".join(answer).decode()
    assert text.count("\n") == 12 + (format == "csv")
    [ended] = entries(acme, action="end_export")
    assert ended.result == "success"
    assert ended.context == {"format": format, "count": 12}
    assert (ended.request_id, ended.actor_label) == (begun.request_id, "owner@example.org")
    assert (ended.ip, ended.interface) == (ADDRESS, "web")


def answer_to(organizations: list[Organization], name: str = "ndjson", **question: str) -> Any:
    """What an officer gets, outside the test client, which ends answers in its own way."""
    visible = Entry.objects.visible([o.pk for o in organizations])  # type: ignore[attr-defined]
    given = RequestFactory().get("/", question).GET
    asked = EntryFilter(given, visible, organizations=organizations)
    assert asked.is_valid()
    officer = Actor(ActorType.USER, ulid.new(), "officer@example.org")
    with context.acting_from(Origin(Interface.ADMIN), officer):
        return download.answer(organizations, asked, name, title="entries")


@pytest.mark.parametrize(("chunks", "left"), [(0, 0), (1, 5), (2, 10)])
def test_an_export_that_is_cut_off_says_how_many_left(
    acme: Organization, environments: None, entries: Entries, chunks: int, left: int
) -> None:
    answer = answer_to([acme], type="environment")
    parts = iter(answer)
    for _ in range(chunks):
        next(parts)
    request_finished.disconnect(close_old_connections)  # they are the test's
    answer.close()
    request_finished.connect(close_old_connections)
    [ended] = entries(acme, action="end_export")
    assert (ended.result, ended.reason) == ("failed", "cut_off")
    assert ended.context["count"] == left


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ValueError("it broke"), "broken"),
        (formats.RemovedMeanwhileError("it has a gap"), "removed_meanwhile"),
    ],
)
def test_an_export_that_breaks_says_so(
    client: Client,
    acme: Organization,
    environments: None,
    entries: Entries,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    reason: str,
) -> None:
    answer = iter(client.get(EXPORT, {"type": "environment"}))
    next(answer)

    def broken(rows: Any) -> Any:
        raise error

    monkeypatch.setattr("audit.entry.bulk_json.canonical", broken)
    with pytest.raises(type(error), match=str(error)):
        next(answer)
    [ended] = entries(acme, action="end_export")
    assert (ended.result, ended.reason, ended.context["count"]) == ("failed", reason, 5)


def test_the_number_of_entries_is_given_as_far_as_it_is_counted(
    client: Client, environments: None, acme: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "MOST_COUNTED", 7)
    assert client.get(EXPORT, {"type": "environment"})["Audit-Count"] == "7+"
    # Of a question for everything, the size of the log is known.
    most = client.get(EXPORT, {"tz": "Europe/Berlin"})
    assert (most["Audit-Count"], most["Audit-Left-Out"]) == ("7+", "view")
    whole = client.get(EXPORT, {"tz": "Europe/Berlin", "views": "true"})
    assert "Audit-Left-Out" not in whole
    assert int(whole["Audit-Count"]) >= 12


def test_several_logs_are_entered_each_with_its_own_number(
    acme: Organization, other: Organization, entries: Entries
) -> None:
    ProjectFactory.create(organization=acme, name="Shop")
    for name in ("One", "Two"):
        ProjectFactory.create(organization=other, name=name)
    b"".join(answer_to([acme, other], "csv", type="project", action="create"))
    for organization, count in ((acme, 1), (other, 2)):
        [ended] = entries(organization, action="end_export")
        assert (ended.context["count"], ended.interface) == (count, "admin")
        assert ended.actor_label == "officer@example.org"

"""The log in the admin: asked in words, in the reader's zone, linked to histories, exported."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import transaction
from django.test import Client

from audit.export import formats
from audit.models import Entry
from organizations import ulid
from organizations.models import Project, User
from tests import evidence
from tests.admin.test_admin import World, change, changelist, list_on, world
from tests.factories import MembershipFactory, OrganizationFactory, UserFactory

__all__ = ["world"]  # the fixture

pytestmark = pytest.mark.django_db(transaction=True)

LIST = changelist(Entry)
EXPORT = f"{LIST}export"


def listed(answer: Any) -> list[Entry]:
    return list(list_on(answer).result_list)


def entries_of(world: World, **fields: str) -> list[Entry]:
    with transaction.atomic():
        return list(Entry.objects.visible([world.ours.pk]).filter(**fields))


def test_a_question_in_words_is_answered_and_shown_as_chips(world: World) -> None:
    answer = world.client.get(LIST, {"ask": "who rotated our-project?", "tz": "UTC"})
    assert answer.status_code == 302
    assert "action=rotate" in answer["Location"]
    answer = world.client.get(answer["Location"])
    assert {entry.action for entry in listed(answer)} == {"rotate"}
    chips = list_on(answer).chips
    assert ("action", "rotate") in {(chip.label, chip.value) for chip in chips}
    without = next(chip.without for chip in chips if chip.value == "rotate")
    assert "action=" not in without


def test_asking_narrows_what_is_asked_already(world: World) -> None:
    answer = world.client.get(LIST, {"ask": "action:create", "type": "project", "since": ""})
    answer = world.client.get(answer["Location"])
    assert [(entry.action, entry.resource_type) for entry in listed(answer)] == [
        ("create", "project")
    ]


def test_what_was_not_understood_is_said(world: World) -> None:
    page = world.client.get(LIST, {"ask": "action:create colour:blue"}, follow=True)
    assert "Left out: colour:blue." in page.content.decode()


def test_words_of_which_nothing_is_understood_are_answered_by_nothing(world: World) -> None:
    page = world.client.get(LIST, {"ask": "frobnicate the quux"}, follow=True)
    text = page.content.decode()
    assert "Left out: frobnicate the quux." in text
    assert "created project" not in text


def test_time_zone_and_density_are_remembered(world: World) -> None:
    [made] = entries_of(world, action="create", resource_type="project")
    page = world.client.get(
        LIST, {"ask": "", "tz": "Asia/Tokyo", "density": "compact"}, follow=True
    )
    assert "compact" in re.search(r'<body class="([^"]+)"', page.content.decode())[1]  # type: ignore[index]
    later = world.client.get(LIST).content.decode()
    assert "<option selected>Asia/Tokyo</option>" in later
    assert f"{made.time.astimezone(ZoneInfo('Asia/Tokyo')):%Y-%m-%d %H:%M:%S}" in later
    assert "JST" in world.client.get(change(Entry, made.ulid)).content.decode()
    assert "tz=Asia%2FTokyo" in later
    nonsense = world.client.get(LIST, {"density": "huge", "tz": "Mars/Base"})
    assert not nonsense.cookies


def test_an_entry_leads_to_its_histories(world: World) -> None:
    project = Project.objects.get(organization=world.ours)
    history = f"/o/{world.ours.slug}/history/resource/{ulid.to_text(project.pk)}"
    assert f'href="{history}"' in world.client.get(LIST, {"type": "project"}).content.decode()
    [made] = entries_of(world, action="create", resource_type="project")
    page = world.client.get(change(Entry, made.ulid)).content.decode()
    assert f'href="{history}"' in page
    assert world.client.get(history).status_code == 200


def test_an_entry_shows_its_facts(world: World) -> None:
    [rotated] = entries_of(world, action="rotate", resource_type="key_version")
    page = world.client.get(change(Entry, rotated.ulid)).content.decode()
    for name, fact in rotated.context.items():
        assert f"<dt>{name.replace('_', ' ')}</dt><dd>{fact}</dd>" in page
    assert rotated.context


def exporter(world: World) -> User:
    """Staff who may export: a compliance officer who owns the organization."""
    owner = UserFactory.create(is_staff=True)
    MembershipFactory.create(organization=world.ours, role="owner", user=owner)
    return owner


def browser_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def links_of(page: Any) -> list[str]:
    found = re.findall(r'<a href="([^"]+)" data-download>', page.content.decode())
    return [link.replace("&amp;", "&") for link in found]


def test_the_list_is_exported_as_it_is_asked(world: World) -> None:
    client = browser_of(exporter(world))
    page = client.get(LIST, {"type": "project,environment", "when": "today"})
    keys = [entry.ulid for entry in reversed(listed(page))]
    found = [b"".join(client.get(link)).decode() for link in links_of(page)]
    ndjson, table, ocsf = found
    assert [json.loads(line)["id"] for line in ndjson.splitlines()] == keys
    assert [row["id"] for row in csv.DictReader(io.StringIO(table))] == keys
    assert [json.loads(line)["metadata"]["uid"] for line in ocsf.splitlines()] == keys
    exports = sorted(entries_of(world, action="export"), key=lambda entry: entry.id)
    assert [entry.context["format"] for entry in exports] == [*formats.FORMATS]
    assert {entry.interface for entry in exports} == {"admin"}
    assert len(entries_of(world, action="end_export", result="success")) == 3


def test_who_may_not_export_one_of_the_logs_exports_none(world: World) -> None:
    owner = exporter(world)
    client = browser_of(owner)
    second = OrganizationFactory.create(name="Second")
    MembershipFactory.create(organization=second, role="admin", user=owner)
    page = client.get(LIST)
    assert not links_of(page)
    assert client.get(EXPORT, {"format": "csv"}).status_code == 403
    assert links_of(client.get(LIST, {"organization": world.ours.slug}))
    assert client.get(EXPORT, {"organization": world.ours.slug}).status_code == 200
    assert client.get(EXPORT, {"organization": world.theirs.slug}).status_code == 403
    assert client.post(EXPORT, {"organization": world.ours.slug}).status_code == 403


def test_a_wrong_question_exports_nothing(world: World) -> None:
    client = browser_of(exporter(world))
    for params in ({"action": "delet"}, {"format": "xml"}):
        assert client.get(EXPORT, params).status_code == 302
    assert not entries_of(world, action="export")


@pytest.mark.django_db(transaction=True, databases=["default", "sealer"])
def test_the_figures_of_the_evidence_are_of_the_logs_that_one_may_read(world: World) -> None:
    evidence.seal_all()
    evidence.prove_all()
    page = world.client.get(f"{LIST}evidence")
    assert page.status_code == 200
    shown = page.content.decode()
    assert f'<th scope="row">{world.ours.slug}</th>' in shown
    assert world.theirs.slug not in shown
    assert "has not verified its evidence yet" in shown
    assert world.client.post(f"{LIST}evidence").status_code == 403

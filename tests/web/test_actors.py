"""Who did something is shown with what they are, and no API key passes for someone else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import transaction
from django.test import Client

from audit import context
from audit.context import Actor
from audit.entry.actors import KINDS, described
from audit.policy import ActorType
from dotenv_cloud.cli import audit as cli
from keys import api_keys
from keys.models import ApiKey
from organizations.grants import EVERYTHING
from organizations.models import Organization, User
from tests.factories import ApiKeyFactory, ProjectFactory
from tests.web.conftest import Browser

MISLEADING = (
    "owner@example.org",
    "OWNER@Example.org",
    "somebody@else.example",
    "ｏwner@example.org",
    "owner@exam\u200cple.org",
    "system",
    "System",
    "SYSTEM",
    "ſystem",
    "anonymous",
    "database",
    "user",
    "API key",
    "api_key",
    "\u200e system",
    "system\ufe0f",
    "system\u2800",
    "api\u00a0key",
    "“System”",
    "\u200e owner@example.org",
    "owner@example.org\ufe0f",
    "<owner@example.org>",
)


@pytest.mark.parametrize("name", MISLEADING)
def test_a_key_is_not_named_like_someone_else(acme: Organization, name: str) -> None:
    with pytest.raises(ValidationError) as refused:
        ApiKeyFactory.create(organization=acme, name=name)
    assert list(refused.value.message_dict) == ["name"]
    key = ApiKeyFactory.create(organization=acme).api_key
    with pytest.raises(ValidationError):
        api_keys.update(key, {"name": name}, granter=EVERYTHING)
    assert ApiKey.objects.get(pk=key.pk).name == "ci"


@pytest.mark.parametrize("name", ["ci", "system tests", "deploy@production", "user import"])
def test_other_names_are_fine(acme: Organization, name: str) -> None:
    assert ApiKeyFactory.create(organization=acme, name=name).api_key.name == name


def test_the_page_says_so_beside_the_name(
    acme: Organization, owner: User, browser: Browser
) -> None:
    values = {"name": "system", "abilities": ["secret:read"]}
    answer = browser(owner).post("/o/acme/api-keys/new", values)
    assert answer.status_code == 422
    assert "Do not name a key like" in answer.content.decode()


@pytest.fixture
def client(acme: Organization, owner: User, browser: Browser, superuser_connection: Any) -> Client:
    """Of a log in which a key, from before the rule, is named like the owner and one like the
    service itself."""
    key = ApiKeyFactory.create(organization=acme, name="ci").api_key
    for number, actor in enumerate(
        (
            Actor(ActorType.USER, owner.pk, owner.email),
            Actor(ActorType.API_KEY, key.pk, owner.email),
            Actor(ActorType.SYSTEM, None, "system"),
            Actor(ActorType.API_KEY, key.pk, "system"),
        )
    ):
        with context.acting_as(actor):
            ProjectFactory.create(organization=acme, name=f"Project {number}")
    owner.is_staff = True
    owner.save(update_fields={"is_staff"})
    return browser(owner)


def test_lists_show_the_kind_of_every_actor(client: Client, acme: Organization) -> None:
    page = client.get("/o/acme/activity", {"action": "create", "type": "project"}).content.decode()
    rows = page.split('<td class="who">')[1:]
    shown = [row.split("</td>")[0] for row in rows]
    assert len(shown) == 4
    assert sum('class="mark person' in who for who in shown) == 1
    assert sum('<span class="unseen">API key: </span>' in who for who in shown) == 2
    assert sum('<span class="unseen">System: </span>' in who for who in shown) == 1
    admin = client.get("/admin/audit/entry/", {"action": "create"}).content.decode()
    assert "owner@example.org (user)" in admin
    assert "owner@example.org (API key)" in admin
    assert "system (API key)" in admin


def test_facets_tell_a_key_from_a_person_and_from_the_service(
    client: Client, acme: Organization
) -> None:
    token = ApiKeyFactory.create(organization=acme, name="reader").token
    answer = client.get(
        "/api/v1/organizations/acme/audit/facets",
        {"action": "create", "type": "project"},
        headers={"authorization": f"Bearer {token}"},
    )
    labels = [value["label"] for value in answer.json()["data"]["actor"]]
    assert len(labels) == len(set(labels)) == 3
    assert "owner@example.org (user)" in labels
    assert "system" in labels
    page = client.get("/o/acme/activity", {"counts": "1"}).content.decode()
    assert "owner@example.org (user)" in page


def test_the_command_shows_it_too() -> None:
    shown = {cli._label({"type": kind.value, "label": "system", "id": None}) for kind in ActorType}
    assert len(shown) == len(ActorType)
    assert cli._label({"type": "api_key", "label": "ci"}) == "api_key:ci"
    assert cli._label({"type": "system", "label": ""}) == "system"


def test_every_kind_has_a_word_and_no_two_actors_look_alike() -> None:
    assert set(KINDS) == set(ActorType)
    labels = ["system", "anonymous", "user", "API key", "owner@example.org", "past the application"]
    shown = [
        described(kind, label)
        for kind in ActorType
        for label in labels
        if not (kind == ActorType.API_KEY and label.casefold() in api_keys.RESERVED)
    ]
    assert len(shown) == len(set(shown)), json.dumps(sorted(shown))


def test_asking_for_the_service_finds_no_key_of_that_name(
    client: Client, acme: Organization
) -> None:
    from audit.questions.asking import ask

    with transaction.atomic():
        asked = ask([acme], {"actor": "system", "action": "create", "type": "project"})
        assert asked.is_valid()
        assert [entry.actor_type for entry in asked.qs] == ["system"]

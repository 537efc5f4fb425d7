"""Versions of secrets over the API: strict shapes, restoring, deleting, purging, locks."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
import time_machine

from keys import authors, crypto, custody, rotation, secrets
from keys.levels import Level
from keys.models import Secret, SecretVersion
from organizations import clock, hierarchy
from organizations.models import Organization, Project, Target
from tests.api.conftest import Api, caller
from tests.factories import OrganizationFactory, ProjectFactory, TargetFactory

pytestmark = pytest.mark.django_db(transaction=True)

VERSIONS = "/{o}/secrets/versions"


@pytest.fixture(autouse=True)
def quick_derivation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crypto, "ITERATIONS", 1000)


@pytest.fixture
def level(acme: Organization) -> Level:
    project = ProjectFactory.create(organization=acme)
    return Level(project, TargetFactory.create(project=project))


@pytest.fixture
def written(api: Api, level: Level) -> Level:
    """A level that was written three times, so it has two versions: 2 and 3."""
    for text in ("A=1", "A=2", "A=3"):
        api.post("/{o}/secrets/store", {"project": "my-app", "target": "backend", "content": text})
    return level


def listed(api: Api, **more: Any) -> Any:
    return api.post(VERSIONS, {"project": "my-app", "target": "backend", **more})


def test_the_list_has_the_shape_that_clients_decode(api: Api, written: Level) -> None:
    body = listed(api).json()
    assert [item["id"] for item in body["data"]] == ["3", "2"]
    newest = body["data"][0]
    assert newest["type"] == "secret-versions"
    attributes = newest["attributes"]
    assert (attributes["action"], attributes["key_version"]) == ("update", "1")
    assert attributes["encryption_key_version"] == "1"
    assert isinstance(attributes["size_bytes"], int)
    assert attributes["metadata"] == {}
    assert (attributes["locked"], attributes["locked_reason"]) == (False, None)
    assert attributes["is_client_encrypted"] is False
    assert attributes["created_by"]["name"].endswith("(API key)")
    assert isinstance(attributes["created_by"]["id"], int)
    assert body["meta"] == {
        "current_page": 1,
        "from": 1,
        "last_page": 1,
        "per_page": 25,
        "to": 2,
        "total": 2,
    }


def test_pages_are_asked_for_in_the_body(api: Api, written: Level) -> None:
    body = listed(api, page=2, per_page=1).json()
    assert [item["id"] for item in body["data"]] == ["2"]
    assert (body["meta"]["current_page"], body["meta"]["last_page"]) == (2, 2)
    for wrong in ({"per_page": 101}, {"per_page": 0}, {"page": 0}, {"page": "two"}):
        assert listed(api, **wrong).json()["error"] == "validation_failed"


def test_a_version_is_shown_with_content_and_key(
    api: Api, written: Level, entries: Callable[..., list[Any]]
) -> None:
    found = api.get(f"{VERSIONS}/2").json()["data"]
    assert (found["id"], found["attributes"]["action"]) == ("2", "update")
    assert len(found["content"]) == found["attributes"]["size_bytes"]
    assert (found["key"]["version"], found["key"]["is_active"]) == ("1", True)
    assert "key_check" not in found["key"]
    [entry] = entries(written.project.organization, action="read")
    assert entry.resource_label == "my-app/backend#2"


def test_who_may_not_retrieve_the_key_sees_no_content(
    acme: Organization, written: Level, entries: Callable[..., list[Any]]
) -> None:
    found = caller(acme, "secret:history").get(f"{VERSIONS}/2").json()["data"]
    assert (found["content"], found["attributes"]["size_bytes"] > 0) == ("", True)
    assert not entries(acme, action="read")


def test_restoring_replaces_and_keeps(api: Api, written: Level) -> None:
    response = api.post(f"{VERSIONS}/2/restore")
    secret = Secret.objects.get()
    project, target = Project.objects.get(), Target.objects.get()
    assert response.json()["data"] == {
        "type": "secrets",
        "secret_id": secret.number,
        "restored_from": "2",
        "path": "my-app/backend",
        "path_ids": [project.ulid, target.ulid],
    }
    text = api.get("/{o}/my-app/backend/secrets?decrypt=true").json()
    assert text["data"]["attributes"]["levels"]["target"]["content"] == "A=1"
    newest = listed(api).json()["data"][0]["attributes"]
    assert (newest["action"], newest["metadata"]) == ("restore", {"restored_from": "2"})


def test_restoring_after_a_rotation_and_a_deletion_works(api: Api, written: Level) -> None:
    rotation.rotate(written.project)
    api.post("/{o}/secrets/delete", {"project": "my-app", "target": "backend"})
    assert api.post(f"{VERSIONS}/2/restore", {}).status_code == 200
    text = api.get("/{o}/my-app/backend/secrets?decrypt=true").json()
    assert text["data"]["attributes"]["levels"]["target"]["content"] == "A=1"


def test_what_only_clients_can_open_needs_its_content(api: Api, written: Level) -> None:
    custody.to_clients(written.project, custody.offer(written.project))
    found = api.get(f"{VERSIONS}/2").json()["data"]
    assert (found["key"]["managed"], found["attributes"]["is_client_encrypted"]) == ("client", True)
    assert api.post(f"{VERSIONS}/2/restore").status_code == 200


def test_the_last_version_of_a_deleted_level_is_protected(api: Api, written: Level) -> None:
    assert api.delete(f"{VERSIONS}/2").status_code == 204
    api.post("/{o}/secrets/delete", {"project": "my-app", "target": "backend"})
    assert api.delete(f"{VERSIONS}/3").status_code == 204
    [last] = SecretVersion.objects.all()
    refused = api.delete(f"{VERSIONS}/{last.number}")
    assert (refused.status_code, refused.json()["error"]) == (422, "version_protected")
    assert api.delete(f"{VERSIONS}/{last.number}?force=true").status_code == 204
    assert api.delete(f"{VERSIONS}/{last.number}").status_code == 404


def test_force_can_be_in_the_body(api: Api, written: Level) -> None:
    api.post(f"{VERSIONS}/purge", {"project": "my-app", "scope": "project", "confirmed": True})
    api.post("/{o}/secrets/delete", {"project": "my-app", "target": "backend"})
    [last] = SecretVersion.objects.all()
    response = api.send("DELETE", f"{VERSIONS}/{last.number}", {"force": True})
    assert response.status_code == 204


def test_purging_counts_and_leaves_what_is_held(api: Api, written: Level) -> None:
    api.post("/{o}/secrets/store", {"project": "my-app", "content": "P=1"})
    api.post("/{o}/secrets/store", {"project": "my-app", "content": "P=2"})
    unsure = api.post(f"{VERSIONS}/purge", {"project": "my-app", "target": "backend"})
    assert unsure.json()["message"].startswith("confirmed: ")
    body = {"project": "my-app", "target": "backend", "confirmed": True}
    level = api.post(f"{VERSIONS}/purge", body)
    assert level.json()["data"] == {"purged_count": 2}
    project = api.post(f"{VERSIONS}/purge", {**body, "scope": "project"})
    assert project.json()["data"] == {"purged_count": 1}
    assert Secret.objects.count() == 2


def test_old_versions_are_listed_and_closed(api: Api, written: Level) -> None:
    hierarchy.update_node(written.project, {"history_retention_days": 30})
    with time_machine.travel(clock.now() + dt.timedelta(days=31)):
        attributes = listed(api).json()["data"][0]["attributes"]
        assert attributes["locked"] is True
        assert "30 days" in attributes["locked_reason"]
        for refused in (api.get(f"{VERSIONS}/2"), api.post(f"{VERSIONS}/2/restore")):
            assert (refused.status_code, refused.json()["error"]) == (403, "version_locked")
            assert refused.json()["details"]["retention_days"] == 30


@pytest.mark.parametrize(
    ("method", "path", "ability"),
    [
        ("POST", VERSIONS, "secret:history"),
        ("GET", f"{VERSIONS}/2", "secret:history"),
        ("POST", f"{VERSIONS}/2/restore", "secret:restore"),
        ("DELETE", f"{VERSIONS}/2", "secret:purge"),
        ("POST", f"{VERSIONS}/purge", "secret:purge"),
    ],
)
def test_each_deed_needs_its_ability_there(
    acme: Organization, written: Level, method: str, path: str, ability: str
) -> None:
    body = {"project": "my-app", "target": "backend", "confirmed": True}
    other = caller(acme, "secret:read")
    assert other.send(method, path, body if method == "POST" else None).status_code == 403
    elsewhere = ProjectFactory.create(organization=acme, name="Elsewhere")
    narrowed = caller(acme, ability, narrowed_to=Level(elsewhere))
    assert narrowed.send(method, path, body if method == "POST" else None).status_code == 404


def test_versions_of_others_are_not_there(written: Level) -> None:
    other = OrganizationFactory.create(name="Other")
    project = ProjectFactory.create(organization=other)
    for number in range(3):
        secrets.store(Level(project), f"A={number}", author=authors.SYSTEM)
    stranger = caller(other)
    assert stranger.get(f"{VERSIONS}/2").status_code == 200
    slug = written.project.organization.slug
    assert stranger.get(f"/{slug}/secrets/versions/2").status_code == 404
    assert stranger.get(f"{VERSIONS}/{10**30}").status_code == 404

"""Secrets over the API: in the shapes that clients decode, level by level, each reveal entered."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from keys import authors, blobs, crypto, data_keys, retrieval, secrets
from keys.levels import Level
from keys.models import Secret, SecretVersion
from organizations import hierarchy, ulid
from organizations.models import Organization, Project
from tests.api.conftest import Api, caller
from tests.factories import LevelFactory, OrganizationFactory, ProjectFactory

pytestmark = pytest.mark.django_db(transaction=True)

PATH = ("my-app", "backend", "production")
LEVELS = ("project", "target", "environment")


@pytest.fixture
def level(acme: Organization) -> Level:
    return LevelFactory.create(project__organization=acme)


def sealed(project: Project, text: str) -> str:
    key = data_keys.data_key(retrieval.active(project))
    return blobs.to_text(crypto.encrypt(key, text.encode()))


def fill(level: Level, texts: tuple[str, ...] = ("A=p\nB=p", "B=t\nC=t", "C=e\nD=$A")) -> None:
    for one, text in zip(level.and_above, texts, strict=True):
        secrets.store(one, sealed(level.project, text), author=authors.SYSTEM)


def place(depth: int = 3) -> dict[str, str]:
    return dict(zip(LEVELS[:depth], PATH, strict=False))


def path(depth: int = 3, *, is_long: bool = False) -> str:
    if not is_long:
        return f"/{{o}}/{'/'.join(PATH[:depth])}/secrets"
    words = ("projects", "targets", "environments")
    steps = "/".join(f"{w}/{s}" for w, s in zip(words[:depth], PATH, strict=False))
    return f"/organizations/{{o}}/{steps}/secrets"


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("is_long", [False, True])
def test_a_level_is_read_with_those_above(
    api: Api, level: Level, depth: int, is_long: bool
) -> None:
    fill(level)
    response = api.get(path(depth, is_long=is_long))
    body = response.json()
    attributes = body["data"]["attributes"]
    assert (response.status_code, body["data"]["type"]) == (200, "secrets")
    assert (attributes["encrypted"], attributes["format"]) == (True, "env")
    assert list(attributes["levels"]) == list(LEVELS[:depth])
    for name, slug in place(depth).items():
        found = attributes["levels"][name]
        assert (found["encrypted"], found["source"]) == (True, slug)
        assert Secret.objects.get(pk=ulid.parse(found["id"])).size_bytes == len(found["content"])
    meta = body["meta"]
    assert meta["hierarchy"] == place(depth)
    assert (meta["merged"], meta["action"], meta["format"]) == ("false", "read", "env")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", meta["timestamp"])
    assert response["Cache-Control"] == "no-store"
    assert ("Deprecation" in response, "Sunset" in response) == (is_long, is_long)


def test_nothing_stored_is_an_empty_object(api: Api, level: Level) -> None:
    body = api.get(path()).json()
    assert body["data"]["attributes"]["levels"] == {}
    assert '"levels": {}' in json.dumps(body)


def test_each_level_that_is_read_is_entered(
    api: Api, level: Level, entries: Callable[..., list[Any]]
) -> None:
    fill(level, ("A=a longer text than the others have", "B=t", "C=e"))
    api.get(path())
    found = entries(level.project.organization, action="read")
    assert sorted(entry.resource_label for entry in found) == [
        "my-app",
        "my-app/backend",
        "my-app/backend/production",
    ]
    assert {entry.context["key_version"] for entry in found} == {1}
    held = {secret.pk: secret.size_bytes for secret in Secret.objects.all()}
    assert {entry.resource_id: entry.context["size"] for entry in found} == held
    assert len(set(held.values())) > 1
    assert all(entry.changes == {} for entry in found)


@pytest.mark.parametrize("query", ["", "?decrypt=true", "?decrypt=true&raw=true"])
def test_what_cannot_be_entered_is_not_read(
    api: Api, level: Level, query: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(level, ("A=hunter2", "B=t", "C=e"))
    held = api.get(path()).json()["data"]["attributes"]["levels"]["project"]["content"]

    def fail(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("the log is full")

    monkeypatch.setattr("audit.capture.inbox.insert", fail)
    response = api.get(f"{path()}{query}")
    assert (response.status_code, response.json()["error"]) == (500, "server_error")
    for hidden in (held, "hunter2", "log is full"):
        assert hidden not in response.content.decode()


@pytest.mark.parametrize(
    ("query", "merged", "levels", "variables"),
    [
        ("decrypt=true", "false", LEVELS, None),
        ("decrypt=1&merge=true", "true", (), {"A": "p", "B": "t", "C": "e", "D": "$A"}),
        ("decrypt=true&merge=both", "both", LEVELS, {"A": "p", "B": "t", "C": "e", "D": "$A"}),
    ],
)
def test_the_server_decrypts_and_merges_what_it_has_the_key_of(
    api: Api,
    level: Level,
    query: str,
    merged: str,
    levels: Any,
    variables: Any,
    entries: Callable[..., list[Any]],
) -> None:
    fill(level)
    body = api.get(f"{path()}?{query}").json()
    attributes = body["data"]["attributes"]
    assert (body["meta"]["merged"], attributes["encrypted"]) == (merged, False)
    assert tuple(attributes["levels"]) == tuple(levels)
    assert attributes.get("merged") == variables
    if levels:
        assert attributes["levels"]["target"]["content"] == "B=t\nC=t"
        assert attributes["levels"]["target"]["encrypted"] is False
    assert len(entries(level.project.organization, action="decrypt")) == 3


def test_raw_is_text(api: Api, level: Level) -> None:
    fill(level)
    response = api.get(f"{path()}?decrypt=true&raw=true")
    assert response["Content-Type"] == "text/plain; charset=utf-8"
    assert response.content.decode() == "A=p\nB=t\nC=e\nD='$A'\n"
    assert response["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("merge=true", "invalid_parameter_combination"),
        ("raw=true", "invalid_parameter_combination"),
        ("decrypt=perhaps", "validation_failed"),
        ("decrypt=true&merge=all", "validation_failed"),
    ],
)
def test_a_question_that_does_not_fit_is_refused(
    api: Api, level: Level, query: str, code: str
) -> None:
    response = api.get(f"{path()}?{query}")
    assert (response.status_code, response.json()["error"]) == (422, code)


def test_decrypting_needs_its_own_ability(acme: Organization, level: Level) -> None:
    reader = caller(acme, "secret:read")
    assert reader.get(path()).status_code == 200
    response = reader.get(f"{path()}?decrypt=true")
    assert (response.status_code, response.json()["error"]) == (403, "insufficient_permissions")


def test_what_cannot_be_merged_says_which_level(api: Api, level: Level) -> None:
    fill(level, ("A=1", "1A=hunter2", "B=1"))
    response = api.get(f"{path()}?decrypt=true&merge=true")
    assert response.json()["error"] == "invalid_parameter_combination"
    assert "my-app/backend" in response.json()["message"]
    assert "hunter2" not in response.content.decode()


@pytest.mark.parametrize("legacy", ["", "/organizations"])
def test_retrieve_answers_by_action(api: Api, level: Level, legacy: str) -> None:
    fill(level)
    url = f"{legacy}/{{o}}/secrets/retrieve"
    decrypted = api.post(url, {**place(), "action": "decrypt", "filters": {}, "merge": "true"})
    assert decrypted.json()["data"]["secrets"] == {"A": "p", "B": "t", "C": "e", "D": "$A"}
    named = api.post(url, {**place(), "action": "decrypt", "filters": {"names": ["A", "Z"]}})
    assert named.json()["data"]["secrets"] == {"A": "p"}
    raw = api.post(url, {**place(), "action": "decrypt", "raw": True})
    assert raw.json() == {"A": "p", "B": "t", "C": "e", "D": "$A"}
    read = api.post(url, {**place(2), "action": "read", "merge": False}).json()["data"]
    assert list(read["secrets"]) == ["project", "target"]
    assert read["attributes"]["levels"]["project"]["content"] == read["secrets"]["project"]
    key = api.post(url, {"project": "my-app", "action": "key:retrieve"})
    assert json.loads(key.json()["data"]["attributes"]["content"])["key"]["managed"] == "server"
    refused = api.post(url, {**place(), "action": "read", "filters": {"search": "A"}})
    assert refused.json()["error"] == "invalid_parameter_combination"
    assert ("Deprecation" in raw) == bool(legacy)


@pytest.mark.parametrize("action", [{}, {"action": None}, {"action": ""}])
def test_retrieving_without_an_action_reads(
    acme: Organization, level: Level, action: dict[str, Any]
) -> None:
    fill(level)
    response = caller(acme, "secret:read").post("/{o}/secrets/retrieve", {**place(), **action})
    assert response.json()["meta"]["action"] == "read"
    assert set(response.json()["data"]["secrets"]) == set(LEVELS)
    assert caller(acme, "secret:decrypt").post("/{o}/secrets/retrieve", place()).status_code == 403


@pytest.mark.parametrize("action", [None, "read", "key:retrieve"])
@pytest.mark.parametrize("more", [{"merge": "true"}, {"merge": "both"}, {"raw": True}])
def test_merging_needs_plaintext_by_post_as_by_get(
    api: Api, level: Level, action: str | None, more: dict[str, Any]
) -> None:
    fill(level)
    response = api.post("/{o}/secrets/retrieve", {**place(), "action": action, **more})
    assert (response.status_code, response.json()["error"]) == (
        422,
        "invalid_parameter_combination",
    )


def test_retrieving_needs_the_ability_of_the_action(acme: Organization, level: Level) -> None:
    reader = caller(acme, "secret:read")
    body = {**place(), "filters": {}}
    for action, status in (("read", 200), ("decrypt", 403), ("key:retrieve", 403)):
        response = reader.post("/{o}/secrets/retrieve", {**body, "action": action})
        assert response.status_code == status


def test_storing_answers_what_was_stored(api: Api, level: Level) -> None:
    content = sealed(level.project, "A=1")
    response = api.post("/{o}/secrets/store", {**place(), "content": content})
    assert response.status_code == 200
    assert response.json() == {
        "data": {
            "type": "secrets",
            "level": "environment",
            "source": "production",
            "bytes": len(content),
        },
        "message": "Secret stored.",
    }
    read = api.get(path()).json()["data"]["attributes"]["levels"]
    assert read["environment"]["content"] == content
    projects = api.get("/{o}/projects").json()["data"][0]["attributes"]
    assert (projects["has_secrets"], projects["secret_count"]) == (True, 1)


def test_an_ulid_names_a_level_too(api: Api, level: Level) -> None:
    assert level.target is not None
    body = {"project": level.project.ulid.lower(), "target": level.target.ulid, "content": "A=1"}
    assert api.post("/{o}/secrets/store", body).json()["data"]["level"] == "target"


@pytest.mark.parametrize(
    ("body", "status", "error", "said"),
    [
        ({"project": "my-app", "content": ""}, 422, "validation_failed", "content: "),
        ({"project": "my-app"}, 422, "validation_failed", "content: "),
        ({"project": "my-app", "content": "\ud800"}, 422, "validation_failed", "content: "),
        ({"project": "no", "content": "A=1"}, 404, "not_found", "project"),
        ({"project": "my-app", "target": "no", "content": "A=1"}, 404, "not_found", "target"),
        (
            {"project": "my-app", "environment": "production", "content": "A=1"},
            422,
            "validation_failed",
            "target: ",
        ),
        (
            {"project": "my-app", "content": base64.b64encode(bytes(40)).decode()},
            422,
            "content_undecryptable",
            "version 1",
        ),
        ({"project": "my-app", "content": "x" * 1_400_000}, 413, "payload_too_large", "at most"),
    ],
)
def test_a_write_that_does_not_fit_changes_nothing(
    api: Api, level: Level, body: dict[str, str], status: int, error: str, said: str
) -> None:
    response = api.post("/{o}/secrets/store", body)
    assert (response.status_code, response.json()["error"]) == (status, error)
    assert said in response.json()["message"]
    assert not Secret.objects.exists()


def test_deleting_keeps_a_version_by_default(api: Api, level: Level) -> None:
    fill(level)
    assert api.post("/{o}/secrets/delete", place()).status_code == 204
    assert api.post("/{o}/secrets/delete", place()).status_code == 204
    assert SecretVersion.objects.count() == 1
    unsure = api.post("/{o}/secrets/delete", {**place(), "no_backup": True})
    assert unsure.json()["message"].startswith("confirmed: ")
    sure = {**place(), "no_backup": True, "confirmed": True}
    assert api.post("/{o}/secrets/delete", sure).status_code == 204
    assert not SecretVersion.objects.exists()


def test_deleting_for_good_needs_to_purge(acme: Organization, level: Level) -> None:
    fill(level)
    writer = caller(acme, "secret:write")
    body = {**place(), "no_backup": True, "confirmed": True}
    assert writer.post("/{o}/secrets/delete", body).status_code == 403
    assert Secret.objects.count() == 3


@pytest.mark.parametrize(("inherits", "levels"), [(True, LEVELS), (False, ("environment",))])
def test_a_key_narrowed_to_an_environment_reads_its_parents_if_it_may(
    acme: Organization, level: Level, inherits: bool, levels: tuple[str, ...]
) -> None:
    fill(level)
    narrowed = caller(acme, "secret:read", narrowed_to=level, inherit_parents=inherits)
    found = narrowed.get(path()).json()["data"]["attributes"]["levels"]
    assert tuple(found) == levels
    assert narrowed.get(path(2)).status_code == 404
    assert narrowed.get(path(1)).status_code == 404


def test_a_key_narrowed_to_an_environment_writes_it_alone(acme: Organization, level: Level) -> None:
    narrowed = caller(acme, "secret:write", narrowed_to=level)
    statuses = [
        narrowed.post("/{o}/secrets/store", {**place(depth), "content": "A=1"}).status_code
        for depth in (1, 2, 3)
    ]
    assert statuses == [404, 404, 200]


def test_another_organization_is_not_there(level: Level) -> None:
    other = OrganizationFactory.create(name="Other")
    stranger = caller(other)
    slug = level.project.organization.slug
    assert stranger.get(f"/{slug}/my-app/secrets").status_code == 404
    body = {**place(), "content": "A=1"}
    assert stranger.post(f"/{slug}/secrets/store", body).status_code == 404
    assert stranger.post("/{o}/secrets/store", body).status_code == 404


def test_a_project_of_json_is_merged_as_json(api: Api, acme: Organization) -> None:
    project = ProjectFactory.create(organization=acme, name="Settings")
    Project.objects.filter(pk=project.pk).update(secret_format="json")
    api.post("/{o}/secrets/store", {"project": "settings", "content": '{"A": 1}'})
    body = api.get("/{o}/settings/secrets?decrypt=true&merge=true").json()
    assert body["data"]["attributes"]["format"] == "json"
    assert body["data"]["attributes"]["merged"] == {"A": "1"}


def test_a_format_without_variables_is_answered_but_not_merged(
    api: Api, acme: Organization
) -> None:
    project = ProjectFactory.create(organization=acme, name="Notes")
    hierarchy.update_node(project, {"description": "free text"})
    Project.objects.filter(pk=project.pk).update(secret_format="text")
    api.post("/{o}/secrets/store", {"project": "notes", "content": "remember the milk"})
    plain = api.get("/{o}/notes/secrets?decrypt=true").json()["data"]["attributes"]
    assert plain["levels"]["project"]["content"] == "remember the milk"
    assert plain["format"] == "text"
    merged = api.get("/{o}/notes/secrets?decrypt=true&merge=true")
    assert merged.json()["error"] == "invalid_parameter_combination"

"""The key of a project: retrieved in the one shape that clients can read, listed, rotated."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest

from dotenv_cloud.environment import Limit
from keys import crypto, custody
from keys.models import KeyVersion
from organizations.grants import Scope
from organizations.models import Organization
from tests.api.conftest import Api
from tests.factories import ProjectFactory, TargetFactory

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def key(acme: Organization) -> str:
    ProjectFactory.create(organization=acme)
    return f"/{acme.slug}/my-app/encryption-key"


def described(response: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(response.json()["data"]["attributes"]["content"])["key"]
    return found


def test_the_key_is_a_document_inside_a_string_with_a_number_as_version(api: Api, key: str) -> None:
    """A client that cannot read it would push plaintext (contract T2 to T4)."""
    response = api.get(key)
    data = response.json()["data"]
    assert response.status_code == 200
    assert data["type"] == "encryption_keys"
    assert isinstance(data["id"], str)
    assert data["attributes"]["format"] == "json"
    assert data["attributes"]["encrypted"] is False
    assert isinstance(data["attributes"]["content"], str)
    found = described(response)
    assert found["managed"] == "server"
    assert found["version"] == 1
    assert type(found["version"]) is int
    assert len(found["key"]) == 48
    assert found["key_check_iterations"] == crypto.ITERATIONS
    assert len(base64.b64decode(found["key_check_salt"], validate=True)) >= 16
    assert "key_check" not in found


def test_rotation_makes_the_next_version_and_shows_its_key_to_who_may_retrieve_it(
    api: Api, key: str, left_by: Callable[..., list[Any]]
) -> None:
    api.get("/user")
    before = described(api.get(key))
    answers: list[Any] = []
    entered = left_by(lambda: answers.append(api.post(f"{key}/rotate")))
    [response] = answers
    assert response.status_code == 200
    made = response.json()["data"]["key"]
    assert made["type"] == "encryption-keys"
    assert made["attributes"]["version"] == "2"
    assert made["attributes"]["is_active"] is True
    after = described(api.get(key))
    assert after["version"] == 2
    for name in ("key", "key_check_salt"):
        assert after[name] != before[name]
        assert made["attributes"][name] == after[name]
    assert before["key"] not in response.content.decode()
    [retrieved] = [entry for entry in entered if entry.action == "retrieve"]
    assert (retrieved.type, retrieved.context["key_version"]) == ("key_version", 2)


def test_who_may_not_retrieve_the_key_gets_no_salt_either_from_a_rotation(
    api: Api, api_with: Callable[..., Api], key: str, left_by: Callable[..., list[Any]]
) -> None:
    """A salt beside no key would have clients encrypt under an empty one (contract T2)."""
    rotator = api_with("key:rotate")
    rotator.get("/user")
    answers: list[Any] = []
    entered = left_by(lambda: answers.append(rotator.post(f"{key}/rotate")))
    attributes = answers[0].json()["data"]["key"]["attributes"]
    assert attributes["version"] == "2"
    assert not {"key", "key_check_salt"} & set(attributes)
    assert "retrieve" not in {entry.action for entry in entered}
    assert described(api.get(key))["key"] not in answers[0].content.decode()


def test_a_key_restricted_to_another_project_gets_no_key_from_a_rotation(
    api_with: Callable[..., Api], acme: Organization, key: str
) -> None:
    other = ProjectFactory.create(organization=acme, name="Other")
    scopes = [Scope("key:retrieve", other.pk)]
    narrowed = api_with("key:retrieve", "key:rotate", scopes=scopes)
    attributes = narrowed.post(f"{key}/rotate").json()["data"]["key"]["attributes"]
    assert not {"key", "key_check_salt"} & set(attributes)


def test_history_lists_the_active_version_first_and_no_key(api: Api, key: str) -> None:
    for _ in range(2):
        api.post(f"{key}/rotate")
    answer = api.get(f"{key}/history")
    listed = answer.json()["data"]
    assert [item["version"] for item in listed] == ["3", "2", "1"]
    assert [item["is_active"] for item in listed] == [True, False, False]
    assert listed[0]["rotated_at"] is None
    assert listed[1]["rotated_at"].endswith("Z")
    assert all("key" not in item and "key_check" not in item for item in listed)


@pytest.mark.parametrize("body", [None, {}, {"history_policy": "keep"}, {"history_policy": None}])
def test_rotation_takes_a_body_or_none(api: Api, key: str, body: Any) -> None:
    """Clients send no body and no Content-Type (contract T14)."""
    assert api.post(f"{key}/rotate", body).status_code == 200


def test_rotation_without_body_but_with_a_type_is_fine(api: Api, key: str) -> None:
    for content_type in ("application/json", "application/x-www-form-urlencoded", ""):
        response = api.post(f"{key}/rotate", "", content_type=content_type)
        assert response.status_code == 200


def test_an_unknown_history_policy_is_refused_by_name(api: Api, key: str) -> None:
    response = api.post(f"{key}/rotate", {"history_policy": "burn"})
    assert response.status_code == 422
    assert response.json()["message"].startswith("history_policy: ")
    assert KeyVersion.objects.count() == 1


def test_a_project_without_a_usable_key_says_so(api: Api, acme: Organization) -> None:
    from organizations.models import Project

    Project.objects.create(organization=acme, name="Bare", slug="bare")
    for method, path in (("GET", ""), ("GET", "/history"), ("POST", "/rotate")):
        response = api.send(method, f"/{acme.slug}/bare/encryption-key{path}")
        assert response.status_code == 422
        assert response.json()["error"] == "no_active_encryption_key"


def test_a_client_managed_key_is_not_rotated_here(api: Api, acme: Organization, key: str) -> None:
    custody.to_clients(acme.projects.get(), custody.offer(acme.projects.get()))
    response = api.post(f"{key}/rotate")
    assert (response.status_code, response.json()["error"]) == (400, "client_managed_encryption")
    assert "key" not in described(api.get(key))
    assert "key_check" not in described(api.get(key))


def test_retrieving_leaves_an_entry_before_the_key_leaves(
    api: Api, key: str, left_by: Callable[..., list[Any]]
) -> None:
    api.get("/user")
    (entry,) = left_by(lambda: api.get(key))
    assert (entry.action, entry.type) == ("retrieve", "key_version")
    assert entry.context["key_version"] == 1


def test_a_key_whose_retrieval_cannot_be_entered_stays(
    api: Api, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = described(api.get(key))["key"]

    def fail(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("the log is full")

    monkeypatch.setattr("audit.capture.inbox.insert", fail)
    response = api.get(key)
    assert response.status_code == 500
    assert response.json()["error"] == "server_error"
    assert secret not in response.content.decode()
    assert "log is full" not in response.content.decode()


def test_ten_rotations_an_hour(api: Api, key: str) -> None:
    for left in range(9, -1, -1):
        response = api.post(f"{key}/rotate")
        assert response.status_code == 200
        assert (response["X-RateLimit-Limit"], response["X-RateLimit-Remaining"]) == (
            "10",
            str(left),
        )
    response = api.post(f"{key}/rotate")
    assert (response.status_code, response.json()["error"]) == (429, "rate_limited")
    assert 3500 < int(response["Retry-After"]) <= 3601
    assert described(api.get(key))["version"] == 11


def test_refused_rotations_do_not_count(
    api: Api, api_with: Callable[..., Api], acme: Organization, key: str, settings: Any
) -> None:
    settings.RATE_LIMITS = {**settings.RATE_LIMITS, "rotate": Limit(2, 3600)}
    custody.to_clients(
        (vault := ProjectFactory.create(organization=acme, name="Vault")), custody.offer(vault)
    )
    for refused in (
        api.post(f"/{acme.slug}/vault/encryption-key/rotate"),
        api.post(f"/{acme.slug}/nowhere/encryption-key/rotate"),
        api.post(f"{key}/rotate", {"history_policy": "burn"}),
        api.post(f"/{acme.slug}/my-app/secrets/rotate-client-keys", {}),
    ):
        assert refused.status_code in (400, 404, 422)
        assert refused["X-RateLimit-Remaining"] == "2"
    assert api_with("key:retrieve").post(f"{key}/rotate").status_code == 403
    statuses = [api.post(f"{key}/rotate").status_code for _ in range(4)]
    assert statuses == [200, 200, 429, 429]


def test_the_policy_of_a_rotation_is_entered(
    api: Api, key: str, left_by: Callable[..., list[Any]]
) -> None:
    for body, policy in (({"history_policy": "re_encrypt"}, "re_encrypt"), (None, "keep")):
        left = left_by(lambda body=body: api.post(f"{key}/rotate", body))
        contexts = [entry.context for entry in left if entry.action == "rotate"]
        assert contexts
        assert {context["history_policy"] for context in contexts} == {policy}


def test_each_deed_needs_its_ability(api_with: Callable[..., Api], key: str) -> None:
    retriever, rotator = api_with("key:retrieve"), api_with("key:rotate")
    assert [retriever.get(path).status_code for path in (key, f"{key}/history")] == [200, 200]
    assert [rotator.get(path).status_code for path in (key, f"{key}/history")] == [403, 403]
    assert retriever.post(f"{key}/rotate").status_code == 403
    assert KeyVersion.objects.count() == 1
    assert rotator.post(f"{key}/rotate").status_code == 200


def test_a_part_of_a_project_is_enough_to_read_its_key_and_not_to_change_it(
    api_with: Callable[..., Api], acme: Organization, key: str
) -> None:
    project = acme.projects.get()
    scopes = [
        Scope(ability, project.pk, TargetFactory.create(project=project).pk)
        for ability in ("key:retrieve", "key:rotate")
    ]
    ProjectFactory.create(organization=acme, name="Other")
    narrowed = api_with("key:retrieve", "key:rotate", scopes=scopes)
    assert narrowed.get(key).status_code == 200
    assert narrowed.post(f"{key}/rotate").status_code == 404
    other = f"/{acme.slug}/other/encryption-key"
    for method, path in (("GET", ""), ("GET", "/history"), ("POST", "/rotate")):
        assert narrowed.send(method, other + path).status_code == 404
    assert KeyVersion.objects.count() == 2

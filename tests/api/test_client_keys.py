"""Projects whose key only clients have: proofs, rotation in one go, history brought after."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from keys import client_keys, crypto
from keys.models import KeyVersion, Secret, SecretVersion
from organizations.grants import Scope
from organizations.models import Organization, Project
from tests.api.conftest import Api, caller
from tests.factories import ProjectFactory

pytestmark = pytest.mark.django_db(transaction=True)

KEY, NEXT = "the key that only the client has", "the next key that only the client has"
KEY += "!"  # 33 bytes: one of 32 would be its own proof
ROUNDS = client_keys.FEWEST_ITERATIONS


def text(value: bytes) -> str:
    return base64.b64encode(value).decode()


def proof(key: str, salt: bytes = bytes(16)) -> dict[str, Any]:
    return {
        "key_check": text(crypto.prove(key, salt, ROUNDS)),
        "key_check_salt": text(salt),
        "key_check_iterations": ROUNDS,
    }


def sealed(key: str, plaintext: str, salt: bytes = bytes(16)) -> str:
    return text(crypto.encrypt(crypto.derive_data_key(key, salt, ROUNDS), plaintext.encode()))


@pytest.fixture
def vault(api: Api) -> str:
    body = {"name": "Vault", "storage_mode": "client", "key_hint": "in the safe", **proof(KEY)}
    response = api.post("/{o}/projects", body)
    assert response.status_code == 201
    attributes = response.json()["data"]["attributes"]
    assert (attributes["encryption_type"], attributes["storage_mode"]) == ("client", "client")
    return "/{o}/vault"


def store(api: Api, content: str, key_proof: str | None = None, **place: str) -> Any:
    body = {"project": "vault", "content": content, **place}
    return api.post("/{o}/secrets/store", {**body, "key_proof": key_proof} if key_proof else body)


def stored(api: Api, *plaintexts: str) -> None:
    for plaintext in plaintexts:
        response = store(api, sealed(KEY, plaintext), proof(KEY)["key_check"])
        assert response.status_code == 200


def rotated(api: Api, vault: str, **more: Any) -> Any:
    secrets = [
        {"id": secret.ulid, "content": sealed(NEXT, "A=1")} for secret in Secret.objects.all()
    ]
    body = {"secrets": secrets, **proof(NEXT), **more}
    return api.post(f"{vault}/secrets/rotate-client-keys", body)


def test_the_descriptor_says_how_to_derive_and_omits_the_key(api: Api, vault: str) -> None:
    content = api.get(f"{vault}/encryption-key").json()["data"]["attributes"]["content"]
    key = json.loads(content)["key"]
    created = key.pop("created_at")
    assert created.endswith("Z")
    assert key == {
        "managed": "client",
        "version": 1,
        "key_check_salt": text(bytes(16)),
        "key_check_iterations": ROUNDS,
        "key_hint": "in the safe",
    }


def test_the_proof_opens_writing_and_nothing_else(api: Api, vault: str) -> None:
    for sent, error in (
        (None, "key_proof_required"),
        (proof(NEXT)["key_check"], "key_proof_mismatch"),
    ):
        response = store(api, sealed(KEY, "A=1"), sent)
        assert (response.status_code, response.json()["error"]) == (422, error)
    assert store(api, "A=1", proof(KEY)["key_check"]).json()["error"] == "content_not_encrypted"
    assert not Secret.objects.exists()
    stored(api, "A=1")
    refused = api.get(f"{vault}/secrets?decrypt=true")
    assert (refused.status_code, refused.json()["error"]) == (400, "client_managed_encryption")
    refused = api.post(f"{vault}/encryption-key/rotate")
    assert (refused.status_code, refused.json()["error"]) == (400, "client_managed_encryption")


def test_a_refused_proof_is_entered(api: Api, vault: str, left_by: Any) -> None:
    found = left_by(lambda: store(api, sealed(KEY, "A=1"), proof(NEXT)["key_check"]))
    [entry] = [entry for entry in found if entry.result == "denied"]
    assert (entry.context["status"], entry.context["reason"]) == (422, "key_proof_mismatch")
    assert proof(NEXT)["key_check"] not in str(found)


def test_a_key_of_32_bytes_is_refused_at_the_first_write(api: Api) -> None:
    key = "k" * 32
    api.post("/{o}/projects", {"name": "Vault", "storage_mode": "client", **proof(key)})
    response = store(api, sealed(key, "A=1"), proof(key)["key_check"])
    assert (response.status_code, response.json()["error"]) == (422, "insecure_client_key")


def test_a_client_rotates_all_blobs_at_once(api: Api, vault: str) -> None:
    stored(api, "A=1")
    response = rotated(api, vault)
    assert response.status_code == 200
    body = response.json()
    assert (body["success"], body["data"]["count"]) == (True, 1)
    assert body["message"] == body["data"]["message"]
    history = api.get(f"{vault}/encryption-key/history").json()["data"]
    assert [(item["version"], item["managed"], item["is_active"]) for item in history] == [
        ("2", "client", True),
        ("1", "client", False),
    ]
    assert history[1]["key_check"] == proof(KEY)["key_check"]


def test_only_who_may_write_sees_the_active_proof(api: Api, acme: Organization, vault: str) -> None:
    stored(api, "A=1")
    rotated(api, vault)
    path = f"{vault}/encryption-key/history"
    reader = caller(acme, "key:retrieve")
    assert ["key_check" in item for item in reader.get(path).json()["data"]] == [False, True]
    writer = caller(acme, "key:retrieve", "secret:write")
    assert ["key_check" in item for item in writer.get(path).json()["data"]] == [True, True]
    elsewhere = [Scope("secret:write", ProjectFactory.create(organization=acme, name="Other").pk)]
    writer = caller(acme, "key:retrieve", "secret:write", scopes=elsewhere)
    assert ["key_check" in item for item in writer.get(path).json()["data"]] == [False, True]


def test_who_writes_elsewhere_sees_no_active_proof_in_a_version(
    api: Api, acme: Organization, vault: str
) -> None:
    stored(api, "A=1", "A=2")
    [version] = SecretVersion.objects.all()
    path = f"/{{o}}/secrets/versions/{version.number}"
    other = ProjectFactory.create(organization=acme, name="Other")
    for project, shows in ((other, False), (version.project, True)):
        scopes = [Scope("secret:write", project.pk)]
        abilities = ("secret:history", "key:retrieve", "secret:write")
        shown = caller(acme, *abilities, scopes=scopes).get(path).json()["data"]
        assert shown["content"]
        assert ("key_check" in shown["key"]) == shows


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"secrets": []}, "secrets"),
        ({"secrets": [{"id": "x", "content": "A=1"}]}, "secrets"),
        ({"secrets": "all"}, "secrets"),
        ({"key_check": "short"}, "key_check"),
        ({"key_check_iterations": 5}, "key_check_iterations"),
        ({"key_check_salt": None}, "key_check_salt"),
    ],
)
def test_a_rotation_that_does_not_fit_changes_nothing(
    api: Api, vault: str, change: dict[str, Any], named: str
) -> None:
    stored(api, "A=1")
    response = rotated(api, vault, **change)
    body = response.json()
    assert (response.status_code, body["error"]) == (400, "validation_failed")
    assert any(name.startswith(named) for name in body["errors"])
    assert all(isinstance(value, str) for value in body["errors"].values())
    assert KeyVersion.objects.count() == 1
    assert Secret.objects.get().key_version == 1


def test_a_wrong_proof_of_the_current_key_stops_a_rotation(api: Api, vault: str) -> None:
    stored(api, "A=1")
    refused = rotated(api, vault, key_proof=proof(NEXT)["key_check"])
    assert refused.json()["error"] == "key_proof_mismatch"
    assert rotated(api, vault, key_proof=proof(KEY)["key_check"]).status_code == 200


def test_a_project_of_the_server_is_not_rotated_by_clients(api: Api, acme: Organization) -> None:
    ProjectFactory.create(organization=acme, name="Vault")
    response = rotated(api, "/{o}/vault")
    assert (response.status_code, response.json()["error"]) == (400, "server_managed_encryption")


def test_history_is_fetched_and_submitted_until_none_is_left(api: Api, vault: str) -> None:
    stored(api, "A=1", "A=2", "A=3")
    rotated(api, vault)
    path = f"{vault}/secrets/re-encrypt-history"
    seen = 0
    while True:
        body = api.post(f"{path}/pending", {"limit": 2}).json()
        if not body["data"]:
            break
        assert all(type(item["id"]) is int and item["key_version"] == "1" for item in body["data"])
        versions = [{"id": item["id"], "content": sealed(NEXT, "old")} for item in body["data"]]
        done = api.post(path, {"versions": versions, "key_proof": proof(NEXT)["key_check"]})
        left = body["meta"]["remaining"] - len(versions)
        assert done.json()["data"] == {"updated": len(versions), "remaining": left}
        seen += len(versions)
    assert seen == 3
    assert {version.key_version for version in SecretVersion.objects.all()} == {2}


def test_what_is_submitted_must_fit(api: Api, vault: str) -> None:
    stored(api, "A=1", "A=2")
    rotated(api, vault)
    path = f"{vault}/secrets/re-encrypt-history"
    [first, _] = api.post(f"{path}/pending").json()["data"]
    right = {
        "versions": [{"id": first["id"], "content": sealed(NEXT, "old")}],
        "key_proof": proof(NEXT)["key_check"],
    }
    for change, error in (
        ({"key_proof": proof(KEY)["key_check"]}, "key_proof_mismatch"),
        ({"key_proof": None}, "key_proof_required"),
        ({"versions": [{"id": 10_000, "content": "x"}]}, "content_not_encrypted"),
        (
            {"versions": [{"id": 10_000, "content": sealed(NEXT, "x")}]},
            "key_version_conflict",
        ),
        ({"versions": [{"id": "x", "content": "x"}]}, "validation_failed"),
        ({"versions": []}, "validation_failed"),
    ):
        response = api.post(path, {**right, **change})
        assert (response.status_code, response.json()["error"]) == (422, error)
    assert api.post(path, right).status_code == 200
    assert api.post(f"{path}/pending", {"limit": 101}).json()["error"] == "validation_failed"


def test_rotating_needs_both_abilities_for_the_whole_project(
    acme: Organization, api: Api, vault: str
) -> None:
    for abilities in (("key:rotate",), ("secret:write",)):
        assert rotated(caller(acme, *abilities), vault).status_code == 403
    elsewhere = ProjectFactory.create(organization=acme, name="Elsewhere")
    for ability in ("key:rotate", "secret:write"):
        scopes = [Scope(ability, elsewhere.pk)]
        narrowed = caller(acme, "key:rotate", "secret:write", scopes=scopes)
        assert rotated(narrowed, vault).status_code == 404
    assert Project.objects.get(slug="vault").key_versions.count() == 1


def test_the_limit_of_rotations_counts_these_too(api: Api, vault: str, settings: Any) -> None:
    from dotenv_cloud.environment import Limit

    settings.RATE_LIMITS = {**settings.RATE_LIMITS, "rotate": Limit(1, 3600)}
    assert rotated(api, vault).status_code == 200
    refused = rotated(api, vault)
    assert refused.status_code == 429
    assert int(refused["Retry-After"]) > 0

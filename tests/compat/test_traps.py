"""The traps of the wire contract, each of which breaks or endangers an existing client."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from keys import abilities
from keys.models import KeyVersion, Secret
from tests.compat.client import SdkError, open_blob, seal
from tests.compat.conftest import CLIENT_KEY, Place

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "owner", "sealer"])


def refused(call: Callable[[], Any]) -> SdkError:
    with pytest.raises(SdkError) as raised:
        call()
    return raised.value


def raw(place: Place, method: str, path: str, **more: Any) -> httpx.Response:
    headers = {"Authorization": f"Bearer {place.token}", **more.pop("headers", {})}
    return httpx.request(method, f"{place.url}{path}", headers=headers, **more)


def test_t1_a_client_key_of_32_bytes_is_found_out(place: Place, vault: Any) -> None:
    key = "k" * 32
    vault(key)
    error = refused(lambda: place.sdk.push("vault", b"A=1\n", key))
    assert (error.status, "32 bytes" in error.message) == (422, True)
    assert not Secret.objects.exists()
    assert len(place.sdk.key("my-app").key or "") == 48
    explicit = refused(lambda: place.sdk.create("projects", name="x", encryption_key=key))
    assert "encryption_key" in explicit.message


def test_t2_without_a_key_there_is_no_descriptor_and_plaintext_is_never_kept(
    place: Place, vault: Any, owner_connection: Any
) -> None:
    place.sdk.store(project="my-app", content="TOKEN=hunter2")
    [stored] = Secret.objects.all()
    assert b"hunter2" not in bytes(stored.content)
    assert place.sdk.pull("my-app") == {"project": b"TOKEN=hunter2"}
    vault(CLIENT_KEY)
    proof = place.sdk.key("vault", CLIENT_KEY).proof
    body = {"project": "vault", "content": "TOKEN=hunter2", "key_proof": proof}
    assert refused(lambda: place.sdk.store(**body)).status == 422
    with owner_connection.transaction():
        owner_connection.execute("SET LOCAL audit.reason = 'a project without a key'")
        owner_connection.execute("DELETE FROM keys_secret")
        owner_connection.execute("DELETE FROM keys_keyversion")
    assert not KeyVersion.objects.exists()
    assert refused(lambda: place.sdk.key("my-app")).kind == "no_active_encryption_key"


def test_t3_t4_the_descriptor_is_json_in_a_string_with_a_number(place: Place) -> None:
    body = place.sdk.send("GET", "/acme/my-app/encryption-key")
    content = body["data"]["attributes"]["content"]
    assert isinstance(content, str)
    assert type(json.loads(content)["key"]["version"]) is int
    assert place.sdk.rotate_key("my-app") == "2"
    assert [item["version"] for item in place.sdk.key_history("my-app")] == ["2", "1"]


def test_t5_secrets_have_the_form_that_pull_reads(place: Place) -> None:
    place.sdk.push("my-app", b"A=1\n")
    body = place.sdk.send("GET", "/acme/my-app/secrets")
    assert body["data"]["attributes"]["format"] == "env"
    assert set(body["data"]["attributes"]["levels"]["project"]) >= {
        "encrypted",
        "content",
        "source",
    }
    assert body["meta"]["merged"] == "false"


def test_t6_a_new_token_is_an_object_and_a_rotated_one_a_string(place: Place) -> None:
    made = place.sdk.send(
        "POST", "/organizations/acme/api-keys", {"name": "x", "abilities": ["project:read"]}
    )
    assert set(made["token"]) == {"name", "token", "abilities", "expires_at"}
    assert made["data"]["token"] == made["token"]["token"]
    rotated = place.sdk.send("POST", f"/organizations/acme/api-keys/{made['api_key']['id']}/rotate")
    assert isinstance(rotated["data"]["token"], str)
    assert rotated["token"] == rotated["data"]["token"]


def test_t7_a_message_stands_alone(place: Place) -> None:
    response = raw(place, "POST", "/api/v1/acme/projects", json={"secret_format": "toml"})
    body = response.json()
    assert response.status_code == 422
    assert isinstance(body["errors"]["name"], list)
    for name in body["errors"]:
        assert name in body["message"]


def test_t8_ids_have_the_types_that_each_decoder_takes(place: Place) -> None:
    place.sdk.push("my-app", b"A=1\n")
    place.sdk.push("my-app", b"A=2\n")
    [item] = place.sdk.send("POST", "/acme/secrets/versions", {"project": "my-app"})["data"]
    assert re.fullmatch("[0-9]+", item["id"])
    assert type(item["attributes"]["created_by"]["id"]) is int


def test_t9_empty_maps_are_objects(place: Place) -> None:
    text = raw(place, "GET", "/api/v1/acme/my-app/secrets").text
    assert re.search(r'"levels":\s*\{\}', text)
    place.sdk.push("my-app", b"A=1\n")
    place.sdk.push("my-app", b"A=2\n")
    text = raw(place, "POST", "/api/v1/acme/secrets/versions", json={"project": "my-app"}).text
    assert re.search(r'"metadata":\s*\{\}', text)
    assert re.search(r'"metadata":\s*\{\}', raw(place, "GET", "/api/v1/acme/projects").text)


def test_t10_lists_without_paging_are_complete(place: Place) -> None:
    for number in range(27):
        place.sdk.create("my-app", "targets", name=f"Target {number}")
    assert len(place.sdk.children("my-app", "targets")) == 28
    paged = place.sdk.send("GET", "/acme/my-app/targets?page=2&per_page=25")
    assert (len(paged["data"]), paged["meta"]["last_page"]) == (3, 2)


def test_t11_the_slug_is_as_good_as_the_ulid(place: Place) -> None:
    for reference in ("acme", place.organization.ulid, place.organization.ulid.lower()):
        assert place.named(reference).project("my-app")["slug"] == "my-app"


def test_t12_tokens_fit_the_pattern_of_clients(place: Place) -> None:
    pattern = r"^dotenv_[0-9A-Z]{26}_[a-zA-Z0-9]+$"
    tokens = [place.sdk.create_api_key(f"key {number}", ["project:read"]) for number in range(5)]
    person = place.of_person().http.headers["Authorization"].removeprefix("Bearer ")
    for token in [*tokens, place.token, person]:
        assert re.fullmatch(pattern, token)


def test_t13_the_preset_for_pulling_is_enough(place: Place) -> None:
    place.sdk.push("my-app", b"A=1\n")
    read_only = ("secret:read", "project:read", "target:read", "environment:read")
    assert refused(lambda: place.with_abilities(*read_only).pull("my-app")).status == 403
    puller = place.with_abilities(*read_only, "organization:read", "key:retrieve")
    assert puller.pull("my-app") == {"project": b"A=1\n"}


def test_the_preset_for_pushing_is_enough(place: Place) -> None:
    pusher = place.with_abilities(*abilities.PUSH)
    pusher.push("my-app", b"A=1\n")
    pusher.push("my-app", b"A=2\n")
    assert pusher.pull("my-app") == {"project": b"A=2\n"}


def test_t14_a_post_without_a_body_is_an_empty_object(place: Place) -> None:
    place.sdk.push("my-app", b"A=1\n")
    place.sdk.push("my-app", b"A=2\n")
    [item] = place.sdk.versions(project="my-app")["data"]
    for path in (
        "/api/v1/acme/my-app/encryption-key/rotate",
        f"/api/v1/acme/secrets/versions/{item['id']}/restore",
    ):
        response = raw(place, "POST", path)
        assert "content-type" not in response.request.headers
        assert response.status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/v1/acme/nothing", 404),
        ("GET", "/api/v1/nothing/at/all/of/it/here", 404),
        ("GET", "/api/v1/plans", 404),
        ("PATCH", "/api/v1/acme/projects", 405),
        ("GET", "/api/v1/acme/projects/", 404),
        ("POST", "/api/oauth/token", 400),
        ("POST", "/api/v1/cli/telemetry", 200),
    ],
)
def test_t15_no_slash_no_redirect_no_html(
    place: Place, method: str, path: str, status: int
) -> None:
    response = raw(place, method, path)
    assert response.status_code == status
    assert response.headers["Content-Type"].startswith("application/json")
    assert isinstance(response.json(), dict)


def test_blobs_are_standard_base64_of_nonce_ciphertext_and_tag(place: Place) -> None:
    key = place.sdk.key("my-app")
    blob = seal(key.data_key, b"")
    place.sdk.store(project="my-app", content=blob)
    held = place.sdk.secrets("my-app")["data"]["attributes"]["levels"]["project"]["content"]
    assert held == blob
    assert open_blob(key.data_key, held) == b""


def test_every_answer_carries_what_clients_and_auditors_look_for(place: Place) -> None:
    for path in ("/api/v1/acme/projects", "/api/v1/acme/nothing", "/api/v1/user"):
        headers = raw(place, "GET", path, headers={"X-API-Version": "7"}).headers
        assert headers["X-API-Version"] == "1"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["X-XSS-Protection"] == "1; mode=block"
        assert headers["Cache-Control"] == "no-store"
        assert re.fullmatch("[0-9A-HJKMNP-TV-Z]{26}", headers["X-Request-Id"])

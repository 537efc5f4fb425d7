"""An existing client pointed at this server works unchanged: the contract's list, one by one."""

from __future__ import annotations

import base64
import datetime as dt
import os
import time
from collections.abc import Callable
from typing import Any

import pytest
import time_machine

from organizations.models import Organization
from tests.compat.client import SdkError, derive, open_blob, prove, seal
from tests.compat.conftest import CLIENT_KEY, ROUNDS, Place

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "owner", "sealer"])

PATH = "my-app/backend/production"
LEVELS = ("project", "target", "environment")


def refused(call: Callable[[], Any]) -> SdkError:
    with pytest.raises(SdkError) as raised:
        call()
    return raised.value


def fill(place: Place) -> None:
    for depth, name in enumerate(LEVELS, start=1):
        place.sdk.push("/".join(PATH.split("/")[:depth]), f"A={name}\n".encode())


# 1


def test_more_than_25_projects_are_listed(place: Place) -> None:
    for number in range(30):
        place.sdk.create("projects", name=f"Project {number}")
    projects = place.sdk.projects()
    assert len(projects) == 31
    assert all(type(project["secret_count"]) is int for project in projects)
    [mine] = [project for project in projects if project["slug"] == "my-app"]
    assert (mine["name"], mine["target_count"], mine["environment_count"]) == ("My app", 1, 1)
    [target] = place.sdk.children("my-app", "targets")
    [environment] = place.sdk.children("my-app", "backend", "environments")
    assert (target["slug"], environment["slug"]) == ("backend", "production")
    assert (environment["status"], type(environment["project_id"])) == ("production", str)


# 2


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_a_path_of_any_depth_is_pulled(place: Place, depth: int) -> None:
    fill(place)
    path = "/".join(PATH.split("/")[:depth])
    assert place.sdk.pull(path) == {name: f"A={name}\n".encode() for name in LEVELS[:depth]}
    only = place.sdk.pull(path, level_only=True)
    assert list(only) == [LEVELS[depth - 1]]


def test_nothing_stored_is_an_empty_pull(place: Place) -> None:
    assert place.sdk.pull(PATH) == {}


# 3


def test_pushing_first_over_and_without_backup(place: Place) -> None:
    blob, answer = place.sdk.push(PATH, b"A=1\n")
    assert answer["data"]["bytes"] == len(blob)
    place.sdk.push(PATH, b"A=2\n")
    place.sdk.push(PATH, b"A=3\n", no_backup=True)
    assert place.sdk.pull(PATH, level_only=True) == {"environment": b"A=3\n"}
    place_of = dict(zip(LEVELS, PATH.split("/"), strict=True))
    assert len(place.sdk.versions(**place_of)["data"]) == 1


def test_pushing_with_the_wrong_client_key_is_a_mismatch(
    place: Place, vault: Callable[[str], Any]
) -> None:
    vault(CLIENT_KEY)
    place.sdk.push("vault", b"A=1\n", CLIENT_KEY)
    error = refused(lambda: place.sdk.push("vault", b"A=2\n", "another key of the client's"))
    assert (error.kind, error.status) == ("key_proof_mismatch", 422)
    assert place.sdk.pull("vault", CLIENT_KEY) == {"project": b"A=1\n"}


# 4


@pytest.mark.parametrize("policy", ["keep", "re_encrypt"])
def test_pulling_works_after_a_rotation(place: Place, policy: str) -> None:
    fill(place)
    assert place.sdk.rotate_key("my-app", {"history_policy": policy}) == "2"
    assert place.sdk.pull(PATH) == {name: f"A={name}\n".encode() for name in LEVELS}
    [item] = place.sdk.versions(project="my-app")["data"]
    version = place.sdk.version(item["id"])
    assert (item["attributes"]["action"], version["key"]["is_active"]) == ("rotate", False)
    assert version["key"]["managed"] == "server"
    place.sdk.restore(item["id"])
    assert place.sdk.pull("my-app") == {"project": b"A=project\n"}


# 5


def test_key_history_and_rotation_with_an_empty_body(place: Place) -> None:
    assert place.sdk.rotate_key("my-app") == "2"
    assert place.sdk.last is not None
    assert "content-type" not in place.sdk.last.request.headers
    assert place.sdk.rotate_key("my-app", {"history_policy": "keep"}) == "3"
    history = place.sdk.key_history("my-app")
    assert [item["version"] for item in history] == ["3", "2", "1"]
    assert [item["is_active"] for item in history] == [True, False, False]
    assert all("key" not in item for item in history)


# 6


def test_versions_are_paged_compared_restored_and_purged(place: Place) -> None:
    for number in range(5):
        place.sdk.push("my-app", f"A={number}\n".encode())
    first = place.sdk.versions(project="my-app", page=1, per_page=3)
    second = place.sdk.versions(project="my-app", page=2, per_page=3)
    assert (len(first["data"]), len(second["data"]), first["meta"]["last_page"]) == (3, 1, 2)
    newest = place.sdk.version(first["data"][0]["id"])
    assert open_blob(place.sdk.key("my-app").data_key, newest["content"]) == b"A=3\n"
    place.sdk.restore(second["data"][0]["id"])
    assert place.sdk.pull("my-app") == {"project": b"A=0\n"}
    assert place.sdk.purge(project="my-app", scope="level", confirmed=True) == 5


def test_a_version_outside_the_window_is_locked(place: Place) -> None:
    place.sdk.push("my-app", b"A=1\n")
    place.sdk.push("my-app", b"A=2\n")
    Organization.objects.update(history_retention_days=30)
    with time_machine.travel(dt.datetime.now(dt.UTC) + dt.timedelta(days=31)):
        [item] = place.sdk.versions(project="my-app")["data"]
        assert (item["attributes"]["locked"], bool(item["attributes"]["locked_reason"])) == (
            True,
            True,
        )
        assert refused(lambda: place.sdk.version(item["id"])).kind == "version_locked"
        assert refused(lambda: place.sdk.restore(item["id"])).kind == "version_locked"


# 7


def test_api_keys_are_made_renamed_rotated_and_ended(place: Place) -> None:
    token = place.sdk.create_api_key("deploy", ["project:read", "secrets:read"])
    [made] = [key for key in place.sdk.api_keys() if key["name"] == "deploy"]
    assert made["abilities"] == ["project:read", "secret:read"]
    assert token.startswith(made["token_prefix"])
    assert place.sdk.rename_api_key(made["id"], "release")["abilities"] == made["abilities"]
    other = place.sdk.rotate_api_key(made["id"])
    assert other != token
    assert place.sdk.http.headers["Authorization"] != f"Bearer {token}"
    place.sdk.delete_api_key(made["id"])
    assert [key["name"] for key in place.sdk.api_keys()] == ["ci"]


# 8


def test_who_one_is_with_a_key_and_as_a_person(place: Place) -> None:
    ulid = place.organization.ulid
    for client, role in ((place.sdk, "api_user"), (place.of_person(), "owner")):
        user = client.user()
        [included] = [row for row in user["included"] if row["type"] == "organizations"]
        assert included["attributes"] == {
            **included["attributes"],
            "ulid": ulid,
            "slug": "acme",
            "role": role,
        }
        assert included["id"] == ulid
        [organization] = client.organizations()
        assert (organization["ulid"], organization["name"]) == (ulid, "Acme")
    assert place.of_person().user()["data"]["id"].isdigit()
    assert place.of_person().projects()


# 9


def test_errors_are_distinguished_by_the_clients_table(place: Place) -> None:
    stranger = place.with_abilities("project:read")
    cases: list[tuple[Callable[[], Any], str, int]] = [
        (lambda: stranger.secrets("my-app"), "insufficient_permissions", 403),
        (lambda: place.sdk.project("nothing"), "not_found", 404),
        (lambda: place.named("rival").projects(), "not_found", 404),
        (
            lambda: place.sdk.send("GET", "/acme/my-app/secrets?merge=true"),
            "invalid_parameter_combination",
            422,
        ),
        (
            lambda: place.sdk.send("POST", "/organizations", {"name": "x", "slug": "acme"}),
            "already_exists",
            409,
        ),
    ]
    for call, kind, status in cases:
        error = refused(call)
        assert (error.kind, error.status) == (kind, status)
    wrong = Place(place.url, place.organization, "dotenv_" + "0" * 26 + "_wrong", place.owner).sdk
    error = refused(wrong.projects)
    assert (error.kind, error.status, bool(error.message)) == ("unauthorized", 401, True)


def test_a_validation_error_stands_in_its_message_alone(place: Place) -> None:
    error = refused(lambda: place.sdk.create("projects", slug="No Good"))
    assert (error.kind, error.status) == ("generic", 422)
    assert "name" in error.message and "required" in error.message
    assert set(error.fields.values()) <= {""}
    body = {"secrets": "none", "key_check": "x", "key_check_salt": "x", "key_check_iterations": 1}
    error = refused(lambda: place.sdk.send("POST", "/acme/my-app/secrets/rotate-client-keys", body))
    assert (error.kind, error.status) == ("validation", 400)
    assert all(error.fields.values())


# 10 is test_vectors.py; here both ends meet.


def test_both_ends_derive_the_same_key(place: Place) -> None:
    key = place.sdk.key("my-app")
    assert key.key is not None
    assert key.data_key == derive(key.key.encode(), key.salt, key.rounds)
    place.sdk.push("my-app", "Grüße\n".encode())
    opened = place.sdk.send("GET", "/acme/my-app/secrets?decrypt=true")
    assert opened["data"]["attributes"]["levels"]["project"]["content"] == "Grüße\n"


# 11


def test_an_organization_is_found_by_ulid_of_any_case_and_slug(place: Place) -> None:
    for reference in (
        place.organization.ulid,
        place.organization.ulid.lower(),
        place.organization.slug,
    ):
        client = place.named(reference)
        assert [project["slug"] for project in client.projects()] == ["my-app"]
        assert client.organizations()[0]["ulid"] == place.organization.ulid.upper()


# 12


def test_a_refusal_for_haste_is_waited_out(place: Place, settings: Any) -> None:
    limit = settings.RATE_LIMITS["api"]
    settings.RATE_LIMITS = {**settings.RATE_LIMITS, "api": limit._replace(requests=2, seconds=1)}
    client = place.sdk
    started = time.monotonic()
    for _ in range(4):
        client.projects()
    assert time.monotonic() - started >= 1
    assert client.last is not None
    assert client.last.headers["X-RateLimit-Limit"] == "2"
    body = {"project": "my-app"}
    errors = [_error_or_none(lambda: client.versions(**body)) for _ in range(4)]
    [limited, *_] = [error for error in errors if error is not None]
    assert (limited.kind, limited.status, limited.retry_after) == ("rate_limit", 429, 1)


def _error_or_none(call: Callable[[], Any]) -> SdkError | None:
    try:
        call()
    except SdkError as error:
        return error
    return None


# 13


def test_long_paths_work_and_say_that_they_end(place: Place) -> None:
    fill(place)
    base = "/organizations/acme/projects"
    inner = f"{base}/my-app/targets/backend/environments/production"
    for path in (base, f"{base}/my-app", f"{base}/my-app/targets", inner, f"{inner}/secrets"):
        place.sdk.send("GET", path)
        assert place.sdk.last is not None
        headers = place.sdk.last.headers
        assert headers["Deprecation"] == "true"
        assert dt.datetime.strptime(headers["Sunset"], "%a, %d %b %Y %H:%M:%S GMT")
    refusal = refused(lambda: place.sdk.send("POST", base, {"name": "x"}))
    assert refusal.status == 405
    for path in ("/organizations", "/organizations/acme", "/organizations/acme/api-keys"):
        place.sdk.send("GET", path)
        answer = place.sdk.last
        assert answer is not None
        assert "Deprecation" not in answer.headers


# What the SDK offers and its command does not use


def test_retrieving_as_the_sdk_sends_it(place: Place) -> None:
    fill(place)
    body = {**dict(zip(LEVELS, PATH.split("/"), strict=True)), "filters": {}, "merge": "false"}
    for path in ("/acme/secrets/retrieve", "/organizations/acme/secrets/retrieve"):
        read = place.sdk.send("POST", path, {**body, "action": "read"})
        assert set(read["data"]["secrets"]) == set(LEVELS)
        opened = place.sdk.send("POST", path, {**body, "action": "decrypt", "merge": "true"})
        assert opened["data"]["secrets"] == {"A": "environment"}
        raw = place.sdk.send("POST", path, {**body, "action": "decrypt", "raw": True})
        assert raw == {"A": "environment"}
        key = place.sdk.send("POST", path, {**body, "action": "key:retrieve"})
        assert isinstance(key["data"]["attributes"]["content"], str)
        assert place.sdk.last is not None
        assert ("Deprecation" in place.sdk.last.headers) is path.startswith("/organizations")


def test_deleting_leaves_a_version_unless_it_is_confirmed(place: Place) -> None:
    fill(place)
    body = {"project": "my-app"}
    assert place.sdk.send("POST", "/acme/secrets/delete", body) is None
    assert place.sdk.send("POST", "/acme/secrets/delete", body) is None
    assert place.sdk.pull("my-app") == {}
    [item] = place.sdk.versions(project="my-app")["data"]
    number = f"/acme/secrets/versions/{item['id']}"
    assert refused(lambda: place.sdk.send("DELETE", number)).kind == "version_protected"
    place.sdk.restore(item["id"])
    assert place.sdk.pull("my-app") == {"project": b"A=project\n"}
    gone = {**body, "no_backup": True}
    assert refused(lambda: place.sdk.send("POST", "/acme/secrets/delete", gone)).status == 422
    place.sdk.send("POST", "/acme/secrets/delete", {**gone, "confirmed": True})
    assert place.sdk.versions(project="my-app")["data"] == []


# Custody of clients, as our own command does it


def test_clients_rotate_their_key_and_bring_history_along(
    place: Place, vault: Callable[[str], Any]
) -> None:
    vault(CLIENT_KEY)
    sdk = place.sdk
    sdk.push("vault", b"A=1\n", CLIENT_KEY)
    sdk.push("vault", b"A=2\n", CLIENT_KEY)
    other, salt = "the key that comes next, of the clients", os.urandom(16)
    new = derive(other.encode(), salt, ROUNDS)
    level = sdk.secrets("vault")["data"]["attributes"]["levels"]["project"]
    assert isinstance(level["id"], str)
    answer = sdk.send(
        "POST",
        "/acme/vault/secrets/rotate-client-keys",
        {
            "secrets": [{"id": level["id"], "content": seal(new, b"A=2\n")}],
            "key_check": prove(other, salt, ROUNDS),
            "key_check_salt": base64.b64encode(salt).decode(),
            "key_check_iterations": ROUNDS,
            "history_policy": "re_encrypt",
        },
    )
    assert (answer["success"], answer["data"]["count"]) == (True, 1)
    assert sdk.pull("vault", other) == {"project": b"A=2\n"}
    rotated = sdk.key_history("vault")[1]
    assert rotated["key_check"] == prove(
        CLIENT_KEY, base64.b64decode(rotated["key_check_salt"]), rotated["key_check_iterations"]
    )
    path = "/acme/vault/secrets/re-encrypt-history"
    pending = sdk.send("POST", f"{path}/pending", {"limit": 100})
    assert pending["meta"]["remaining"] == 2
    assert {(type(each["id"]), each["key_version"]) for each in pending["data"]} == {(int, "1")}
    versions = [{"id": each["id"], "content": seal(new, b"old")} for each in pending["data"]]
    done = sdk.send("POST", path, {"versions": versions, "key_proof": prove(other, salt, ROUNDS)})
    assert done["data"] == {"updated": 2, "remaining": 0}

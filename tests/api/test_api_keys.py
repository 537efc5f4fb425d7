"""API keys: the shapes that clients decode, tokens shown once, nothing granted beyond one's own."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from typing import Any

import pytest

from keys import api_keys
from keys.models import ApiKey
from organizations import clock, roles
from organizations.grants import EVERYTHING
from organizations.models import Organization
from tests.api.conftest import Api, ApiWith, Recorded
from tests.factories import ApiKeyFactory

pytestmark = pytest.mark.django_db

KEYS = "/organizations/{o}/api-keys"
TOKEN = re.compile(r"dotenv_[0-9A-Z]{26}_[a-zA-Z0-9]{40}")


def make(api: Api, **fields: Any) -> dict[str, Any]:
    response = api.post(KEYS, {"name": "deploy", "abilities": ["project:read"], **fields})
    assert response.status_code == 201, response.content
    body: dict[str, Any] = response.json()
    return body


def test_creating_answers_with_the_token_as_an_object(api: Api, acme: Organization) -> None:
    """The SDK reads `token` as an object here, and as a string after rotation (contract T6)."""
    body = make(api)
    token = body["token"]["token"]
    assert body["success"] is True
    assert TOKEN.fullmatch(token)
    assert token.startswith(f"dotenv_{acme.ulid}_")
    assert body["token"] == {
        "name": "deploy",
        "token": token,
        "abilities": ["project:read"],
        "expires_at": None,
    }
    assert body["data"] == {"token": token, "api_key": body["api_key"]}
    assert Api(token, acme).get("/user").json()["data"]["id"] == body["api_key"]["id"]


def test_rotating_answers_with_the_token_as_a_string(api: Api, acme: Organization) -> None:
    before = make(api, expires_at="2099-01-02T03:04:05Z")
    response = api.post(f"{KEYS}/{before['api_key']['id']}/rotate")
    assert response.status_code == 200
    body = response.json()
    token = body["data"]["token"]
    assert token == body["token"] != before["token"]["token"]
    assert TOKEN.fullmatch(token)
    for kept in ("id", "name", "abilities", "scoped_permissions", "expires_at"):
        assert body["api_key"][kept] == before["api_key"][kept]
    assert body["api_key"]["rotated_at"]
    assert Api(before["token"]["token"], acme).get("/user").status_code == 401
    assert Api(token, acme).get("/user").status_code == 200


def test_listed_and_shown_without_the_token(api: Api, acme: Organization) -> None:
    made = make(api)
    token = made["token"]["token"]
    key = made["api_key"]["id"]
    for response in (api.get(KEYS), api.get(f"{KEYS}/{key}"), api.get(f"{KEYS}/{key.lower()}")):
        assert response.status_code == 200
        assert token[-40:] not in response.content.decode()
    shown = api.get(f"{KEYS}/{key}").json()["data"]
    assert shown["token_prefix"] == token[:12]
    assert re.fullmatch("[0-9a-f]{8}", shown["fingerprint"])
    assert shown["abilities"] == ["project:read"]
    assert shown["scoped_permissions"] == []
    assert shown["last_used_at"] is None
    assert shown["created_by"] == {
        "id": acme.memberships.get().user.number,
        "name": "olga@example.org",
    }
    Api(token, acme).get("/user")
    shown = api.get(f"{KEYS}/{key}").json()["data"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", shown["last_used_at"])
    listed = api.get(KEYS).json()["data"]
    assert shown in listed
    assert all(isinstance(ability, str) for item in listed for ability in item["abilities"])


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_a_change_names_what_changes_and_leaves_the_rest(api: Api, method: str) -> None:
    """The SDK sends PUT with the name alone."""
    made = make(api)["api_key"]
    changed = api.send(method, f"{KEYS}/{made['id']}", {"name": "renamed"}).json()["data"]
    assert changed["name"] == "renamed"
    assert changed["abilities"] == ["project:read"]
    changed = api.send(method, f"{KEYS}/{made['id']}", {"abilities": ["secrets:read", "env:read"]})
    assert changed.json()["data"]["abilities"] == ["secret:read", "environment:read"]
    later = "2099-01-02T03:04:05Z"
    changed = api.send(method, f"{KEYS}/{made['id']}", {"expires_at": later})
    assert changed.json()["data"]["expires_at"] == later
    changed = api.send(method, f"{KEYS}/{made['id']}", {"expires_at": None})
    assert changed.json()["data"]["expires_at"] is None


def test_revoking_ends_the_token_at_once(api: Api, acme: Organization) -> None:
    made = make(api)
    one = f"{KEYS}/{made['api_key']['id']}"
    assert api.delete(one).status_code == 204
    assert Api(made["token"]["token"], acme).get("/user").status_code == 401
    for again in (api.get(one), api.delete(one), api.post(f"{one}/rotate")):
        assert (again.status_code, again.json()["error"]) == (404, "not_found")


def test_plural_names_of_abilities_are_understood(api: Api) -> None:
    key = make(api, abilities=["projects:write", "encryption:read", "project:read"])["api_key"]
    assert key["abilities"] == [
        "project:create",
        "project:update",
        "project:delete",
        "key:retrieve",
        "project:read",
    ]


@pytest.mark.parametrize(
    ("body", "named", "says"),
    [
        ({"abilities": ["project:read"]}, "name", "required"),
        ({"name": "x"}, "abilities", "required"),
        ({"name": "x", "abilities": []}, "abilities", "at least one"),
        ({"name": "x", "abilities": "project:read"}, "abilities", "list"),
        ({"name": "x", "abilities": ["fly"]}, "abilities", "fly"),
        ({"name": "x", "abilities": ["*"], "expires_at": "tomorrow"}, "expires_at", "format"),
        (
            {"name": "x", "abilities": ["*"], "expires_at": "2020-01-01T00:00:00Z"},
            "expires_at",
            "future",
        ),
        ({"name": "x", "abilities": ["audit:manage"]}, "abilities", "do not have"),
    ],
)
def test_a_key_that_cannot_be_is_refused_by_name(
    api: Api, body: dict[str, Any], named: str, says: str
) -> None:
    response = api.post(KEYS, body)
    assert response.status_code == 422
    assert says in response.json()["errors"][named][0]
    assert response.json()["message"].startswith(f"{named}: ")
    assert ApiKey.objects.count() == 1


def test_nobody_grants_more_than_they_hold(api: Api, api_with: ApiWith) -> None:
    strong = make(api, abilities=["*"])["api_key"]["id"]
    weak = api_with("api-token:create", "api-token:update", "api-token:delete", "project:read")
    assert weak.post(KEYS, {"name": "x", "abilities": ["secret:read"]}).status_code == 422
    assert weak.post(KEYS, {"name": "x", "abilities": ["project:read"]}).status_code == 201
    assert weak.post(f"{KEYS}/{strong}/rotate").status_code == 422
    own = ApiKey.objects.get(name="narrow").ulid
    assert weak.patch(f"{KEYS}/{own}", {"abilities": ["*"]}).status_code == 422
    longer = {"expires_at": "2099-01-01T00:00:00Z"}
    assert weak.patch(f"{KEYS}/{strong}", longer).status_code == 422
    assert ApiKey.objects.get(name="narrow").abilities != ["*"]


@pytest.mark.django_db(transaction=True)
def test_trying_to_grant_more_than_one_holds_is_entered(
    api_with: ApiWith, acme: Organization, left_by: Callable[..., list[Recorded]]
) -> None:
    weak = api_with("api-token:create", "member:create")
    weak.get("/user")
    asked = {"name": "x", "abilities": ["secret:decrypt"]}
    for path, body in (
        (KEYS, asked),
        ("/organizations/{o}/members", {"email": "new@example.org", "role": "owner"}),
    ):
        (entry,) = left_by(lambda path=path, body=body: weak.post(path, body))
        assert (entry.action, entry.result, entry.organization_id) == ("access", "denied", acme.pk)
        assert (entry.context["status"], entry.context["reason"]) == (422, "not_held")
    assert left_by(lambda: weak.post(KEYS, {"name": "x", "abilities": ["fly"]})) == []


def test_rotation_needs_to_create_and_to_delete(api: Api, api_with: ApiWith) -> None:
    key = make(api)["api_key"]["id"]
    for ability in ("api-token:create", "api-token:delete"):
        response = api_with(ability).post(f"{KEYS}/{key}/rotate")
        assert response.status_code == 403
    rights = ("api-token:create", "api-token:delete", "project:read")
    assert api_with(*rights).post(f"{KEYS}/{key}/rotate").status_code == 200


def test_a_key_works_until_its_last_second(api: Api, acme: Organization) -> None:
    expires_at = clock.now() + dt.timedelta(hours=1)
    token = make(api, expires_at=expires_at.isoformat())["token"]["token"]
    assert Api(token, acme).get("/user").status_code == 200
    with clock.at(expires_at + dt.timedelta(seconds=1)):
        response = Api(token, acme).get("/user")
    assert response.status_code == 401
    assert "expired" in response.json()["message"]


def test_every_other_name_of_an_ability_is_stored_as_the_one(api: Api) -> None:
    write = ("create", "update", "delete")
    expected = {
        "secrets:read": ["secret:read"],
        "secrets:write": ["secret:write"],
        "projects:read": ["project:read"],
        "projects:write": [f"project:{action}" for action in write],
        "targets:read": ["target:read"],
        "targets:write": [f"target:{action}" for action in write],
        "environments:read": ["environment:read"],
        "environments:write": [f"environment:{action}" for action in write],
        "encryption:read": ["key:retrieve"],
        "encryption:write": ["key:rotate"],
        "apikeys:read": ["api-token:read"],
        "apikeys:write": [f"api-token:{action}" for action in write],
        "env:read": ["environment:read"],
        "env:update": ["environment:update"],
        "env:*": [f"environment:{action}" for action in ("create", "read", "update", "delete")],
    }
    for name, stored in expected.items():
        assert make(api, abilities=[name])["api_key"]["abilities"] == stored, name


def test_each_documented_ability_is_known_and_others_are_named(api: Api) -> None:
    documented = [
        *(f"secret:{a}" for a in ("read", "write", "decrypt", "history", "restore", "purge")),
        *(f"key:{a}" for a in ("retrieve", "rotate")),
        *(
            f"{resource}:{action}"
            for resource in (
                "project",
                "target",
                "environment",
                "team",
                "organization",
                "api-token",
                "member",
            )
            for action in ("create", "read", "update", "delete")
        ),
        *(f"billing:{a}" for a in ("read", "write")),
    ]
    assert len(documented) == 38
    assert make(api, abilities=documented)["api_key"]["abilities"] == documented
    response = api.post(
        KEYS, {"name": "x", "abilities": ["secret:read", "secret:fly", "Secret:read"]}
    )
    assert "secret:fly, Secret:read" in response.json()["errors"]["abilities"][0]


def test_the_star_is_everything_but_managing_the_log(acme: Organization, api: Api) -> None:
    key = make(api, abilities=["*"])
    assert key["api_key"]["abilities"] == ["*"]
    star = Api(key["token"]["token"], acme)
    assert star.get("/organizations/{o}/audit/entries").status_code == 200
    assert star.get("/organizations/{o}/audit/entries/export").status_code == 200
    every = sorted(roles.DOCUMENTED | {"audit:read", "audit:export"})
    assert star.post(KEYS, {"name": "x", "abilities": every}).status_code == 201
    assert star.post(KEYS, {"name": "x", "abilities": ["audit:manage"]}).status_code == 422


def test_a_key_that_is_revoked_while_it_is_changed_is_not_there(
    api: Api, acme: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = ApiKeyFactory.create(organization=acme, abilities=["secret:read"]).api_key
    update = api_keys.update

    def revoked_meanwhile(found: ApiKey, *given: Any, **more: Any) -> ApiKey:
        api_keys.revoke(ApiKey.objects.get(pk=found.pk), granter=EVERYTHING)
        return update(found, *given, **more)

    monkeypatch.setattr(api_keys, "update", revoked_meanwhile)
    response = api.patch(f"/organizations/{{o}}/api-keys/{key.ulid}", {"name": "other"})
    assert (response.status_code, response.json()["error"]) == (404, "not_found")

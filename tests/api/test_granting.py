"""Nobody grants beyond what they hold, nor where they do not hold it: each act that grants, or that
reaches the whole organization, by a key with all abilities for one environment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from audit.coverage.routes import all_routes
from keys.abilities import SCOPABLE, effective
from keys.levels import Level
from keys.models import Secret
from organizations import members
from organizations.grants import EVERYTHING, LEVELS, Scope
from organizations.models import Environment, Organization
from tests.api.conftest import Api, ApiWith
from tests.factories import (
    ApiKeyFactory,
    EnvironmentFactory,
    MembershipFactory,
    ProjectFactory,
    SecretFactory,
)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("no_limits")]


class Act(NamedTuple):
    """What a key does. `body` and `path` may name what `there` made."""

    method: str
    path: str
    body: Any = None
    there: Callable[[Organization], Any] = lambda acme: None


def _member(role: str) -> Callable[[Organization], Any]:
    return lambda acme: MembershipFactory.create(organization=acme, role=role)


def _key(acme: Organization) -> Any:
    return ApiKeyFactory.create(organization=acme, name="other", abilities=["secret:read"]).api_key


KEYS = "/organizations/{o}/api-keys"
MEMBERS = "/organizations/{o}/members"
READING = {"name": "wider", "abilities": ["secret:read"]}

GRANTING: dict[str, Act] = {
    "make an API key": Act("POST", KEYS, READING),
    "make an API key for all": Act("POST", KEYS, {"name": "wider", "abilities": ["*"]}),
    "widen an API key": Act("PATCH", f"{KEYS}/{{id}}", {"expires_at": None}, _key),
    "replace an API key's abilities": Act(
        "PUT", f"{KEYS}/{{id}}", {"abilities": ["secret:write"]}, _key
    ),
    "rename an API key": Act("PATCH", f"{KEYS}/{{id}}", {"name": "mine"}, _key),
    "rotate an API key": Act("POST", f"{KEYS}/{{id}}/rotate", None, _key),
    "revoke an API key": Act("DELETE", f"{KEYS}/{{id}}", None, _key),
    **{
        f"invite as {role}": Act("POST", MEMBERS, {"email": "new@example.org", "role": role})
        for role in ("admin", "member", "developer", "api_user")
    },
    **{
        f"make an auditor {role}": Act(
            "PATCH", f"{MEMBERS}/{{id}}", {"role": role}, _member("auditor")
        )
        for role in ("admin", "member", "developer", "api_user")
    },
    "make a member an auditor": Act(
        "PATCH", f"{MEMBERS}/{{id}}", {"role": "auditor"}, _member("member")
    ),
    "remove a member": Act("DELETE", f"{MEMBERS}/{{id}}", None, _member("member")),
    "take keys from members": Act("PATCH", "/organizations/{o}", {"member_key_retrieve": False}),
    "unlock old versions": Act("PATCH", "/organizations/{o}", {"history_retention_days": 30_000}),
    "lock versions": Act("PUT", "/organizations/{o}", {"history_retention_days": 1}),
    "delete the organization": Act("DELETE", "/organizations/{o}"),
}


@pytest.fixture
def narrow(api_with: ApiWith, live: Environment) -> Api:
    """All abilities; those that can be narrowed, for one environment (or what is nearest)."""
    path = (live.target.project_id, live.target_id, live.pk)
    scopes = [
        Scope(ability, **dict(zip(LEVELS[: max(depths)], path, strict=False)))
        for ability, depths in SCOPABLE.items()
        if ability in effective(["*"])
    ]
    return api_with("*", scopes=scopes)


def do(api: Api, acme: Organization, act: Act) -> Any:
    made = act.there(acme)
    path = act.path.format(o=acme.slug, id=made.ulid if made else "")
    return api.send(act.method, path, act.body)


@pytest.mark.parametrize("what", GRANTING)
def test_a_key_narrowed_to_an_environment_grants_nothing_beyond(
    narrow: Api, acme: Organization, what: str
) -> None:
    response = do(narrow, acme, GRANTING[what])
    assert response.status_code == 422, response.content
    assert response.json()["error"] == "validation_failed"


@pytest.mark.parametrize("what", GRANTING)
def test_a_key_that_is_not_narrowed_does_all_of_it(api: Api, acme: Organization, what: str) -> None:
    response = do(api, acme, GRANTING[what])
    # `*` holds what an administrator does, but neither what an owner nor an auditor's manager does.
    assert response.status_code in (200, 201, 204), response.content


def test_the_switch_of_the_organization_is_not_turned_on_by_who_may_retrieve_here_only(
    narrow: Api, acme: Organization
) -> None:
    acme.member_key_retrieve = False
    acme.save()
    assert narrow.patch("/organizations/{o}", {"member_key_retrieve": True}).status_code == 422
    acme.refresh_from_db()
    assert not acme.member_key_retrieve


def test_a_narrowed_key_still_gives_what_it_has_where_it_has_it(
    narrow: Api, acme: Organization, live: Environment
) -> None:
    scope = {"project": "shop", "target": "web", "environment": "live"}
    body = {
        "name": "as narrow",
        "abilities": ["secret:read"],
        "scoped_permissions": [{"permission": "secret:read", **scope}],
    }
    assert narrow.post(KEYS, body).status_code == 201
    ProjectFactory.create(organization=acme, name="Else")
    body["scoped_permissions"] = [{"permission": "secret:read", "project": "else"}]
    assert narrow.post(KEYS, body).status_code == 422


def test_what_is_refused_is_entered(narrow: Api, acme: Organization, entries: Any) -> None:
    do(narrow, acme, GRANTING["invite as admin"])
    refused = entries(acme, action="access", result="denied")
    assert [entry.reason for entry in refused] == ["not_held"]


def test_a_stronger_invitation_is_not_replaced_by_a_weaker_one(
    api_with: ApiWith, acme: Organization
) -> None:
    owner = acme.memberships.get().user
    members.invite(acme, "new@example.org", "owner", invited_by=owner, granter=EVERYTHING)
    weaker = api_with("*").post(MEMBERS, {"email": "NEW@example.org", "role": "member"})
    assert weaker.status_code == 422
    assert acme.invitations.get().role == "owner"


# -- The same for what reaches all of a node: the key holds each ability there, in a part only


def _shop_and_another_level(live: Environment) -> Environment:
    SecretFactory.create(level=Level(live.target.project, live.target, live))
    other = EnvironmentFactory.create(target=live.target, name="Other")
    SecretFactory.create(level=Level(live.target.project, live.target, other))
    return other


REACHING: dict[str, tuple[str, str, Any]] = {
    "delete the project": ("DELETE", "/{o}/shop", None),
    "delete the target": ("DELETE", "/{o}/shop/web", None),
    "unlock old versions": ("PATCH", "/{o}/shop", {"history_retention_days": 30_000}),
    "lock versions": ("PUT", "/{o}/shop", {"history_retention_days": 1}),
}


@pytest.mark.parametrize("what", REACHING)
def test_what_is_held_in_a_part_of_a_node_is_not_done_to_all_of_it(
    narrow: Api, api: Api, live: Environment, what: str
) -> None:
    _shop_and_another_level(live)
    method, path, body = REACHING[what]
    response = narrow.send(method, path, body)
    assert response.status_code == 422, response.content
    assert response.json()["error"] == "validation_failed"
    assert Secret.objects.count() == 2
    assert api.send(method, path, body).status_code in (200, 204)


def test_what_reaches_only_where_it_is_held_is_done(narrow: Api, live: Environment) -> None:
    other = _shop_and_another_level(live)
    assert narrow.patch("/{o}/shop", {"description": "Ours"}).status_code == 200
    assert narrow.patch("/{o}/shop", {"history_retention_days": None}).status_code == 200
    assert narrow.send("DELETE", f"/{{o}}/shop/web/{other.slug}", None).status_code == 404
    assert narrow.send("DELETE", "/{o}/shop/web/live", None).status_code == 204


GRANTS = {
    ("POST", "/api/v1/organizations/{organization}/api-keys"),
    ("PATCH", "/api/v1/organizations/{organization}/api-keys/{api_key}"),
    ("PUT", "/api/v1/organizations/{organization}/api-keys/{api_key}"),
    ("DELETE", "/api/v1/organizations/{organization}/api-keys/{api_key}"),
    ("POST", "/api/v1/organizations/{organization}/api-keys/{api_key}/rotate"),
    ("POST", "/api/v1/organizations/{organization}/members"),
    ("PATCH", "/api/v1/organizations/{organization}/members/{member}"),
    ("DELETE", "/api/v1/organizations/{organization}/members/{member}"),
    ("PATCH", "/api/v1/organizations/{organization}"),
    ("PUT", "/api/v1/organizations/{organization}"),
    ("DELETE", "/api/v1/organizations/{organization}"),
}


def test_every_route_about_the_organization_that_changes_something_is_in_the_table() -> None:
    """A new one has to be asked the same question."""
    found = {
        (method, route.path)
        for route in all_routes()
        if route.path.startswith("/api/v1/organizations/{organization}")
        and not route.path.startswith("/api/v1/organizations/{organization}/audit")
        for method in route.methods
        if method not in ("GET", "HEAD", "OPTIONS")
    }
    known = {("POST", "/api/v1/organizations/{organization}/secrets/retrieve")}  # reads, in places
    assert found - known == GRANTS
    tried = {
        (
            act.method,
            f"/api/v1{act.path}".replace("{o}", "{organization}").replace(
                "{id}", "{member}" if "members" in act.path else "{api_key}"
            ),
        )
        for act in GRANTING.values()
    }
    assert tried == GRANTS


def test_invitations_are_limited_by_who_invites_and_by_organization(
    api: Api, acme: Organization, settings: Any
) -> None:
    settings.RATE_LIMITS = {
        **settings.RATE_LIMITS,
        "invitation_person": settings.RATE_LIMITS["invitation_person"]._replace(requests=2),
        "invitation_organization": settings.RATE_LIMITS["api"]._replace(requests=3),
    }

    def invite(caller: Api, number: int) -> Any:
        return caller.post(MEMBERS, {"email": f"new{number}@example.org", "role": "member"})

    assert [invite(api, number).status_code for number in range(3)] == [201, 201, 429]
    other = Api(ApiKeyFactory.create(organization=acme, name="other").token, acme)
    answers = [invite(other, number) for number in range(3, 5)]
    assert [answer.status_code for answer in answers] == [201, 429]
    assert answers[1].json()["error"] == "rate_limited"
    assert int(answers[1].headers["Retry-After"]) > 0
    assert acme.invitations.count() == 3

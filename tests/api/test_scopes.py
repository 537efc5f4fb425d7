"""Restricted keys: what lies outside does not exist for them, and its absence reveals nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from keys.levels import Level
from organizations.grants import Scope
from organizations.models import Environment, Organization, Project
from tests.api.conftest import Api, ApiWith, Recorded
from tests.factories import EnvironmentFactory, ProjectFactory, TargetFactory

pytestmark = pytest.mark.django_db

READS = ("project:read", "target:read", "environment:read", "key:retrieve")


@pytest.fixture
def bank(acme: Organization) -> Environment:
    """Bank/Core/Live, where the narrowed keys do not reach."""
    project = ProjectFactory.create(organization=acme, name="Bank")
    return EnvironmentFactory.create(target__project=project, target__name="Core", name="Live")


@pytest.fixture
def narrowed(api_with: ApiWith, live: Environment, bank: Environment) -> Callable[..., Api]:
    """A key that reads Shop, its Web and the Live of that, and the key as deep as is said."""

    def narrowed(depth: int = 1, *more: str) -> Api:
        path = (live.target.project.pk, live.target.pk, live.pk)
        depths = {"project:read": 1, "target:read": 2, "environment:read": 3, "key:retrieve": depth}
        scopes = [Scope(ability, *path[: depths[ability]]) for ability in READS]
        return api_with(*READS, *more, scopes=scopes)

    return narrowed


def test_narrowing_holds_at_each_depth(narrowed: Callable[..., Api]) -> None:
    for depth in (1, 2, 3):
        assert narrowed(depth).get("/{o}/shop/encryption-key").status_code == 200
        assert narrowed(depth).get("/{o}/bank/encryption-key").status_code == 404


def slugs(response: Any) -> list[str]:
    assert response.status_code == 200, response.content
    return [item["attributes"]["slug"] for item in response.json()["data"]]


def test_lists_hold_what_the_scope_covers(narrowed: Callable[..., Api]) -> None:
    assert slugs(narrowed().get("/{o}/projects")) == ["shop"]


def test_a_node_outside_answers_as_one_that_is_not_there(narrowed: Callable[..., Api]) -> None:
    api = narrowed(3)
    for outside, absent in (
        ("/{o}/bank", "/{o}/nothing"),
        ("/{o}/bank/core", "/{o}/nothing/core"),
        ("/{o}/bank/nothing", "/{o}/nothing/core"),
        ("/{o}/bank/targets", "/{o}/nothing/targets"),
        ("/{o}/bank/core/live", "/{o}/nothing/core/live"),
        ("/{o}/bank/core/environments", "/{o}/nothing/core/environments"),
        ("/{o}/bank/encryption-key", "/{o}/nothing/encryption-key"),
        ("/{o}/bank/encryption-key/history", "/{o}/nothing/encryption-key/history"),
    ):
        hidden, missing = api.get(outside), api.get(absent)
        assert hidden.status_code == missing.status_code == 404, outside
        assert hidden.content == missing.content, outside


def test_siblings_below_a_shared_parent_are_hidden_too(
    narrowed: Callable[..., Api], live: Environment
) -> None:
    TargetFactory.create(project=live.target.project, name="Worker")
    EnvironmentFactory.create(target=live.target, name="Staging")
    api = narrowed(3)
    assert slugs(api.get("/{o}/shop/targets")) == ["web"]
    assert slugs(api.get("/{o}/shop/web/environments")) == ["live"]
    assert api.get("/{o}/shop/worker").content == api.get("/{o}/shop/nothing").content
    assert api.get("/{o}/shop/web/staging").content == api.get("/{o}/shop/web/nothing").content
    assert api.get("/{o}/shop/web/live").status_code == 200


def test_the_one_key_of_a_project_shows_to_who_may_use_it_anywhere_in_it(
    api_with: ApiWith, live: Environment
) -> None:
    level = Level(live.target.project, live.target, live)
    api = api_with("key:retrieve", "key:rotate", narrowed_to=level)
    assert api.get("/{o}/shop/encryption-key").status_code == 200
    # Rotating touches the levels beside it, so a part of the project is not enough.
    assert api.post("/{o}/shop/encryption-key/rotate").status_code == 404


def test_an_ability_that_is_not_narrowed_reaches_everywhere(
    api_with: ApiWith, shop: Project, bank: Environment
) -> None:
    api = api_with("project:read", "project:update", scopes=[Scope("project:update", shop.pk)])
    assert slugs(api.get("/{o}/projects")) == ["bank", "shop"]
    assert api.patch("/{o}/shop", {"description": "x"}).status_code == 200
    assert api.patch("/{o}/bank", {"description": "x"}).status_code == 404
    bank.target.project.refresh_from_db()
    assert bank.target.project.description == ""


def test_nodes_in_scopes_are_named_by_slug_or_ulid(api: Api, live: Environment) -> None:
    target = live.target
    made = api.post(
        "/organizations/{o}/api-keys",
        {
            "name": "narrow",
            "abilities": ["secret:read", "environment:read"],
            "scoped_permissions": [
                {"permission": "secret:read", "project": "shop", "target": "web"},
                {
                    "permission": "environment:read",
                    "project": target.project.ulid,
                    "target": target.ulid.lower(),
                    "environment": "live",
                },
            ],
        },
    )
    assert made.status_code == 201, made.content
    stored = [
        {"permission": "secret:read", "project": target.project.ulid, "target": target.ulid},
        {
            "permission": "environment:read",
            "project": target.project.ulid,
            "target": target.ulid,
            "environment": live.ulid,
        },
    ]
    assert made.json()["api_key"]["scoped_permissions"] == stored
    assert made.json()["api_key"]["abilities"] == ["secret:read", "environment:read"]
    narrow = Api(made.json()["data"]["token"], api.organization)
    assert narrow.get("/{o}/shop/web/live").status_code == 200


@pytest.mark.parametrize(
    ("scope", "named", "says"),
    [
        ({"permission": "secret:read", "project": "nothing"}, "project", "no project nothing"),
        ({"permission": "secret:read"}, "project", "required"),
        ({"permission": "project:create", "project": "shop"}, "permission", "cannot be restricted"),
        ({"permission": "secret:write", "project": "shop"}, "permission", "not among"),
        ({"permission": "target:read", "project": "shop"}, "permission", "project and target"),
        (
            {"permission": "project:read", "project": "shop", "target": "web"},
            "permission",
            "restricted with project",
        ),
        (
            {"permission": "secret:read", "project": "shop", "environment": "live"},
            "environment",
            "levels above",
        ),
    ],
)
def test_a_scope_that_makes_no_sense_is_refused_by_name(
    api: Api, live: Environment, scope: dict[str, str], named: str, says: str
) -> None:
    response = api.post(
        "/organizations/{o}/api-keys",
        {
            "name": "narrow",
            "abilities": ["secret:read", "project:read", "target:read", "project:create"],
            "scoped_permissions": [scope],
        },
    )
    assert response.status_code == 422
    assert says in response.json()["errors"][f"scoped_permissions.0.{named}"][0]
    assert f"scoped_permissions.0.{named}" in response.json()["message"]


def test_a_scope_in_a_change_is_as_whole_as_in_a_new_key(api: Api, live: Environment) -> None:
    made = api.post("/organizations/{o}/api-keys", {"name": "k", "abilities": ["secret:read"]})
    path = f"/organizations/{{o}}/api-keys/{made.json()['api_key']['id']}"
    for scope in ({}, {"project": "shop"}, {"permission": "secret:read"}):
        answer = api.patch(path, {"scoped_permissions": [scope]})
        assert answer.status_code == 422
        assert "required" in answer.json()["message"]
    assert api.patch(path, {}).status_code == 200


def test_a_narrowed_key_makes_no_wider_one(
    api_with: ApiWith, shop: Project, bank: Environment
) -> None:
    api = api_with("secret:read", "api-token:create", scopes=[Scope("secret:read", shop.pk)])
    keys = "/organizations/{o}/api-keys"
    wide = {"name": "wide", "abilities": ["secret:read"]}
    assert "only for some nodes" in api.post(keys, wide).json()["message"]
    other = {**wide, "scoped_permissions": [{"permission": "secret:read", "project": "bank"}]}
    assert api.post(keys, other).status_code == 422
    same = {**wide, "scoped_permissions": [{"permission": "secret:read", "project": "shop"}]}
    assert api.post(keys, same).status_code == 201


def test_a_key_without_the_levels_above_makes_none_with_them(
    api_with: ApiWith, live: Environment
) -> None:
    target = live.target
    scope = Scope("secret:read", target.project.pk, target.pk)
    api = api_with(
        "secret:read", "api-token:create", "api-token:update", scopes=[scope], inherit_parents=False
    )
    keys = "/organizations/{o}/api-keys"
    same = {
        "name": "same",
        "abilities": ["secret:read"],
        "scoped_permissions": [{"permission": "secret:read", "project": "shop", "target": "web"}],
    }
    assert "inherit_parents" in api.post(keys, same).json()["errors"]
    made = api.post(keys, {**same, "inherit_parents": False})
    assert made.status_code == 201, made.content
    path = f"{keys}/{made.json()['api_key']['id']}"
    assert "inherit_parents" in api.patch(path, {"inherit_parents": True}).json()["errors"]
    assert api.patch(path, {"name": "renamed"}).json()["data"]["inherit_parents"] is False


@pytest.mark.django_db(transaction=True)
def test_what_is_hidden_is_entered_and_what_is_missing_is_not(
    narrowed: Callable[..., Api], acme: Organization, left_by: Callable[..., list[Recorded]]
) -> None:
    api = narrowed()
    api.get("/user")
    assert left_by(lambda: api.get("/{o}/nothing")) == []
    (entry,) = left_by(lambda: api.get("/{o}/bank"))
    assert (entry.result, entry.context["reason"]) == ("denied", "not_found")
    assert entry.organization_id == acme.pk

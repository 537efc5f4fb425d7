"""What holds of projects, targets and environments alike: slugs, places, abilities."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from organizations import slugs
from organizations.models import Environment, Organization, Project, Target
from tests.api.conftest import Api, ApiWith
from tests.factories import ProjectFactory

pytestmark = pytest.mark.django_db

LEVELS = [
    ("/{o}/projects", "/{o}/made", "project"),
    ("/{o}/shop/targets", "/{o}/shop/made", "target"),
    ("/{o}/shop/web/environments", "/{o}/shop/web/made", "environment"),
]
each_level = pytest.mark.parametrize(("collection", "one", "level"), LEVELS)

RESERVED = {
    "project": slugs.RESERVED_PROJECT,
    "target": slugs.RESERVED_TARGET,
    "environment": slugs.RESERVED_ENVIRONMENT,
}


@each_level
def test_a_node_is_made_shown_changed_moved_and_deleted(
    api: Api, web: Target, collection: str, one: str, level: str
) -> None:
    made = api.post(collection, {"name": "Made", "description": "By hand"}).json()["data"]
    assert made["type"] == f"{level}s"
    assert api.get(one).json()["data"] == made
    assert made in api.get(collection).json()["data"]
    for method, name in (("PATCH", "Changed"), ("PUT", "Changed again")):
        attributes = api.send(method, one, {"name": name}).json()["data"]["attributes"]
        assert (attributes["name"], attributes["slug"]) == (name, "made")
    moved = one.replace("made", "elsewhere")
    assert api.patch(one, {"slug": "elsewhere"}).status_code == 200
    assert (api.get(one).status_code, api.get(moved).status_code) == (404, 200)
    assert [api.delete(moved).status_code for _ in range(2)] == [204, 404]


@each_level
def test_a_name_may_come_twice_and_an_asked_slug_may_not(
    api: Api, web: Target, collection: str, one: str, level: str
) -> None:
    found = [
        api.post(collection, {"name": "Made"}).json()["data"]["attributes"]["slug"]
        for _ in range(3)
    ]
    assert found == ["made", "made-2", "made-3"]
    for response in (
        api.post(collection, {"name": "Other", "slug": "made"}),
        api.patch(one, {"slug": "made-2"}),
    ):
        assert (response.status_code, response.json()["error"]) == (409, "slug_taken")
    assert api.patch(one, {"slug": "made"}).status_code == 200


@each_level
def test_words_of_the_addresses_are_no_slugs(
    api: Api, web: Target, collection: str, one: str, level: str, no_limits: None
) -> None:
    api.post(collection, {"name": "Made"})
    shaped = ("Upper", "a--b", "-a", "a-", "a.b", "a/b", "ä", "", web.ulid.lower(), "x" * 51)
    for slug in (*RESERVED[level], *shaped):
        for response in (
            api.post(collection, {"name": "Other", "slug": slug}),
            api.patch(one, {"slug": slug}),
        ):
            assert response.status_code == 422, (slug, response.content)
            assert response.json()["errors"].keys() == {"slug"}
            assert response.json()["message"].startswith("slug: ")


def test_the_same_slug_may_be_elsewhere(api: Api, live: Environment) -> None:
    api.post("/{o}/projects", {"name": "Other"})
    assert api.post("/{o}/other/targets", {"name": "Web", "slug": "web"}).status_code == 201
    response = api.post("/{o}/other/web/environments", {"name": "Live", "slug": "live"})
    assert response.status_code == 201
    assert api.get("/{o}/other/web/live").json()["data"]["id"] != live.ulid


def test_a_node_is_found_only_in_its_own_place(api: Api, live: Environment) -> None:
    api.post("/{o}/projects", {"name": "Other"})
    api.post("/{o}/other/targets", {"name": "Web"})
    for path in (
        f"/{{o}}/other/{live.target.ulid}",
        f"/{{o}}/other/web/{live.ulid}",
        f"/{{o}}/shop/{live.ulid}",
        f"/{{o}}/{live.target.ulid}",
    ):
        for method in ("GET", "PATCH", "DELETE"):
            assert api.send(method, path, {}).status_code == 404, path
    assert Environment.objects.filter(pk=live.pk).exists()


@pytest.mark.parametrize("path", ["/{o}/shop", "/{o}/shop/web", "/{o}/shop/web/live"])
def test_an_empty_change_is_fine_and_leaves_no_entry(
    api: Api, acme: Organization, live: Environment, entries: Callable[..., Any], path: str
) -> None:
    before = api.get(path).json()
    for method in ("PATCH", "PUT"):
        assert api.send(method, path, {}).json() == before
        assert api.send(method, path).json() == before
    assert not entries(acme, action="update", resource_type__in=RESERVED)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": None}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": ["a"]}, "name"),
        ({"history_policy": "burn"}, "history_policy"),
        ({"secret_versioning": "perhaps"}, "secret_versioning"),
        ({"description": None}, "description"),
    ],
)
def test_a_change_that_does_not_fit_is_refused_by_field(
    api: Api, shop: Project, body: dict[str, Any], field: str
) -> None:
    response = api.patch("/{o}/shop", {"secret_versioning": False, **body})
    assert response.status_code == 422, response.content
    assert response.json()["errors"].keys() == {field}
    shop.refresh_from_db()
    assert (shop.name, shop.secret_versioning) == ("Shop", True)


@pytest.mark.parametrize(
    ("asked", "is_production"),
    [
        ({}, False),
        ({"status": "production"}, True),
        ({"status": "production", "is_production": False}, False),
        ({"status": "qa-2", "is_production": True}, True),
    ],
)
def test_whether_an_environment_is_production(
    api: Api, web: Target, asked: dict[str, Any], is_production: bool
) -> None:
    response = api.post("/{o}/shop/web/environments", {"name": "E", **asked})
    assert response.json()["data"]["attributes"]["is_production"] is is_production


def test_following_the_links_shows_everything_once(api: Api, acme: Organization) -> None:
    for number in range(30):
        ProjectFactory.create(organization=acme, name=f"P {number:02}")
    whole = api.get("/{o}/projects").json()["data"]
    assert len(whole) == 30
    seen: list[Any] = []
    path = "/{o}/projects?per_page=7"
    while path:
        answer = api.get(path).json()
        seen += answer["data"]
        path = answer["links"]["next"]
    assert seen == whole


@each_level
def test_each_deed_needs_its_ability_and_no_other(
    api: Api, api_with: ApiWith, web: Target, collection: str, one: str, level: str
) -> None:
    api.post(collection, {"name": "Made"})
    calls: dict[str, list[tuple[str, str, dict[str, str] | None]]] = {
        "read": [("GET", collection, None), ("GET", one, None)],
        "create": [("POST", collection, {"name": "More"})],
        "update": [("PATCH", one, {}), ("PUT", one, {})],
        "delete": [("DELETE", one, None)],
    }
    everything = [f"{level}:{action}" for level in RESERVED for action in calls]
    for action, attempts in calls.items():
        ability = f"{level}:{action}"
        without, only = api_with(*(a for a in everything if a != ability)), api_with(ability)
        for method, path, body in attempts:
            response = without.send(method, path, body)
            assert response.status_code == 403, (ability, method)
            assert response.json()["details"] == {"required": ability}
            assert only.send(method, path, body).status_code < 300, (ability, method)

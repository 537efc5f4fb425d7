"""Organizations: one a token, by ULID or slug; made, renamed and deleted with what they own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from organizations.models import Membership, Organization, Project
from tests.api.conftest import Api
from tests.factories import EnvironmentFactory, OrganizationFactory

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_list_holds_the_organization_of_the_token_alone(api: Api, acme: Organization) -> None:
    OrganizationFactory.create(name="Another")
    body = api.get("/organizations").json()
    assert [item["id"] for item in body["data"]] == [acme.ulid]
    assert body["meta"]["total"] == 1
    assert type(body["meta"]["last_page"]) is int


def test_attributes_are_there_nested_and_flat(api: Api, acme: Organization) -> None:
    """Documents read `data.name`, the SDK `data.attributes.name`."""
    resource = api.get(f"/organizations/{acme.slug}").json()["data"]
    assert resource["type"] == "organizations"
    assert resource["id"] == acme.ulid
    assert {name: resource[name] for name in resource["attributes"]} == resource["attributes"]
    assert resource["attributes"]["plan_name"] == "self-hosted"
    assert resource["attributes"]["status"] == "active"


def test_ulid_in_any_case_and_slug_name_the_same_organization(api: Api, acme: Organization) -> None:
    answers = [
        api.get(f"/organizations/{name}").json()
        for name in (acme.ulid, acme.ulid.lower(), acme.slug, acme.slug.upper())
    ]
    assert [answer["data"]["id"] for answer in answers] == [acme.ulid] * 4


def test_the_organization_of_the_token_has_a_path_of_its_own(api: Api, acme: Organization) -> None:
    assert api.get("/organization").json()["data"]["id"] == acme.ulid


def test_a_new_organization_belongs_to_the_creator_of_the_key(api: Api, acme: Organization) -> None:
    response = api.post("/organizations", {"name": "Acme"})
    assert response.status_code == 201
    assert response.json()["data"]["slug"] == "acme-2"
    made = Membership.objects.get(organization__slug="acme-2")
    assert made.user == acme.memberships.get().user
    assert made.role == "owner"


def test_nobody_would_own_what_an_ownerless_key_makes(api_with: Callable[..., Api]) -> None:
    response = api_with("organization:create").post("/organizations", {"name": "Orphan"})
    assert response.status_code == 422
    assert "would have no owner" in response.json()["message"]


@pytest.mark.parametrize(
    ("body", "status", "error", "named"),
    [
        ({}, 422, "validation_failed", "name"),
        ({"name": ""}, 422, "validation_failed", "name"),
        ({"name": "x", "slug": "ab"}, 422, "validation_failed", "slug"),
        ({"name": "x", "slug": "Not-lower"}, 422, "validation_failed", "slug"),
        ({"name": "x", "slug": "two--hyphens"}, 422, "validation_failed", "slug"),
        ({"name": "x", "slug": "organizations"}, 422, "validation_failed", "slug"),
        ({"name": "x", "slug": "01arz3ndektsv4rrffq69g5fav"}, 422, "validation_failed", "slug"),
        ({"name": "x" * 101}, 422, "validation_failed", "name"),
        ({"name": "x", "slug": "acme"}, 409, "slug_taken", "slug"),
    ],
)
def test_what_cannot_be_is_refused_by_name(
    api: Api, body: Any, status: int, error: str, named: str
) -> None:
    response = api.post("/organizations", body)
    answer = response.json()
    assert (response.status_code, answer["error"]) == (status, error)
    assert named in answer["message"]
    if status == 422:
        assert isinstance(answer["errors"][named], list)
    assert Organization.objects.count() == 1


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
def test_name_and_slug_change_each_by_itself(api: Api, acme: Organization, method: str) -> None:
    answer = api.send(method, f"/organizations/{acme.ulid}", {"slug": "apex"}).json()
    assert answer["data"]["name"] == "Acme"
    assert answer["data"]["slug"] == "apex"
    answer = api.send(method, "/organizations/apex", {"name": "Apex"}).json()
    assert (answer["data"]["name"], answer["data"]["slug"]) == ("Apex", "apex")


def test_members_are_kept_from_keys_and_history_is_locked_by_a_change(
    api: Api, acme: Organization
) -> None:
    path = f"/organizations/{acme.ulid}"
    assert api.get(path).json()["data"]["attributes"]["member_key_retrieve"] is True
    changes = {"member_key_retrieve": False, "history_retention_days": 90}
    answer = api.patch(path, changes).json()["data"]["attributes"]
    assert {name: answer[name] for name in changes} == changes
    assert answer["name"] == "Acme"
    answer = api.patch(path, {"history_retention_days": None}).json()["data"]["attributes"]
    assert (answer["history_retention_days"], answer["member_key_retrieve"]) == (None, False)


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"member_key_retrieve": "perhaps"}, "member_key_retrieve"),
        ({"member_key_retrieve": None}, "member_key_retrieve"),
        ({"history_retention_days": 0}, "history_retention_days"),
        ({"history_retention_days": 36_501}, "history_retention_days"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_by_name(
    api: Api, acme: Organization, body: dict[str, Any], named: str
) -> None:
    response = api.patch(f"/organizations/{acme.ulid}", body)
    assert (response.status_code, list(response.json()["errors"])) == (422, [named])


def test_a_key_without_key_retrieve_does_not_give_it_to_members(
    api: Api, api_with: Callable[..., Api], acme: Organization
) -> None:
    weak, path = api_with("organization:update"), f"/organizations/{acme.ulid}"
    assert weak.patch(path, {"member_key_retrieve": False}).status_code == 200
    response = weak.patch(path, {"member_key_retrieve": True})
    assert "do not have" in response.json()["errors"]["member_key_retrieve"][0]
    assert api.patch(path, {"member_key_retrieve": True}).status_code == 200


def test_a_taken_slug_is_refused_on_change_too(api: Api, acme: Organization) -> None:
    OrganizationFactory.create(name="Other")
    response = api.patch(f"/organizations/{acme.ulid}", {"slug": "other"})
    assert (response.status_code, response.json()["error"]) == (409, "slug_taken")


def test_deleting_takes_everything_along_but_the_log(
    api: Api, acme: Organization, left_by: Callable[..., list[Any]]
) -> None:
    EnvironmentFactory.create(target__project__organization=acme)
    left = left_by(lambda: api.delete(f"/organizations/{acme.slug}"))
    assert not Organization.objects.exists()
    assert not Project.objects.exists()
    deleted = {entry.type for entry in left if entry.action == "delete"}
    assert deleted >= {"organization", "project", "target", "environment", "key_version", "api_key"}
    assert {entry.organization_id for entry in left} == {acme.pk}
    assert api.get("/user").status_code == 401


@pytest.mark.parametrize("status", ["suspended", "locked", "cancelled"])
def test_only_an_active_organization_is_served(api: Api, acme: Organization, status: str) -> None:
    Organization.objects.filter(pk=acme.pk).update(status=status)
    response = api.get(f"/{acme.slug}/projects")
    assert (response.status_code, response.json()["error"]) == (403, "organization_inactive")

"""What each call that changes something leaves in the log: who, from where, by which request."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest

from keys.models import ApiKey
from organizations import clock, ulid
from organizations.models import Environment, Organization
from tests.api.conftest import ADDRESS, AGENT, Api, Recorded
from tests.factories import ApiKeyFactory, MembershipFactory

pytestmark = pytest.mark.django_db(transaction=True)

Left = Callable[[Callable[[], Any]], list[Recorded]]


@pytest.fixture
def calls(api: Api, acme: Organization, live: Environment) -> dict[str, tuple[Any, ...]]:
    """Every call that changes something: method, path, body, and what it leaves."""
    api.get("/user")  # so that no first use of the key is among the entries
    member = MembershipFactory.create(organization=acme, role="member")
    key = ApiKeyFactory.create(organization=acme, abilities=["project:read"], name="other").api_key
    one_member = f"/organizations/{{o}}/members/{member.ulid}"
    one_key = f"/organizations/{{o}}/api-keys/{key.ulid}"
    return {
        "create project": ("POST", "/{o}/projects", {"name": "New"}),
        "update project": ("PATCH", "/{o}/shop", {"name": "Store"}),
        "create target": ("POST", "/{o}/shop/targets", {"name": "New"}),
        "update target": ("PUT", "/{o}/shop/web", {"name": "Site"}),
        "create environment": ("POST", "/{o}/shop/web/environments", {"name": "New"}),
        "update environment": ("PATCH", "/{o}/shop/web/live", {"name": "Production"}),
        "rotate key_version": ("POST", "/{o}/shop/encryption-key/rotate", None),
        "delete environment": ("DELETE", "/{o}/shop/web/live", None),
        "delete target": ("DELETE", "/{o}/shop/web", None),
        "delete project": ("DELETE", "/{o}/shop", None),
        "invite invitation": (
            "POST",
            "/organizations/{o}/members",
            {"email": "eve@example.org", "role": "member"},
        ),
        "update membership": ("PATCH", one_member, {"role": "developer"}),
        "delete membership": ("DELETE", one_member, None),
        "create api_key": (
            "POST",
            "/organizations/{o}/api-keys",
            {"name": "new", "abilities": ["project:read"]},
        ),
        "update api_key": ("PUT", one_key, {"name": "renamed"}),
        "rotate api_key": ("POST", f"{one_key}/rotate", None),
        "delete api_key": ("DELETE", one_key, None),
        "create organization": ("POST", "/organizations", {"name": "Second"}),
        "update organization": ("PATCH", "/organizations/{o}", {"name": "Apex"}),
        "delete organization": ("DELETE", f"/organizations/{acme.ulid}", None),
    }


def test_every_change_is_entered_with_its_actor_and_request(
    api: Api, acme: Organization, calls: dict[str, tuple[Any, ...]], left_by: Left
) -> None:
    key = ApiKey.objects.get(name="ci")
    for expected, (method, path, body) in calls.items():
        answers: list[Any] = []
        left = left_by(
            lambda call=(method, path, body), answers=answers: answers.append(api.send(*call))  # type: ignore[misc]
        )
        assert answers[0].status_code in (200, 201, 204), (expected, answers[0].content)
        assert expected in {f"{entry.action} {entry.type}" for entry in left}
        request_id = ulid.parse(answers[0]["X-Request-Id"])
        for entry in left:
            assert (entry.actor_type, entry.actor, entry.actor_id) == ("api_key", "ci", key.pk)
            assert (entry.ip, entry.user_agent) == (ADDRESS, AGENT)
            assert entry.request_id == request_id
            assert (entry.interface, entry.result) == ("api", "success")
            if expected != "create organization":
                assert entry.organization_id == acme.pk


def test_a_change_has_the_values_before_and_after(
    api: Api, live: Environment, left_by: Left
) -> None:
    api.get("/user")
    (entry,) = left_by(lambda: api.patch("/{o}/shop/web/live", {"name": "Prod", "status": "local"}))
    assert entry.label == "shop/web/live"
    assert entry.changes == {"name": ["Live", "Prod"], "status": ["development", "local"]}


def test_an_update_that_changes_nothing_leaves_nothing(
    api: Api, live: Environment, left_by: Left
) -> None:
    api.get("/user")
    assert left_by(lambda: api.patch("/{o}/shop/web/live", {})) == []
    assert left_by(lambda: api.patch("/{o}/shop/web/live", {"name": "Live"})) == []


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/{o}/projects", {"name": ""}, 422),
        ("POST", "/{o}/projects", {"name": "x", "slug": "shop"}, 409),
        ("POST", "/{o}/projects", "{", 400),
        ("PATCH", "/{o}/shop", {"slug": "secrets"}, 422),
        ("DELETE", "/{o}/nothing", None, 404),
        ("POST", "/{o}/shop/encryption-key/rotate", {"history_policy": "x"}, 422),
    ],
)
def test_what_fails_changes_nothing_and_leaves_nothing(
    api: Api, live: Environment, left_by: Left, method: str, path: str, body: Any, status: int
) -> None:
    api.get("/user")
    answers: list[Any] = []
    assert left_by(lambda: answers.append(api.send(method, path, body))) == []
    assert answers[0].status_code == status


def test_a_crash_takes_the_change_and_its_entry_back(
    api: Api, acme: Organization, left_by: Left, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*args: Any) -> None:
        raise RuntimeError

    api.get("/user")
    monkeypatch.setattr("dotenv_cloud.api.resources.project", crash)
    answers: list[Any] = []
    assert left_by(lambda: answers.append(api.post("/{o}/projects", {"name": "x"}))) == []
    assert answers[0].status_code == 500
    assert not acme.projects.exists()


def test_a_count_survives_the_rollback_of_what_it_counted(api: Api, acme: Organization) -> None:
    first = int(api.post("/{o}/projects", {"name": ""})["X-RateLimit-Remaining"])
    second = int(api.post("/{o}/projects", {"name": ""})["X-RateLimit-Remaining"])
    assert second == first - 1


def test_the_command_is_distinguished_from_other_clients(
    api: Api, shop: Any, left_by: Left
) -> None:
    api.get("/user")
    headers = {"X-Client-Command": "key rotate"}
    left = left_by(lambda: api.post("/{o}/shop/encryption-key/rotate", headers=headers))
    assert {entry.interface for entry in left} == {"cli"}
    assert {entry.context["command"] for entry in left} == {"key rotate"}


def test_an_expired_key_is_named_where_it_belongs(
    acme: Organization, left_by: Left, owner_connection: Any
) -> None:
    issued = ApiKeyFactory.create(
        organization=acme, abilities=["*"], name="old", expires_at=clock.now() + dt.timedelta(1)
    )
    with clock.at(clock.now() + dt.timedelta(days=2)):
        (entry,) = left_by(lambda: Api(issued.token).get("/user"))
    assert entry.organization_id == acme.pk
    assert (entry.actor_type, entry.actor) == ("api_key", "old")
    assert (entry.result, entry.context["reason"]) == ("denied", "expired")


def test_an_unknown_token_is_entered_and_never_repeated(acme: Organization, left_by: Left) -> None:
    token = f"dotenv_{acme.ulid}_{'x' * 40}"
    (entry,) = left_by(lambda: Api(token).get("/organizations/acme"))
    assert (entry.actor_type, entry.organization_id) == ("anonymous", ulid.NIL)
    assert "xxxx" not in str(entry)

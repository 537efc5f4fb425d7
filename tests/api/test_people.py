"""People who call by access tokens: what their roles allow, where they belong, right now."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from typing import Any

import pytest
from pytest_django import DjangoAssertNumQueries

from dotenv_cloud.environment import Limit
from keys import access_tokens
from keys.models import AccessToken
from organizations import clock, members, roles
from organizations.grants import EVERYTHING
from organizations.models import Membership, Organization, User
from organizations.roles import Role
from tests.api.conftest import ADDRESS, Api, Recorded
from tests.factories import MembershipFactory, OrganizationFactory, ProjectFactory, UserFactory

pytestmark = pytest.mark.django_db


def calling(user: User, organization: Organization | None = None, **fields: Any) -> Api:
    """A program of `user`."""
    return Api(access_tokens.create(user, "laptop", **fields).token, organization)


@pytest.fixture
def dora(acme: Organization) -> User:
    """A developer of Acme."""
    user = UserFactory.create(email="dora@example.org", name="Dora")
    MembershipFactory.create(organization=acme, role="developer", user=user)
    return user


@pytest.fixture
def rival() -> Organization:
    return OrganizationFactory.create(name="Rival")


def test_a_token_is_what_clients_accept(dora: User) -> None:
    issued = access_tokens.create(dora, "laptop")
    assert re.fullmatch(r"dotenv_[0-9A-Z]{26}_[a-zA-Z0-9]{40}", issued.token)
    assert issued.access_token.ulid in issued.token
    assert issued.token not in str(AccessToken.objects.values().get())


def test_a_person_learns_who_they_are_and_where_they_belong(
    acme: Organization, rival: Organization, dora: User
) -> None:
    MembershipFactory.create(organization=rival, auditor=True, user=dora)
    body = calling(dora).get("/user").json()
    assert (body["data"]["type"], body["data"]["id"]) == ("users", str(dora.number))
    attributes = body["data"]["attributes"]
    assert (attributes["name"], attributes["email"]) == ("Dora", "dora@example.org")
    assert attributes["is_verified"] is True
    for moment in ("created_at", "updated_at"):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", attributes[moment])
    references = body["data"]["relationships"]["organizations"]["data"]
    assert [reference["id"] for reference in references] == [acme.ulid, rival.ulid]
    assert [item["attributes"] for item in body["included"]] == [
        {"ulid": acme.ulid, "name": "Acme", "slug": "acme", "role": "developer"},
        {"ulid": rival.ulid, "name": "Rival", "slug": "rival", "role": "auditor"},
    ]


def test_a_person_who_belongs_nowhere_is_someone_still(acme: Organization) -> None:
    api = calling(UserFactory.create())
    assert api.get("/user").json()["included"] == []
    assert api.get("/organizations").json()["data"] == []
    assert api.get(f"/{acme.slug}/projects").status_code == 404


def test_organizations_lists_those_one_belongs_to(
    acme: Organization, rival: Organization, dora: User
) -> None:
    OrganizationFactory.create(name="Elsewhere")
    MembershipFactory.create(organization=rival, role="member", user=dora)
    found = calling(dora).get("/organizations").json()
    assert [item["id"] for item in found["data"]] == [acme.ulid, rival.ulid]
    assert found["meta"]["total"] == 2


def test_no_one_organization_is_a_persons_own(dora: User) -> None:
    response = calling(dora).get("/organization")
    assert (response.status_code, response.json()["error"]) == (404, "not_found")


def test_anybody_may_make_an_organization_and_owns_it(dora: User) -> None:
    response = calling(dora).post("/organizations", {"name": "Dora's own"})
    assert response.status_code == 201, response.content
    made = Membership.objects.get(organization__slug=response.json()["data"]["slug"])
    assert (made.user, made.role) == (dora, "owner")


@pytest.mark.parametrize("role", Role.values)
def test_a_role_is_what_its_person_may_do(
    acme: Organization, shop: Any, role: str, no_limits: None
) -> None:
    api = calling(MembershipFactory.create(organization=acme, role=role).user, acme)
    may = roles.PERMISSIONS[Role(role)]
    for ability, method, path in (
        ("project:read", "GET", "/{o}/shop"),
        ("key:retrieve", "GET", "/{o}/shop/encryption-key"),
        ("project:create", "POST", "/{o}/projects"),
        ("key:rotate", "POST", "/{o}/shop/encryption-key/rotate"),
        ("organization:read", "GET", "/organizations/{o}"),
        ("member:read", "GET", "/organizations/{o}/members"),
        ("api-token:read", "GET", "/organizations/{o}/api-keys"),
        ("audit:read", "GET", "/organizations/{o}/audit/entries"),
        ("audit:export", "GET", "/organizations/{o}/audit/entries/export"),
        ("project:delete", "DELETE", "/{o}/shop"),
        ("organization:delete", "DELETE", "/organizations/{o}"),
    ):
        status = api.send(method, path, {"name": "x"} if method == "POST" else None).status_code
        assert (status < 300) == (ability in may), (ability, status)
        assert status < 300 or status == 403


def test_a_role_counts_from_the_moment_it_is_given_and_no_longer(
    acme: Organization, dora: User, shop: Any
) -> None:
    api = calling(dora, acme)
    assert api.delete("/{o}/shop").status_code == 403
    membership = Membership.objects.get(user=dora)
    members.change_role(membership, "auditor", granter=EVERYTHING)
    assert api.get("/{o}/shop/encryption-key").status_code == 403
    members.change_role(membership, "owner", granter=EVERYTHING)
    assert api.get("/{o}/shop/encryption-key").status_code == 200
    members.remove(membership)
    assert api.get("/{o}/shop/encryption-key").status_code == 404
    assert api.get("/user").json()["included"] == []


def test_another_organization_is_as_good_as_none(dora: User, rival: Organization) -> None:
    ProjectFactory.create(organization=rival, name="Plans")
    api = calling(dora)
    absent = api.get("/nobody/projects")
    for reference in (rival.slug, rival.ulid, rival.ulid.lower()):
        hidden = api.get(f"/{reference}/projects")
        assert hidden.status_code == absent.status_code == 404
        assert hidden.content == absent.content


def test_being_a_superuser_opens_nothing(acme: Organization, shop: Any) -> None:
    root = UserFactory.create(is_staff=True, is_superuser=True)
    assert calling(root, acme).get("/{o}/shop").status_code == 404


def test_an_organization_that_is_not_active_reaches_nothing(
    acme: Organization, dora: User, shop: Any
) -> None:
    acme.status = "suspended"
    acme.save()
    api = calling(dora, acme)
    response = api.get("/{o}/shop")
    assert (response.status_code, response.json()["error"]) == (403, "organization_inactive")
    assert api.get("/user").status_code == 200


def test_what_a_person_makes_is_theirs(acme: Organization) -> None:
    owner = acme.memberships.get().user
    api = calling(owner, acme)
    made = api.post("/organizations/{o}/api-keys", {"name": "ci", "abilities": ["project:read"]})
    assert made.status_code == 201
    assert made.json()["api_key"]["created_by"]["id"] == owner.number
    api.post("/organizations/{o}/members", {"email": "new@example.org", "role": "member"})
    assert acme.invitations.get().invited_by == owner


def test_a_person_grants_no_more_than_the_role_holds(acme: Organization) -> None:
    admin = MembershipFactory.create(organization=acme, role="admin").user
    api = calling(admin, acme)
    made = api.post("/organizations/{o}/api-keys", {"name": "ci", "abilities": ["audit:export"]})
    assert (made.status_code, list(made.json()["errors"])) == (422, ["abilities"])


# -- Tokens that do not work


def test_revoked_and_expired_tokens_and_those_of_inactive_people_are_401(dora: User) -> None:
    api = calling(dora, expires_at=clock.now() + dt.timedelta(hours=1))
    assert api.get("/user").status_code == 200
    with clock.at(clock.now() + dt.timedelta(hours=2)):
        response = api.get("/user")
        assert (response.status_code, response.json()["error"]) == (401, "unauthenticated")
        assert "expired" in response.json()["message"]
    dora.is_active = False
    dora.save()
    assert "deactivated" in api.get("/user").json()["message"]
    dora.is_active = True
    dora.save()
    assert api.get("/user").status_code == 200
    access_tokens.revoke(AccessToken.objects.get())
    assert api.get("/user").status_code == 401


def test_a_token_goes_with_its_person(dora: User) -> None:
    api = calling(dora)
    dora.delete()
    assert api.get("/user").status_code == 401


# -- Limits


def test_people_count_among_the_requests_of_the_organization(
    api: Api, acme: Organization, dora: User, settings: Any
) -> None:
    settings.RATE_LIMITS = {**settings.RATE_LIMITS, "api": Limit(2, 60)}
    assert api.get("/{o}/projects")["X-RateLimit-Remaining"] == "1"
    person = calling(dora, acme)
    assert person.get("/{o}/projects")["X-RateLimit-Remaining"] == "0"
    assert person.get("/{o}/projects").status_code == 429
    assert api.get("/{o}/projects").status_code == 429
    # What is nobody's but the person's goes on.
    assert person.get("/user")["X-RateLimit-Remaining"] == "1"


def test_looking_around_has_a_limit_of_its_own(
    dora: User, rival: Organization, settings: Any
) -> None:
    settings.RATE_LIMITS = {**settings.RATE_LIMITS, "api": Limit(2, 60)}
    person = calling(dora)
    statuses = [person.get(f"/{name}/projects").status_code for name in ("a", "rival", "b")]
    assert statuses == [404, 404, 429]
    assert calling(rival.memberships.get().user, rival).get("/{o}/projects").status_code == 200


def test_a_right_token_waits_too_when_its_address_tried_too_many_wrong_ones(
    dora: User, settings: Any
) -> None:
    settings.RATE_LIMITS = {**settings.RATE_LIMITS, "failed_authentication": Limit(2, 60)}
    for _ in range(2):
        assert Api("dotenv_wrong").get("/user").status_code == 401
    assert calling(dora).get("/user").status_code == 429


# -- What is recorded


@pytest.mark.django_db(transaction=True)
def test_a_change_is_the_persons_with_the_token_beside(
    acme: Organization, dora: User, left_by: Callable[..., list[Recorded]]
) -> None:
    issued = access_tokens.create(dora, "laptop")
    api = Api(issued.token, acme)
    api.get("/user")
    left = left_by(
        lambda: api.post(
            "/{o}/projects", {"name": "Shop"}, headers={"x-client-command": "project create"}
        )
    )
    assert {entry.type for entry in left} == {"project", "key_version"}
    for entry in left:
        assert (entry.actor_type, entry.actor, entry.actor_id) == ("user", dora.email, dora.pk)
        assert entry.context["access_token"] == issued.access_token.ulid
        assert (entry.interface, entry.context["command"]) == ("cli", "project create")
        assert issued.token not in str(entry)


@pytest.mark.django_db(transaction=True)
def test_tokens_are_entered_where_their_person_belongs(
    acme: Organization, rival: Organization, dora: User, left_by: Callable[..., list[Recorded]]
) -> None:
    MembershipFactory.create(organization=rival, role="member", user=dora)
    made = left_by(lambda: access_tokens.create(dora, "laptop"))
    gone = left_by(lambda: access_tokens.revoke(AccessToken.objects.get()))
    for left, action in ((made, "create"), (gone, "delete")):
        assert {entry.organization_id for entry in left} == {acme.pk, rival.pk}
        assert {(e.action, e.type, e.label) for e in left} == {(action, "access_token", "laptop")}
    assert made[0].changes["user_id"] == [None, dora.ulid]
    assert "token_hash" not in made[0].changes


@pytest.mark.django_db(transaction=True)
def test_a_look_elsewhere_is_entered_by_name(
    dora: User, rival: Organization, left_by: Callable[..., list[Recorded]]
) -> None:
    api = calling(dora)
    api.get("/user")
    (entry,) = left_by(lambda: api.get("/rival/projects"))
    assert (entry.action, entry.result, entry.actor) == ("access", "denied", dora.email)
    assert (entry.context["status"], entry.context["reason"]) == (404, "not_found")
    assert entry.organization_id != rival.pk


@pytest.mark.django_db(transaction=True)
def test_a_token_used_after_its_end_is_entered_where_its_person_belongs(
    acme: Organization, rival: Organization, dora: User, left_by: Callable[..., list[Recorded]]
) -> None:
    MembershipFactory.create(organization=rival, role="member", user=dora)
    api = calling(dora, expires_at=clock.now() + dt.timedelta(hours=1))
    AccessToken.objects.update(expires_at=clock.now())
    left = left_by(lambda: api.get("/user"))
    assert {entry.organization_id for entry in left} == {acme.pk, rival.pk}
    for entry in left:
        assert (entry.action, entry.result, entry.actor) == ("access", "denied", dora.email)
        assert (entry.context["status"], entry.context["reason"]) == (401, "expired")


# -- How much it takes


@pytest.mark.django_db(transaction=True)
def test_whose_token_it_is_and_what_they_may_do_takes_five_statements(
    acme: Organization, dora: User, shop: Any, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    """No API key, but a person; the organization, if they may do anything there, and what, which is
    guardian's answer; its count. Then the project, in a transaction."""
    api = calling(dora, acme)
    api.get("/{o}/shop")
    with django_assert_num_queries(5 + 3):
        assert api.get("/{o}/shop").status_code == 200


def test_nobody_has_more_than_they_can_look_after(
    dora: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access_tokens, "MOST", 1)
    access_tokens.create(dora, "laptop")
    with pytest.raises(Exception, match="revoke one first"):
        access_tokens.create(dora, "another")


def test_when_and_from_where_it_was_used_is_remembered(dora: User) -> None:
    calling(dora).get("/user")
    token = AccessToken.objects.get()
    assert token.last_used_ip == ADDRESS
    assert token.last_used_at is not None

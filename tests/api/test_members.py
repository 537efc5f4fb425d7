"""Members: invited by e-mail, given roles, removed; nobody gives or takes more than they hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from organizations.models import Invitation, Membership, Organization
from tests.api.conftest import Api
from tests.factories import ApiKeyFactory, MembershipFactory

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def members(acme: Organization) -> str:
    return f"/organizations/{acme.slug}/members"


def test_an_invitation_goes_out_by_mail(api: Api, members: str, mailoutbox: list[Any]) -> None:
    response = api.post(members, {"email": "Eve@Example.org", "role": "developer"})
    assert response.status_code == 201
    assert response.json()["data"]["attributes"]["email"] == "Eve@example.org"
    assert "/invitations/" in mailoutbox[0].body
    link = mailoutbox[0].body.partition("/invitations/")[2].split()[0]
    assert link not in response.content.decode()


def test_a_refused_invitation_sends_nothing(
    api_with: Callable[..., Api], members: str, mailoutbox: list[Any]
) -> None:
    response = api_with("member:create").post(
        members, {"email": "eve@example.org", "role": "owner"}
    )
    assert response.status_code == 422
    assert "give or take the role" in response.json()["errors"]["role"][0]
    assert not Invitation.objects.exists()
    assert not mailoutbox


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"role": "member"}, "email"),
        ({"email": "no address", "role": "member"}, "email"),
        ({"email": "eve@example.org"}, "role"),
        ({"email": "eve@example.org", "role": "viewer"}, "role"),
    ],
)
def test_an_invitation_names_what_is_wrong(api: Api, members: str, body: Any, named: str) -> None:
    response = api.post(members, body)
    assert response.status_code == 422
    assert response.json()["message"].startswith(f"{named}: ")


def test_the_long_name_of_administrators_is_understood(api: Api, members: str) -> None:
    key = api.post(members, {"email": "eve@example.org", "role": "administrator"})
    assert key.json()["data"]["attributes"]["role"] == "admin"


def test_members_are_listed_shown_changed_and_removed(
    api: Api, acme: Organization, members: str
) -> None:
    membership = MembershipFactory.create(organization=acme, role="member")
    listed = [item["id"] for item in api.get(members).json()["data"]]
    assert listed == [acme.memberships.get(role="owner").ulid, membership.ulid]
    one = f"{members}/{membership.ulid}"
    assert api.get(one).json()["data"]["attributes"]["email"] == membership.user.email
    changed = api.patch(one, {"role": "developer"})
    assert changed.json()["data"]["attributes"]["role"] == "developer"
    assert api.delete(one).status_code == 204
    assert api.delete(one).status_code == 404
    assert not Membership.objects.filter(pk=membership.pk).exists()


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
def test_the_last_owner_stays(acme: Organization, members: str, method: str) -> None:
    # An owner's rank needs every ability, audit:manage too, which `*` leaves out.
    every = ApiKeyFactory.create(organization=acme, abilities=["*", "audit:manage"]).token
    owner = acme.memberships.get()
    response = Api(every).send(method, f"{members}/{owner.ulid}", {"role": "member"})
    assert response.status_code == 422
    assert "last owner" in response.json()["message"]
    owner.refresh_from_db()
    assert owner.role == "owner"


def test_a_key_with_less_cannot_take_a_role_away(
    api_with: Callable[..., Api], acme: Organization, members: str
) -> None:
    MembershipFactory.create(organization=acme, role="owner")
    admin = MembershipFactory.create(organization=acme, role="admin")
    response = api_with("member:delete").delete(f"{members}/{admin.ulid}")
    assert response.status_code == 422
    assert Membership.objects.filter(pk=admin.pk).exists()

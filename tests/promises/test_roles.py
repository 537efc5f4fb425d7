"""Roles and permissions: in step in one transaction, never more than held, an owner always left."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from django.contrib.auth.models import Permission
from django.core.exceptions import ValidationError
from django.db import connection

from organizations import members, permissions, roles
from organizations.models import (
    Membership,
    Organization,
    OrganizationUserObjectPermission,
    User,
)
from organizations.roles import Role
from tests import factories
from tests.promises.conftest import Told

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "sealer"])
New = Callable[[], list[Told]]


def owner_of(organization: Organization) -> Membership:
    return organization.memberships.get(role="owner")


@pytest.mark.parametrize("role", Role.values)
def test_a_member_holds_what_the_role_says(organization: Organization, role: str) -> None:
    user = factories.make_member(organization, role).user
    assert permissions.abilities_of(user, organization) == roles.PERMISSIONS[Role(role)]


def test_nobody_holds_anything_elsewhere_superusers_included(organization: Organization) -> None:
    root = User.objects.create_superuser("root@example.org", "correct horse battery staple")
    stranger = factories.make_organization("Other").memberships.get().user
    assert permissions.abilities_of(root, organization) == frozenset()
    assert permissions.abilities_of(stranger, organization) == frozenset()


def test_a_new_role_is_told_with_the_effective_difference(
    organization: Organization, new_entries: New
) -> None:
    membership = factories.make_member(organization, "auditor")
    before = len(new_entries())
    members.change_role(membership, "billing_manager", granter=roles.ALL)
    told = {entry.action: entry.changes for entry in new_entries()[before:]}
    assert told["update"] == {"role": ["auditor", "billing_manager"]}
    auditor, billing = roles.PERMISSIONS[Role.AUDITOR], roles.PERMISSIONS[Role.BILLING_MANAGER]
    assert told["revoke"] == {"permissions": [sorted(auditor - billing), []]}
    assert told["grant"] == {"permissions": [[], sorted(billing - auditor)]}
    assert permissions.abilities_of(membership.user, organization) == billing


def test_permissions_that_were_given_beside_the_role_go_with_it(organization: Organization) -> None:
    membership = factories.make_member(organization, "auditor")
    OrganizationUserObjectPermission.objects.create(
        user=membership.user,
        content_object=organization,
        permission=Permission.objects.get(codename="key:rotate"),
    )
    members.change_role(membership, "billing_manager", granter=roles.ALL)
    held = permissions.abilities_of(membership.user, organization)
    assert held == roles.PERMISSIONS[Role.BILLING_MANAGER]


def test_who_was_removed_while_inactive_holds_nothing_when_active_again(
    organization: Organization,
) -> None:
    membership = factories.make_member(organization, "admin")
    person = membership.user
    person.is_active = False
    person.save()
    members.remove(membership, granter=roles.ALL)
    person.is_active = True
    person.save()
    assert permissions.abilities_of(person, organization) == frozenset()


def test_an_owner_who_cannot_sign_in_does_not_let_the_last_one_go(
    organization: Organization,
) -> None:
    inactive = factories.make_member(organization, "owner", factories.make_user(is_active=False))
    with pytest.raises(ValidationError, match="last owner"):
        members.remove(organization.memberships.exclude(pk=inactive.pk).get())
    members.remove(inactive)


def test_the_last_owner_cannot_leave_or_step_down(organization: Organization) -> None:
    owner = owner_of(organization)
    for attempt in (
        lambda: members.remove(owner),
        lambda: members.change_role(owner, "member", granter=roles.ALL),
    ):
        with pytest.raises(ValidationError, match="last owner"):
            attempt()


def test_two_owners_who_leave_at_once_leave_one(organization: Organization) -> None:
    owners = [owner_of(organization), factories.make_member(organization, "owner")]
    start = threading.Barrier(2)

    def leave(membership: Membership) -> None:
        start.wait(5)
        try:
            members.remove(membership)
        except ValidationError:
            pass
        finally:
            connection.close()

    threads = [threading.Thread(target=leave, args=(owner,)) for owner in owners]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert organization.memberships.filter(role="owner").count() == 1


def test_nobody_grants_or_takes_more_than_they_hold(organization: Organization) -> None:
    admin = roles.PERMISSIONS[Role.ADMIN]
    member = factories.make_member(organization, "member")
    with pytest.raises(ValidationError, match="holds more than you do"):
        members.invite(organization, "x@example.org", "owner", invited_by=None, granter=admin)
    with pytest.raises(ValidationError, match="holds more than you do"):
        members.change_role(member, "owner", granter=admin)
    with pytest.raises(ValidationError, match="holds more than you do"):
        members.remove(factories.make_member(organization, "owner"), granter=admin)
    members.change_role(member, "developer", granter=admin)


def test_who_leaves_keeps_nothing(organization: Organization, new_entries: New) -> None:
    membership = factories.make_member(organization, "admin")
    user = membership.user
    members.remove(membership)
    assert permissions.abilities_of(user, organization) == frozenset()
    assert new_entries()[-1].action == "leave"


def test_an_invitation_joins_once_and_only_its_own_address(organization: Organization) -> None:
    invited = members.invite(
        organization, "New@Example.org", "developer", invited_by=None, granter=roles.ALL
    )
    found = members.find_invitation(invited.token)
    assert found is not None
    with pytest.raises(ValidationError, match="was sent to"):
        members.accept(found, factories.make_user("other@example.org"))
    membership = members.accept(found, factories.make_user("new@example.org"))
    assert membership.role == "developer"
    used = members.find_invitation(invited.token)
    assert used is not None
    assert not used.is_open
    with pytest.raises(ValidationError, match="expired or was used"):
        members.accept(found, membership.user)


def test_a_second_invitation_replaces_the_first(organization: Organization) -> None:
    first, second = (
        members.invite(organization, "a@example.org", role, invited_by=None, granter=roles.ALL)
        for role in ("member", "developer")
    )
    assert members.find_invitation(first.token) is None
    found = members.find_invitation(second.token)
    assert found is not None
    assert found.role == "developer"

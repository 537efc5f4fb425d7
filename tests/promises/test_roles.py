"""Roles and permissions: in step in one transaction, never more than held, an owner always left."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from django.contrib.auth.models import Permission
from django.core.exceptions import ValidationError
from django.db import connection, transaction

from organizations import creation, members, permissions, roles
from organizations.grants import EVERYTHING, Grant
from organizations.models import (
    Membership,
    Organization,
    OrganizationUserObjectPermission,
    User,
)
from organizations.roles import Role
from tests.factories import MembershipFactory, OrganizationFactory, UserFactory
from tests.promises.conftest import Recorded

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "sealer"])
New = Callable[[], list[Recorded]]


def owner_of(organization: Organization) -> Membership:
    return organization.memberships.get(role="owner")


@pytest.mark.parametrize("role", Role.values)
def test_a_member_holds_what_the_role_says(organization: Organization, role: str) -> None:
    user = MembershipFactory.create(organization=organization, role=role).user
    assert permissions.abilities_of(user, organization) == roles.PERMISSIONS[Role(role)]


def test_nobody_holds_anything_elsewhere_superusers_included(organization: Organization) -> None:
    root = User.objects.create_superuser("root@example.org", "correct horse battery staple")
    stranger = OrganizationFactory.create(name="Other").memberships.get().user
    assert permissions.abilities_of(root, organization) == frozenset()
    assert permissions.abilities_of(stranger, organization) == frozenset()


def test_a_new_role_is_recorded_with_the_effective_difference(
    organization: Organization, new_entries: New
) -> None:
    membership = MembershipFactory.create(organization=organization, auditor=True)
    before = len(new_entries())
    members.change_role(membership, "billing_manager", granter=EVERYTHING)
    changes = {entry.action: entry.changes for entry in new_entries()[before:]}
    assert changes["update"] == {"role": ["auditor", "billing_manager"]}
    auditor, billing = roles.PERMISSIONS[Role.AUDITOR], roles.PERMISSIONS[Role.BILLING_MANAGER]
    assert changes["revoke"] == {"permissions": [sorted(auditor - billing), []]}
    assert changes["grant"] == {"permissions": [[], sorted(billing - auditor)]}
    assert permissions.abilities_of(membership.user, organization) == billing


def test_permissions_that_were_given_beside_the_role_go_with_it(organization: Organization) -> None:
    membership = MembershipFactory.create(organization=organization, auditor=True)
    OrganizationUserObjectPermission.objects.create(
        user=membership.user,
        content_object=organization,
        permission=Permission.objects.get(codename="key:rotate"),
    )
    members.change_role(membership, "billing_manager", granter=EVERYTHING)
    held = permissions.abilities_of(membership.user, organization)
    assert held == roles.PERMISSIONS[Role.BILLING_MANAGER]


def test_who_was_removed_while_inactive_holds_nothing_when_active_again(
    organization: Organization,
) -> None:
    membership = MembershipFactory.create(organization=organization, role="admin")
    person = membership.user
    person.is_active = False
    person.save()
    members.remove(membership, granter=EVERYTHING)
    person.is_active = True
    person.save()
    assert permissions.abilities_of(person, organization) == frozenset()


def test_an_owner_who_cannot_sign_in_does_not_count_as_the_last_one(
    organization: Organization,
) -> None:
    inactive = MembershipFactory.create(
        organization=organization, role="owner", user__is_active=False
    )
    with pytest.raises(ValidationError, match="last owner"):
        members.remove(organization.memberships.exclude(pk=inactive.pk).get())
    members.remove(inactive)


def test_the_last_owner_cannot_leave_or_step_down(organization: Organization) -> None:
    owner = owner_of(organization)
    for attempt in (
        lambda: members.remove(owner),
        lambda: members.change_role(owner, "member", granter=EVERYTHING),
    ):
        with pytest.raises(ValidationError, match="last owner"):
            attempt()


def test_two_owners_who_leave_at_once_leave_one(organization: Organization) -> None:
    owners = [
        owner_of(organization),
        MembershipFactory.create(organization=organization, role="owner"),
    ]
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
    member = MembershipFactory.create(organization=organization, role="member")
    with pytest.raises(ValidationError, match="give or take the role"):
        members.invite(
            organization, "x@example.org", "owner", invited_by=None, granter=Grant(admin)
        )
    with pytest.raises(ValidationError, match="give or take the role"):
        members.change_role(member, "owner", granter=Grant(admin))
    with pytest.raises(ValidationError, match="give or take the role"):
        members.remove(
            MembershipFactory.create(organization=organization, role="owner"), granter=Grant(admin)
        )
    members.change_role(member, "developer", granter=Grant(admin))


def test_who_leaves_keeps_nothing(organization: Organization, new_entries: New) -> None:
    membership = MembershipFactory.create(organization=organization, role="admin")
    user = membership.user
    members.remove(membership)
    assert permissions.abilities_of(user, organization) == frozenset()
    assert new_entries()[-1].action == "leave"


def test_an_invitation_joins_once_and_only_its_own_address(organization: Organization) -> None:
    invited = members.invite(
        organization, "New@Example.org", "developer", invited_by=None, granter=EVERYTHING
    )
    found = members.find_invitation(invited.token)
    assert found is not None
    with pytest.raises(ValidationError, match="was sent to"):
        members.accept(found, UserFactory.create(email="other@example.org"))
    membership = members.accept(found, UserFactory.create(email="new@example.org"))
    assert membership.role == "developer"
    used = members.find_invitation(invited.token)
    assert used is not None
    assert not used.is_open
    with pytest.raises(ValidationError, match="expired or has been used"):
        members.accept(found, membership.user)


def test_a_second_invitation_replaces_the_first(organization: Organization) -> None:
    first, second = (
        members.invite(organization, "a@example.org", role, invited_by=None, granter=EVERYTHING)
        for role in ("member", "developer")
    )
    assert members.find_invitation(first.token) is None
    found = members.find_invitation(second.token)
    assert found is not None
    assert found.role == "developer"


# -- The switch that keeps members from keys


def test_a_turned_switch_takes_the_permission_at_once_and_records_from_whom(
    organization: Organization, new_entries: New
) -> None:
    people = {
        role: MembershipFactory.create(organization=organization, role=role).user
        for role in Role.values
    }
    before = len(new_entries())
    creation.update_organization(organization, member_key_retrieve=False)
    left = new_entries()[before:]
    assert [(e.action, e.changes) for e in left if e.type == "organization"] == [
        ("update", {"member_key_retrieve": [True, False]})
    ]
    taken = [e for e in left if e.action == "revoke"]
    assert {e.label for e in taken} == {people["member"].email, people["api_user"].email}
    assert all(e.changes == {"permissions": [["key:retrieve"], []]} for e in taken)
    assert len(left) == 3
    organization.refresh_from_db()
    for role, user in people.items():
        expected = roles.permissions_of(role, member_key_retrieve=False)
        assert permissions.abilities_of(user, organization) == expected
    assert "key:retrieve" in permissions.abilities_of(people["developer"], organization)


def test_turned_back_it_gives_it_again(organization: Organization, new_entries: New) -> None:
    user = MembershipFactory.create(organization=organization, role="member").user
    creation.update_organization(organization, member_key_retrieve=False)
    before = len(new_entries())
    creation.update_organization(organization, member_key_retrieve=True)
    left = {e.action: e.changes for e in new_entries()[before:]}
    assert left["grant"] == {"permissions": [[], ["key:retrieve"]]}
    assert permissions.abilities_of(user, organization) == roles.PERMISSIONS[Role.MEMBER]
    before = len(new_entries())
    creation.update_organization(organization, member_key_retrieve=True)
    assert new_entries()[before:] == []


def test_who_joins_or_changes_role_gets_what_the_switch_says(organization: Organization) -> None:
    creation.update_organization(organization, member_key_retrieve=False)
    joined = MembershipFactory.create(organization=organization, role="member")
    demoted = MembershipFactory.create(organization=organization, role="developer")
    members.change_role(demoted, "api_user", granter=EVERYTHING)
    for membership in (joined, demoted):
        held = permissions.abilities_of(membership.user, organization)
        assert "key:retrieve" not in held
    members.change_role(joined, "developer", granter=EVERYTHING)
    assert "key:retrieve" in permissions.abilities_of(joined.user, organization)


def test_the_switch_is_one_organizations_own(organization: Organization) -> None:
    other = OrganizationFactory.create(name="Other")
    user = MembershipFactory.create(organization=other, role="member").user
    MembershipFactory.create(organization=organization, role="member", user=user)
    creation.update_organization(organization, member_key_retrieve=False)
    assert "key:retrieve" not in permissions.abilities_of(user, organization)
    assert "key:retrieve" in permissions.abilities_of(user, other)


def test_nobody_turns_on_what_they_do_not_hold(organization: Organization) -> None:
    few = roles.ALL - {"key:retrieve"}
    creation.update_organization(organization, granter=Grant(few), member_key_retrieve=False)
    with pytest.raises(ValidationError, match="do not have"):
        creation.update_organization(organization, granter=Grant(few), member_key_retrieve=True)
    organization.refresh_from_db()
    assert organization.member_key_retrieve is False


def test_who_joins_while_the_switch_is_turned_gets_none_of_it(organization: Organization) -> None:
    user = UserFactory.create()
    is_joining, may_commit = threading.Event(), threading.Event()

    def join() -> None:
        with transaction.atomic():
            members.add(organization, user, "member")
            is_joining.set()
            may_commit.wait(10)
        connection.close()

    def turn() -> None:
        creation.update_organization(organization, member_key_retrieve=False)
        connection.close()

    joining, turning = threading.Thread(target=join), threading.Thread(target=turn)
    joining.start()
    assert is_joining.wait(10)
    turning.start()
    turning.join(0.3)  # it waits for who is joining; not waiting is what must fail below
    may_commit.set()
    joining.join()
    turning.join()
    assert "key:retrieve" not in permissions.abilities_of(user, organization)

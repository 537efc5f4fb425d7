"""Everyone in a group may do what the group may, in that organization alone, and it is recorded."""

from __future__ import annotations

from copy import copy

import pytest
from django.contrib.auth.models import AnonymousUser, Group
from django.db import IntegrityError, transaction
from django.test import Client
from django.urls import reverse
from guardian.shortcuts import assign_perm, remove_perm

from audit.models import Entry
from keys import access_tokens
from organizations import members, permissions, roles, ulid
from organizations.grants import EVERYTHING
from organizations.models import Organization, Project, User
from organizations.roles import Role
from tests.factories import (
    PASSWORD,
    MembershipFactory,
    OrganizationFactory,
    ProjectFactory,
    UserFactory,
)

pytestmark = pytest.mark.django_db(transaction=True)

READ = {"audit:read", "project:read"}


@pytest.fixture
def acme() -> Organization:
    return OrganizationFactory.create(name="Acme")


@pytest.fixture
def other() -> Organization:
    return OrganizationFactory.create(name="Other")


@pytest.fixture
def operators(acme: Organization) -> Group:
    """A group that reads Acme's log and projects."""
    group = Group.objects.create(name="operators")
    for ability in sorted(READ):
        assign_perm(ability, group, acme)
    return group


@pytest.fixture
def operator(operators: Group) -> User:
    """Somebody in the group, and a member of nothing."""
    user = UserFactory.create(email="oscar@example.org", is_staff=True)
    user.groups.add(operators)
    return user


def browser(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def recorded(organization: Organization | None, **columns: object) -> list[tuple[str, str, object]]:
    """The entries about groups in an organization's log, or in the platform's."""
    with transaction.atomic():
        key = organization.pk if organization else ulid.NIL
        entries = Entry.objects.visible([key]).filter(action__in=["grant", "revoke"], **columns)
        fields = ("group_permissions", "groups")
        return [
            (entry.action, entry.resource_label, entry.changes)
            for entry in entries.order_by("id")
            if any(field in entry.changes for field in fields)
        ]


@pytest.mark.parametrize("is_by_group", [True, False])
def test_who_acts_by_a_permission_is_not_shown_as_gone(
    acme: Organization, operators: Group, is_by_group: bool
) -> None:
    """The log and the admin would say of somebody who is reading them that they are not there."""
    user = UserFactory.create(email="oscar@example.org", is_staff=True)
    if is_by_group:
        user.groups.add(operators)
    else:
        assign_perm("audit:read", user, acme)
    client = browser(user)
    client.get("/o/acme/activity")
    page = client.get("/o/acme/activity?action=view").content.decode()
    assert "oscar@example.org</a>" in page
    assert 'class="thing gone"' not in page
    assert user.email in client.get("/admin/organizations/user/").content.decode()
    user.groups.clear()
    remove_perm("audit:read", user, acme)
    watcher = browser(MembershipFactory.create(organization=acme, auditor=True).user)
    assert 'class="thing gone"' in watcher.get("/o/acme/activity?action=view").content.decode()


# -- What it opens


def test_members_of_a_group_may_do_what_it_may(
    acme: Organization, other: Organization, operator: User
) -> None:
    assert permissions.abilities_of(operator, acme) == READ
    assert list(permissions.organizations_of(operator)) == [acme]
    assert list(permissions.organizations_with(operator, "audit:read")) == [acme]
    assert not permissions.organizations_with(operator, "audit:export")
    assert permissions.abilities_of(operator, other) == frozenset()


def test_a_member_may_do_both_what_the_role_says_and_what_the_group_may(
    acme: Organization, operators: Group
) -> None:
    user = MembershipFactory.create(organization=acme, role="billing_manager").user
    user.groups.add(operators)
    billing = roles.PERMISSIONS[Role.BILLING_MANAGER]
    assert permissions.abilities_of(user, acme) == billing | READ


def test_who_leaves_the_group_may_do_nothing_more(
    acme: Organization, operators: Group, operator: User
) -> None:
    operator.groups.remove(operators)
    assert permissions.abilities_of(operator, acme) == frozenset()
    assert not permissions.organizations_of(operator)


def test_what_is_taken_from_the_group_is_taken_from_all_in_it(
    acme: Organization, operators: Group, operator: User
) -> None:
    remove_perm("audit:read", operators, acme)
    assert permissions.abilities_of(operator, acme) == {"project:read"}


def test_pages_open_by_a_group(acme: Organization, other: Organization, operator: User) -> None:
    client = browser(operator)
    assert client.get("/o/acme/activity").status_code == 200
    assert client.get("/o/acme/projects").status_code == 200
    assert client.get("/o/acme/members").status_code == 403
    assert client.get("/o/other/activity").status_code == 404
    assert client.get("/")["Location"] == "/o/acme/"


def test_the_api_opens_to_an_access_token_by_a_group(
    acme: Organization, other: Organization, operators: Group, operator: User
) -> None:
    token = access_tokens.create(operator, "laptop").token

    def status(path: str) -> int:
        headers = {"authorization": f"Bearer {token}"}
        return Client().get(f"/api/v1{path}", headers=headers).status_code

    assert status("/organizations/acme/audit/entries") == 200
    assert status("/acme/projects") == 200
    assert status("/organizations/acme/members") == 403
    assert status("/organizations/other/audit/entries") == 404
    operator.groups.remove(operators)
    assert status("/organizations/acme/audit/entries") == 404


def test_the_admin_opens_by_a_group(
    acme: Organization, other: Organization, operators: Group, operator: User
) -> None:
    ours, theirs = (ProjectFactory.create(organization=each) for each in (acme, other))
    client = browser(operator)

    def status(row: Project) -> int:
        return client.get(reverse("admin:organizations_project_change", args=[row.pk])).status_code

    assert status(ours) == 200
    assert status(theirs) == 404
    assert client.get(reverse("admin:audit_entry_changelist")).status_code == 200
    operator.groups.remove(operators)
    assert status(ours) == status(theirs) == 403
    assert client.get(reverse("admin:audit_entry_changelist")).status_code == 403


# -- Whom it opens nothing


def test_superusers_hold_what_they_were_given_and_no_more(
    acme: Organization, operators: Group
) -> None:
    root = User.objects.create_superuser("root@example.org", PASSWORD)
    assert permissions.abilities_of(root, acme) == frozenset()
    assert not permissions.organizations_of(root)
    client = browser(root)
    assert client.get("/o/acme/activity").status_code == 404
    assert client.get(reverse("admin:audit_entry_changelist")).status_code == 403
    token = access_tokens.create(root, "laptop").token
    headers = {"authorization": f"Bearer {token}"}
    assert Client().get("/api/v1/acme/projects", headers=headers).status_code == 404
    root.groups.add(operators)
    assert permissions.abilities_of(root, acme) == READ


def test_inactive_people_and_strangers_hold_nothing(acme: Organization, operator: User) -> None:
    operator.is_active = False
    operator.save()
    nobody = AnonymousUser()
    for user in (operator, nobody):
        assert permissions.abilities_of(user, acme) == frozenset()  # type: ignore[arg-type]
        assert not permissions.organizations_of(user)  # type: ignore[arg-type]
        assert not permissions.organizations_with(user, "audit:read")  # type: ignore[arg-type]
    with transaction.atomic():
        assert not Entry.objects.visible_to(operator)


def test_a_permission_for_the_whole_site_opens_nothing(acme: Organization) -> None:
    user = UserFactory.create()
    assign_perm("organizations.audit:read", user)
    assert permissions.abilities_of(user, acme) == frozenset()
    assert not permissions.organizations_with(user, "audit:read")


# -- Beside roles


def test_roles_come_and_go_beside_the_group(acme: Organization, operators: Group) -> None:
    membership = MembershipFactory.create(organization=acme, role="developer")
    membership.user.groups.add(operators)
    members.change_role(membership, "billing_manager", granter=EVERYTHING)
    billing = roles.PERMISSIONS[Role.BILLING_MANAGER]
    assert permissions.abilities_of(membership.user, acme) == billing | READ
    members.remove(membership, granter=EVERYTHING)
    assert permissions.abilities_of(membership.user, acme) == READ


def test_nobody_gives_more_than_they_hold_by_role_and_groups(
    acme: Organization, operators: Group
) -> None:
    for ability in roles.PERMISSIONS[Role.AUDITOR] | {"member:create"}:
        assign_perm(ability, operators, acme)
    user = UserFactory.create()
    user.groups.add(operators)
    client = browser(user)

    def invite(role: str) -> int:
        body = {"email": f"{role}@example.org", "role": role}
        return client.post("/o/acme/members", body).status_code

    assert invite("owner") == 422
    assert invite("auditor") == 302


# -- What is recorded


def test_what_a_group_is_given_is_recorded_where_it_holds(
    acme: Organization, other: Organization
) -> None:
    group = Group.objects.create(name="operators")
    assign_perm("audit:read", group, acme)
    remove_perm("audit:read", group, acme)
    assert recorded(acme) == [
        ("grant", "acme", {"group_permissions": [[], ["operators: audit:read"]]}),
        ("revoke", "acme", {"group_permissions": [["operators: audit:read"], []]}),
    ]
    assert recorded(other) == []


def test_who_joins_and_leaves_a_group_is_recorded_wherever_the_group_may_do_something(
    acme: Organization, other: Organization, operators: Group
) -> None:
    third = OrganizationFactory.create(name="Third")
    user = MembershipFactory.create(organization=other).user
    user.groups.add(operators)
    user.groups.clear()
    expected = [
        ("grant", user.email, {"groups": [[], ["operators"]]}),
        ("revoke", user.email, {"groups": [["operators"], []]}),
    ]
    assert recorded(acme, resource_type="user") == expected
    assert recorded(other) == expected
    assert recorded(third) == recorded(None) == []


def test_a_group_keeps_its_name(acme: Organization, operators: Group) -> None:
    """Else somebody could join it under another name than the one it was given permissions by."""
    operators.name = "guests"
    with pytest.raises(IntegrityError, match="the id or name of auth_group .* never changes"):
        operators.save()
    with pytest.raises(IntegrityError, match="never changes"):
        Group.objects.filter(pk=operators.pk).update(name="guests")
    operators.refresh_from_db()
    operators.save()
    assert operators.name == "operators"


def test_each_organization_reads_of_its_own_groups_alone(
    acme: Organization, other: Organization, operators: Group
) -> None:
    secret = Group.objects.create(name="secret project")
    assign_perm("audit:read", secret, other)
    user = UserFactory.create()
    user.groups.add(operators, secret)
    [(_, _, here)] = recorded(acme, resource_type="user")
    [(_, _, there)] = recorded(other, resource_type="user")
    assert here == {"groups": [[], ["operators"]]}
    assert there == {"groups": [[], ["secret project"]]}


def test_a_group_that_is_deleted_leaves_what_it_could_do(
    acme: Organization, operators: Group, operator: User
) -> None:
    operators.delete()
    assert permissions.abilities_of(operator, acme) == frozenset()
    taken = {"group_permissions": [["operators: audit:read", "operators: project:read"], []]}
    assert recorded(acme, action="revoke", resource_type="organization") == [
        ("revoke", "acme", taken)
    ]


def test_an_organization_that_is_deleted_leaves_what_groups_could_do(
    acme: Organization, operators: Group
) -> None:
    before = copy(acme)
    acme.delete()
    found = [action for action, _, _ in recorded(before, resource_type="organization")]
    assert found == ["grant", "grant", "revoke"]


# -- Where roles are shown


def test_groups_are_shown_where_roles_are(
    acme: Organization, operators: Group, operator: User
) -> None:
    owner = acme.memberships.get().user
    member = MembershipFactory.create(organization=acme, user__email="both@example.org")
    member.user.groups.add(operators, Group.objects.create(name="elsewhere"))
    client = browser(owner)
    listed = client.get("/o/acme/members").content.decode()
    assert "oscar@example.org" in listed
    assert "audit:read, project:read" in listed
    assert listed.count("group operators") == 1
    assert "elsewhere" not in listed
    shown = client.get(f"/o/acme/members/{member.ulid}").content.decode()
    assert "audit:read" in shown
    assert "except to what their groups may do" in shown


def test_the_api_lists_the_groups_of_a_member(acme: Organization, operators: Group) -> None:
    owner = acme.memberships.get().user
    token = access_tokens.create(owner, "laptop").token
    member = MembershipFactory.create(organization=acme)
    member.user.groups.add(operators)
    headers = {"authorization": f"Bearer {token}"}
    answer = Client().get("/api/v1/organizations/acme/members", headers=headers).json()
    groups = {each["id"]: each["attributes"]["groups"] for each in answer["data"]}
    assert groups == {member.ulid: ["operators"], acme.memberships.get(role="owner").ulid: []}


def test_the_log_says_it_in_words(acme: Organization, operators: Group) -> None:
    page = browser(acme.memberships.get().user).get("/o/acme/activity?type=organization")
    text = page.content.decode()
    assert "gave groups 1 permission in" in text
    assert "operators: audit:read" in text

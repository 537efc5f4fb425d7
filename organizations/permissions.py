"""What a person may do in an organization: the one place that asks django-guardian, and that keeps
its rows in step with memberships.

Guardian decides: a person holds what was given to them on the organization and what was given to a
group that they are in. A membership's role decides what is given to the person, in the transaction
that changes the role; permissions of groups are given and taken with guardian's `assign_perm` and
`remove_perm`, and no role takes them away.

Of guardian's functions those are used that treat a superuser as anybody else. `get_perms` and
`ObjectPermissionChecker.has_perm` would let one into every organization.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

from django.contrib.auth.models import Group, Permission
from django.db import connection
from django.db.models import Exists, OuterRef, Prefetch, Q, QuerySet
from guardian.shortcuts import get_group_perms, get_objects_for_user, get_user_perms

from organizations import roles
from organizations.models import (
    Membership,
    Organization,
    OrganizationGroupObjectPermission,
    OrganizationUserObjectPermission,
    User,
)


def abilities_of(user: User, organization: Organization) -> frozenset[str]:
    """The abilities that `user` holds on `organization`, in their own name or by a group; none for
    an inactive person. One statement.

    Being a superuser adds nothing: nobody sees into an organization without belonging to it.
    """
    if not user.is_active:
        return frozenset()
    own, by_groups = get_user_perms(user, organization), get_group_perms(user, organization)
    with prepared():
        return frozenset(own.union(by_groups))


def organizations_with(user: User, ability: str) -> QuerySet[Organization]:
    """The organizations on which `user` holds `ability`, in their own name or by a group."""
    return _organizations(user, [ability], Organization.objects.all())


def organizations_of(
    user: User, among: QuerySet[Organization] | None = None
) -> QuerySet[Organization]:
    """The organizations (of those in `among`) on which `user` holds anything at all."""
    return _organizations(user, [], Organization.objects.all() if among is None else among)


def _organizations(
    user: User, abilities: list[str], among: QuerySet[Organization]
) -> QuerySet[Organization]:
    if not user.is_active:
        return Organization.objects.none()
    found: QuerySet[Organization] = get_objects_for_user(
        user,
        abilities,
        among,
        any_perm=True,  # without an ability: whatever it is
        with_superuser=False,
        accept_global_perms=False,
    )
    return found


def people_in(organizations: Collection[Organization | uuid.UUID], person: str = "pk") -> Q:
    """Of rows whose column `person` names one: those of people who are in one of `organizations`,
    as members or because they hold something there, in their own name or by a group."""
    whose = OuterRef(person)
    own, by_groups = OrganizationUserObjectPermission, OrganizationGroupObjectPermission
    return Q(
        Exists(Membership.objects.filter(user=whose, organization__in=organizations))
        | Exists(own.objects.filter(user=whose, content_object__in=organizations))
        | Exists(by_groups.objects.filter(group__user=whose, content_object__in=organizations))
    )


class GroupGrant(NamedTuple):
    """What a group may do in an organization, and whom it lets."""

    name: str
    abilities: list[str]
    people: list[User]


def group_grants(organization: Organization) -> list[GroupGrant]:
    """What groups may do in an organization, by name. Two statements."""
    given: dict[int, list[str]] = {}
    rows = OrganizationGroupObjectPermission.objects.filter(content_object=organization)
    for group, codename in rows.values_list("group_id", "permission__codename"):
        given.setdefault(group, []).append(codename)
    in_them = Prefetch("user_set", User.objects.order_by("email"), to_attr="people")
    groups: QuerySet[Any] = Group.objects.filter(pk__in=given).order_by("name")
    return [
        GroupGrant(group.name, sorted(given[group.pk]), group.people)
        for group in groups.prefetch_related(in_them)
    ]


def with_groups(
    memberships: QuerySet[Membership], organization: Organization
) -> QuerySet[Membership]:
    """Memberships of an organization, their users with `groups_here`: those of their groups that
    may do something there."""
    granting = Group.objects.filter(organizationgroupobjectpermission__content_object=organization)
    return memberships.prefetch_related(
        Prefetch("user__groups", granting.distinct().order_by("name"), to_attr="groups_here")
    )


def prepared() -> AbstractContextManager[None]:
    """For what is asked at each request, with other values: planning it takes longer than to look
    the answer up."""
    database: Any = connection
    return database.preparing() if database.can_prepare else nullcontext()


def of_role(organization: Organization, role: str) -> frozenset[str]:
    """What a role carries in an organization."""
    return roles.permissions_of(role, member_key_retrieve=organization.member_key_retrieve)


def follow_role(membership: Membership) -> None:
    """Make the permissions of a member what the role says: grant what is missing, revoke the rest,
    however they came by it."""
    # Locked: otherwise a concurrent turn of the organization's switch would miss who is joining.
    locked = Organization.objects.select_for_update(no_key=True)
    wanted = of_role(locked.get(pk=membership.organization_id), membership.role)
    held = _held(membership.user_id, membership.organization_id)
    _revoke(membership, held - wanted)
    _grant(membership.organization_id, [membership.user_id], wanted - held)


def follow_switch(organization: Organization) -> None:
    """Give all at once what the organization's switch decides about to those whose role has it, or
    take it from them."""
    members = Membership.objects.filter(organization=organization, role__in=roles.WITH_SWITCHED)
    held = OrganizationUserObjectPermission.objects.filter(
        content_object=organization,
        permission__codename__in=roles.SWITCHED,
        user_id__in=members.values("user_id"),
    )
    if organization.member_key_retrieve:
        without = members.exclude(user_id__in=held.values("user_id"))
        _grant(organization.pk, without.values_list("user_id", flat=True), roles.SWITCHED)
    else:
        held.delete()


def revoke_all(membership: Membership) -> None:
    """Take everything from a member that they hold, active or not, so that nothing comes back."""
    _revoke(membership, _held(membership.user_id, membership.organization_id))


def _held(user_id: uuid.UUID, organization_id: uuid.UUID) -> frozenset[str]:
    """What was given to a person themselves. Guardian's functions would not say so of one who is
    inactive."""
    return frozenset(
        OrganizationUserObjectPermission.objects.filter(
            user_id=user_id, content_object_id=organization_id
        ).values_list("permission__codename", flat=True)
    )


def _grant(
    organization_id: uuid.UUID, people: Iterable[uuid.UUID], abilities: frozenset[str]
) -> None:
    granted = Permission.objects.filter(
        content_type__app_label="organizations",
        content_type__model="organization",
        codename__in=abilities,
    )
    OrganizationUserObjectPermission.objects.bulk_create(
        [
            OrganizationUserObjectPermission(
                permission=permission, user_id=user_id, content_object_id=organization_id
            )
            for user_id in people
            for permission in granted
        ],
        ignore_conflicts=True,
    )


def _revoke(membership: Membership, abilities: frozenset[str]) -> None:
    if abilities:
        OrganizationUserObjectPermission.objects.filter(
            user_id=membership.user_id,
            content_object_id=membership.organization_id,
            permission__codename__in=abilities,
        ).delete()

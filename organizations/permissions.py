"""What a person may do in an organization: the one place that asks, and that keeps it in step.

Permissions are django-guardian object permissions; a membership's role decides them, and they
change in the transaction that changes the role.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable

from django.contrib.auth.models import Permission
from django.db.models import QuerySet

from organizations import roles
from organizations.models import Membership, Organization, OrganizationUserObjectPermission, User


def abilities_of(user: User, organization: Organization) -> frozenset[str]:
    """The abilities that `user` holds on `organization`; none for an inactive person.

    Being a superuser adds nothing: nobody sees into an organization without belonging to it.
    """
    return _held(user.pk, organization.pk) if user.is_active else frozenset()


def organizations_with(user: User, ability: str) -> QuerySet[Organization]:
    """The organizations on which `user` holds `ability`."""
    if not user.is_active:
        return Organization.objects.none()
    return Organization.objects.filter(
        user_permissions__user=user, user_permissions__permission__codename=ability
    )


def of_role(organization: Organization, role: str) -> frozenset[str]:
    """What a role carries in an organization."""
    return roles.permissions_of(role, member_key_retrieve=organization.member_key_retrieve)


def follow_role(membership: Membership) -> None:
    """Make the permissions of a member what the role says: grant what is missing, revoke the rest,
    however they came by it."""
    # Locked: whoever turns the organization's switch meanwhile would not see who is joining.
    locked = Organization.objects.select_for_update(no_key=True)
    wanted = of_role(locked.get(pk=membership.organization_id), membership.role)
    held = _held(membership.user_id, membership.organization_id)
    _revoke(membership, held - wanted)
    _grant(membership.organization_id, [membership.user_id], wanted - held)


def follow_switch(organization: Organization) -> None:
    """Give all at once what the organization's switch decides about to those whose role has it, or
    take it from them."""
    for role, abilities in roles.SWITCHED.items():
        members = Membership.objects.filter(organization=organization, role=role)
        held = OrganizationUserObjectPermission.objects.filter(
            content_object=organization,
            permission__codename__in=abilities,
            user_id__in=members.values("user_id"),
        )
        if organization.member_key_retrieve:
            without = members.exclude(user_id__in=held.values("user_id"))
            _grant(organization.pk, without.values_list("user_id", flat=True), abilities)
        else:
            held.delete()


def revoke_all(membership: Membership) -> None:
    """Take from a member whatever they hold, active or not: nothing of it may come back."""
    _revoke(membership, _held(membership.user_id, membership.organization_id))


def _held(user_id: uuid.UUID, organization_id: uuid.UUID) -> frozenset[str]:
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

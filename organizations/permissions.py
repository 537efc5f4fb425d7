"""What a person may do in an organization: the one place that asks, and that keeps it in step.

Permissions are django-guardian object permissions; a membership's role decides them, and they
change in the transaction that changes the role.
"""

from __future__ import annotations

import uuid

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


def follow_role(membership: Membership) -> None:
    """Make the permissions of a member what the role says: grant what is missing, revoke the rest,
    however they came by it."""
    wanted = roles.permissions_of(membership.role)
    held = _held(membership.user_id, membership.organization_id)
    _revoke(membership, held - wanted)
    granted = Permission.objects.filter(
        content_type__app_label="organizations",
        content_type__model="organization",
        codename__in=wanted - held,
    )
    OrganizationUserObjectPermission.objects.bulk_create(
        [
            OrganizationUserObjectPermission(
                permission=permission,
                user_id=membership.user_id,
                content_object_id=membership.organization_id,
            )
            for permission in granted
        ],
        ignore_conflicts=True,
    )


def revoke_all(membership: Membership) -> None:
    """Take from a member whatever they hold, active or not: nothing of it may come back."""
    _revoke(membership, _held(membership.user_id, membership.organization_id))


def _held(user_id: uuid.UUID, organization_id: uuid.UUID) -> frozenset[str]:
    return frozenset(
        OrganizationUserObjectPermission.objects.filter(
            user_id=user_id, content_object_id=organization_id
        ).values_list("permission__codename", flat=True)
    )


def _revoke(membership: Membership, abilities: frozenset[str]) -> None:
    if abilities:
        OrganizationUserObjectPermission.objects.filter(
            user_id=membership.user_id,
            content_object_id=membership.organization_id,
            permission__codename__in=abilities,
        ).delete()

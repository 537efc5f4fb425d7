"""The tenant, who belongs to it, who is invited, and what each may do there."""

from __future__ import annotations

import datetime as dt

from django.conf import settings
from django.db import models
from django.db.models import Q
from guardian.models import GroupObjectPermissionBase, UserObjectPermissionBase

from organizations import clock, roles
from organizations.emails import CanonicalEmailField
from organizations.labels import LabelField
from organizations.models.base import Timestamped
from organizations.slugs import OrganizationSlugField

INVITATION_LIFETIME = dt.timedelta(days=7)


class Organization(Timestamped):
    class Status(models.TextChoices):
        ACTIVE = "active", "Active"
        SUSPENDED = "suspended", "Suspended"
        LOCKED = "locked", "Locked"
        CANCELLED = "cancelled", "Cancelled"

    name = LabelField(max_length=100)
    slug = OrganizationSlugField()
    status = models.CharField(max_length=10, choices=Status, default=Status.ACTIVE)
    # Versions of secrets older than this many days stay listed, locked; null locks none.
    history_retention_days = models.PositiveIntegerField(null=True, blank=True)
    # Whether members and API users may retrieve keys, as clients need to read and write secrets;
    # for a key of the server's that is the power to decrypt.
    member_key_retrieve = models.BooleanField(default=True)
    members = models.ManyToManyField(
        settings.AUTH_USER_MODEL,
        through="Membership",
        through_fields=("organization", "user"),
        related_name="organizations",
    )

    class Meta:
        ordering = ("name", "id")
        default_permissions = ()
        permissions = [(ability, ability) for ability in sorted(roles.ALL)]
        constraints = [
            models.CheckConstraint(
                condition=Q(status__in=["active", "suspended", "locked", "cancelled"]),
                name="organizations_organization_status",
            )
        ]

    def __str__(self) -> str:
        return self.slug

    @property
    def is_active(self) -> bool:
        return self.status == self.Status.ACTIVE


class Membership(Timestamped):
    """A person's one role in an organization; permissions follow it in the same transaction.

    Change it through `organizations.members` alone.
    """

    organization = models.ForeignKey(
        Organization, on_delete=models.CASCADE, related_name="memberships"
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="memberships"
    )
    role = models.CharField(max_length=20, choices=roles.Role)

    class Meta:
        ordering = ("created_at", "id")
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(
                fields=("organization", "user"), name="organizations_membership_once"
            ),
            models.CheckConstraint(
                condition=Q(role__in=roles.Role.values), name="organizations_membership_role"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user} ({self.role})"


class Invitation(Timestamped):
    """An e-mail address asked to join; the link's token is kept only as its SHA-256."""

    organization = models.ForeignKey(
        Organization, on_delete=models.CASCADE, related_name="invitations"
    )
    email = models.EmailField("e-mail", max_length=254)
    canonical_email = CanonicalEmailField()
    role = models.CharField(max_length=20, choices=roles.Role)
    invited_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    token_hash = models.BinaryField(max_length=32, unique=True)
    expires_at = models.DateTimeField()
    accepted_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("-created_at",)
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(
                fields=("organization", "canonical_email"),
                condition=Q(accepted_at=None),
                name="organizations_invitation_open_once",
            ),
            models.CheckConstraint(
                condition=Q(role__in=roles.Role.values), name="organizations_invitation_role"
            ),
        ]

    def __str__(self) -> str:
        return self.email

    @property
    def is_open(self) -> bool:
        return self.accepted_at is None and self.expires_at > clock.now()


class OrganizationUserObjectPermission(UserObjectPermissionBase):
    """A permission of a person on an organization (django-guardian, direct foreign key)."""

    id = models.BigAutoField(primary_key=True)
    content_object = models.ForeignKey(
        Organization, on_delete=models.CASCADE, related_name="user_permissions"
    )

    class Meta(UserObjectPermissionBase.Meta):
        abstract = False
        verbose_name = "permission"
        default_permissions = ()


class OrganizationGroupObjectPermission(GroupObjectPermissionBase):
    """A permission of a group on an organization: everyone in the group holds it, a member or
    not. No role follows it; it is given and taken with django-guardian's functions."""

    id = models.BigAutoField(primary_key=True)
    content_object = models.ForeignKey(
        Organization, on_delete=models.CASCADE, related_name="group_permissions"
    )

    class Meta(GroupObjectPermissionBase.Meta):
        abstract = False
        verbose_name = "permission of a group"
        verbose_name_plural = "permissions of groups"
        default_permissions = ()

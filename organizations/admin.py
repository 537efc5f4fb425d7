"""Django admin for compliance staff: people and places, to look at and not to touch."""

from __future__ import annotations

import uuid

from django.contrib import admin
from django.db.models import Q

from organizations.models import (
    Environment,
    Invitation,
    Membership,
    Organization,
    OrganizationGroupObjectPermission,
    OrganizationUserObjectPermission,
    Project,
    Target,
    User,
)
from organizations.permissions import people_in
from organizations.read_only_admin import ReadOnlyAdmin


@admin.register(Organization)
class OrganizationAdmin(ReadOnlyAdmin):
    tenant = "pk"
    list_display = ("name", "slug", "status", "created_at")
    search_fields = ("name", "slug")
    fields = ("name", "slug", "status", "ulid", "created_at", "updated_at")
    readonly_fields = ("ulid",)


@admin.register(User)
class UserAdmin(ReadOnlyAdmin):
    """Those who are in an organization whose log one may read."""

    list_display = ("email", "name", "is_active", "is_staff", "last_login")
    list_filter = ("is_active", "is_staff")
    search_fields = ("email", "name")
    fields = (
        "email",
        "name",
        "is_active",
        "is_staff",
        "is_superuser",
        "number",
        "ulid",
        "last_login",
        "created_at",
        "updated_at",
    )
    readonly_fields = ("ulid",)

    def within(self, organizations: list[uuid.UUID]) -> Q:
        return people_in(organizations)


@admin.register(Membership)
class MembershipAdmin(ReadOnlyAdmin):
    list_display = ("user", "role", "organization", "created_at")
    list_filter = ("role",)
    list_select_related = ("user", "organization")
    search_fields = ("user__email",)
    fields = ("user", "organization", "role", "ulid", "created_at", "updated_at")
    readonly_fields = ("ulid",)


@admin.register(Invitation)
class InvitationAdmin(ReadOnlyAdmin):
    list_display = ("email", "role", "organization", "invited_by", "expires_at", "accepted_at")
    list_filter = ("role",)
    list_select_related = ("organization", "invited_by")
    search_fields = ("email",)
    # The hash of the link's token stays out.
    fields = (
        "email",
        "role",
        "organization",
        "invited_by",
        "expires_at",
        "accepted_at",
        "ulid",
        "created_at",
    )
    readonly_fields = ("ulid",)


@admin.register(Project)
class ProjectAdmin(ReadOnlyAdmin):
    list_display = ("name", "slug", "organization", "storage_mode", "history_policy", "created_at")
    list_filter = ("storage_mode", "history_policy")
    list_select_related = ("organization",)
    search_fields = ("name", "slug")
    # `metadata` is the users' own and may hold anything.
    fields = (
        "name",
        "slug",
        "description",
        "organization",
        "secret_format",
        "storage_mode",
        "history_policy",
        "secret_versioning",
        "ulid",
        "created_at",
        "updated_at",
    )
    readonly_fields = ("ulid",)


@admin.register(Target)
class TargetAdmin(ReadOnlyAdmin):
    list_display = ("path", "name", "organization", "created_at")
    list_select_related = ("organization", "project")
    search_fields = ("name", "slug", "project__slug")
    fields = ("name", "slug", "project", "description", "organization", "ulid", "created_at")
    readonly_fields = ("ulid",)


@admin.register(Environment)
class EnvironmentAdmin(ReadOnlyAdmin):
    list_display = ("path", "name", "status", "is_production", "organization", "created_at")
    list_filter = ("is_production",)
    list_select_related = ("organization", "target__project")
    search_fields = ("name", "slug", "target__slug", "target__project__slug")
    fields = (
        "name",
        "slug",
        "target",
        "status",
        "is_production",
        "description",
        "organization",
        "ulid",
        "created_at",
        "updated_at",
    )
    readonly_fields = ("ulid",)


@admin.register(OrganizationUserObjectPermission)
class PermissionAdmin(ReadOnlyAdmin):
    """What each person was given, by their role."""

    tenant = "content_object"
    list_display = ("user", "permission_name", "content_object")
    list_select_related = ("user", "permission", "content_object")
    search_fields = ("user__email", "permission__codename")
    fields = ("user", "permission_name", "content_object")
    readonly_fields = ("permission_name",)

    @admin.display(description="permission")
    def permission_name(self, row: OrganizationUserObjectPermission) -> str:
        return str(row.permission.codename)


@admin.register(OrganizationGroupObjectPermission)
class GroupPermissionAdmin(ReadOnlyAdmin):
    """What each group was given, and so everyone in it."""

    tenant = "content_object"
    list_display = ("group", "permission_name", "content_object")
    list_select_related = ("group", "permission", "content_object")
    search_fields = ("group__name", "permission__codename")
    fields = ("group", "permission_name", "content_object")
    readonly_fields = ("permission_name",)

    @admin.display(description="permission")
    def permission_name(self, row: OrganizationGroupObjectPermission) -> str:
        return str(row.permission.codename)

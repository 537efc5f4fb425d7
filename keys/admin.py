"""Django admin of keys and secrets: which there are and since when; no key, no hash, no proof, no
content."""

from __future__ import annotations

import uuid

from django.contrib import admin
from django.db.models import Q

from keys.models import AccessToken, ApiKey, KeyVersion, Secret, SecretVersion
from organizations.permissions import people_in
from organizations.read_only_admin import ReadOnlyAdmin


@admin.register(KeyVersion)
class KeyVersionAdmin(ReadOnlyAdmin):
    list_display = ("project", "version", "managed", "is_active", "created_at", "rotated_at")
    list_filter = ("managed", "is_active")
    list_select_related = ("project",)
    search_fields = ("project__slug",)
    fields = (
        "project",
        "organization",
        "version",
        "managed",
        "is_active",
        "key_hint",
        "history_policy",
        "master_key_version",
        "ulid",
        "created_at",
        "rotated_at",
    )
    readonly_fields = ("ulid",)


@admin.register(Secret)
class SecretAdmin(ReadOnlyAdmin):
    list_display = ("path", "size_bytes", "key_version", "created_at", "updated_at")
    list_select_related = ("project", "target", "environment")
    search_fields = ("project__slug", "target__slug", "environment__slug")
    fields = (
        "project",
        "target",
        "environment",
        "organization",
        "size_bytes",
        "key_version",
        "number",
        "ulid",
        "created_at",
        "updated_at",
    )
    readonly_fields = ("ulid",)


@admin.register(SecretVersion)
class SecretVersionAdmin(ReadOnlyAdmin):
    list_display = (
        "path",
        "number",
        "action",
        "size_bytes",
        "key_version",
        "author_name",
        "created_at",
    )
    list_filter = ("action",)
    list_select_related = ("project", "target", "environment")
    search_fields = ("project__slug", "target__slug", "environment__slug")
    fields = (
        "project",
        "target",
        "environment",
        "organization",
        "number",
        "action",
        "size_bytes",
        "key_version",
        "author_name",
        "author_number",
        "re_encrypted_at",
        "ulid",
        "created_at",
    )
    readonly_fields = ("ulid",)


@admin.register(ApiKey)
class ApiKeyAdmin(ReadOnlyAdmin):
    list_display = ("name", "organization", "created_by", "expires_at", "last_used_at")
    list_select_related = ("organization", "created_by")
    search_fields = ("name",)
    fields = (
        "name",
        "organization",
        "abilities",
        "scopes",
        "inherit_parents",
        "created_by",
        "rotated_by",
        "expires_at",
        "rotated_at",
        "last_used_at",
        "last_used_ip",
        "number",
        "ulid",
        "created_at",
        "updated_at",
    )
    readonly_fields = ("ulid",)


@admin.register(AccessToken)
class AccessTokenAdmin(ReadOnlyAdmin):
    """Those of people who are in an organization whose log one may read."""

    list_display = ("name", "user", "expires_at", "last_used_at")
    list_select_related = ("user",)
    search_fields = ("name", "user__email")
    fields = (
        "name",
        "user",
        "expires_at",
        "last_used_at",
        "last_used_ip",
        "ulid",
        "created_at",
        "updated_at",
    )
    readonly_fields = ("ulid",)

    def within(self, organizations: list[uuid.UUID]) -> Q:
        return people_in(organizations, "user_id")

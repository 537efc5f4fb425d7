"""Django admin of keys: which there are and since when; no key, no hash, no proof."""

from __future__ import annotations

from django.contrib import admin

from keys.models import ApiKey, KeyVersion
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
        "master_key_version",
        "ulid",
        "created_at",
        "rotated_at",
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

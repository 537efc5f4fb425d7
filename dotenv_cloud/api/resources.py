"""What rows look like in answers. Field by field; nothing secret is reachable from here.

Serializers, of which the OpenAPI description is made too. Functions that put a dict together are
left where the contract wants what no serializer says: an organization's attributes twice, a caller
that is a person or a key, a key only where the server holds it, a level's text or its blob. Entries
of the log are not here: `audit.entry.as_json` writes them alike in answers, exports and archives.
"""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import Sequence
from functools import cache
from typing import Any, ClassVar

from rest_framework import serializers

from dotenv_cloud.api import errors
from keys import blobs, master_key
from keys.levels import Level
from keys.models import ApiKey, KeyVersion, Secret, SecretVersion
from keys.reencryption import Progress
from keys.secrets import Opened
from organizations import ulid
from organizations.models import (
    Organization,
    User,
)

PLAN = "self-hosted"


def instant(moment: dt.datetime | None) -> str | None:
    """RFC 3339 in UTC to the second: what the clients' strict decoders take."""
    return moment.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if moment else None


def _resource(type_name: str, key: str, attributes: dict[str, Any]) -> dict[str, Any]:
    return {"type": type_name, "id": key, "attributes": attributes}


class Instant(serializers.DateTimeField):
    def to_representation(self, value: Any) -> Any:
        return instant(value)


class Ulid(serializers.CharField):
    def to_representation(self, value: Any) -> str:
        return ulid.to_text(value)


class Base64(serializers.CharField):
    def to_representation(self, value: Any) -> str:
        return _base64(value)


class Shape(serializers.Serializer):
    """What an answer says of a row, field by field; the OpenAPI description is made of it too."""

    @classmethod
    @cache
    def _bound(cls) -> Shape:
        """To be made for each row would take longer than to answer."""
        return cls()

    @classmethod
    def show(cls, row: Any) -> dict[str, Any]:
        return cls._bound().to_representation(row)


class Resource(Shape):
    """The attributes of a resource. type_name: its type in the contract; key: its id."""

    type_name: ClassVar[str]
    key: ClassVar[str] = "ulid"

    def to_representation(self, row: Any) -> dict[str, Any]:
        attributes = super().to_representation(row)
        return _resource(self.type_name, str(getattr(row, self.key)), attributes)


class OrganizationResource(Resource):
    type_name = "organizations"

    ulid = serializers.CharField()
    name = serializers.CharField()
    slug = serializers.CharField()
    status = serializers.CharField()
    plan_name = serializers.CharField(default=PLAN)
    history_retention_days = serializers.IntegerField(allow_null=True)
    member_key_retrieve = serializers.BooleanField()
    created_at = Instant()
    updated_at = Instant()


def organization(row: Organization) -> dict[str, Any]:
    """Attributes flat beside `attributes` too: documents and SDK differ on where they are."""
    shown = OrganizationResource.show(row)
    return {**shown["attributes"], **shown}


def _times(row: Any) -> dict[str, str | None]:
    return {"created_at": instant(row.created_at), "updated_at": instant(row.updated_at)}


def person(row: User) -> dict[str, Any]:
    """Clients read the id as a number inside a string."""
    attributes = {
        "ulid": row.ulid,
        "name": row.get_full_name(),
        "email": row.email,
        "is_verified": True,
        **_times(row),
    }
    return _resource("users", str(row.number), attributes)


def calling_key(row: ApiKey) -> dict[str, Any]:
    """An API key as the one who calls: in the shape of a person."""
    attributes = {
        "name": row.name,
        "email": "",
        "is_verified": True,
        "abilities": row.abilities,
        "expires_at": instant(row.expires_at),
        **_times(row),
    }
    return _resource("api-keys", row.ulid, attributes)


def principal(who: dict[str, Any], places: Sequence[tuple[Organization, str]]) -> dict[str, Any]:
    """The answer to `GET /user`: who calls, with each organization and the role there."""
    included = [
        _resource(
            "organizations",
            place.ulid,
            {"ulid": place.ulid, "name": place.name, "slug": place.slug, "role": role},
        )
        for place, role in places
    ]
    references = [{"type": item["type"], "id": item["id"]} for item in included]
    return {
        "data": {**who, "relationships": {"organizations": {"data": references}}},
        "included": included,
    }


class GroupName(serializers.CharField):
    def to_representation(self, value: Any) -> str:
        return str(value.name)


class MemberResource(Resource):
    """Wants what `permissions.with_groups` reads."""

    type_name = "members"

    user_id = serializers.CharField(source="user.ulid")
    email = serializers.CharField(source="user.email")
    name = serializers.CharField(source="user.name")
    role = serializers.CharField()
    groups = serializers.ListField(source="user.groups_here", child=GroupName())
    created_at = Instant()
    updated_at = Instant()


class InvitationResource(Resource):
    type_name = "invitations"

    email = serializers.CharField()
    role = serializers.CharField()
    expires_at = Instant()
    accepted_at = Instant(allow_null=True)
    created_at = Instant()
    updated_at = Instant()


class NodeResource(Resource):
    """What projects, targets and environments have in common."""

    ulid = serializers.CharField()
    name = serializers.CharField()
    slug = serializers.CharField()
    description = serializers.CharField()
    created_at = Instant()
    updated_at = Instant()

    def get_fields(self) -> dict[str, Any]:
        """With the times last, where people look for them in a listing."""
        fields = super().get_fields()
        times = {name: fields.pop(name) for name in ("created_at", "updated_at")}
        return {**fields, **times}


class ProjectResource(NodeResource):
    """Wants `target_count`, `environment_count` and `secret_count` annotated, unless new."""

    type_name = "projects"

    organization_id = Ulid()
    secret_format = serializers.CharField()
    encryption_type = serializers.CharField(source="storage_mode")
    storage_mode = serializers.CharField()
    has_secrets = serializers.BooleanField(source="secret_count", default=False)
    secret_count = serializers.IntegerField(default=0)
    target_count = serializers.IntegerField(default=0)
    environment_count = serializers.IntegerField(default=0)
    metadata = serializers.JSONField()
    secret_versioning = serializers.BooleanField()
    history_policy = serializers.CharField()
    history_retention_days = serializers.IntegerField(allow_null=True)
    strict_encryption = serializers.BooleanField()


class TargetResource(NodeResource):
    """Wants `environment_count` and `secret_count` annotated, unless new."""

    type_name = "targets"

    project_id = Ulid()
    environment_count = serializers.IntegerField(default=0)
    secret_count = serializers.IntegerField(default=0)


class EnvironmentResource(NodeResource):
    type_name = "environments"

    project_id = Ulid(source="target.project_id")
    target_id = Ulid()
    status = serializers.CharField()
    is_production = serializers.BooleanField()


member = MemberResource.show
invitation = InvitationResource.show
project = ProjectResource.show
target = TargetResource.show
environment = EnvironmentResource.show


class KeyVersionShape(Shape):
    """A version of a key: never the key."""

    version = serializers.CharField()
    managed = serializers.CharField()
    key_check_salt = Base64()
    key_check_iterations = serializers.IntegerField()
    is_active = serializers.BooleanField()
    created_at = Instant()


class KeyVersionItem(KeyVersionShape):
    """An item of the key history."""

    rotated_at = Instant(allow_null=True)


def key_version(row: KeyVersion, *, shows_check: bool = False) -> dict[str, Any]:
    """shows_check: with the proof of a client's key, by which clients know which key they need."""
    shown = KeyVersionItem.show(row)
    if not (shows_check and row.is_client_managed):
        return shown
    check = {"key_check": _base64(master_key.unwrap_proof(row))}
    return {"version": shown["version"], "managed": shown["managed"], **check, **shown}


def progress(of: Progress | None) -> dict[str, int] | None:
    """How far the server is with re-encrypting history, where a rotation asked for it."""
    if of is None:
        return None
    return {"done": of.done, "total": of.total, "remaining": of.remaining}


class RotatedKeyResource(Resource, KeyVersionShape):
    type_name = "encryption-keys"

    id = serializers.CharField(source="ulid")
    project_id = Ulid()
    key_check_salt = Base64(required=False)


def rotated_key(row: KeyVersion, key: str | None) -> dict[str, Any]:
    """The version that a rotation made. Without `key` there is no salt either: a client that found
    a salt beside no key would encrypt under a key that anybody can guess."""
    shown = RotatedKeyResource.show(row)
    if key is None:
        del shown["attributes"]["key_check_salt"]
    else:
        shown["attributes"]["key"] = key
    return shown


def key_descriptor(row: KeyVersion, key: str | None) -> dict[str, Any]:
    """What a client needs to encrypt and decrypt; `key` only for a server-managed one."""
    descriptor: dict[str, Any] = {"managed": row.managed}
    if key is not None:
        descriptor["key"] = key
    descriptor |= {
        "version": row.version,
        "key_check_salt": _base64(row.key_check_salt),
        "key_check_iterations": row.key_check_iterations,
        "created_at": instant(row.created_at),
    }
    if row.key_hint:
        descriptor["key_hint"] = row.key_hint
    return descriptor


class ScopeItem(Shape):
    permission = serializers.CharField()
    project = serializers.CharField()
    target = serializers.CharField(required=False)
    environment = serializers.CharField(required=False)


class CreatorItem(Shape):
    """Clients read the id as a number."""

    id = serializers.IntegerField(source="number")
    name = serializers.CharField(source="get_full_name")


class ApiKeyItem(Shape):
    """Flat. Of the token only the prefix, which every token of the organization shares."""

    id = serializers.CharField(source="ulid")
    name = serializers.CharField()
    token_prefix = serializers.CharField()
    fingerprint = serializers.CharField()
    abilities = serializers.ListField(child=serializers.CharField())
    scoped_permissions = ScopeItem(source="scopes", many=True)
    inherit_parents = serializers.BooleanField()
    expires_at = Instant(allow_null=True)
    last_used_at = Instant(allow_null=True)
    last_used_ip = serializers.CharField(allow_null=True)
    rotated_at = Instant(allow_null=True)
    created_by = CreatorItem(allow_null=True)
    created_at = Instant()
    updated_at = Instant()


api_key = ApiKeyItem.show


class WitnessItem(Shape):
    """Flat. last_size, last_seen_at: of the largest checkpoint that it cosigned."""

    id = serializers.CharField(source="ulid")
    name = serializers.CharField()
    vkey = serializers.CharField()
    last_size = serializers.IntegerField()
    last_seen_at = Instant(allow_null=True)
    created_at = Instant()


def level(opened: Opened) -> dict[str, Any]:
    """A level's blob, or its plaintext where the server opened it."""
    is_open = opened.plaintext is not None
    return {
        "encrypted": not is_open,
        "content": plaintext(opened) if is_open else content(opened.secret),
        "source": opened.level.slug,
        "id": opened.secret.ulid,
    }


def plaintext(opened: Opened) -> str:
    """The text of an opened blob. Raises a 422 for what is not text."""
    try:
        return (opened.plaintext or b"").decode()
    except UnicodeDecodeError:
        raise errors.ApiError(
            422,
            "content_undecryptable",
            f"{opened.level.path} is not UTF-8 text. Read it encrypted and decrypt it yourself.",
        ) from None


def content(row: Secret | SecretVersion) -> str:
    return blobs.to_text(row.content)


class AuthorItem(Shape):
    """Who wrote a version, as the version keeps it; null where nobody is known."""

    id = serializers.IntegerField(source="author_number")
    name = serializers.CharField(source="author_name")

    def to_representation(self, row: SecretVersion) -> Any:
        return None if row.author_number is None else super().to_representation(row)


class SecretVersionResource(Resource):
    """What the list of versions says: no content. Wants `is_client_encrypted` annotated."""

    type_name, key = "secret-versions", "number"

    action = serializers.CharField()
    size_bytes = serializers.IntegerField()
    is_client_encrypted = serializers.BooleanField()
    encryption_key_version = serializers.CharField(source="key_version")
    key_version = serializers.CharField()
    created_at = Instant()
    created_by = AuthorItem(source="*", allow_null=True)
    metadata = serializers.JSONField()
    locked = serializers.BooleanField(default=False)
    locked_reason = serializers.CharField(default=None, allow_null=True)


def secret_version(row: SecretVersion, locked_reason: str | None) -> dict[str, Any]:
    shown = SecretVersionResource.show(row)
    shown["attributes"] |= {"locked": locked_reason is not None, "locked_reason": locked_reason}
    return shown


def place(level: Level) -> dict[str, Any]:
    """The level that something belongs to: by its path, and by the ids of what the path names."""
    return {"path": level.path, "path_ids": [ulid.to_text(key) for key in level.ids]}


def _base64(value: bytes | memoryview[int]) -> str:
    return base64.b64encode(bytes(value)).decode()

"""What rows look like in answers. Field by field; nothing secret is reachable from here."""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import Sequence
from typing import Any

from keys.models import ApiKey, KeyVersion
from organizations import ulid
from organizations.models import (
    Environment,
    Invitation,
    Membership,
    Organization,
    Project,
    Target,
    User,
)

PLAN = "self-hosted"


def instant(moment: dt.datetime | None) -> str | None:
    """RFC 3339 in UTC to the second: what the clients' strict decoders take."""
    return moment.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if moment else None


def _resource(type_name: str, key: str, attributes: dict[str, Any]) -> dict[str, Any]:
    return {"type": type_name, "id": key, "attributes": attributes}


def _times(row: Any) -> dict[str, str | None]:
    return {"created_at": instant(row.created_at), "updated_at": instant(row.updated_at)}


def organization(row: Organization) -> dict[str, Any]:
    """Attributes flat beside `attributes` too: documents and SDK differ on where they are."""
    attributes = {
        "ulid": row.ulid,
        "name": row.name,
        "slug": row.slug,
        "status": row.status,
        "plan_name": PLAN,
        **_times(row),
    }
    return {**attributes, **_resource("organizations", row.ulid, attributes)}


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


def member(row: Membership) -> dict[str, Any]:
    attributes = {
        "user_id": row.user.ulid,
        "email": row.user.email,
        "name": row.user.name,
        "role": row.role,
        **_times(row),
    }
    return _resource("members", row.ulid, attributes)


def invitation(row: Invitation) -> dict[str, Any]:
    attributes = {
        "email": row.email,
        "role": row.role,
        "expires_at": instant(row.expires_at),
        "accepted_at": instant(row.accepted_at),
        **_times(row),
    }
    return _resource("invitations", row.ulid, attributes)


def project(row: Project) -> dict[str, Any]:
    """Wants `target_count` and `environment_count` annotated. Secrets: none are stored yet."""
    attributes = {
        "ulid": row.ulid,
        "organization_id": ulid.to_text(row.organization_id),
        "name": row.name,
        "slug": row.slug,
        "description": row.description,
        "secret_format": row.secret_format,
        "encryption_type": row.storage_mode,
        "storage_mode": row.storage_mode,
        "has_secrets": False,
        "secret_count": 0,
        "target_count": getattr(row, "target_count", 0),
        "environment_count": getattr(row, "environment_count", 0),
        "metadata": row.metadata,
        "secret_versioning": row.secret_versioning,
        "history_policy": row.history_policy,
        **_times(row),
    }
    return _resource("projects", row.ulid, attributes)


def target(row: Target) -> dict[str, Any]:
    attributes = {
        "ulid": row.ulid,
        "project_id": ulid.to_text(row.project_id),
        "name": row.name,
        "slug": row.slug,
        "description": row.description,
        "environment_count": getattr(row, "environment_count", 0),
        "secret_count": 0,
        **_times(row),
    }
    return _resource("targets", row.ulid, attributes)


def environment(row: Environment) -> dict[str, Any]:
    attributes = {
        "ulid": row.ulid,
        "project_id": ulid.to_text(row.target.project_id),
        "target_id": ulid.to_text(row.target_id),
        "name": row.name,
        "slug": row.slug,
        "description": row.description,
        "status": row.status,
        "is_production": row.is_production,
        **_times(row),
    }
    return _resource("environments", row.ulid, attributes)


def key_version(row: KeyVersion) -> dict[str, Any]:
    """An item of the key history: never the key."""
    return {
        "version": str(row.version),
        "managed": row.managed,
        "key_check_salt": _base64(row.key_check_salt),
        "key_check_iterations": row.key_check_iterations,
        "is_active": row.is_active,
        "created_at": instant(row.created_at),
        "rotated_at": instant(row.rotated_at),
    }


def rotated_key(row: KeyVersion) -> dict[str, Any]:
    attributes = {
        "id": row.ulid,
        "project_id": ulid.to_text(row.project_id),
        "version": str(row.version),
        "is_active": row.is_active,
        "created_at": instant(row.created_at),
        "managed": row.managed,
        "key_check_salt": _base64(row.key_check_salt),
        "key_check_iterations": row.key_check_iterations,
    }
    return _resource("encryption-keys", row.ulid, attributes)


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


def api_key(row: ApiKey) -> dict[str, Any]:
    """Flat. Of the token only the prefix, which every token of the organization shares."""
    return {
        "id": row.ulid,
        "name": row.name,
        "token_prefix": row.token_prefix,
        "fingerprint": row.fingerprint,
        "abilities": row.abilities,
        "scoped_permissions": row.scopes,
        "inherit_parents": row.inherit_parents,
        "expires_at": instant(row.expires_at),
        "last_used_at": instant(row.last_used_at),
        "last_used_ip": row.last_used_ip,
        "rotated_at": instant(row.rotated_at),
        "created_by": (
            {"id": row.created_by.number, "name": row.created_by.get_full_name()}
            if row.created_by
            else None
        ),
        **_times(row),
    }


def _base64(value: bytes | memoryview[int]) -> str:
    return base64.b64encode(bytes(value)).decode()

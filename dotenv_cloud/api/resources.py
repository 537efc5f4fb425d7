"""What rows look like in answers. Field by field; nothing secret is reachable from here."""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import Sequence
from typing import Any

from dotenv_cloud.api import errors
from keys import blobs, master_key
from keys.levels import Level
from keys.models import ApiKey, KeyVersion, Secret, SecretVersion
from keys.reencryption import Progress
from keys.secrets import Opened
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
        "history_retention_days": row.history_retention_days,
        "member_key_retrieve": row.member_key_retrieve,
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
    """row: read by `permissions.with_groups`."""
    attributes = {
        "user_id": row.user.ulid,
        "email": row.user.email,
        "name": row.user.name,
        "role": row.role,
        "groups": [group.name for group in row.user.groups_here],  # type: ignore[attr-defined]
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
    """Wants `target_count`, `environment_count` and `secret_count` annotated, unless new."""
    secret_count = getattr(row, "secret_count", 0)
    attributes = {
        "ulid": row.ulid,
        "organization_id": ulid.to_text(row.organization_id),
        "name": row.name,
        "slug": row.slug,
        "description": row.description,
        "secret_format": row.secret_format,
        "encryption_type": row.storage_mode,
        "storage_mode": row.storage_mode,
        "has_secrets": secret_count > 0,
        "secret_count": secret_count,
        "target_count": getattr(row, "target_count", 0),
        "environment_count": getattr(row, "environment_count", 0),
        "metadata": row.metadata,
        "secret_versioning": row.secret_versioning,
        "history_policy": row.history_policy,
        "history_retention_days": row.history_retention_days,
        "strict_encryption": row.strict_encryption,
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
        "secret_count": getattr(row, "secret_count", 0),
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


def key_version(row: KeyVersion, *, shows_check: bool = False) -> dict[str, Any]:
    """An item of the key history: never the key. shows_check: tell the proof of a client's key,
    by which clients know which key they need."""
    check = {}
    if shows_check and row.is_client_managed:
        check["key_check"] = _base64(master_key.unwrap_proof(row))
    return {
        "version": str(row.version),
        "managed": row.managed,
        **check,
        "key_check_salt": _base64(row.key_check_salt),
        "key_check_iterations": row.key_check_iterations,
        "is_active": row.is_active,
        "created_at": instant(row.created_at),
        "rotated_at": instant(row.rotated_at),
    }


def progress(of: Progress | None) -> dict[str, int] | None:
    """How far the server is with re-encrypting history, where a rotation asked for it."""
    if of is None:
        return None
    return {"done": of.done, "total": of.total, "remaining": of.remaining}


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
    """The text of an opened blob. Raises a 422 for what is no text."""
    try:
        return (opened.plaintext or b"").decode()
    except UnicodeDecodeError:
        raise errors.ApiError(
            422,
            "content_undecryptable",
            f"{opened.level.path} holds no UTF-8 text; read it encrypted and open it yourself.",
        ) from None


def content(row: Secret | SecretVersion) -> str:
    return blobs.to_text(row.content)


def secret_version(row: SecretVersion, locked_reason: str | None) -> dict[str, Any]:
    """What the list of versions says: no content. Wants `is_client_encrypted` annotated."""
    has_author = row.author_number is not None
    attributes = {
        "action": row.action,
        "size_bytes": row.size_bytes,
        "is_client_encrypted": row.is_client_encrypted,  # type: ignore[attr-defined]
        "encryption_key_version": str(row.key_version),
        "key_version": str(row.key_version),
        "created_at": instant(row.created_at),
        "created_by": {"id": row.author_number, "name": row.author_name} if has_author else None,
        "metadata": row.metadata,
        "locked": locked_reason is not None,
        "locked_reason": locked_reason,
    }
    return _resource("secret-versions", str(row.number), attributes)


def place(level: Level) -> dict[str, Any]:
    """The level that something belongs to: by its path, and by the ids of what the path names."""
    return {"path": level.path, "path_ids": [ulid.to_text(key) for key in level.ids]}


def _base64(value: bytes | memoryview[int]) -> str:
    return base64.b64encode(bytes(value)).decode()

"""The one table role → permissions; permissions are the abilities of the API contract.

An auditor is anyone who holds `audit:read` on the organization, whatever the role is called.
"""

from __future__ import annotations

from django.db import models


class Role(models.TextChoices):
    OWNER = "owner", "Owner"
    ADMIN = "admin", "Administrator"
    MEMBER = "member", "Member"
    DEVELOPER = "developer", "Developer"
    AUDITOR = "auditor", "Auditor"
    BILLING_MANAGER = "billing_manager", "Billing manager"
    API_USER = "api_user", "API user"


INPUT_ALIASES = {"administrator": Role.ADMIN}


def _each(resource: str, actions: str) -> frozenset[str]:
    return frozenset(f"{resource}:{action}" for action in actions.split())


_CRUD = "create read update delete"
_READ_HIERARCHY = frozenset({"project:read", "target:read", "environment:read"})

DOCUMENTED: frozenset[str] = (
    _each("secret", "read write decrypt history restore purge")
    | _each("key", "retrieve rotate")
    | _each("project", _CRUD)
    | _each("target", _CRUD)
    | _each("environment", _CRUD)
    | _each("team", _CRUD)
    | _each("organization", _CRUD)
    | _each("api-token", _CRUD)
    | _each("member", _CRUD)
    | _each("billing", "read write")
)
"""The abilities that the hosted product documents."""

AUDIT: frozenset[str] = _each("audit", "read export manage")
ALL: frozenset[str] = DOCUMENTED | AUDIT

WILDCARD: frozenset[str] = DOCUMENTED | {"audit:read", "audit:export"}
"""What an API key with the ability `*` holds: everything but `audit:manage`."""

PERMISSIONS: dict[Role, frozenset[str]] = {
    Role.OWNER: ALL,
    Role.ADMIN: ALL
    - _each("billing", "read write")
    - {"organization:delete", "organization:create", "audit:export", "audit:manage"},
    Role.MEMBER: _READ_HIERARCHY
    | _each("secret", "read write history")
    | {"key:retrieve", "team:read", "member:read", "organization:read"},
    Role.DEVELOPER: _READ_HIERARCHY
    | _each("secret", "read write decrypt history restore")
    | {"key:retrieve", "team:read", "member:read", "organization:read"}
    | {"project:create", "project:update"}
    | _each("target", "create update")
    | _each("environment", "create update"),
    Role.AUDITOR: _READ_HIERARCHY
    | {"secret:history", "team:read", "member:read", "organization:read", "api-token:read"}
    | {"audit:read", "audit:export"},
    Role.BILLING_MANAGER: _each("billing", "read write") | {"organization:read"},
    Role.API_USER: _READ_HIERARCHY
    | {"secret:read", "secret:decrypt", "key:retrieve", "organization:read"},
}


SWITCHED = frozenset({"key:retrieve"})
"""What an organization may take from these roles, by its switch `member_key_retrieve`: who
retrieves a key of the server's can decrypt what lies under it."""
WITH_SWITCHED = (Role.MEMBER, Role.API_USER)


def permissions_of(role: str, *, member_key_retrieve: bool = True) -> frozenset[str]:
    """The permissions that `role` carries; none for a role that does not exist."""
    if role not in Role.values:
        return frozenset()
    held = PERMISSIONS[Role(role)]
    return held - SWITCHED if role in WITH_SWITCHED and not member_key_retrieve else held


def parse(text: str) -> Role:
    """The role a client names, aliases included. Raises ValueError naming the choices."""
    name = text.strip().lower()
    if name in INPUT_ALIASES:
        return INPUT_ALIASES[name]
    if name not in Role.values:
        raise ValueError(f"{text!r} is not a role; use one of {', '.join(Role.values)}")
    return Role(name)

"""How a list draws what was done and by whom: an icon in a shape that grows with severity, and a
mark whose shape says the kind of the actor. Shape comes before colour (docs/design.md)."""

from __future__ import annotations

import uuid
from html import escape

from audit.models import Entry
from audit.policy import ActorType, Result, Severity
from organizations import icons

ACTIONS = {
    "create": "create",
    "update": "update",
    "delete": "delete",
    "restore": "restore",
    "purge": "purge",
    "grant": "grant",
    "revoke": "revoke",
    "rotate": "rotate",
    "rewrap": "lock",
    "re_encrypt": "reencrypt",
    "switch_custody": "custody",
    "retrieve": "retrieve",
    "read": "read",
    "decrypt": "decrypt",
    "first_use": "firstuse",
    "new_address": "newaddress",
    "sign_in": "signin",
    "sign_out": "signout",
    "change_password": "password",
    "reset_password": "password",
    "invite": "invite",
    "join": "join",
    "leave": "leave",
    "access": "refused",
    "view": "view",
    "evidence_began": "evidence",
    "verify": "check",
    "export": "exported",
    "end_export": "export",
    "seal": "seal",
    "hold": "hold",
    "lift_hold": "lock",
    "remove": "purge",
    "drop": "purge",
    "erase": "eyeoff",
    "fork": "undo",
}
"""The icon of each action of the catalogue."""

INTERFACES = {
    "web": "web",
    "api": "api",
    "cli": "cli",
    "admin": "admin",
    "command": "command",
    "database": "database",
}

TYPES = {
    "organization": "building",
    "membership": "members",
    "invitation": "invite",
    "user": "person",
    "project": "project",
    "target": "target",
    "environment": "env",
    "secret": "lock",
    "secret_version": "history",
    "key_version": "keys",
    "api_key": "keys",
    "access_token": "keys",
    "audit_log": "log",
    "saved_view": "save",
    "signing_key": "seal",
}
"""The icons of types; a type without one has a tag."""

RESULTS: dict[str, str] = {
    Result.SUCCESS: "check",
    Result.DENIED: "refused",
    Result.FAILED: "failed",
}

_SEVERITIES: dict[str, tuple[str, str]] = {
    Severity.NOTICE: ("notice", "Notice: "),
    Severity.WARNING: ("warn", "Warning: "),
}
_RESULTS: dict[str, tuple[str, str]] = {
    Result.DENIED: ("refused", "Denied: "),
    Result.FAILED: ("failed", "Failed: "),
}

_ACTORS: dict[str, tuple[str, str, str]] = {
    ActorType.API_KEY: ("key", "keys", "API key"),
    ActorType.SYSTEM: ("system", "cog", "System"),
    ActorType.DATABASE: ("database", "database", "Past the application"),
    ActorType.ANONYMOUS: ("nobody", "nobody", "Not signed in"),
}


def action(entry: Entry, more: str = "") -> str:
    """The icon of what an entry describes, in the shape of its severity."""
    return shaped(entry.action, entry.result, entry.severity, more)


def shaped(name: str, result: str, severity: str, more: str = "") -> str:
    """The icon of an action with this result; `more` is added to the classes."""
    drawn = ACTIONS.get(name, "help")
    if result in _RESULTS:
        drawn, said = _RESULTS[result]
        shape = "stop"
    else:
        shape, said = _SEVERITIES.get(severity, ("", ""))
    classes = " ".join(filter(None, ("act", shape, more)))
    unseen = f'<span class="unseen">{said}</span>' if said else ""
    return f'<span class="{classes}">{icons.icon(drawn)}{unseen}</span>'


def severity(name: str) -> str:
    """The shape of a severity, without an action."""
    shape = _SEVERITIES.get(name, ("", ""))[0]
    drawn = "warn" if shape == "warn" else "info"
    return f'<span class="act {shape}">{icons.icon(drawn)}</span>'


def actor(actor_type: str, key: uuid.UUID | None, name: str) -> str:
    """The mark of an actor; its kind is in hidden text, except of a person's."""
    if actor_type == ActorType.USER:
        return icons.person(key, name)
    shape, drawn, kind = _ACTORS.get(actor_type, ("system", "help", escape(actor_type)))
    return (
        f'<span class="mark {shape}" title="{kind}">{icons.icon(drawn)}'
        f'<span class="unseen">{kind}: </span></span>'
    )

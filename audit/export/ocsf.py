"""Entries as events of the Open Cybersecurity Schema Framework, OCSF 1.5 (schema.ocsf.io/1.5.0).

CLASSES below is the mapping, which docs/review.md explains. Nothing is lost: what the schema has no
place for is under `unmapped`, as in the log. Like `audit.entry.bulk_json`, it writes by the
thousand: what repeats from entry to entry is encoded once and kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from json.encoder import encode_basestring as _string
from typing import Any, NamedTuple

from audit import policy
from audit.entry import as_json, bulk_json
from audit.entry.recorded_json import parsed, parsed_changes
from audit.models import Entry, reason_in, recorded, repeats_in
from audit.policy import ActorType, Interface, OcsfClass, Result, Severity

VERSION = "1.5.0"

OTHER = 99
_KEPT = 4096
_PRODUCT = {"name": "dotEnv Cloud", "vendor_name": "dotEnv Cloud"}


class EventClass(NamedTuple):
    """A class of the schema. `activities`: our actions as activity ids; any other is OTHER."""

    uid: int
    name: OcsfClass
    category_uid: int
    category_name: str
    names: Mapping[int, str]
    activities: Mapping[str, int]

    def activity(self, action: str) -> tuple[int, str]:
        key = self.activities.get(action, OTHER)
        return key, self.names.get(key, action)


_IAM = (3, "Identity & Access Management")
_APPLICATION = (6, "Application Activity")

ACCOUNT = EventClass(
    3001,
    OcsfClass.ACCOUNT,
    *_IAM,
    {1: "Create", 3: "Password Change", 4: "Password Reset", 6: "Delete"},
    {"create": 1, "change_password": 3, "reset_password": 4, "delete": 6},
)
AUTHENTICATION = EventClass(
    3002, OcsfClass.AUTHENTICATION, *_IAM, {1: "Logon", 2: "Logoff"}, {"sign_in": 1, "sign_out": 2}
)
ENTITY = EventClass(
    3004,
    OcsfClass.ENTITY,
    *_IAM,
    {1: "Create", 2: "Read", 3: "Update", 4: "Delete"},
    {
        **dict.fromkeys(("create", "invite"), 1),
        **dict.fromkeys(("read", "decrypt", "retrieve", "view", "export"), 2),
        **dict.fromkeys(("update", "restore", "rotate", "rewrap"), 3),
        **dict.fromkeys(("re_encrypt", "switch_custody"), 3),
        **dict.fromkeys(("delete", "purge"), 4),
    },
)
USER_ACCESS = EventClass(
    3005,
    OcsfClass.USER_ACCESS,
    *_IAM,
    {1: "Assign Privileges", 2: "Revoke Privileges"},
    {"grant": 1, "revoke": 2, "update": 1},
)
GROUP = EventClass(
    3006,
    OcsfClass.GROUP,
    *_IAM,
    {3: "Add User", 4: "Remove User"},
    {"create": 3, "join": 3, "delete": 4, "leave": 4},
)
API = EventClass(
    6003,
    OcsfClass.API,
    *_APPLICATION,
    {1: "Create", 2: "Read", 3: "Update", 4: "Delete"},
    {"POST": 1, "GET": 2, "HEAD": 2, "PUT": 3, "PATCH": 3, "DELETE": 4},
)

_CLASSES = {
    found.name: found for found in (ACCOUNT, API, AUTHENTICATION, ENTITY, GROUP, USER_ACCESS)
}
CLASSES: Mapping[tuple[str, str], EventClass] = {
    (event.action, name): _CLASSES[event.ocsf]
    for name, spec in policy.TYPES.items()
    for event in spec.events
}
"""(action, resource type) → class. "*" is any action; what is not listed is ENTITY."""

SEVERITIES = {
    Severity.INFO: (1, "Informational"),
    Severity.NOTICE: (2, "Low"),
    Severity.WARNING: (3, "Medium"),
}
STATUSES = {Result.SUCCESS: (1, "Success")}
_FAILURE = (2, "Failure")

_USER_TYPES = {
    ActorType.USER: (1, "User"),
    ActorType.SYSTEM: (3, "System"),
    ActorType.DATABASE: (3, "System"),
    ActorType.ANONYMOUS: (0, "Unknown"),
    ActorType.API_KEY: (OTHER, "API Key"),
}
_OVER_HTTP = frozenset((Interface.WEB, Interface.API, Interface.CLI, Interface.ADMIN))


@lru_cache(_KEPT)
def class_of(action: str, resource_type: str) -> EventClass:
    """The class of such an entry."""
    for key in ((action, resource_type), ("*", resource_type)):
        if key in CLASSES:
            return CLASSES[key]
    return ENTITY


def events(rows: Sequence[bulk_json.Row]) -> list[str]:
    """The event of each row as a line of JSON, without its end."""
    return [_event(*each) for each in bulk_json.with_ids(rows)]


def _event(row: bulk_json.Row, key: str, actor: str, resource: str, request: str) -> str:
    organization = bulk_json.organization(row.organization_id)
    request = request if row.request_id else ""
    resource = resource if row.resource_id else ""
    is_endpoint = row.resource_type == "endpoint"
    method = row.resource_label.partition(" ")[0] if is_endpoint else ""
    kept_changes = row.changes if row.resource_type in ("user", "membership") else ""
    parts = (
        _kind(row.action, row.resource_type, row.result, method),
        _actor(row.actor_type, actor if row.actor_id else "", row.actor_label, row.context),
        _entity(row.resource_type, resource, row.resource_label)
        if class_of(row.action, row.resource_type) is ENTITY
        else _subject(
            row.action,
            row.resource_type,
            resource,
            row.resource_label,
            organization,
            kept_changes,
            request if is_endpoint else "",
        ),
        _origin(row.ip, row.interface, row.user_agent, request),
        _told(row.result, row.context),
        _metadata(key, organization, row.action, request, row.seq),
        f'"message":{_string(_message(row.actor_label, row.action, row.resource_label))}',
        f'"time":{int(row.id[:12], 16)}',
        _unmapped(
            row.actor_type,
            row.resource_type,
            row.result,
            row.interface,
            row.changes,
            row.context,
            row.resource_seq,
            row.actor_seq,
            resource if row.resource_type in ("membership", "endpoint") else "",
            row.erased_parts,
        ),
    )
    return "{" + ",".join(part for part in parts if part) + "}"


_encode = as_json.canonical_line


def _members(values: Mapping[str, Any]) -> str:
    """The members of an object, without its braces and without what is empty."""
    filled = {name: value for name, value in values.items() if value not in ("", None, {}, [])}
    return _encode(filled)[1:-1]


@lru_cache(_KEPT)
def _kind(action: str, resource_type: str, result: str, method: str) -> str:
    kind = class_of(action, resource_type)
    activity, name = kind.activity(method or action)
    severity_id, severity = SEVERITIES[Entry(action=action, result=result).severity]
    status_id, status = STATUSES.get(result, _FAILURE)  # type: ignore[call-overload]
    return _members(
        {
            "activity_id": activity,
            "activity_name": name,
            "category_name": kind.category_name,
            "category_uid": kind.category_uid,
            "class_name": kind.name,
            "class_uid": kind.uid,
            "severity": severity,
            "severity_id": severity_id,
            "status": status,
            "status_id": status_id,
            "type_name": f"{kind.name}: {name if activity != OTHER else 'Other'}",
            "type_uid": kind.uid * 100 + activity,
        }
    )


def _actor(type_name: str, key: str, label: str, context: str) -> str:
    return _actor_by(type_name, key, label, _facts(context).access_token)


@lru_cache(_KEPT)
def _actor_by(type_name: str, key: str, label: str, access_token: str) -> str:
    credential = key if type_name == ActorType.API_KEY else access_token
    type_id, caption = _USER_TYPES.get(type_name, (0, "Unknown"))  # type: ignore[call-overload]
    user = {"name": label or type_name, "uid": key, "credential_uid": credential}
    return _members({"actor": {"user": {**_filled(user), "type": caption, "type_id": type_id}}})


def _entity(resource_type: str, key: str, label: str) -> str:
    name = f'"name":{_string(label)},' if label else ""
    uid = f'"uid":"{key}",' if key else ""
    unnamed = "" if name or uid else f'"name":{_string(resource_type)},'
    return f'"entity":{{{name}{uid}{unnamed}{_type_of_entity(resource_type)}}}'


@lru_cache(_KEPT)
def _subject(
    action: str,
    resource_type: str,
    key: str,
    label: str,
    organization: str,
    changes: str,
    request: str,
) -> str:
    """To whom it was done, or which request was refused."""
    kind = class_of(action, resource_type)
    named = _filled({"name": label, "uid": key}) or {"name": resource_type}
    if kind is API:
        asked = {"request": {"uid": request}} if request else {}
        return _members({"api": {"operation": label or action, **asked}})
    user: dict[str, Any] = {**named, "type": "User", "type_id": 1}
    if resource_type == "membership":
        user = {**_filled({"name": label, "uid": _value(changes, "user_id")}), "type_id": 1}
        user = {"name": resource_type, **user}
    if kind is AUTHENTICATION:
        return _members({"user": user, "service": {"name": _PRODUCT["name"]}})
    if kind is USER_ACCESS:
        return _members({"user": user, "privileges": _privileges(action, changes)})
    if kind is GROUP:
        role = _value(changes, "role")
        group = {"name": "members", "type": "organization", "uid": organization}
        return _members({"group": group, "user": user, "privileges": [role] if role else []})
    return _members({"user": user})


@lru_cache(_KEPT)
def _type_of_entity(resource_type: str) -> str:
    if resource_type == "organization":
        return _members({"type": "Organization", "type_id": 4})
    return _members({"type": resource_type or "unknown", "type_id": OTHER})


def _privileges(action: str, changes: str) -> list[str]:
    """What was given, or what was taken away; the names of the fields where the values are not
    recorded."""
    found = []
    for name, (before, after) in recorded(parsed_changes(changes)).items():
        old, new = _as_list(before), _as_list(after)
        kept, given = (new, old) if action == "revoke" else (old, new)
        found += [str(each) for each in given if each not in kept and name != "user_id"]
    return found or sorted(parsed_changes(changes)) or [action]


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _value(changes: str, field: str) -> str:
    """What a field was set to; what it was, of a row that is gone."""
    before, after = recorded(parsed_changes(changes)).get(field, (None, None))
    return str(after if after is not None else before or "")


def _origin(ip: str | None, interface: str, user_agent: str, request: str) -> str:
    endpoint = _endpoint(ip, interface)
    if interface not in _OVER_HTTP or not (request or user_agent):
        return endpoint
    parts = (f'"uid":"{request}"' if request else "", _user_agent(user_agent))
    return f'{endpoint},"http_request":{{{",".join(filter(None, parts))}}}'


@lru_cache(_KEPT)
def _user_agent(text: str) -> str:
    return f'"user_agent":{_string(text)}' if text else ""


@lru_cache(_KEPT)
def _endpoint(ip: str | None, interface: str) -> str:
    return _members({"src_endpoint": {"ip": ip} if ip else {"svc_name": interface or "unknown"}})


class _Facts(NamedTuple):
    access_token: str
    reason: str
    status: str
    repeats: int


@lru_cache(_KEPT)
def _facts(context: str) -> _Facts:
    facts = parsed(context)
    return _Facts(
        str(facts.get("access_token") or ""),
        reason_in(facts),
        str(facts.get("status") or ""),
        repeats_in(facts),
    )


@lru_cache(_KEPT)
def _told(result: str, context: str) -> str:
    facts = _facts(context)
    return _members(
        {
            "count": facts.repeats + 1 if facts.repeats else None,
            "status_code": facts.status or result,
            "status_detail": facts.reason,
        }
    )


def _metadata(key: str, organization: str, action: str, request: str, seq: str | None) -> str:
    correlated = f'"correlation_uid":"{request}",' if request else ""
    numbered = f'"sequence":{seq},' if seq else ""
    return (
        f'"metadata":{{{correlated}{_of_action(action)},{numbered}'
        f'"tenant_uid":"{organization}","uid":"{key}","version":"{VERSION}"}}'
    )


@lru_cache(_KEPT)
def _of_action(action: str) -> str:
    return _members({"event_code": action, "log_name": "audit", "product": _PRODUCT})


def _message(actor: str, action: str, resource: str) -> str:
    known = policy.action(action)
    return f"{actor} {known.label if known else action} {resource}".strip()


def _unmapped(
    actor_type: str,
    resource_type: str,
    result: str,
    interface: str,
    changes: str,
    context: str,
    resource_seq: str | None,
    actor_seq: str | None,
    resource_id: str,
    erased_parts: str | None,
) -> str:
    """All that has no place of its own, by the names that it has in the log."""
    numbers = "".join(
        f',"{name}":{number}'
        for name, number in (("actor_seq", actor_seq), ("resource_seq", resource_seq))
        if number
    )
    words = _words(actor_type, interface, resource_type, result)
    key = f',"resource_id":"{resource_id}"' if resource_id else ""
    changed = bulk_json.changes_of(changes)
    unreadable = bulk_json.unreadable(changes, context)
    erased = bulk_json.erased(erased_parts)
    return f'"unmapped":{{{changed},{_context(context)},{erased}{unreadable}{words}{numbers}{key}}}'


@lru_cache(_KEPT)
def _words(actor_type: str, interface: str, resource_type: str, result: str) -> str:
    said = {"actor_type": actor_type, "interface": interface}
    return _encode({**said, "resource_type": resource_type, "result": result})[1:-1]


@lru_cache(_KEPT)
def _context(text: str) -> str:
    return f'"context":{_encode(parsed(text))}'


def _filled(values: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in values.items() if value}

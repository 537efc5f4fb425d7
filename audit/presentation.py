"""An entry as JSON: the attributes of an API answer, and byte for byte a line of the export.

Canonical (RFC 8785): strings, safe integers, booleans, null, arrays and objects, no floats; keys
are ASCII, so sorting by code point is sorting as the RFC wants.
"""

from __future__ import annotations

import datetime as dt
import json
import uuid
from functools import lru_cache
from json.encoder import encode_basestring as _encode_string
from typing import Any

from audit.models import Entry
from organizations import ulid

COLUMNS = (
    "id",
    "organization_id",
    "actor_type",
    "actor_id",
    "actor_label",
    "action",
    "resource_type",
    "resource_id",
    "resource_label",
    "result",
    "ip",
    "user_agent",
    "request_id",
    "interface",
    "changes",
    "context",
    "seq",
    "resource_seq",
    "actor_seq",
)
"""Of an entry, in the order that `line_of` takes them."""

_encode = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")
).encode


def as_json(entry: Entry) -> dict[str, Any]:
    """All that an entry says. `changes` are field → [before, after]; `changed_fields` are those
    that changed too but whose values are not recorded."""
    return {
        "id": entry.ulid,
        "time": rfc3339(entry.time),
        "organization": ulid.to_text(entry.organization_id),
        "actor": _reference(entry.actor_type, entry.actor_id, entry.actor_label),
        "action": entry.action,
        "action_label": entry.action_label,
        "severity": entry.severity.value,
        "resource": _reference(entry.resource_type, entry.resource_id, entry.resource_label),
        "result": entry.result,
        "reason": entry.reason,
        "ip": entry.ip,
        "user_agent": entry.user_agent,
        "request_id": ulid.to_text(entry.request_id) if entry.request_id else None,
        "interface": entry.interface,
        "changes": {name: list(pair) for name, pair in entry.recorded_changes.items()},
        "changed_fields": sorted(entry.changed_fields),
        "context": entry.context,
        "seq": entry.seq,
        "resource_seq": entry.resource_seq,
        "actor_seq": entry.actor_seq,
    }


def canonical_line(attributes: dict[str, Any]) -> str:
    """`attributes` in canonical form, without the end of the line."""
    return _encode(attributes)


def rfc3339(moment: dt.datetime) -> str:
    """An instant in UTC to the millisecond: 2026-11-01T14:30:00.123Z."""
    utc = moment.astimezone(dt.UTC)
    return f"{utc:%Y-%m-%dT%H:%M:%S}.{utc.microsecond // 1000:03}Z"


def _reference(type_name: str, key: uuid.UUID | None, label: str) -> dict[str, str | None]:
    return {"type": type_name, "id": ulid.to_text(key) if key else None, "label": label}


# -- Lines of an export, straight from the database's row
#
# The same as canonical_line(as_json(entry)), which a test holds it to, four times as fast: what
# repeats from entry to entry is written once and kept.


def line_of(row: tuple[Any, ...]) -> str:
    """The canonical line of the entry whose COLUMNS are `row`: ids as UUID, JSON as text."""
    (
        key,
        organization_id,
        actor_type,
        actor_id,
        actor_label,
        action,
        resource_type,
        resource_id,
        resource_label,
        result,
        ip,
        user_agent,
        request_id,
        interface,
        changes,
        context,
        seq,
        resource_seq,
        actor_seq,
    ) = row
    bits = key.int
    context_json, reason = _context_parts(context)
    request = f'"{_ulid_text(request_id.int)}"' if request_id is not None else "null"
    number, resource_number, actor_number = (
        (seq, resource_seq, actor_seq) if seq is not None else ("null", "null", "null")
    )
    return (
        f'{{{_action_part(action)},"actor":{_reference_part(actor_type, actor_id, actor_label)},'
        f'"actor_seq":{actor_number},{_changes_parts(changes)},"context":{context_json},'
        f'"id":"{_ulid_text(bits)}",{_origin_part(interface, ip)},'
        f'"organization":"{_cached_ulid(organization_id)}","reason":{reason},'
        f'"request_id":{request},'
        f'"resource":{_reference_part(resource_type, resource_id, resource_label)},'
        f'"resource_seq":{resource_number},"result":{_string(result)},"seq":{number},'
        f'"severity":"{_severity(action, result)}",'
        f'"time":"{_time(bits >> 80)}","user_agent":{_string(user_agent)}}}'
    )


_KEPT = 8192
_string = lru_cache(_KEPT)(_encode_string)
_cached_ulid = lru_cache(_KEPT)(ulid.to_text)

_DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = [a + b for a in _DIGITS for b in _DIGITS]


def _ulid_text(bits: int) -> str:
    """As `ulid.to_text`, ten bits at a time."""
    pairs = _PAIRS
    high, low = bits >> 60, bits & 0xFFF_FFFF_FFFF_FFFF
    return (
        pairs[high >> 60]
        + pairs[high >> 50 & 1023]
        + pairs[high >> 40 & 1023]
        + pairs[high >> 30 & 1023]
        + pairs[high >> 20 & 1023]
        + pairs[high >> 10 & 1023]
        + pairs[high & 1023]
        + pairs[low >> 50]
        + pairs[low >> 40 & 1023]
        + pairs[low >> 30 & 1023]
        + pairs[low >> 20 & 1023]
        + pairs[low >> 10 & 1023]
        + pairs[low & 1023]
    )


@lru_cache(_KEPT)
def _action_part(action: str) -> str:
    label = Entry(action=action).action_label
    return f'"action":{_encode_string(action)},"action_label":{_encode_string(label)}'


@lru_cache(_KEPT)
def _severity(action: str, result: str) -> str:
    return Entry(action=action, result=result).severity.value


@lru_cache(_KEPT)
def _reference_part(type_name: str, key: uuid.UUID | None, label: str) -> str:
    return _encode(_reference(type_name, key, label))


@lru_cache(_KEPT)
def _origin_part(interface: str, ip: str | None) -> str:
    return f'"interface":{_encode_string(interface)},"ip":{_encode(ip)}'


@lru_cache(_KEPT)
def _changes_parts(text: str) -> str:
    entry = Entry(changes=json.loads(text))
    recorded, names = entry.recorded_changes, sorted(entry.changed_fields)
    return f'"changed_fields":{_encode(names)},"changes":{_encode(recorded)}'


@lru_cache(_KEPT)
def _context_parts(text: str) -> tuple[str, str]:
    entry = Entry(context=json.loads(text))
    return _encode(entry.context), _encode_string(entry.reason)


def _time(milliseconds: int) -> str:
    """As `rfc3339`."""
    seconds, milliseconds = divmod(milliseconds, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    return f"{_date(days)}T{hours:02}:{minutes:02}:{seconds:02}.{milliseconds:03}Z"


@lru_cache(_KEPT)
def _date(days: int) -> str:
    return (dt.date(1970, 1, 1) + dt.timedelta(days)).isoformat()

"""An entry as JSON: the attributes of an API answer, and byte for byte a line of the export (which
`audit.entry.bulk_json` writes by the thousand).

Canonical (RFC 8785): strings, safe integers, booleans, null, arrays and objects, no floats; keys
are ASCII, so sorting by code point is sorting as the RFC wants.
"""

from __future__ import annotations

import datetime as dt
import json
import uuid
from typing import Any

from audit.models import Entry
from organizations import ulid

_encode = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")
).encode


def as_json(entry: Entry) -> dict[str, Any]:
    """All that an entry says. `changes` are field → [before, after]; `changed_fields` are those
    that changed too but whose values are not recorded. `unreadable` and `erased` are there only
    when something is."""
    attributes = {
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
    if entry.erased_parts:
        attributes["erased"] = entry.erased
    if entry.unreadable:
        attributes["unreadable"] = entry.unreadable
    return attributes


def canonical_line(attributes: dict[str, Any] | list[str]) -> str:
    """`attributes` in canonical form, without the end of the line."""
    return _encode(attributes)


def rfc3339(moment: dt.datetime) -> str:
    """An instant in UTC to the millisecond: 2026-11-01T14:30:00.123Z."""
    utc = moment.astimezone(dt.UTC).replace(tzinfo=None)
    # strftime writes the year 1 as "1".
    return f"{utc.isoformat(timespec='milliseconds')}Z"


def _reference(type_name: str, key: uuid.UUID | None, label: str) -> dict[str, str | None]:
    return {"type": type_name, "id": ulid.to_text(key) if key else None, "label": label}

"""Entries of events that change no row, as the application inserts them into `audit_inbox`. Other
code records by `events`, which also inserts those whose repetitions are counted.

The database makes `id` and `xid` itself; only the owner may name an id, which the shifted clock
does. Entries of row changes are written by the triggers (`triggers`).
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from audit import context, policy
from audit.policy import Result
from audit.redaction import clean, redact_all
from organizations import clock, ulid

_COMMON = (
    "actor_type, actor_id, actor_label, action, resource_type, result, "
    "ip, user_agent, request_id, interface, context"
)
COLUMNS = f"{_COMMON}, organization_id, resource_id, resource_label"
"""The columns that the application may write. Only the database may say what changed in a row."""
_COMMON_VALUES = (
    "%s::text, %s::uuid, %s::text, %s::text, %s::text, %s::text, "
    "%s::inet, %s::text, %s::uuid, %s::text, %s::jsonb"
)
"""Of the columns that all entries of one write share, in the order of `_common_values`."""


@dataclass(frozen=True)
class Draft:
    """What differs between the entries of one write.

    organization_id None: the resource is a person or a person's (then person_id names whose), and
    its entry goes to each organization that the person belongs to (to the platform's own log when
    there is none). facts: context of this entry alone.
    """

    resource_id: uuid.UUID | None
    organization_id: uuid.UUID | None
    resource_label: str
    person_id: uuid.UUID | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


def insert(
    connection: BaseDatabaseWrapper,
    action: str,
    resource_type: str,
    drafts: Sequence[Draft],
    facts: Mapping[str, Any],
    result: Result = Result.SUCCESS,
    actor: context.Actor | None = None,
) -> None:
    """Insert an entry for each draft, with one statement. No drafts, no statement."""
    if not drafts:
        return
    if len(drafts) == 1 and drafts[0].organization_id is not None and not clock.is_shifted():
        all_facts = {**facts, **drafts[0].facts}
        common = _common_values(action, resource_type, all_facts, result, actor)
        sql, params = _insert_one(drafts[0], common)
    else:
        common = _common_values(action, resource_type, facts, result, actor)
        own = [policy.checked_context(action, draft.facts) for draft in drafts]
        sql, params = _insert_many(drafts, common, own)
    with connection.cursor() as cursor:
        cursor.execute(sql, params)


def _common_values(
    action: str,
    resource_type: str,
    facts: Mapping[str, Any],
    result: Result,
    actor: context.Actor | None = None,
) -> list[Any]:
    """Parameters for _COMMON_VALUES: who, from where, what.

    Raises ValueError for an action, a type or a fact that the policy does not list.
    """
    policy.check_type(resource_type)
    who, origin = actor or context.actor(), context.origin()
    all_facts = {"command": origin.command or None, "access_token": origin.access_token or None}
    checked = policy.checked_context(action, {**all_facts, **facts})
    return [
        who.type.value,
        who.id,
        clean(who.label, 254),
        action,
        resource_type,
        result.value,
        origin.ip,
        clean(origin.user_agent, 512),
        origin.request_id,
        origin.interface.value,
        _json(redact_all(checked)),
    ]


def as_json(
    action: str,
    resource_type: str,
    facts: Mapping[str, Any],
    result: Result,
    *,
    organization_id: uuid.UUID,
    resource_id: uuid.UUID | None,
    resource_label: str,
) -> str:
    """An entry as a JSON object keyed by column, for `audit_as_row`. Equal entries, equal text."""
    values = _common_values(action, resource_type, facts, result, None)
    entry = dict(zip(_COMMON.split(", "), values, strict=True))
    # A request differs from its repetition by this alone.
    entry["request_id"] = None
    entry["context"] = json.loads(entry["context"])
    entry |= {
        "organization_id": organization_id,
        "resource_id": resource_id,
        "resource_label": resource_label,
        "changes": {},
    }
    return json.dumps(entry, default=str, sort_keys=True)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _insert_one(draft: Draft, common: list[Any]) -> tuple[str, list[Any]]:
    return (
        f"INSERT INTO audit_inbox ({COLUMNS}) VALUES ({_COMMON_VALUES}, %s, %s::uuid, %s)",
        [*common, draft.organization_id, draft.resource_id, _label(draft)],
    )


def _label(draft: Draft) -> str:
    return clean(draft.resource_label, 500)


# Joins a row about a person to each organization the person belongs to.
_EACH_ORGANIZATION = f"""
CROSS JOIN LATERAL (
    SELECT m.organization_id FROM organizations_membership m WHERE m.user_id = r.person_id
    UNION ALL SELECT '{ulid.NIL}'::uuid WHERE NOT EXISTS (
        SELECT FROM organizations_membership m WHERE m.user_id = r.person_id)
) AS o (organization_id)
"""


def _insert_many(
    drafts: Sequence[Draft], common: list[Any], own: Sequence[Mapping[str, Any]]
) -> tuple[str, list[Any]]:
    to_people = drafts[0].organization_id is None
    columns = {
        "organization_id uuid": [draft.organization_id for draft in drafts],
        "resource_id uuid": [draft.resource_id for draft in drafts],
        "person_id uuid": [draft.person_id or draft.resource_id for draft in drafts],
        "resource_label text": [_label(draft) for draft in drafts],
    }
    values = _COMMON_VALUES
    if any(own):
        # The context is the last of the common values.
        values += " || r.facts::jsonb"
        columns["facts text"] = [_json(redact_all(facts)) for facts in own]
    names, types = zip(*(column.split() for column in columns), strict=True)
    arrays = ", ".join(f"%s::{type_name}[]" for type_name in types)
    id_column, id_value, id_params = "", "", []
    if clock.is_shifted():
        id_column = "id, "
        id_value = "audit_uuid7(%s::timestamptz + r.n * interval '1 microsecond'), "
        id_params = [clock.now()]
    organization = "o.organization_id" if to_people else "r.organization_id"
    sql = (
        f"INSERT INTO audit_inbox ({id_column}{COLUMNS})"
        f" SELECT {id_value}{values}, {organization}, r.resource_id, r.resource_label"
        f" FROM unnest({arrays}) WITH ORDINALITY AS r ({', '.join([*names, 'n'])})"
        f"{_EACH_ORGANIZATION if to_people else ''}"
    )
    return sql, [*id_params, *common, *columns.values()]

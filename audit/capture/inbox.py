"""Writing entries: the one place that inserts into `audit_inbox`.

A write of any number of rows adds one INSERT, in the transaction of the change. The database
makes `id` and `xid` itself; only the owner may name an id, which the shifted clock does.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from audit import context, policy
from audit.policy import Result
from audit.redaction import clean
from organizations import clock, ulid

COLUMN = re.compile(r"\{(\w+)\}")

_COMMON = (
    "actor_type, actor_id, actor_label, action, resource_type, result, "
    "ip, user_agent, request_id, interface, context"
)
COLUMNS = f"{_COMMON}, organization_id, resource_id, resource_label, changes"
COMMON_VALUES = (
    "%s::text, %s::uuid, %s::text, %s::text, %s::text, %s::text, "
    "%s::inet, %s::text, %s::uuid, %s::text, %s::jsonb"
)
"""Of the columns that all entries of one write share, in the order of `common_values`."""


@dataclass(frozen=True)
class Label:
    """SQL of a resource's name, with the columns it needs and their types."""

    template: str
    columns: tuple[str, ...]
    types: tuple[str, ...]

    @classmethod
    def parse(cls, template: str, types: Mapping[str, str]) -> Label:
        columns = tuple(dict.fromkeys(COLUMN.findall(template)))
        return cls(template, columns, tuple(types[column] for column in columns))

    def sql(self, substitute: Mapping[str, str]) -> str:
        return COLUMN.sub(lambda match: substitute[match[1]], self.template)

    def with_placeholders(self, arguments: Sequence[Any]) -> tuple[str, list[Any]]:
        """The SQL with `%s` for each column in order of appearance, and its parameters."""
        values = dict(zip(self.columns, arguments, strict=True))
        return COLUMN.sub("%s", self.template), [
            values[name] for name in COLUMN.findall(self.template)
        ]


PLAIN_LABEL = Label("{label}", ("label",), ("text",))
"""The label of an entry that is no row change: given as it is."""


@dataclass(frozen=True)
class Draft:
    """What differs between the entries of one write.

    organization_id None: the resource is a person or a person's (then person_id names whose), and
    its entry goes to each organization that the person belongs to (to the platform's own log when
    there is none). facts: context of this entry alone.
    """

    resource_id: uuid.UUID | None
    organization_id: uuid.UUID | None
    label_arguments: tuple[Any, ...]
    changes: Mapping[str, Any] = field(default_factory=dict)
    person_id: uuid.UUID | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


def insert(
    connection: BaseDatabaseWrapper,
    action: str,
    resource_type: str,
    label: Label,
    drafts: Sequence[Draft],
    facts: Mapping[str, Any],
    result: Result = Result.SUCCESS,
    actor: context.Actor | None = None,
) -> None:
    """Insert an entry for each draft, with one statement. No drafts, no statement."""
    if not drafts:
        return
    if len(drafts) == 1 and drafts[0].organization_id is not None and not clock.is_shifted():
        told = {**facts, **drafts[0].facts}
        common = common_values(action, resource_type, told, result, actor)
        sql, params = _insert_one(label, drafts[0], common)
    else:
        common = common_values(action, resource_type, facts, result, actor)
        own = [policy.allowed_context(action, dict(draft.facts)) for draft in drafts]
        sql, params = _insert_many(label, drafts, common, own)
    with connection.cursor() as cursor:
        cursor.execute(sql, params)


def common_values(
    action: str,
    resource_type: str,
    facts: Mapping[str, Any],
    result: Result,
    actor: context.Actor | None = None,
) -> list[Any]:
    """Parameters for COMMON_VALUES: who, from where, what."""
    who, origin = actor or context.actor(), context.origin()
    told = {"command": origin.command or None, "access_token": origin.access_token or None}
    allowed = policy.allowed_context(action, {**told, **facts})
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
        _json(allowed),
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
    values = common_values(action, resource_type, facts, result, None)
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


def _insert_one(label: Label, draft: Draft, common: list[Any]) -> tuple[str, list[Any]]:
    label_sql, label_params = label.with_placeholders(draft.label_arguments)
    return (
        f"INSERT INTO audit_inbox ({_COMMON}, organization_id, resource_id, resource_label,"
        f" changes) VALUES ({COMMON_VALUES}, %s, %s::uuid, COALESCE({label_sql}, ''), %s::jsonb)",
        [*common, draft.organization_id, draft.resource_id, *label_params, _json(draft.changes)],
    )


def each_organization(person: str) -> str:
    """SQL that joins a row about `person` to each organization the person belongs to."""
    memberships = f"FROM organizations_membership m WHERE m.user_id = {person}"
    return (
        f" CROSS JOIN LATERAL (SELECT organization_id {memberships} UNION ALL"
        f" SELECT '{ulid.NIL}'::uuid WHERE NOT EXISTS (SELECT {memberships})"
        f") AS o (organization_id)"
    )


def _insert_many(
    label: Label, drafts: Sequence[Draft], common: list[Any], own: Sequence[Mapping[str, Any]]
) -> tuple[str, list[Any]]:
    to_people = drafts[0].organization_id is None
    arguments = [f"a{i}" for i in range(len(label.columns))]
    substitute = {c: f"r.{a}" for c, a in zip(label.columns, arguments, strict=True)}
    columns = ["organization_id", "resource_id", "person_id", "changes", *arguments]
    types = [*["uuid"] * 3, "text", *label.types]
    values, own_params = COMMON_VALUES, []
    if any(own):
        # The context is the last of the common values.
        values += " || r.facts::jsonb"
        columns, types = [*columns, "facts"], [*types, "text"]
        own_params = [[_json(facts) for facts in own]]
    arrays = ", ".join(f"%s::{type_name}[]" for type_name in types)
    id_column, id_value, id_params = "", "", []
    if clock.is_shifted():
        id_column = "id, "
        id_value = "audit_uuid7(%s::timestamptz + r.n * interval '1 microsecond'), "
        id_params = [clock.now()]
    organization = "o.organization_id" if to_people else "r.organization_id"
    sql = (
        f"INSERT INTO audit_inbox ({id_column}{_COMMON}, organization_id, resource_id,"
        f" resource_label, changes) SELECT {id_value}{values}, {organization},"
        f" r.resource_id, COALESCE({label.sql(substitute)}, ''), r.changes::jsonb"
        f" FROM unnest({arrays}) WITH ORDINALITY AS r"
        f" ({', '.join([*columns, 'n'])})"
        f"{each_organization('r.person_id') if to_people else ''}"
    )
    return sql, [
        *id_params,
        *common,
        [draft.organization_id for draft in drafts],
        [draft.resource_id for draft in drafts],
        [draft.person_id or draft.resource_id for draft in drafts],
        [_json(draft.changes) for draft in drafts],
        *([draft.label_arguments[i] for draft in drafts] for i in range(len(arguments))),
        *own_params,
    ]

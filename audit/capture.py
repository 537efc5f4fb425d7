"""From rows to entries: what the compilers return is turned into drafts by the policy.

A plan is made once per audited model: which columns a write must return, and where each is found.
Columns whose values are not recorded never leave the database on an update: it only says whether
they changed.
"""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Field, JSONField, Model

from audit import inbox, policy
from audit.inbox import Draft, Label
from audit.policy import Operation, Part, Resource
from organizations import acts, ulid

LARGEST_SAFE_INTEGER = 2**53 - 1
"""Integers beyond it are written as strings (RFC 8785 §3.1: numbers are IEEE doubles)."""

Row = Sequence[Any]


def recordable(value: Any) -> Any:
    """`value` as canonical JSON can hold it: no floats, ids as ULIDs, instants in UTC."""
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return value if abs(value) <= LARGEST_SAFE_INTEGER else str(value)
    if isinstance(value, uuid.UUID):
        return ulid.to_text(value)
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    if isinstance(value, dict):
        return {str(key): recordable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [recordable(item) for item in value]
    if isinstance(value, bytes | bytearray | memoryview):
        raise TypeError("binary values are never recorded; take the field off the policy's list")
    return str(value)


def _recordable_json(text: Any) -> Any:
    """Like `recordable`, for a jsonb column, which Django reads as text."""
    return recordable(json.loads(text) if isinstance(text, str) else text)


@dataclass(frozen=True)
class Plan:
    """What a write of one audited model returns, and how to read it."""

    spec: Resource | Part
    model: type[Model]
    table: str
    quoted_table: str
    quoted_key: str
    returned: tuple[Field[Any, Any], ...]
    label: Label
    place: dict[str, int] = field(repr=False)
    recorded: tuple[tuple[str, int, Callable[[Any], Any]], ...] = ()
    unrecorded: tuple[str, ...] = ()
    before_columns: str = ""
    update_returning: str = ""
    delete_returning: str = ""

    def label_arguments(self, row: Row) -> tuple[Any, ...]:
        return tuple(row[self.place[column]] for column in self.label.columns)

    def organization(self, row: Row) -> uuid.UUID | None:
        column = self.spec.organization
        return row[self.place[column]] if column else None


@cache
def plan_for(model: type[Model]) -> Plan | None:
    """The plan of an audited model; None for any other."""
    spec = policy.for_model(model)
    return None if spec is None else _make_plan(model, spec)


def _make_plan(model: type[Model], spec: Resource | Part) -> Plan:
    fields = policy.columns(model)
    key = str(model._meta.pk.column)
    label = Label.parse(spec.label, {column: _sql_type(f) for column, f in fields.items()})
    if isinstance(spec, Part):
        recorded_columns: tuple[str, ...] = (spec.key, spec.value)
        silent: frozenset[str] = frozenset()
    else:
        recorded_columns = tuple(policy.recorded_columns(spec))
        silent = frozenset(spec.silent)
    first = dict.fromkeys(
        (key, *([spec.organization] if spec.organization else []), *label.columns)
    )
    columns = list(dict.fromkeys((*first, *recorded_columns)))
    unrecorded = tuple(c for c in fields if c not in recorded_columns and c not in (*silent, key))
    quoted = f'"{model._meta.db_table}"'
    return Plan(
        spec=spec,
        model=model,
        table=model._meta.db_table,
        quoted_table=quoted,
        quoted_key=f'"{key}"',
        returned=tuple(fields[column] for column in columns),
        label=label,
        place={column: i for i, column in enumerate(columns)},
        recorded=tuple(
            (column, columns.index(column), _reader(fields[column])) for column in recorded_columns
        ),
        unrecorded=unrecorded,
        before_columns=", ".join(
            f'"{c}"' for c in dict.fromkeys((key, *recorded_columns, *unrecorded))
        ),
        # The row after; then the recorded columns before; then whether each other column changed.
        update_returning=", ".join(
            [
                *(f'{quoted}."{c}"' for c in columns),
                *(f'audit_before."{c}"' for c in recorded_columns),
                *(f'{quoted}."{c}" IS DISTINCT FROM audit_before."{c}"' for c in unrecorded),
            ]
        ),
        delete_returning=", ".join(f'{quoted}."{c}"' for c in columns),
    )


def _sql_type(column: Field[Any, Any]) -> str:
    from django.db import connection

    return str(column.rel_db_type(connection) if column.is_relation else column.db_type(connection))


def _reader(column: Field[Any, Any]) -> Callable[[Any], Any]:
    return _recordable_json if isinstance(column, JSONField) else recordable


def record_rows(
    plan: Plan, operation: Operation, rows: Iterable[Row], connection: BaseDatabaseWrapper
) -> None:
    """Enter inserted or deleted `rows`, each a sequence of the plan's returned columns."""
    spec = plan.spec
    if isinstance(spec, Part):
        _record_parts(plan, spec, operation, rows, connection)
        return
    doing = acts.current()
    action = policy.action_for(spec, operation, doing.verb if doing else None)
    gone = operation is Operation.DELETE
    drafts = []
    for row in rows:
        changes: dict[str, Any] = {}
        for name, place, read in plan.recorded:
            value = read(row[place])
            if value is not None:
                changes[name] = [value, None] if gone else [None, value]
        drafts.append(_draft(plan, spec, row, changes))
    inbox.insert(connection, action, spec.name, plan.label, drafts, _facts(doing))


def record_updates(plan: Plan, rows: Iterable[Row], connection: BaseDatabaseWrapper) -> None:
    """Enter updated `rows`, each as `plan.update_returning` lists them."""
    spec = plan.spec
    if isinstance(spec, Part):
        raise NotImplementedError(
            f"{plan.model.__name__} rows are links: remove one and add another, do not update"
        )
    doing = acts.current()
    action = policy.action_for(spec, Operation.UPDATE, doing.verb if doing else None)
    width, known = len(plan.returned), len(plan.recorded)
    drafts = []
    for row in rows:
        changes: dict[str, Any] = {}
        for (name, place, read), before in zip(
            plan.recorded, row[width : width + known], strict=True
        ):
            if row[place] != before:
                changes[name] = [read(before), read(row[place])]
        for name, changed in zip(plan.unrecorded, row[width + known :], strict=True):
            if changed:
                changes[name] = None
        if changes:
            drafts.append(_draft(plan, spec, row, changes))
    inbox.insert(connection, action, spec.name, plan.label, drafts, _facts(doing))


def _draft(plan: Plan, spec: Resource, row: Row, changes: dict[str, Any]) -> Draft:
    return Draft(
        resource_id=row[0],
        organization_id=plan.organization(row),
        label_arguments=plan.label_arguments(row),
        changes=changes,
    )


def _facts(doing: acts.Act | None) -> dict[str, Any]:
    return dict(doing.facts) if doing else {}


def _record_parts(
    plan: Plan, spec: Part, operation: Operation, rows: Iterable[Row], connection: Any
) -> None:
    """One entry a resource, not a link: `field: [removed values, added values]`."""
    rows = list(rows)
    if not rows:
        return
    key, value = plan.place[spec.key], plan.place[spec.value]
    names = _names(spec, {row[value] for row in rows}, connection)
    owners: dict[tuple[Any, Any], Row] = {}
    listed: dict[tuple[Any, Any], list[str]] = {}
    for row in rows:
        owner = (row[key], plan.organization(row))
        owners.setdefault(owner, row)
        listed.setdefault(owner, []).append(names[row[value]])
    gone = operation is Operation.DELETE
    drafts = [
        Draft(
            resource_id=row[key],
            organization_id=plan.organization(row),
            label_arguments=plan.label_arguments(row),
            changes={
                spec.field: [sorted(listed[owner]), []] if gone else [[], sorted(listed[owner])]
            },
        )
        for owner, row in owners.items()
    ]
    action = "revoke" if gone else "grant"
    inbox.insert(connection, action, spec.of, plan.label, drafts, _facts(acts.current()))


def _names(spec: Part, ids: set[Any], connection: Any) -> dict[Any, str]:
    sql = spec.names.format(value="v.id")
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT v.id, COALESCE({sql}, v.id::text) FROM unnest(%s) AS v(id)", [sorted(ids)]
        )
        return dict(cursor.fetchall())

"""From rows to entries, by the policy: each ORM write of an audited model enters what it does.

A row's entry is written by the statement that changes the row: no second round trip, and nothing
leaves the database to be told. Links (the policy's parts) are entered one a resource instead of
one a row, by a second statement.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Field, Model

from audit import policy
from audit.capture import changes_sql, inbox
from audit.capture.inbox import Draft, Label
from audit.policy import Operation, Part, Resource, Result
from organizations import clock, signals

Row = Sequence[Any]


@dataclass(frozen=True)
class Plan:
    """What a write of one audited model returns, and how its entry is made of that.

    changes: the SQL of `changes` by operation, over the rows that the write returned as
        `audit_row` (an UPDATE's former values as `was_…`, and whether a column whose values are
        not recorded changed as `other_…`).
    """

    spec: Resource | Part
    model: type[Model]
    table: str
    quoted_table: str
    quoted_key: str
    returned: tuple[Field[Any, Any], ...]
    label: Label
    place: dict[str, int] = field(repr=False)
    changes: Mapping[Operation, str] = field(default_factory=dict, repr=False)
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
        recorded: list[str] = [spec.key, spec.value]
        others: list[str] = []
    else:
        recorded = policy.recorded_columns(spec)
        others = [c for c in fields if c not in (*recorded, *spec.silent, key)]
    tenant = [spec.organization] if spec.organization else []
    if isinstance(spec, Resource) and not spec.organization:
        tenant = [spec.person]
    columns = list(dict.fromkeys((key, *tenant, *label.columns, *recorded)))
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
        changes={} if isinstance(spec, Part) else _changes(recorded, others, fields),
        before_columns=", ".join(f'"{c}"' for c in dict.fromkeys((key, *recorded, *others))),
        # Values that are not recorded stay where they are: only whether they changed is told.
        update_returning=", ".join(
            [
                *(f'{quoted}."{c}"' for c in columns),
                *(f'audit_before."{c}" AS "was_{c}"' for c in recorded),
                *(
                    f'{quoted}."{c}" IS DISTINCT FROM audit_before."{c}" AS "other_{c}"'
                    for c in others
                ),
            ]
        ),
        delete_returning=", ".join(f'{quoted}."{c}"' for c in columns),
    )


def _changes(
    recorded: list[str], others: list[str], fields: dict[str, Field[Any, Any]]
) -> dict[Operation, str]:
    row, was, other = 'audit_row."{}"', 'audit_row."was_{}"', 'audit_row."other_{}"'
    return {
        Operation.INSERT: changes_sql.inserted(recorded, fields, row),
        Operation.UPDATE: changes_sql.updated(recorded, others, fields, was, row, other),
        Operation.DELETE: changes_sql.deleted(recorded, fields, row),
    }


def _sql_type(column: Field[Any, Any]) -> str:
    from django.db import connection

    return str(column.rel_db_type(connection) if column.is_relation else column.db_type(connection))


def entering(plan: Plan, operation: Operation) -> tuple[str, list[Any]]:
    """A CTE that enters the rows of the CTE `audit_row`, and its parameters."""
    spec = plan.spec
    assert isinstance(spec, Resource)
    doing = signals.current_act()
    action = policy.action_for(spec, operation, doing.verb if doing else None)
    common = inbox.common_values(action, spec.name, _facts(doing), Result.SUCCESS)
    is_shifted = clock.is_shifted()
    sql = _entering(plan.model, operation, is_shifted)
    return sql, [clock.now(), *common] if is_shifted else common


@cache
def _entering(model: type[Model], operation: Operation, is_shifted: bool) -> str:
    plan = plan_for(model)
    assert plan is not None
    spec = plan.spec
    assert isinstance(spec, Resource)
    id_column, id_value = "", ""
    if is_shifted:
        id_column = "id, "
        id_value = "audit_uuid7(%s::timestamptz + row_number() OVER () * interval '1 microsecond'),"
    key = f"audit_row.{plan.quoted_key}"
    label = plan.label.sql({column: f'audit_row."{column}"' for column in plan.label.columns})
    if spec.organization:
        organization, of_person = f'audit_row."{spec.organization}"', ""
    else:
        organization = "o.organization_id"
        of_person = inbox.each_organization(f'audit_row."{spec.person}"')
    source, told = "audit_row", plan.changes[operation]
    if operation is Operation.UPDATE:
        # A row that was written but not changed has nothing to tell.
        source = (
            f"(SELECT * FROM (SELECT audit_row.*, {told} AS audit_told FROM audit_row) AS audit_row"
            f" WHERE audit_told <> {changes_sql.NOTHING}) AS audit_row"
        )
        told = "audit_told"
    return (
        f"audit_entry AS (INSERT INTO audit_inbox ({id_column}{inbox.COLUMNS})"
        f" SELECT {id_value} {inbox.COMMON_VALUES}, {organization}, {key},"
        f" COALESCE({label}, ''), {told} FROM {source}{of_person})"
    )


def _facts(doing: signals.Act | None) -> dict[str, Any]:
    return dict(doing.facts) if doing else {}


def record_links(
    plan: Plan, operation: Operation, rows: Iterable[Row], connection: BaseDatabaseWrapper
) -> None:
    """Enter inserted or deleted links, one entry a resource: `field: [removed, added]`."""
    spec = plan.spec
    assert isinstance(spec, Part)
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
    inbox.insert(connection, action, spec.of, plan.label, drafts, _facts(signals.current_act()))


def _names(spec: Part, ids: set[Any], connection: Any) -> dict[Any, str]:
    sql = spec.names.format(value="v.id")
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT v.id, COALESCE({sql}, v.id::text) FROM unnest(%s) AS v(id)", [sorted(ids)]
        )
        return dict(cursor.fetchall())

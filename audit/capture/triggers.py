"""The guards: below Django, a row change without its entry does not commit.

For each table of the policy: a deferred constraint trigger that asks the inbox, at commit, for an
entry of the same transaction that tells this very change: as done, by the row's name, each recorded
value as it was and is, each other changed field by name. And a refusal of TRUNCATE, which no row
trigger sees. Who changes rows by hand names a reason first (`SET LOCAL audit.reason = '…'`); then
the trigger writes the entry itself, with the database role as actor. A row never changes its id or
its organization, reason or not: no entry could tell both of its lives.

The triggers are generated from `audit.policy` and renewed after each `migrate`. Their search path
is the usual one but for temporary tables, which come last (pg_catalog is first unless named): with
another one, functions that statements and guards both call, such as `audit_ulid`, were planned
anew at every change of sides, which cost 80 µs a save.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Field, Model

from audit import policy
from audit.capture import changes_sql
from audit.capture.inbox import COLUMN
from audit.policy import Operation, Part, Resource, Result
from organizations import ulid

_FUNCTION = """
CREATE OR REPLACE FUNCTION {function}() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $guard$
DECLARE
    r {table};
    told jsonb;
    told_as text;
    told_of text;
    is_told boolean;
    found_changes jsonb;
    reason text;
BEGIN
    IF TG_OP = 'DELETE' THEN r := OLD; ELSE r := NEW; END IF;
    IF TG_OP = 'UPDATE' THEN
        IF {is_another} THEN
            RAISE EXCEPTION 'audit: {fixed} of {type} % never changes', r.{key}
                USING ERRCODE = 'check_violation', TABLE = TG_TABLE_NAME,
                HINT = 'No entry could tell it; remove the row and add another.';
        END IF;
    END IF;
    -- Nearly always there is one entry, and it tells. Whether it does is asked apart from the
    -- query: a plain expression is prepared once, but in a query at each row, ten times slower.
    SELECT e.changes, e.action, e.resource_label INTO told, told_as, told_of
        FROM audit_inbox e {about_row} LIMIT 1;
    IF TG_OP = 'INSERT' THEN
        is_told := {tells_insert};
    ELSIF TG_OP = 'UPDATE' THEN
        is_told := {tells_update};
    ELSE
        is_told := {tells_delete};
    END IF;
    IF is_told AND {is_told_everywhere} THEN
        RETURN NULL;
    END IF;
    FOR told, told_as, told_of IN
        SELECT e.changes, e.action, e.resource_label FROM audit_inbox e {about_row}
    LOOP
        IF TG_OP = 'INSERT' THEN
            is_told := {tells_insert};
        ELSIF TG_OP = 'UPDATE' THEN
            is_told := {tells_update};
        ELSE
            is_told := {tells_delete};
        END IF;
        IF is_told AND {is_told_everywhere} THEN
            RETURN NULL;
        END IF;
    END LOOP;
    reason := btrim(COALESCE(current_setting('audit.reason', true), ''));
    IF reason = '' THEN
        RAISE EXCEPTION 'audit: % of {type} % has no entry in its transaction that tells it',
            TG_OP, r.{key}
            USING ERRCODE = 'check_violation', TABLE = TG_TABLE_NAME,
            HINT = 'Change it through the application, or name a reason first: '
                   'SET LOCAL audit.reason = ''...''';
    END IF;
    found_changes := CASE TG_OP
        WHEN 'INSERT' THEN {inserted}
        WHEN 'DELETE' THEN {deleted}
        ELSE {updated}
    END;
    INSERT INTO audit_inbox (organization_id, actor_type, actor_label, action, resource_type,
        resource_id, resource_label, interface, ip, user_agent, changes, context)
    SELECT o.id, 'database', session_user, {action}, '{type}', r.{key},
        -- What it is named after may be gone at commit; then by its last name.
        COALESCE({label}, (SELECT e.resource_label FROM audit_entry e
            WHERE e.organization_id = o.id AND e.resource_id = r.{key}
            AND e.resource_type = '{type}' ORDER BY e.id DESC LIMIT 1), ''),
        'database', inet_client_addr(),
        COALESCE(current_setting('application_name', true), ''), found_changes,
        jsonb_build_object('reason', left(reason, 500))
    FROM {organizations} AS o (id);
    RETURN NULL;
END $guard$
"""

_ACTION = "lower(CASE TG_OP WHEN 'INSERT' THEN 'create' ELSE TG_OP END)"


def install(connection: BaseDatabaseWrapper) -> None:
    """Put the guard of every audited table in place; safe to run again."""
    with connection.cursor() as cursor:
        for spec in policy.AUDITED:
            for statement in statements(spec):
                cursor.execute(statement)


def statements(spec: Resource | Part) -> Iterable[str]:
    """The SQL that guards one table."""
    model = spec.model_class()
    table = model._meta.db_table
    function = f"audit_guard_{table}"
    yield _function(spec, model, function)
    # Else a role that may make temporary tables could make it a trigger of one of those.
    yield f"REVOKE ALL ON FUNCTION {function}() FROM PUBLIC"
    yield f"DROP TRIGGER IF EXISTS audit_guard_update ON {table}"
    yield f"DROP TRIGGER IF EXISTS audit_guard ON {table}"
    yield f"DROP TRIGGER IF EXISTS audit_no_truncate ON {table}"
    yield (
        f"CREATE CONSTRAINT TRIGGER audit_guard AFTER INSERT OR DELETE ON {table}"
        f" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION {function}()"
    )
    watched = [c for c in policy.columns(model) if isinstance(spec, Part) or c not in spec.silent]
    changed = " OR ".join(f"OLD.{c} IS DISTINCT FROM NEW.{c}" for c in watched)
    yield (
        f"CREATE CONSTRAINT TRIGGER audit_guard_update AFTER UPDATE ON {table}"
        f" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN ({changed})"
        f" EXECUTE FUNCTION {function}()"
    )
    yield (
        f"CREATE TRIGGER audit_no_truncate BEFORE TRUNCATE ON {table}"
        f" FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse()"
    )


def _function(spec: Resource | Part, model: type[Model], function: str) -> str:
    label = COLUMN.sub(lambda match: f"r.{match[1]}", spec.label)
    if isinstance(spec, Part):
        name = COLUMN.sub(f"r.{spec.value}", spec.names)
        pair = "jsonb_build_object('{f}', jsonb_build_array({b}, {a}))"
        one, none = f"jsonb_build_array({name})", "'[]'::jsonb"
        inserted = pair.format(f=spec.field, b=none, a=one)
        deleted = pair.format(f=spec.field, b=one, a=none)
        updated = "NULL"
        is_another, fixed = "true", "a link"
        type_name, key = spec.of, spec.key
        tells = _tells_link(spec)
        action = "CASE TG_OP WHEN 'DELETE' THEN 'revoke' ELSE 'grant' END"
    else:
        fields = policy.columns(model)
        recorded = policy.recorded_columns(spec)
        inserted = changes_sql.inserted(recorded, fields, "NEW.{}")
        deleted = changes_sql.deleted(recorded, fields, "OLD.{}")
        others = [c for c in fields if c not in recorded and c not in spec.silent]
        updated = changes_sql.updated(recorded, others, fields, "OLD.{}", "NEW.{}")
        type_name, key, action = spec.name, str(model._meta.pk.column), _ACTION
        keys = dict.fromkeys((key, spec.organization or spec.person))
        is_another = " OR ".join(f"OLD.{c} IS DISTINCT FROM NEW.{c}" for c in keys)
        fixed = "the " + " or ".join(c.removesuffix("_id") for c in keys)
        tells = _tells(spec, fields)
    called = _called(label)
    return _FUNCTION.format(
        function=function,
        table=model._meta.db_table,
        type=type_name,
        key=key,
        label=label,
        inserted=inserted,
        deleted=deleted,
        updated=updated,
        action=action,
        organizations=_organizations(spec, key),
        is_another=is_another,
        fixed=fixed,
        # What a guard entered is one change by hand; the next one of the row needs its own entry.
        about_row=(
            f"WHERE e.xid = pg_current_xact_id() AND e.resource_type = '{type_name}'"
            f" AND e.resource_id = r.{key}{_same_tenant(spec)} AND e.actor_type <> 'database'"
            f" AND e.result = '{Result.SUCCESS}'"
        ),
        is_told_everywhere="true" if spec.organization else _told_everywhere(spec, key),
        tells_insert=f"{called} AND {tells.insert}",
        tells_update=f"{called} AND {tells.update}",
        tells_delete=f"{called} AND {tells.delete}",
    )


_TOLD_EVERYWHERE = """
    NOT EXISTS (
        SELECT FROM organizations_membership m WHERE m.user_id = r.{person}
        AND NOT EXISTS (
            SELECT FROM audit_inbox e WHERE e.xid = pg_current_xact_id()
            AND e.resource_type = '{type}' AND e.resource_id = r.{key}
            AND e.organization_id = m.organization_id AND e.changes = told AND e.action = told_as
            AND e.result = 'success')
        -- Who joins in this transaction was not there yet when it was told.
        AND NOT EXISTS (
            SELECT FROM audit_inbox e WHERE e.xid = pg_current_xact_id()
            AND e.resource_type = 'membership' AND e.resource_id = m.id
            AND e.organization_id = m.organization_id))
"""
"""What happens to a person is told to each organization that the person belongs to."""


def _told_everywhere(spec: Resource | Part, key: str) -> str:
    type_name = spec.of if isinstance(spec, Part) else spec.name
    return _TOLD_EVERYWHERE.format(person=_person(spec, key), type=type_name, key=key)


def _person(spec: Resource | Part, key: str) -> str:
    """The column that names the person whose row it is."""
    return key if isinstance(spec, Part) else spec.person


def _called(label: str) -> str:
    """Whether the entry calls the row what it is called. Of a path only the last part, which is a
    column of the row: the rest would have to be looked up, and may be gone by now."""
    path, joint, name = label.rpartition(" || ")
    if "SELECT" in name:
        return "true"
    if not joint:
        return f"told_of = {name}"
    _, _, separator = path.rpartition(" || ")
    ending = f"({separator} || {name})"
    return f"right(told_of, length({ending})) = {ending}"


def _same_tenant(spec: Resource | Part) -> str:
    return f" AND e.organization_id = r.{spec.organization}" if spec.organization else ""


class _Tells(NamedTuple):
    """Conditions under which the changes `told` tell the change at hand, for each operation."""

    insert: str
    update: str
    delete: str


def _tells(spec: Resource, fields: dict[str, Field[Any, Any]]) -> _Tells:
    recorded = policy.recorded_columns(spec)
    insert, update, delete = (
        [_is_one_of("told_as", policy.actions_of(spec, operation))]
        for operation in (Operation.INSERT, Operation.UPDATE, Operation.DELETE)
    )
    for c in recorded:
        new, old = (
            changes_sql.value(fields[c], f"NEW.{c}"),
            changes_sql.value(fields[c], f"OLD.{c}"),
        )
        pair = f"told -> '{c}'"
        insert.append(f"(NEW.{c} IS NULL OR {pair} = jsonb_build_array(NULL, {new}))")
        update.append(
            f"(NEW.{c} IS NOT DISTINCT FROM OLD.{c} OR {pair} = jsonb_build_array({old}, {new}))"
        )
        delete.append(f"(OLD.{c} IS NULL OR {pair} = jsonb_build_array({old}, NULL))")
    others = [c for c in fields if c not in recorded and c not in spec.silent]
    update += [f"(NEW.{c} IS NOT DISTINCT FROM OLD.{c} OR told ? '{c}')" for c in others]
    return _Tells(*(" AND ".join(each) for each in (insert, update, delete)))


def _is_one_of(name: str, words: Iterable[str]) -> str:
    return f"{name} IN ({', '.join(repr(word) for word in words)})"


def _tells_link(spec: Part) -> _Tells:
    """The name is listed; when what was linked is itself gone, any list of the field will do."""

    def lists(action: str, place: int, record: str) -> str:
        name = COLUMN.sub(f"{record}.{spec.value}", spec.names)
        names = f"told -> '{spec.field}' -> {place}"
        return (
            f"told_as = '{action}' AND COALESCE(jsonb_typeof({names}) = 'array', false)"
            f" AND COALESCE({names} ? {name}, {name} IS NULL)"
        )

    return _Tells(lists("grant", 1, "NEW"), "false", lists("revoke", 0, "OLD"))


def _organizations(spec: Resource | Part, key: str) -> str:
    if spec.organization:
        return f"(SELECT r.{spec.organization})"
    person = _person(spec, key)
    of_person = f"FROM organizations_membership m WHERE m.user_id = r.{person}"
    return (
        f"(SELECT m.organization_id {of_person} UNION ALL"
        f" SELECT '{ulid.NIL}'::uuid WHERE NOT EXISTS (SELECT {of_person}))"
    )

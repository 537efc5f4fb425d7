"""The triggers of audited tables, which enter what changed: made from `audit.policy`, and renewed
after each `migrate`.

Each table has one trigger an operation, after the statement, with the rows as they were and as they
are. It runs as the owner and writes an entry for each row that changed (for links: for each
resource), with the words that the statement carries (`audit.capture.words`). A statement that
changes a row and does not say who acts is refused, unless a reason is named first (`SET LOCAL
audit.reason = '…'`): then the database role is the actor. Beside these: what a row never changes
(its id, whose it is) is refused, reason or not, as no entry could describe both of its lives; and
so is TRUNCATE, which has no rows to show.

What the triggers share is in `audit/migrations/sql/7_words.sql`. Their search path is the usual one
but for temporary tables, which come last (pg_catalog is first unless named): with another one,
functions that statements and triggers both call, such as `audit_ulid`, were planned anew at every
change of sides, which cost 80 µs a save.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Model

from audit import policy
from audit.capture import changes_sql, places_sql
from audit.policy import Operation, Part, Resource
from organizations import secret_forms, ulid

_SQL_NAMES = {Operation.INSERT: "INSERT", Operation.UPDATE: "UPDATE", Operation.DELETE: "DELETE"}
_LINK_ACTIONS = {Operation.INSERT: "grant", Operation.DELETE: "revoke"}

_COLUMNS = (
    "id, actor_type, actor_id, actor_label, interface, ip, user_agent, request_id, organization_id,"
    " resource_type, resource_id, resource_label, action, context, changes"
)

_FUNCTION = """
CREATE OR REPLACE FUNCTION {function}() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $audit$
DECLARE
    words audit_words := audit_said();
    several integer;
    covered text[];
    plain jsonb;
    named jsonb;
BEGIN
    IF words IS NULL THEN
        IF EXISTS ({changed}) THEN
            RAISE EXCEPTION 'audit: % of % does not say who acts', TG_OP, TG_TABLE_NAME
                USING ERRCODE = 'check_violation', TABLE = TG_TABLE_NAME,
                HINT = 'Change it through the application, or name a reason first: '
                       'SET LOCAL audit.reason = ''...''';
        END IF;
        RETURN NULL;
    END IF;
    plain := words.context;
    named := words.context;
    {covered}
    IF words.facts IS NOT NULL THEN
        plain := audit_context(plain, words.facts, {plain_facts});
        named := audit_context(named, words.facts, {named_facts});
    END IF;
    {insert}
    RETURN NULL;
END $audit$
"""

_INSERT = """
    INSERT INTO audit_inbox ({columns})
    SELECT (words.head || to_hex(words.tail + row_number() OVER ()))::uuid,
        words.actor_type, words.actor_id, words.actor_label, words.interface, words.ip,
        words.user_agent, words.request_id, {organization}, '{type}', r.{key},
        left(COALESCE(
            CASE WHEN {label} {is_suspicious} THEN audit_redacted({label}) ELSE {label} END,
            audit_last_name({organization}, '{type}', r.{key}), ''), 500),
        {action}, {context}, {changes}
    FROM {source}
    {joins}{organizations}{where};
"""

# The changes of each row, and whether there may be a secret in them. OFFSET 0: or the changes would
# be put together as often as they are named.
_SOURCE = (
    "(SELECT r.*, {changes} AS audit_changes, {holds} AS audit_holds FROM {rows} OFFSET 0) AS r"
)
_CHANGES = """CASE WHEN pg_column_size(audit_changes) > 1048576 THEN audit_refuse_size()
            WHEN audit_holds THEN audit_redacted_json(audit_changes) ELSE audit_changes END"""
_IS_SUSPICIOUS = secret_forms.like_any_roughly()

# FULL JOIN can only be hashed or merged. PL/pgSQL keeps the plan: one that was made for a single
# row would be a nested loop, and compare each of 10,000 rows with each. Single rows, which come
# most, need no join at all.
_INSERT_UPDATED = """
    several := (SELECT count(*) FROM (SELECT FROM audit_new LIMIT 2) AS first_rows);
    IF several = 1 THEN
    {single}
    ELSIF several > 1 THEN
    {many}
    END IF;
"""
_PAIRS = "audit_old AS was FULL JOIN audit_new AS r ON r.{key} = was.{key}"
_PAIR = "audit_old AS was, audit_new AS r"

# A person's rows go to each organization the person belongs to and to those left in this
# transaction; to the platform's own log too when none is left.
_OWN = f"""
        SELECT m.organization_id FROM organizations_membership m WHERE m.user_id = r.{{person}}
        UNION SELECT l.organization_id FROM audit_left l
            WHERE l.person_id = r.{{person}} AND l.xid = pg_current_xact_id()
        UNION ALL SELECT '{ulid.NIL}'::uuid WHERE NOT EXISTS (
            SELECT FROM organizations_membership m WHERE m.user_id = r.{{person}})"""
_ORGANIZATIONS = f" CROSS JOIN LATERAL ({_OWN}) AS o (organization_id)"

# The deletion of an account is entered for each organization that knew the person: by an entry by
# or about them, or as a member once. For one that they have left, the entry has no values: what
# they changed since, such as their address, is not its business. It calls them as it knew them.
_KNOWN = f"""
        CROSS JOIN LATERAL (
        SELECT own.organization_id, false FROM ({_OWN}) AS own (organization_id)
        UNION ALL SELECT known.organization_id, true FROM (
            SELECT l.organization_id FROM audit_label l
                WHERE l.id = r.{{person}} AND l.type = 'user'
            UNION SELECT p.organization_id FROM audit_place p
                WHERE p.parent_id = r.{{person}} AND p.type = 'membership'
            UNION SELECT i.organization_id FROM audit_inbox i
                WHERE i.actor_id = r.{{person}} OR i.resource_id = r.{{person}}
            UNION SELECT n.organization_id FROM audit_naming n
                WHERE n.parent_id = r.{{person}} AND n.type = 'membership'
        ) AS known WHERE known.organization_id <> '{ulid.NIL}' AND known.organization_id NOT IN (
            SELECT own.organization_id FROM ({_OWN}) AS own (organization_id))
        ) AS o (organization_id, is_former)"""
_KNOWN_AS = """
        CASE WHEN o.is_former THEN COALESCE(
            audit_last_name(o.organization_id, '{type}', r.{person}),
            (SELECT l.label FROM audit_label l
                WHERE l.organization_id = o.organization_id AND l.id = r.{person} LIMIT 1),
            (SELECT l.label FROM audit_place p JOIN audit_label l
                ON l.organization_id = p.organization_id AND l.id = p.id
                WHERE p.organization_id = o.organization_id AND p.parent_id = r.{person} LIMIT 1),
            (SELECT i.resource_label FROM audit_inbox i
                WHERE i.organization_id = o.organization_id AND i.resource_type = 'membership'
                AND audit_parent_of(i.resource_type, i.changes) = r.{person} LIMIT 1))
        ELSE {label} END"""

_NOTE_LEAVING = """
CREATE OR REPLACE TRIGGER audit_note_leaving BEFORE DELETE ON organizations_membership
    FOR EACH ROW EXECUTE FUNCTION audit_note_leaving()
"""


def install(connection: BaseDatabaseWrapper) -> None:
    """Put the triggers of every audited table in place; safe to run again."""
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE OR REPLACE FUNCTION audit_is_of_row(action text) RETURNS boolean"
            f" LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN action IN ({row_actions()})"
        )
        cursor.execute(places_sql.functions())
        for spec in policy.AUDITED:
            for statement in statements(spec):
                cursor.execute(statement)
        cursor.execute(_NOTE_LEAVING)
        for table, exempt in policy.exempt_tables().items():
            if exempt.fixed:
                cursor.execute(_stays(table, exempt.fixed, _called(exempt.fixed, table)))


def row_actions() -> str:
    """The actions of entries that say that a row changed, as SQL."""
    verbs = {named.verb.value for spec in policy.RESOURCES for named in spec.verbs}
    return _texts(sorted({*Operation, *_LINK_ACTIONS.values(), *verbs}))


def statements(spec: Resource | Part) -> Iterator[str]:
    """The SQL that makes one table an audited one."""
    model = spec.model_class()
    table = model._meta.db_table
    for operation in _LINK_ACTIONS if isinstance(spec, Part) else Operation:
        name = _SQL_NAMES[operation]
        function = f"audit_{name.lower()}_{table}"
        if isinstance(spec, Part):
            yield _link_function(spec, operation, function)
        else:
            yield _row_function(spec, model, operation, function)
        # Else a role that may make temporary tables could make it a trigger of one of those.
        yield f"REVOKE ALL ON FUNCTION {function}() FROM PUBLIC"
        old, new = "OLD TABLE AS audit_old", "NEW TABLE AS audit_new"
        rows = {Operation.INSERT: new, Operation.UPDATE: f"{old} {new}", Operation.DELETE: old}
        yield (
            f"CREATE OR REPLACE TRIGGER audit_{name.lower()} AFTER {name} ON {table}"
            f" REFERENCING {rows[operation]} FOR EACH STATEMENT EXECUTE FUNCTION {function}()"
        )
    yield _stays(table, *_fixed(spec, model))
    yield (
        f"CREATE OR REPLACE TRIGGER audit_no_truncate BEFORE TRUNCATE ON {table}"
        f" FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse()"
    )


def _fixed(spec: Resource | Part, model: type[Model]) -> tuple[list[str], str]:
    """The columns that a row of an audited table never changes, its key first, and what they are
    called. A link never changes at all."""
    key = str(model._meta.pk.column)
    if isinstance(spec, Part):
        return [key, *(c for c in policy.columns(model) if c != key)], f"a link of {spec.of}"
    fixed = list(dict.fromkeys((key, spec.organization or spec.person, *spec.fixed)))
    return fixed, _called(fixed, spec.name)


def _called(fixed: Iterable[str], of: str) -> str:
    return f"the {' or '.join(c.removesuffix('_id') for c in fixed)} of {of}"


def _stays(table: str, fixed: Sequence[str], called: str) -> str:
    """The trigger that refuses what a row never changes; the first of `fixed` is its key."""
    is_another = " OR ".join(f"OLD.{c} IS DISTINCT FROM NEW.{c}" for c in fixed)
    return (
        f"CREATE OR REPLACE TRIGGER audit_stays AFTER UPDATE ON {table}"
        f" FOR EACH ROW WHEN ({is_another})"
        f" EXECUTE FUNCTION audit_refuse_move('{called}', '{fixed[0]}')"
    )


def _row_function(spec: Resource, model: type[Model], operation: Operation, function: str) -> str:
    fields = policy.columns(model)
    recorded = policy.recorded_columns(spec)
    key = str(model._meta.pk.column)
    # What never changes need not be compared.
    passed_over = {*recorded, *spec.silent, key, spec.organization}
    others = [c for c in fields if c not in passed_over]
    shared = {
        "columns": _COLUMNS,
        "type": spec.name,
        "key": key,
        "label": spec.label,
        "joins": spec.joins,
        "is_suspicious": _IS_SUSPICIOUS,
        "changes": _CHANGES,
        "organization": f"r.{spec.organization}" if spec.organization else "o.organization_id",
        "organizations": "" if spec.organization else _ORGANIZATIONS.format(person=spec.person),
    }
    if operation is Operation.UPDATE:
        changes = changes_sql.updated(recorded, others, fields, "was.{}", "r.{}")
        is_named = "audit_changes - covered = '{}'"
        shared |= {
            "action": f"CASE WHEN {is_named} THEN words.verb ELSE '{operation}' END",
            "context": f"CASE WHEN {is_named} THEN named ELSE plain END",
            "where": f" WHERE audit_changes <> {changes_sql.NOTHING}",
        }
        holds = changes_sql.holds_text_like(_IS_SUSPICIOUS, recorded, fields, "was.{}", "r.{}")
        single, many = (
            _INSERT.format(
                source=_SOURCE.format(changes=changes, holds=holds, rows=pairs), **shared
            )
            for pairs in (_PAIR, _PAIRS.format(key=key))
        )
        insert = _INSERT_UPDATED.format(single=single, many=many)
        watched = [c for c in fields if c not in spec.silent]
        differs = " OR ".join(f"was.{c} IS DISTINCT FROM r.{c}" for c in watched)
        changed = f"SELECT FROM {_PAIRS.format(key=key)} WHERE {differs}"
    else:
        is_new = operation is Operation.INSERT
        # A person, whose organizations are not a column of the row.
        is_account_gone = not is_new and not spec.organization and spec.person == key
        if is_account_gone:
            shared["organizations"] = _KNOWN.format(person=spec.person)
            shared["label"] = _KNOWN_AS.format(type=spec.name, person=spec.person, label=spec.label)
            shared["changes"] = (
                f"CASE WHEN o.is_former THEN {changes_sql.NOTHING} ELSE {_CHANGES} END"
            )
        rows = "audit_new" if is_new else "audit_old"
        describe = changes_sql.inserted if is_new else changes_sql.deleted
        holds = changes_sql.holds_text_like(_IS_SUSPICIOUS, recorded, fields, "r.{}")
        changes = describe(recorded, fields, "r.{}")
        insert = _INSERT.format(
            source=_SOURCE.format(changes=changes, holds=holds, rows=f"{rows} AS r"),
            action=f"CASE WHEN covered IS NULL THEN '{operation}' ELSE words.verb END",
            context="CASE WHEN covered IS NULL THEN plain ELSE named END",
            where="",
            **shared,
        )
        changed = f"SELECT FROM {rows}"
    verbs = [named for named in spec.verbs if named.operation is operation]
    return _FUNCTION.format(
        function=function,
        changed=changed,
        covered=_covered(verbs),
        plain_facts=_array(_facts(operation.value)),
        named_facts=_by_verb(
            (named.verb.value, _array(_facts(named.verb.value))) for named in verbs
        ),
        insert=insert,
    )


def _link_function(spec: Part, operation: Operation, function: str) -> str:
    """Rows of a link table are values of a field of what they belong to: one entry a resource."""
    rows = "audit_new" if operation is Operation.INSERT else "audit_old"
    organization = f"r.{spec.organization}" if spec.organization else "o.organization_id"
    organizations = "" if spec.organization else _ORGANIZATIONS.format(person=spec.key)
    grouped = ", ".join(dict.fromkeys(f"r.{c}" for c in (spec.key, spec.organization) if c))
    each = ""
    if spec.concerns:
        # Of each link, and so before they are put together: each organization reads of its own.
        own = _OWN.format(person=spec.key)
        each = f" CROSS JOIN LATERAL ({own} UNION {spec.concerns}) AS o (organization_id)"
        grouped += ", o.organization_id"
        organization, organizations = "r.organization_id", ""
    name = f"COALESCE({spec.name}, r.{spec.value}::text)"
    source = (
        f'(SELECT {grouped}, jsonb_agg({name} ORDER BY {name} COLLATE "C") AS audit_names'
        f" FROM {rows} AS r {spec.name_join}{each} GROUP BY {grouped}) AS r"
    )
    pair = (
        "audit_names, '[]'::jsonb" if operation is Operation.DELETE else "'[]'::jsonb, audit_names"
    )
    changes = f"jsonb_build_object('{spec.field}', jsonb_build_array({pair}))"
    action = _LINK_ACTIONS[operation]
    insert = _INSERT.format(
        columns=_COLUMNS,
        type=spec.of,
        key=spec.key,
        label=spec.label,
        joins=spec.joins,
        organization=organization,
        organizations=organizations,
        source=source,
        action=f"'{action}'",
        context="plain",
        changes=f"audit_redacted_json({changes})",
        is_suspicious=_IS_SUSPICIOUS,
        where="",
    )
    return _FUNCTION.format(
        function=function,
        changed=f"SELECT FROM {rows}",
        covered="",
        plain_facts=_array(_facts(action)),
        named_facts=_array(()),
        insert=insert,
    )


def _covered(verbs: list[policy.NamedChange]) -> str:
    """PL/pgSQL that sets `covered` to the columns that the statement's verb covers here; it stays
    NULL for a verb that does not belong to the table and operation."""
    if not verbs:
        return ""
    return f"covered := {_by_verb((n.verb.value, _array(n.fields)) for n in verbs)};"


def _by_verb(results: Iterable[tuple[str, str]]) -> str:
    cases = "".join(f" WHEN '{verb}' THEN {result}" for verb, result in results)
    return f"CASE words.verb{cases} END" if cases else "NULL"


def _facts(action: str) -> tuple[str, ...]:
    known = policy.action(action)
    assert known is not None, f"audit/policy.py does not list the action {action}"
    return known.context


def _array(words: Iterable[str]) -> str:
    return f"ARRAY[{_texts(words)}]::text[]"


def _texts(words: Iterable[str]) -> str:
    return ", ".join(f"'{word}'" for word in words)

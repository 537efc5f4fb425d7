"""The triggers of audited tables, which enter what changed: made from `audit.policy`, and renewed
after each `migrate`.

Each table has one trigger an operation, after the statement, with the rows as they were and as they
are. It runs as the owner and writes an entry for each row that changed (of links, for each
resource; of a person's rows, in each of their organizations), with the words that the statement
carries (`audit.capture.words`); for a single row by a shorter way than for several. A statement
that changes a row and does not say who acts is refused, unless a reason is named first (`SET LOCAL
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
from django.db.models import JSONField, Model

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
    plain jsonb;{named_variables}
    id_head text;
    id_tail bigint;{variables}
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
    plain := words.context;{named}
    IF words.facts IS NOT NULL THEN
        plain := audit_context(plain, words.facts, {plain_facts});{named_with_facts}
    END IF;
    {insert}
    RETURN NULL;
END $audit$
"""

# OFFSET 0: otherwise label and changes would be computed as often as they are named.
_INSERT = """
    SELECT first.head, first.tail INTO id_head, id_tail FROM audit_first_id(words.at) AS first;
    INSERT INTO audit_inbox ({columns})
    SELECT (id_head || to_hex(id_tail + row_number() OVER ()))::uuid, {said},
        audit_organization, '{type}', r.{key},
        left(COALESCE(
            CASE WHEN {label_holds} THEN audit_redacted(audit_label) ELSE audit_label END,
            audit_last_name(audit_organization, '{type}', r.{key}), ''), 500),
        {action}, {context},
        CASE WHEN pg_column_size(audit_changes) > {large} OR {changes_hold}
            THEN audit_recorded(audit_changes) ELSE audit_changes END
    FROM (
        SELECT r.*, {organization} AS audit_organization, {label} AS audit_label,
            {changes} AS audit_changes{holds}
        FROM {source} {joins}{organizations} OFFSET 0
    ) AS r{where};
"""
_SAID = (
    "words.actor_type, words.actor_id, words.actor_label, words.interface, words.ip,"
    " words.user_agent, words.request_id"
)
# Bytes above which `changes` may be longer, as text, than readers take: a control character takes
# six there. Or, where a column holds JSON, nested deeper, each level of which takes eight bytes.
_LARGE = 170_000
_LARGE_WITH_JSON = 400
_LIKE_A_SECRET = secret_forms.like_any_roughly()

# A single row is the most frequent case. It is entered step by step: preparing a statement as large
# as the one above took as long as all of these steps do.
_FIRST_ROW = """
    first_row record;"""
_INSERT_ROW = """
    SELECT {columns_read}, {label} AS audit_label,
            EXISTS (SELECT FROM {rows} OFFSET 1) AS audit_several
        INTO first_row FROM {rows_read} {joins};
    IF first_row.audit_several THEN
    {many}
    ELSIF FOUND THEN
    DECLARE
        r record := first_row;
        audit_label text := r.audit_label;
        audit_changes jsonb := {changes};
    BEGIN
        {unless_unchanged}
        IF {holds} OR pg_column_size(audit_changes) > {large} THEN
            audit_label := audit_redacted(audit_label);
            audit_changes := audit_recorded(audit_changes);
        END IF;
        IF audit_label IS NULL THEN
            audit_label := COALESCE(audit_last_name({organization}, '{type}', r.{key}), '');
        END IF;
        INSERT INTO audit_inbox ({columns}) VALUES (
            audit_uuid7(COALESCE(words.at, clock_timestamp())), {said},
            {organization}, '{type}', r.{key}, left(audit_label, 500), {action}, {context},
            audit_changes);
    END;
    END IF;
"""
# FULL JOIN can only be hashed or merged. PL/pgSQL keeps plans: one made for a single row would
# compare each of 10,000 rows with each.
_PAIRS = "audit_old AS was FULL JOIN audit_new AS r ON r.{key} = was.{key}"

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
                WHERE l.organization_id = o.organization_id AND l.id = r.{person}
                AND l.kind <> 'person' LIMIT 1),
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
        # Otherwise a role that may create temporary tables could make it a trigger of one of them.
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
    """The columns of an audited table that never change, its key first, and what they are called.
    A link never changes at all."""
    key = str(model._meta.pk.column)
    if isinstance(spec, Part):
        return [key, *(c for c in policy.columns(model) if c != key)], f"a link of {spec.of}"
    fixed = list(dict.fromkeys((key, spec.organization or spec.person, *spec.fixed)))
    return fixed, _called(fixed, spec.name)


def _called(fixed: Iterable[str], of: str) -> str:
    return f"the {' or '.join(c.removesuffix('_id') for c in fixed)} of {of}"


def _stays(table: str, fixed: Sequence[str], called: str) -> str:
    """The trigger that refuses a change of `fixed` columns, of which the first is the key."""
    is_another = " OR ".join(f"OLD.{c} IS DISTINCT FROM NEW.{c}" for c in fixed)
    return (
        f"CREATE OR REPLACE TRIGGER audit_stays AFTER UPDATE ON {table}"
        f" FOR EACH ROW WHEN ({is_another})"
        f" EXECUTE FUNCTION audit_refuse_move('{called}', '{fixed[0]}')"
    )


def _row_function(spec: Resource, model: type[Model], operation: Operation, function: str) -> str:
    fields = policy.columns(model)
    rows = "audit_old" if operation is Operation.DELETE else "audit_new"
    changed = f"SELECT FROM {rows}"
    if operation is Operation.UPDATE:
        watched = [c for c in fields if c not in spec.silent]
        differs = " OR ".join(f"was.{c} IS DISTINCT FROM r.{c}" for c in watched)
        changed = f"SELECT FROM {_PAIRS.format(key=model._meta.pk.column)} WHERE {differs}"
    # A person's organizations are not a column of the row: it has as many entries.
    if spec.organization:
        insert, variables = _insert_row(spec, model, operation), _FIRST_ROW
    else:
        insert, variables = _insert_rows(spec, model, operation), ""
    return _function(function, operation.value, _verbs(spec, operation), variables, changed, insert)


def _function(
    function: str,
    action: str,
    verbs: Sequence[policy.NamedChange],
    variables: str,
    changed: str,
    insert: str,
) -> str:
    """The trigger's function. verbs: those that the statement may use instead of `action`."""
    named = {"named_variables": "", "named": "", "named_with_facts": ""}
    if verbs:
        # `covered`: the columns that the statement's verb covers here; NULL for a verb that does
        # not belong to the table and operation.
        covered = _by_verb((n.verb.value, _array(n.fields)) for n in verbs)
        facts = _by_verb((n.verb.value, _array(_facts(n.verb.value))) for n in verbs)
        named = {
            "named_variables": "\n    named jsonb;\n    covered text[];",
            "named": f"\n    named := words.context;\n    covered := {covered};",
            "named_with_facts": f"\n        named := audit_context(named, words.facts, {facts});",
        }
    return _FUNCTION.format(
        function=function,
        variables=variables,
        changed=changed,
        plain_facts=_array(_facts(action)),
        insert=insert,
        **named,
    )


def _insert_rows(spec: Resource, model: type[Model], operation: Operation) -> str:
    """The statement that enters any number of rows."""
    key = str(model._meta.pk.column)
    label, changes = spec.label, _changes(spec, model, operation, "was.{}")
    organizations = "" if spec.organization else _ORGANIZATIONS.format(person=spec.person)
    if operation is Operation.DELETE and not spec.organization and spec.person == key:
        organizations = _KNOWN.format(person=spec.person)
        label = _KNOWN_AS.format(type=spec.name, person=spec.person, label=spec.label)
        changes = f"CASE WHEN o.is_former THEN {changes_sql.NOTHING} ELSE {changes} END"
    sources = {
        Operation.INSERT: "audit_new AS r",
        Operation.UPDATE: _PAIRS.format(key=key),
        Operation.DELETE: "audit_old AS r",
    }
    action, context = _named(spec, operation)
    return _INSERT.format(
        columns=_COLUMNS,
        said=_SAID,
        type=spec.name,
        key=key,
        label=label,
        joins=spec.joins,
        organization=f"r.{spec.organization}" if spec.organization else "o.organization_id",
        organizations=organizations,
        changes=changes,
        **_suspicion(spec, model, operation, label),
        source=sources[operation],
        action=action,
        context=context,
        large=_large(spec, model),
        where=_UNLESS_UNCHANGED if operation is Operation.UPDATE else "",
    )


def _insert_row(spec: Resource, model: type[Model], operation: Operation) -> str:
    """Statements that enter a single row step by step, and several by `_insert_rows`."""
    rows = "audit_old" if operation is Operation.DELETE else "audit_new"
    # LIMIT: otherwise the cached plan, made for many rows, would read whole tables for one label.
    columns_read, rows_read = "r.*", f"(SELECT * FROM {rows} LIMIT 1) AS r"
    if operation is Operation.UPDATE:
        # Both versions of the row in one record: what it was, under other names.
        was = (f"was.{column} AS was_{column}" for column in policy.columns(model))
        columns_read = ", ".join(("r.*", *was))
        rows_read = f"(SELECT * FROM audit_old LIMIT 1) AS was CROSS JOIN {rows_read}"
    action, context = _named(spec, operation)
    return _INSERT_ROW.format(
        columns_read=columns_read,
        rows=rows,
        rows_read=rows_read,
        many=_insert_rows(spec, model, operation),
        changes=_changes(spec, model, operation, "r.was_{}"),
        unless_unchanged=_RETURN_IF_UNCHANGED if operation is Operation.UPDATE else "",
        label=spec.label,
        joins=spec.joins,
        holds=_is_suspicious("audit_label", *_texts_changed(spec, model, operation)),
        organization=f"r.{spec.organization}",
        type=spec.name,
        key=str(model._meta.pk.column),
        columns=_COLUMNS,
        said=_SAID,
        action=action,
        context=context,
        large=_large(spec, model),
    )


_UNLESS_UNCHANGED = f" WHERE audit_changes <> {changes_sql.NOTHING}"
_RETURN_IF_UNCHANGED = f"""IF audit_changes = {changes_sql.NOTHING} THEN
            RETURN NULL;
        END IF;"""


def _changes(spec: Resource, model: type[Model], operation: Operation, was: str) -> str:
    """What `changes` says of the row `r`. was: template of a reference to what a column was."""
    fields, recorded = policy.columns(model), policy.recorded_columns(spec)
    if operation is Operation.INSERT:
        return changes_sql.inserted(recorded, fields, "r.{}")
    if operation is Operation.DELETE:
        return changes_sql.deleted(recorded, fields, "r.{}")
    # Columns that never change need not be compared.
    passed_over = {*recorded, *spec.silent, str(model._meta.pk.column), spec.organization}
    others = [column for column in fields if column not in passed_over]
    return changes_sql.updated(recorded, others, fields, was, "r.{}")


def _texts_changed(spec: Resource, model: type[Model], operation: Operation) -> list[str]:
    """References to texts of which `changes` consists. An update seldom changes most of them, which
    makes the changes themselves the shortest; else the names in it have underscores."""
    if operation is Operation.UPDATE:
        return ["audit_changes::text"]
    return changes_sql.texts(policy.recorded_columns(spec), policy.columns(model), "r.{}")


def _suspicion(
    spec: Resource, model: type[Model], operation: Operation, label: str
) -> dict[str, str]:
    """How `_INSERT` tests whether label or changes may contain a secret."""
    texts = _texts_changed(spec, model, operation)
    if operation is Operation.UPDATE:
        asked = (_is_suspicious(each) for each in ("audit_label", *texts))
        return dict(zip(("label_holds", "changes_hold"), asked, strict=True), holds="")
    holds = f", {_is_suspicious(label, *texts)} AS audit_holds"
    return {"label_holds": "audit_holds", "changes_hold": "audit_holds", "holds": holds}


def _large(spec: Resource, model: type[Model]) -> int:
    fields = policy.columns(model)
    has_json = any(isinstance(fields[c], JSONField) for c in policy.recorded_columns(spec))
    return _LARGE_WITH_JSON if has_json else _LARGE


def _is_suspicious(text: str, *more: str) -> str:
    """Whether one of the texts may hold a secret."""
    joined = f"concat_ws(' ', {', '.join((text, *more))})" if more else text
    return f"{joined} {_LIKE_A_SECRET}"


def _verbs(spec: Resource, operation: Operation) -> list[policy.NamedChange]:
    return [named for named in spec.verbs if named.operation is operation]


def _named(spec: Resource, operation: Operation) -> tuple[str, str]:
    """Action and context: those of the statement's verb if it covers all that changed."""
    if not _verbs(spec, operation):
        return f"'{operation}'", "plain"
    is_named = "covered IS NOT NULL"
    if operation is Operation.UPDATE:
        is_named = "audit_changes - covered = '{}'"
    return (
        f"CASE WHEN {is_named} THEN words.verb ELSE '{operation}' END",
        f"CASE WHEN {is_named} THEN named ELSE plain END",
    )


def _link_function(spec: Part, operation: Operation, function: str) -> str:
    """Rows of a link table are values of a field of what they belong to: one entry a resource."""
    rows = "audit_new" if operation is Operation.INSERT else "audit_old"
    organization = f"r.{spec.organization}" if spec.organization else "o.organization_id"
    organizations = "" if spec.organization else _ORGANIZATIONS.format(person=spec.key)
    grouped = ", ".join(dict.fromkeys(f"r.{c}" for c in (spec.key, spec.organization) if c))
    each = ""
    if spec.concerns:
        # For each link, before they are grouped: each organization reads of its own links only.
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
        said=_SAID,
        type=spec.of,
        key=spec.key,
        label=spec.label,
        joins=spec.joins,
        organization=organization,
        organizations=organizations,
        source=source,
        action=f"'{action}'",
        context="plain",
        changes=changes,
        label_holds=_is_suspicious("audit_label"),
        changes_hold=_is_suspicious("audit_changes::text"),
        holds="",
        large=_LARGE,
        where="",
    )
    return _function(function, action, (), "", f"SELECT FROM {rows}", insert)


def _by_verb(results: Iterable[tuple[str, str]]) -> str:
    cases = "".join(f" WHEN '{verb}' THEN {result}" for verb, result in results)
    return f"CASE words.verb{cases} END"


def _facts(action: str) -> tuple[str, ...]:
    known = policy.action(action)
    assert known is not None, f"audit/policy.py does not list the action {action}"
    return known.context


def _array(words: Iterable[str]) -> str:
    return f"ARRAY[{_texts(words)}]::text[]"


def _texts(words: Iterable[str]) -> str:
    return ", ".join(f"'{word}'" for word in words)

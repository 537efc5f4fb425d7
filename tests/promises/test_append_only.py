"""Promise 4: entries are append-only in the database. Each statement as the role that tries it."""

from __future__ import annotations

import json
import re
from typing import Any

import psycopg
import pytest
from psycopg import errors

from audit.ledger import sealing
from organizations import ulid
from organizations.models import Organization
from tests.factories import ProjectFactory

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "sealer"])
Connection = psycopg.Connection[Any]

ENTRY = (
    "INSERT INTO audit_inbox ({columns}) SELECT {values} FROM (SELECT"
    " gen_random_uuid() AS organization_id, 'user' AS actor_type, 'mallory' AS actor_label,"
    " 'view' AS action, 'project' AS resource_type, 'x' AS resource_label, 'api' AS interface) e"
)
COLUMNS = (
    "organization_id, actor_type, actor_label, action, resource_type, resource_label, interface"
)


@pytest.fixture(autouse=True)
def history(organization: Organization) -> Organization:
    """Entries on both sides: some sealed, some not."""
    ProjectFactory.create(organization=organization, name="Sealed")
    sealing.seal()
    ProjectFactory.create(organization=organization, name="Fresh")
    return organization


def insert(columns: str, values: str) -> str:
    return ENTRY.format(columns=columns, values=values)


@pytest.mark.parametrize(
    "statement",
    [
        insert(f"id, {COLUMNS}", f"gen_random_uuid(), {COLUMNS}"),
        insert(f"xid, {COLUMNS}", f"'5'::xid8, {COLUMNS}"),
        insert(f"changes, {COLUMNS}", f"'{{}}'::jsonb, {COLUMNS}"),
        "UPDATE audit_inbox SET actor_label = 'somebody else'",
        "DELETE FROM audit_inbox",
        "TRUNCATE audit_inbox",
        "INSERT INTO audit_ledger SELECT * FROM audit_ledger",
        "UPDATE audit_ledger SET actor_label = 'somebody else'",
        "DELETE FROM audit_ledger",
        "TRUNCATE audit_ledger",
        "TRUNCATE audit_ledger_default",
        "DELETE FROM audit_ledger_default",
        "UPDATE audit_entry SET action = 'view'",
        "DELETE FROM audit_entry",
        "UPDATE audit_log SET size = 0",
        "UPDATE audit_sealing SET lo = '0'",
        "DELETE FROM audit_label",
        "UPDATE audit_place SET name = 'another'",
        "UPDATE audit_repeat SET entry = '{}'",
        "TRUNCATE organizations_project",
        "ALTER TABLE audit_inbox DISABLE TRIGGER ALL",
        "ALTER TABLE organizations_project DISABLE TRIGGER audit_update",
        "ALTER TABLE audit_ledger DISABLE ROW LEVEL SECURITY",
        "DROP TRIGGER audit_update ON organizations_project",
        "CREATE OR REPLACE FUNCTION audit_refuse() RETURNS trigger LANGUAGE sql AS ''",
        "SET session_replication_role = replica",
        "SET ROLE dotenv_owner",
        "SET ROLE dotenv_sealer",
        "SELECT audit_flush_repeats()",
        "SELECT audit_enter_sealing('x')",
        "SELECT audit_seal(1)",
        "SELECT audit_move('0', '1')",
        "SELECT audit_said()",
        "SELECT audit_last_name(gen_random_uuid(), 'user', gen_random_uuid())",
        "INSERT INTO audit_left (person_id, organization_id) VALUES (gen_random_uuid(), NULL)",
        "DELETE FROM audit_left",
        "ALTER ROLE CURRENT_USER SET audit.act = 'always'",
        "SELECT audit_ensure_partitions(now(), now())",
        "DROP TABLE audit_ledger",
        "CREATE TABLE public.mine (x int)",
        "DELETE FROM django_migrations",
        "UPDATE auth_permission SET codename = 'audit:manage' WHERE codename = 'secret:read'",
        "UPDATE django_content_type SET model = 'x'",
        "INSERT INTO audit_entry (action) VALUES ('view')",
        "INSERT INTO audit_log VALUES (gen_random_uuid(), 1)",
        "COPY audit_inbox (xid) FROM STDIN",
        "MERGE INTO audit_inbox i USING (SELECT 1) s ON true WHEN MATCHED THEN DELETE",
        "CREATE TEMPORARY TABLE audit_inbox (x int)",
        "CREATE SCHEMA mine",
        "CREATE RULE forget AS ON INSERT TO audit_inbox DO INSTEAD NOTHING",
        "CREATE TRIGGER t BEFORE INSERT ON audit_inbox EXECUTE FUNCTION audit_refuse()",
        "CREATE POLICY p ON audit_ledger USING (true)",
        "ALTER TABLE audit_inbox ALTER COLUMN xid DROP DEFAULT",
        "ALTER ROLE CURRENT_USER SET audit.reason = 'always'",
        "ALTER ROLE CURRENT_USER SET audit.organizations = '*'",
        "SET SESSION AUTHORIZATION dotenv_owner",
    ],
)
def test_the_application_role_cannot(application_connection: Connection, statement: str) -> None:
    with pytest.raises((errors.InsufficientPrivilege, errors.ObjectNotInPrerequisiteState)):
        application_connection.execute(statement)  # type: ignore[call-overload]


@pytest.mark.parametrize(
    "values",
    [
        COLUMNS.replace("actor_type", "'database'"),
        COLUMNS.replace("interface", "'database'"),
    ],
)
def test_the_application_role_cannot_pose_as_the_database(
    application_connection: Connection, values: str
) -> None:
    with pytest.raises(errors.InsufficientPrivilege, match="audit_events_only"):
        application_connection.execute(insert(COLUMNS, values))  # type: ignore[call-overload]


@pytest.mark.parametrize("action", ["create", "update", "delete", "grant", "rotate", "leave"])
def test_the_application_role_cannot_enter_that_a_row_changed(
    application_connection: Connection, action: str
) -> None:
    """An entry with changes, or with an action of rows, is proof that a row changed."""
    with pytest.raises(errors.InsufficientPrivilege, match="audit_events_only"):
        application_connection.execute(
            insert(COLUMNS, re.sub(r"\baction\b", f"'{action}'", COLUMNS))  # type: ignore[call-overload]
        )


LONG = "repeat('a', 100000)"
MUCH = "(SELECT string_agg(gen_random_uuid()::text, '') FROM generate_series(1, 200))"


@pytest.mark.parametrize(
    ("column", "value"),
    [
        *((name, MUCH) for name in ("actor_type", "actor_label", "action", "interface", "result")),
        *((name, MUCH) for name in ("resource_type", "resource_label")),
        *(("context", f"'{text}'::jsonb") for text in ("[]", "5")),
        # What makes a parser of JSON give up, or a page too large.
        ("context", """'{"count": [1e5000]}'::jsonb"""),
        *(
            ("context", f"""'{{"count": {number}}}'::jsonb""")
            for number in ("0.5", "1.0", "1e400", "-9007199254740992", "9007199254740992.5")
        ),
        *(("context", f"""'{{"repeats": {it}}}'::jsonb""") for it in ("{}", "[1]", '"1"', "null")),
        ("context", """'{"a": 1, "b": {"c": [[1, 0.5]]}}'::jsonb"""),
        ("context", "('{\"a\": ' || repeat('[', 1100) || repeat(']', 1100) || '}')::jsonb"),
        *(
            (name, LONG.join(around))
            for name, around in {
                "user_agent": ("", ""),
                "context": ("jsonb_build_object('a', ", ")"),
            }.items()
        ),
    ],
)
def test_an_entry_that_could_not_be_sealed_or_shown_is_refused(
    application_connection: Connection, column: str, value: str
) -> None:
    """One that fits no index of the ledger would hold up the sealing of all others."""
    if column in COLUMNS.split(", "):
        statement = insert(COLUMNS, re.sub(rf"\b{column}\b", value, COLUMNS))
    else:
        statement = insert(f"{COLUMNS}, {column}", f"{COLUMNS}, {value}")
    with pytest.raises(errors.InsufficientPrivilege, match="audit_can_be_sealed"):
        application_connection.execute(statement)  # type: ignore[call-overload]


REPEAT = "INSERT INTO audit_repeat (key, minute, entry) VALUES ('k', now() - interval '1 h', %s)"
REPEATED: dict[str, Any] = {
    "organization_id": str(ulid.NIL),
    "actor_type": "anonymous",
    "actor_label": "anonymous",
    "action": "access",
    "resource_type": "endpoint",
    "resource_label": "GET /",
    "result": "denied",
    "interface": "api",
    "user_agent": "",
    "changes": {},
    "context": {},
}


@pytest.mark.parametrize(
    "forged",
    [
        {**REPEATED, "actor_type": "database"},
        {**REPEATED, "interface": "database"},
        {**REPEATED, "action": None},
        {**REPEATED, "action": "a" * 101},
        {**REPEATED, "resource_label": "a" * 2001},
        {**REPEATED, "context": [1]},
        {**REPEATED, "context": {"count": 10**400}},
        {**REPEATED, "user_agent": "a" * 4001},
        {**REPEATED, "changes": 1},
        {**REPEATED, "changes": {"name": ["a", "b"]}},
        {**REPEATED, "action": "update"},
        {},
    ],
)
def test_nor_by_a_repetition_that_the_owner_would_enter(
    application_connection: Connection, forged: dict[str, Any]
) -> None:
    with pytest.raises(errors.CheckViolation):
        application_connection.execute(REPEAT, [json.dumps(forged)])


def test_a_repetition_that_cannot_be_entered_does_not_stop_the_sealer(
    application_connection: Connection,
) -> None:
    with pytest.raises(errors.DataError):
        application_connection.execute(REPEAT, [json.dumps({**REPEATED, "ip": "here"})])
    sealing.flush_repeats()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_repeat SET repeats = 0",
        "UPDATE audit_repeat SET repeats = repeats + 2",
        "UPDATE audit_repeat SET minute = now() + interval '1 year'",
        "INSERT INTO audit_repeat (key, minute, repeats, entry) VALUES ('l', now(), 9, '{}')",
        "DELETE FROM audit_repeat",
        "SELECT entry FROM audit_repeat",
    ],
)
def test_repetitions_are_only_counted(application_connection: Connection, statement: str) -> None:
    application_connection.execute(REPEAT, [json.dumps(REPEATED)])
    with pytest.raises(errors.InsufficientPrivilege):
        application_connection.execute(statement)  # type: ignore[call-overload]


def test_time_and_transaction_of_an_entry_are_the_databases(
    application_connection: Connection, owner_connection: Connection
) -> None:
    with application_connection.transaction():
        application_connection.execute(insert(COLUMNS, COLUMNS))  # type: ignore[call-overload]
        [(xid,)] = application_connection.execute("SELECT pg_current_xact_id()::text").fetchall()
    [(key, stored, now)] = owner_connection.execute(
        "SELECT id, xid::text, now() FROM audit_inbox WHERE actor_label = 'mallory'"
    ).fetchall()
    assert stored == xid
    assert abs((ulid.time_of(key) - now).total_seconds()) < 5


@pytest.mark.parametrize(
    "statement",
    [
        insert(COLUMNS, COLUMNS),
        "UPDATE audit_inbox SET action = 'view'",
        "TRUNCATE audit_inbox",
        "UPDATE audit_ledger SET action = 'view'",
        "DELETE FROM audit_ledger",
        "TRUNCATE audit_ledger",
        "SELECT * FROM organizations_user",
        "SELECT * FROM keys_keyversion",
        "UPDATE organizations_project SET name = 'x'",
        "DELETE FROM audit_log",
        # Forging, back-dating and numbering in the ledger, and all that comes of it.
        "INSERT INTO audit_ledger SELECT * FROM audit_ledger",
        "INSERT INTO audit_ledger (id, seq) VALUES (audit_uuid7('2020-01-01'::timestamptz), 1)",
        "INSERT INTO audit_ledger_default (id, seq) VALUES (audit_uuid7(), 1)",
        "DELETE FROM audit_inbox",
        "SELECT * FROM audit_inbox",
        "SELECT * FROM audit_ledger",
        "UPDATE audit_log SET size = size + 1",
        "INSERT INTO audit_log VALUES (gen_random_uuid(), 1)",
        "UPDATE audit_subject SET size = 0",
        "INSERT INTO audit_label (organization_id) SELECT organization_id FROM audit_label",
        "UPDATE audit_field SET block = 0",
        "UPDATE audit_count SET size = 0",
        # The watermark, forwards or backwards.
        "UPDATE audit_sealing SET lo = '9223372036854775807'",
        "UPDATE audit_sealing SET lo = '0'",
        "UPDATE audit_sealing SET system_identifier = 1",
        "DELETE FROM audit_sealing",
        "DELETE FROM audit_left",
        "DELETE FROM audit_repeat",
        "SELECT audit_move('0', '9223372036854775807')",
        "SELECT audit_ensure_partitions('1000-01-01', now())",
        "SELECT audit_ensure_partitions(now(), '9000-01-01')",
        "SELECT audit_ensure_partitions(now(), 'infinity')",
        "SET ROLE dotenv_owner",
        "CREATE TEMPORARY TABLE audit_sealing (x int)",
    ],
)
def test_the_sealer_cannot(sealer_connection: Connection, statement: str) -> None:
    with pytest.raises(errors.InsufficientPrivilege):
        sealer_connection.execute(statement)  # type: ignore[call-overload]


def test_the_sealer_has_no_right_to_any_table(superuser_connection: Connection) -> None:
    rights = superuser_connection.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
        " AND relkind IN ('r', 'p', 'v', 'S') AND CASE relkind WHEN 'S'"
        " THEN has_sequence_privilege('dotenv_sealer', oid, 'USAGE, SELECT, UPDATE')"
        " ELSE has_table_privilege('dotenv_sealer', oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE,"
        " REFERENCES, TRIGGER') OR has_any_column_privilege('dotenv_sealer', oid,"
        " 'SELECT, INSERT, UPDATE, REFERENCES') END"
    ).fetchall()
    assert rights == []


def test_the_sealer_calls_nothing_else_that_runs_as_the_owner(
    superuser_connection: Connection,
) -> None:
    callable_by_it = superuser_connection.execute(
        "SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND prosecdef"
        " AND has_function_privilege('dotenv_sealer', oid, 'EXECUTE') ORDER BY proname"
    ).fetchall()
    assert [name for (name,) in callable_by_it] == [
        "audit_add_round",
        "audit_announce_key",
        "audit_ensure_partitions",
        "audit_enter_sealing",
        "audit_entries_to_prove",
        "audit_extend",
        "audit_flush_repeats",
        "audit_forks",
        "audit_kept_leaves",
        "audit_last_round",
        "audit_proved",
        "audit_removed_numbers",
        "audit_seal",
        "audit_sign",
        "audit_signed_heads",
        "audit_signing_keys",
        "audit_stops",
        "audit_tile_hashes",
        "audit_unproved",
        "audit_unsigned",
    ]


@pytest.mark.parametrize("why", ["'because'", "NULL", "''"])
def test_the_sealer_cannot_choose_what_is_recorded_of_sealing(
    sealer_connection: Connection, why: str
) -> None:
    with pytest.raises(errors.CheckViolation):
        sealer_connection.execute(f"SELECT audit_enter_sealing({why})")  # type: ignore[call-overload]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_inbox SET action = 'view'",
        "DELETE FROM audit_inbox",
        "TRUNCATE audit_inbox",
        "UPDATE audit_ledger SET action = 'view'",
        "DELETE FROM audit_ledger",
        "TRUNCATE audit_ledger",
        "TRUNCATE organizations_project CASCADE",
        "TRUNCATE organizations_user_groups",
    ],
)
def test_even_the_owner_is_refused_by_a_trigger(
    owner_connection: Connection, statement: str
) -> None:
    with pytest.raises(errors.InsufficientPrivilege, match="audit: .* is refused"):
        owner_connection.execute(statement)  # type: ignore[call-overload]


def test_partitions_made_later_refuse_too(
    sealer_connection: Connection, owner_connection: Connection
) -> None:
    sealer_connection.execute(
        "SELECT audit_ensure_partitions('2031-05-01'::timestamptz, '2031-05-01'::timestamptz)"
    )
    with pytest.raises(errors.InsufficientPrivilege, match="is refused"):
        owner_connection.execute("TRUNCATE audit_ledger_2031_05")
    owner_connection.execute("ALTER TABLE audit_ledger DETACH PARTITION audit_ledger_2031_05")
    owner_connection.execute("DROP TABLE audit_ledger_2031_05")


def test_the_model_refuses_as_well() -> None:
    from audit.models import Entry

    for change in (
        lambda: Entry().save(),
        lambda: Entry().delete(),
        lambda: Entry.objects.update(action="view"),
        lambda: Entry.objects.all().delete(),
    ):
        with pytest.raises(TypeError, match="entries cannot be"):
            change()

"""Promise 1 below Django: raw SQL as the application's role.

Whatever a statement tries, it is refused, or each change of each row has one true entry, in the
right log, under the right name.

The triggers of the tables write the entries; a statement says who acts, as the backend makes it say
(`audit.capture.words`), or names a reason.
"""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from string import Template
from typing import Any

import psycopg
import pytest
from django.contrib.auth.models import Group, Permission
from psycopg import errors, sql

from audit.entry.recorded_json import Unreadable, parsed_changes
from audit.ledger import sealing
from keys.levels import Level
from organizations import clock, ulid
from tests.conftest import Databases
from tests.factories import (
    ApiKeyFactory,
    EnvironmentFactory,
    MembershipFactory,
    OrganizationFactory,
    ProjectFactory,
    SecretFactory,
    TargetFactory,
    UserFactory,
)

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "sealer"])
Connection = psycopg.Connection[Any]

# -- What a statement says

WHO = {"actor_type": "user", "actor_label": "mallory@example.org", "interface": "api"}
STAMP = "extract(epoch FROM statement_timestamp())::text"


def words(text: str) -> str:
    return (
        f"audit_act AS MATERIALIZED (SELECT set_config('audit.act', {STAMP} || '{text}', true)"
        " IS NULL)"
    )


def said(*writes: str, **of_act: Any) -> str:
    """One statement that makes all the `writes` and says who acts."""
    written = ", ".join(f"w{n} AS ({write} RETURNING 1)" for n, write in enumerate(writes))
    # Each is counted, so that the words are read whatever the writes come to.
    counts = ", ".join(f"(SELECT count(*) FROM w{n})" for n in range(len(writes)))
    return f"WITH {words(json.dumps(WHO | of_act))}, {written} SELECT {counts} FROM audit_act"


REASON = "SET LOCAL audit.reason = 'ticket 7'"

# -- What there is to attack


@dataclass
class World:
    """Acme with an app, two members and a group; another organization; somebody of neither."""

    ids: dict[str, str]
    entries: Callable[[], list[tuple[str, str, str, str, dict[str, Any]]]]

    def sql(self, statement: str) -> str:
        return Template(statement).substitute(self.ids)


@pytest.fixture
def world(owner_connection: Connection) -> World:
    acme = OrganizationFactory.create(name="Acme", owner__email="owner@example.org")
    other = OrganizationFactory.create(name="Other", owner__email="them@example.org")
    project = ProjectFactory.create(organization=acme)
    target = TargetFactory.create(project=project)
    production, staging = (
        EnvironmentFactory.create(target=target, name=name) for name in ("Production", "Staging")
    )
    secret = SecretFactory.create(level=Level(project, target, production))
    ada, bob = (
        MembershipFactory.create(organization=acme, user__email=f"{name}@example.org")
        for name in ("ada", "bob")
    )
    key = ApiKeyFactory.create(organization=acme).api_key
    names = {acme.pk: "acme", other.pk: "other", ulid.NIL: "platform"}

    def entries() -> list[tuple[str, str, str, str, dict[str, Any]]]:
        rows = owner_connection.execute(
            "SELECT organization_id, action, resource_type, resource_label, changes"
            " FROM audit_entry ORDER BY id OFFSET %s",
            [before],
        )
        return [(names[place], *rest) for place, *rest in rows]

    ids = {
        "acme": acme.pk,
        "other": other.pk,
        "app": project.pk,
        "target": target.pk,
        "production": production.pk,
        "staging": staging.pk,
        "secret": secret.pk,
        "ada": ada.user.pk,
        "bob": bob.user.pk,
        "adas_membership": ada.pk,
        "nobody": UserFactory.create(email="nobody@example.org").pk,
        "key": key.pk,
        "group": Group.objects.create(name="reviewers").pk,
        "group2": Group.objects.create(name="writers").pk,
        "permission": Permission.objects.get(codename="audit:manage").pk,
        "new": uuid.uuid4(),
        "new2": uuid.uuid4(),
    }
    [(before,)] = owner_connection.execute("SELECT count(*) FROM audit_entry").fetchall()
    return World({name: str(value) for name, value in ids.items()}, entries)


# -- Cases: statements of one transaction, and what comes of them

Entry = tuple[str, str, str, str, dict[str, Any]]
ANYTHING = {"anything": True}
"""In place of changes that a case does not look at."""


@dataclass(frozen=True)
class Case:
    name: str
    statements: tuple[str, ...]
    entries: tuple[Entry, ...] = ()
    """When they are not refused: (log, action, type, label, changes) of each, in any order."""
    refusal: str = ""
    error: type[psycopg.Error] = psycopg.Error

    def __str__(self) -> str:
        return self.name


def recorded(name: str, *statements: str, entries: list[Entry]) -> Case:
    return Case(name, statements, tuple(entries))


def refused(
    name: str,
    *statements: str,
    why: str = "does not say who acts",
    error: type[psycopg.Error] = psycopg.Error,
) -> Case:
    return Case(name, statements, refusal=why, error=error)


def rename(value: str) -> str:
    return f"UPDATE organizations_project SET name = '{value}' WHERE id = '$app'"


def renamed(before: str, after: str) -> Entry:
    return ("acme", "update", "project", "my-app", {"name": [before, after]})


def new_target(slug: str, key: str = "$new") -> str:
    return (
        "INSERT INTO organizations_target (id, created_at, updated_at, name, slug, description,"
        f" organization_id, project_id) VALUES ('{key}', now(), now(), '{slug}', '{slug}', '',"
        " '$acme', '$app')"
    )


def forged(action: str, kind: str, label: str, changes: str | None = None) -> str:
    """An entry that the application would write itself, as if the row had changed so."""
    more, value = (", changes", f", '{changes}'") if changes else ("", "")
    return (
        "INSERT INTO audit_inbox (organization_id, resource_id, actor_type, actor_label, action,"
        f" resource_type, resource_label, interface{more}) VALUES ('$acme', '$app', 'user', 'x',"
        f" '{action}', '{kind}', '{label}', 'api'{value})"
    )


STAFF = "UPDATE organizations_user SET is_staff = true WHERE id = '$ada'"
IS_STAFF = {"is_staff": [False, True]}
LEAVE = "DELETE FROM organizations_membership WHERE id = '$adas_membership'"
JOIN = (
    "INSERT INTO organizations_membership (id, created_at, updated_at, role, organization_id,"
    " user_id) VALUES ('$adas_membership', now(), now(), 'member', '$acme', '$ada')"
)
ADA = "ada@example.org"
SECRET = "UPDATE keys_secret SET size_bytes = 7 WHERE id = '$secret'"
LINK = (
    "INSERT INTO organizations_user_groups (user_id, group_id)"
    " VALUES ('$ada', $group), ('$ada', $group2)"
)
PERMIT = (
    "INSERT INTO organizations_organizationuserobjectpermission"
    " (user_id, content_object_id, permission_id) VALUES ('$ada', '$acme', $permission)"
)


def membership(action: str, before: str | None, after: str | None) -> Entry:
    user = "{ada}"
    return (
        "acme",
        action,
        "membership",
        ADA,
        {
            "user_id": [user if before else None, user if after else None],
            "role": [before, after],
        },
    )


def target(action: str, name: str) -> Entry:
    values = {"project_id": "{app}", "name": name, "slug": name, "description": ""}
    is_new = action == "create"
    changes = {f: [None, value] if is_new else [value, None] for f, value in values.items()}
    return ("acme", action, "target", f"my-app/{name}", changes)


def environment(slug: str, **changes: Any) -> Entry:
    return ("acme", "update", "environment", f"my-app/backend/{slug}", changes)


def gone(kind: str, label: str) -> Entry:
    return ("acme", "delete", kind, label, ANYTHING)


FORGERIES = [
    refused(
        "an entry with changes",
        forged("view", "project", "my-app", '{"name": ["My app", "B"]}'),
        why="permission denied",
        error=errors.InsufficientPrivilege,
    ),
    refused(
        "an entry of an update without changes",
        forged("update", "project", "my-app"),
        why="audit_events_only",
        error=errors.InsufficientPrivilege,
    ),
    *(
        refused(
            f"an entry that a {action} happened",
            forged(action, "membership", "bob@example.org"),
            why="audit_events_only",
            error=errors.InsufficientPrivilege,
        )
        for action in ("create", "delete", "grant", "revoke", "join", "change_password", "rotate")
    ),
    refused(
        "a repetition with changes, for the owner to enter",
        "INSERT INTO audit_repeat (key, minute, entry) VALUES ('k', now() - interval '1 h',"
        """ '{"organization_id": "$acme", "actor_type": "user", "actor_label": "x", "action":"""
        """ "view", "resource_type": "project", "resource_label": "my-app", "result": "success","""
        """ "interface": "api", "user_agent": "", "context": {}, "changes": {"name": [1, 2]}}')""",
        why="audit_repeat_can_be_entered",
        error=errors.CheckViolation,
    ),
    recorded(
        "an entry of viewing stays possible",
        forged("view", "project", "my-app"),
        entries=[("acme", "view", "project", "my-app", {})],
    ),
]

NAMES_AND_LOGS = [
    recorded(
        "a change of role is an entry of the member who got it",
        said("UPDATE organizations_membership SET role = 'admin' WHERE id = '$adas_membership'"),
        entries=[("acme", "update", "membership", ADA, {"role": ["member", "admin"]})],
    ),
    recorded(
        "a secret is recorded under its path",
        said(SECRET),
        entries=[
            ("acme", "update", "secret", "my-app/backend/production", {"size_bytes": [44, 7]})
        ],
    ),
    recorded(
        "an environment is recorded under its path",
        said("UPDATE organizations_environment SET name = 'X' WHERE id = '$staging'"),
        entries=[
            ("acme", "update", "environment", "my-app/backend/staging", {"name": ["Staging", "X"]})
        ],
    ),
    recorded(
        "a person of no organization is recorded in the platform's log",
        said("UPDATE organizations_user SET name = 'N' WHERE id = '$nobody'"),
        entries=[("platform", "update", "user", "nobody@example.org", {"name": ["", "N"]})],
    ),
    recorded(
        "a member's password is recorded in the organization",
        said("UPDATE organizations_user SET password = '!' WHERE id = '$ada'"),
        entries=[("acme", "update", "user", ADA, {"password": None})],
    ),
    recorded(
        "who left first is recorded in the organization that was left",
        said(LEAVE),
        said(STAFF),
        said(JOIN),
        entries=[
            membership("delete", "member", None),
            ("acme", "update", "user", ADA, IS_STAFF),
            ("platform", "update", "user", ADA, IS_STAFF),
            membership("create", None, "member"),
        ],
    ),
    recorded(
        "the same by constraints made immediate in between",
        said(LEAVE),
        "SET CONSTRAINTS ALL IMMEDIATE",
        said(STAFF),
        said(JOIN),
        "SET CONSTRAINTS ALL DEFERRED",
        entries=[
            membership("delete", "member", None),
            ("acme", "update", "user", ADA, IS_STAFF),
            ("platform", "update", "user", ADA, IS_STAFF),
            membership("create", None, "member"),
        ],
    ),
    *(
        recorded(
            f"leaving and is_staff in one statement, {order}",
            said(*writes),
            entries=[
                membership("delete", "member", None),
                ("acme", "update", "user", ADA, IS_STAFF),
                ("platform", "update", "user", ADA, IS_STAFF),
            ],
        )
        for order, writes in (("leaving first", (LEAVE, STAFF)), ("leaving last", (STAFF, LEAVE)))
    ),
    *(
        refused(
            f"a membership lent to somebody else, {how}",
            *before,
            write("UPDATE organizations_membership SET user_id = '$nobody' WHERE user_id = '$ada'"),
            why="the id or organization or user of membership .* never changes",
            error=errors.CheckViolation,
        )
        for how, before, write in (
            ("by who says so", (), said),
            ("with a reason", (REASON,), str),
        )
    ),
]

MANY_CHANGES = [
    recorded(
        "there, back and there again",
        *(said(rename(name)) for name in ("B", "My app", "B")),
        entries=[renamed("My app", "B"), renamed("B", "My app"), renamed("My app", "B")],
    ),
    refused(
        "there and back with words, there again without",
        said(rename("B")),
        said(rename("My app")),
        rename("B"),
    ),
    recorded(
        "a field that is known by name changed twice",
        *(
            said(
                f"""UPDATE organizations_project SET metadata = '{{"a": {n}}}' WHERE id = '$app'"""
            )
            for n in (1, 2)
        ),
        entries=[("acme", "update", "project", "my-app", {"metadata": None})] * 2,
    ),
    recorded(
        "made, deleted and made again",
        said(new_target("x")),
        said("DELETE FROM organizations_target WHERE id = '$new'"),
        said(new_target("x")),
        entries=[
            target("create", "x"),
            target("delete", "x"),
            target("create", "x"),
        ],
    ),
    recorded(
        "rows written as they are",
        said("UPDATE organizations_project SET name = name"),
        entries=[],
    ),
]

VERBS = [
    recorded(
        "is_staff said to be a change of password",
        said(STAFF, verb="change_password"),
        entries=[("acme", "update", "user", ADA, IS_STAFF)],
    ),
    recorded(
        "is_staff beside a change of password",
        said(
            "UPDATE organizations_user SET is_staff = true, password = '!' WHERE id = '$ada'",
            verb="change_password",
        ),
        entries=[("acme", "update", "user", ADA, IS_STAFF | {"password": None})],
    ),
    recorded(
        "a change of password",
        said(
            "UPDATE organizations_user SET password = '!' WHERE id = '$ada'", verb="change_password"
        ),
        entries=[("acme", "change_password", "user", ADA, {"password": None})],
    ),
    recorded(
        "abilities said to be rotated",
        said("UPDATE keys_apikey SET abilities = '{audit:read}' WHERE id = '$key'", verb="rotate"),
        entries=[("acme", "update", "api_key", "ci", {"abilities": [["*"], ["audit:read"]]})],
    ),
    recorded(
        "an unknown verb",
        said(rename("B"), verb="view"),
        entries=[renamed("My app", "B")],
    ),
    recorded(
        "leaving",
        said(LEAVE, verb="leave"),
        entries=[membership("leave", "member", None)],
    ),
]

RAW = [
    refused("UPDATE", rename("B")),
    refused("INSERT", new_target("x")),
    refused("DELETE", "DELETE FROM organizations_environment WHERE id = '$staging'"),
    refused(
        "an upsert that updates",
        "INSERT INTO organizations_project SELECT * FROM organizations_project WHERE id = '$app'"
        " ON CONFLICT (id) DO UPDATE SET name = 'B'",
    ),
    refused(
        "MERGE",
        "MERGE INTO organizations_project p USING (SELECT 1) s ON p.id = '$app'"
        " WHEN MATCHED THEN UPDATE SET name = 'B'",
    ),
    refused("a CTE", f"WITH w AS ({rename('B')} RETURNING 1) SELECT count(*) FROM w"),
    refused("a DO block", "DO 'BEGIN UPDATE organizations_project SET name = ''B''; END'"),
    refused(
        "an exception block",
        "DO 'BEGIN BEGIN UPDATE organizations_project SET name = ''B''; EXCEPTION WHEN"
        " division_by_zero THEN NULL; END; END'",
    ),
    refused(
        "WHERE CURRENT OF",
        "DECLARE c CURSOR FOR SELECT * FROM organizations_project WHERE id = '$app' FOR UPDATE",
        "FETCH c",
        "UPDATE organizations_project SET name = 'B' WHERE CURRENT OF c",
    ),
    refused("TRUNCATE", "TRUNCATE organizations_project CASCADE", why="permission denied"),
    refused("a link", LINK),
    refused("a permission", PERMIT),
    refused("constraints made immediate", "SET CONSTRAINTS ALL IMMEDIATE", rename("B")),
    refused("an empty reason", "SET LOCAL audit.reason = '  '", rename("B")),
    refused("after one who said", said(rename("B")), rename("C")),
    refused(
        "after a savepoint that was rolled back",
        "SAVEPOINT s",
        said(rename("B")),
        "ROLLBACK TO s",
        rename("B"),
    ),
    refused(
        "words of the session",
        f"SELECT set_config('audit.act', '{json.dumps(WHO)}', false)",
        rename("B"),
    ),
    refused(
        "words with the time of the statement before",
        f"SELECT set_config('audit.act', {STAMP} || '{json.dumps(WHO)}', false)",
        rename("B"),
    ),
    recorded(
        "silent columns need no words",
        "UPDATE keys_apikey SET last_used_at = now(), seen_from = '{203.0.113.9}'",
        "UPDATE organizations_user SET last_login = now()",
        entries=[],
    ),
    recorded(
        "nor does a statement that changes nothing",
        "UPDATE organizations_project SET name = name",
        "DELETE FROM organizations_project WHERE false",
        "INSERT INTO organizations_project SELECT * FROM organizations_project WHERE false",
        entries=[],
    ),
]

FIXED = [
    refused(f"{what}, {how}", *before, write(statement), why=why, error=errors.CheckViolation)
    for what, statement, why in (
        (
            "a row's id",
            "UPDATE organizations_environment SET id = '$new' WHERE id = '$staging'",
            "the id or organization of environment",
        ),
        (
            "a row's organization",
            "UPDATE organizations_project SET organization_id = '$other' WHERE id = '$app'",
            "the id or organization of project",
        ),
        (
            "a link",
            "UPDATE organizations_organizationuserobjectpermission SET user_id = '$nobody'"
            " WHERE id = (SELECT min(id) FROM organizations_organizationuserobjectpermission)",
            "a link of user",
        ),
    )
    for how, before, write in (("by who says so", (), said), ("with a reason", (REASON,), str))
]

SAVEPOINTS = [
    recorded(
        "a savepoint rolled back takes its entry along",
        "SAVEPOINT s",
        said(rename("B")),
        "ROLLBACK TO s",
        said(rename("C")),
        entries=[renamed("My app", "C")],
    ),
    recorded(
        "a savepoint released keeps it",
        "SAVEPOINT s",
        said(rename("B")),
        "RELEASE s",
        said(rename("C")),
        entries=[renamed("My app", "B"), renamed("B", "C")],
    ),
]

BY_HAND = [
    recorded(
        "three changes with a reason",
        REASON,
        *(rename(name) for name in ("B", "My app", "B")),
        entries=[renamed("My app", "B"), renamed("B", "My app"), renamed("My app", "B")],
    ),
    recorded(
        "an upsert with a reason",
        REASON,
        "INSERT INTO organizations_project SELECT * FROM organizations_project WHERE id = '$app'"
        " ON CONFLICT (id) DO UPDATE SET name = 'B'",
        entries=[renamed("My app", "B")],
    ),
    recorded(
        "MERGE with a reason",
        REASON,
        "MERGE INTO organizations_project p USING (SELECT 1) s ON p.id = '$app'"
        " WHEN MATCHED THEN UPDATE SET name = 'B'",
        entries=[renamed("My app", "B")],
    ),
    recorded(
        "two updates of one table in one statement",
        REASON,
        "WITH a AS (UPDATE organizations_environment SET name = 'P' WHERE id = '$production'"
        " RETURNING 1) UPDATE organizations_environment SET name = 'S' WHERE id = '$staging'",
        entries=[
            ("acme", "update", "environment", f"my-app/backend/{slug}", {"name": [name, name[0]]})
            for slug, name in (("production", "Production"), ("staging", "Staging"))
        ],
    ),
    recorded(
        "three tables in one statement",
        REASON,
        "WITH a AS (UPDATE organizations_environment SET name = 'P' WHERE id = '$production'),"
        " b AS (UPDATE organizations_target SET name = 'T' WHERE id = '$target')"
        " UPDATE organizations_project SET name = 'B' WHERE id = '$app'",
        entries=[
            (
                "acme",
                "update",
                "environment",
                "my-app/backend/production",
                {"name": ["Production", "P"]},
            ),
            ("acme", "update", "target", "my-app/backend", {"name": ["Backend", "T"]}),
            renamed("My app", "B"),
        ],
    ),
    recorded(
        "children deleted after what they are named after",
        REASON,
        "DELETE FROM keys_secret",
        "DELETE FROM organizations_target",
        "DELETE FROM organizations_environment WHERE id = '$staging'",
        "DELETE FROM organizations_environment",
        entries=[
            gone("secret", "my-app/backend/production"),
            gone("target", "my-app/backend"),
            gone("environment", "my-app/backend/staging"),
            gone("environment", "my-app/backend/production"),
        ],
    ),
    recorded(
        "links made at once, and cut",
        REASON,
        LINK,
        "DELETE FROM organizations_user_groups",
        entries=[
            ("acme", "grant", "user", ADA, {"groups": [[], ["reviewers", "writers"]]}),
            ("acme", "revoke", "user", ADA, {"groups": [["reviewers", "writers"], []]}),
        ],
    ),
    recorded(
        "all rows of a table",
        REASON,
        "UPDATE organizations_environment SET description = 'x'",
        entries=[
            ("acme", "update", "environment", f"my-app/backend/{slug}", {"description": ["", "x"]})
            for slug in ("production", "staging")
        ],
    ),
    recorded(
        "an upsert by who says who acts",
        said(
            "INSERT INTO organizations_project SELECT * FROM organizations_project"
            " WHERE id = '$app' ON CONFLICT (id) DO UPDATE SET name = 'B'"
        ),
        entries=[renamed("My app", "B")],
    ),
    recorded(
        "DO NOTHING",
        said(
            "INSERT INTO organizations_project SELECT * FROM organizations_project"
            " WHERE id = '$app' ON CONFLICT DO NOTHING"
        ),
        entries=[],
    ),
    recorded(
        "links by who says who acts",
        said(LINK),
        said(PERMIT),
        entries=[
            ("acme", "grant", "user", ADA, {"groups": [[], ["reviewers", "writers"]]}),
            ("acme", "grant", "user", ADA, {"permissions": [[], ["audit:manage"]]}),
        ],
    ),
]

MOMENTS = (
    ("infinity", "infinity"),
    ("-infinity", "-infinity"),
    ("0044-03-15 12:00Z BC", "0044-03-15T12:00:00 BC"),
    ("0001-01-01 00:00Z", "0001-01-01T00:00:00.000000Z"),
    ("12026-03-15 12:00Z", "12026-03-15T12:00:00.000000Z"),
)
VALUES = [
    recorded(
        "moments that few calendars have",
        *(
            said(f"UPDATE keys_apikey SET expires_at = '{moment}' WHERE id = '$key'")
            for moment, _ in MOMENTS
        ),
        entries=[
            ("acme", "update", "api_key", "ci", {"expires_at": [before, after]})
            for before, after in zip(
                (None, *(written for _, written in MOMENTS)),
                (written for _, written in MOMENTS),
                strict=False,
            )
        ],
    ),
]

UNREADABLE: dict[str, dict[str, Any]] = {
    "a long user agent": {"user_agent": "x" * 100_000},
    "a large number": {"context": {"count": 10**400}},
    "a large number as a fact": {"verb": "rotate", "facts": {"count": [-(2**53)]}},
    "a deep list": {"context": {"reason": json.loads("[" * 30 + "]" * 30)}},
}
BAD_WORDS = [
    refused(
        "who acts as the database",
        said(rename("B"), actor_type="database"),
        why="cannot act as the database",
        error=errors.CheckViolation,
    ),
    refused(
        "who comes by way of the database",
        said(rename("B"), interface="database"),
        why="cannot act as the database",
        error=errors.CheckViolation,
    ),
    refused(
        "who chooses the time",
        said(rename("B"), at="2020-01-01T00:00:00Z"),
        why="only the owner",
        error=errors.InsufficientPrivilege,
    ),
    refused(
        "words that are no JSON",
        f"WITH {words('mallory')}, w AS ({rename('B')} RETURNING 1) SELECT FROM w, audit_act",
        why="invalid input syntax for type json",
    ),
    refused(
        "words without an actor",
        said(rename("B"), actor_type=None),
        why="null value in column",
        error=errors.NotNullViolation,
    ),
    refused(
        "words that no index could hold",
        said(rename("B"), actor_label="x" * 2001),
        why="could not be sealed",
        error=errors.CheckViolation,
    ),
    *(
        refused(
            f"words that no reader could take: {name}",
            said(rename("B"), **of_act),
            why="could not be sealed or read",
            error=errors.CheckViolation,
        )
        for name, of_act in UNREADABLE.items()
    ),
]

SETTINGS = [
    recorded(
        f"under {setting}",
        f"SET LOCAL {setting}",
        said(rename("B")),
        entries=[renamed("My app", "B")],
    )
    for setting in (
        "standard_conforming_strings = off",
        "transform_null_equals = on",
        "array_nulls = off",
        "DateStyle = 'SQL, DMY'",
        "TimeZone = 'Pacific/Kiritimati'",
        "search_path = pg_temp, public",
        "work_mem = '64kB'",
        "row_security = off",
        "enable_hashjoin = off; SET LOCAL enable_mergejoin = off",
        "plan_cache_mode = force_custom_plan",
        "bytea_output = 'escape'",
        "extra_float_digits = -15",
    )
]

CASES = [
    *FORGERIES,
    *NAMES_AND_LOGS,
    *MANY_CHANGES,
    *VERBS,
    *RAW,
    *FIXED,
    *SAVEPOINTS,
    *BY_HAND,
    *VALUES,
    *BAD_WORDS,
    *SETTINGS,
]


def ulids(world: World, value: Any) -> Any:
    """`{name}` in what is expected, as entries write ids."""
    if isinstance(value, dict):
        return {name: ulids(world, each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(ulids(world, each) for each in value)
    if isinstance(value, str) and value.startswith("{"):
        return ulid.to_text(uuid.UUID(world.ids[value[1:-1]]))
    return value


def by_text(entry: Any) -> str:
    return json.dumps(entry, sort_keys=True)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_change_is_recorded_correctly_or_refused(
    world: World, case: Case, application_connection: Connection
) -> None:
    def run() -> None:
        with application_connection.transaction():
            for statement in case.statements:
                application_connection.execute(world.sql(statement))

    if case.refusal:
        before = application_connection.execute("SELECT * FROM organizations_project").fetchall()
        with pytest.raises(case.error, match=case.refusal):
            run()
        after = application_connection.execute("SELECT * FROM organizations_project").fetchall()
        assert (world.entries(), after) == ([], before)
        return
    run()
    expected = [ulids(world, list(entry)) for entry in case.entries]
    unseen = {tuple(entry[:4]) for entry in expected if entry[4] == ANYTHING}
    found = [
        [*entry[:4], ANYTHING if entry[:4] in unseen else entry[4]] for entry in world.entries()
    ]
    assert sorted(map(by_text, found)) == sorted(map(by_text, expected))


# -- What readers can take of what changed

_ENVIRONMENTS = "UPDATE organizations_environment SET description ="
LARGE = {
    **{
        f"JSON nested {depth} deep": (
            f"UPDATE keys_apikey SET scopes = (repeat('[', {depth})"
            f" || repeat(']', {depth}))::jsonb",
            depth < 63,
        )
        for depth in (50, 60, 61, 62, 63, 64, 65, 300, 3000)
    },
    **{
        f"{count} control characters, {'in one row' if one else 'in two'}": (
            f"{_ENVIRONMENTS} repeat(chr(1), {count}){one}",
            count < 175_000,
        )
        for one in (" WHERE id = '$staging'", "")
        for count in (28_000, 100_000, 174_000, 175_000, 400_000)
    },
    **{
        f"{count} secrets, {'in one row' if one else 'in two'}": (
            f"{_ENVIRONMENTS} repeat('://a:b@ ', {count}){one}",
            count == 1_000,
        )
        for one in (" WHERE id = '$staging'", "")
        for count in (1_000, 140_000)
    },
    "a new row": (new_target("x").replace("''", "repeat(chr(1), 200000)"), False),
    "a million letters": (f"{_ENVIRONMENTS} repeat('x', 1000000)", True),
}


@pytest.mark.parametrize("what", LARGE)
def test_a_change_is_one_that_readers_can_take_or_refused(
    world: World, application_connection: Connection, owner_connection: Connection, what: str
) -> None:
    """Else its entry would be shown as unreadable: nobody could see what changed."""
    statement, is_taken = LARGE[what]
    try:
        application_connection.execute(world.sql(said(statement)))
    except (errors.CheckViolation, errors.StatementTooComplex):
        assert not is_taken
        assert world.entries() == []
        return
    assert is_taken
    texts = owner_connection.execute(
        "SELECT changes::text FROM audit_inbox WHERE xid = (SELECT max(xid) FROM audit_inbox)"
    ).fetchall()
    assert texts
    for (text,) in texts:
        assert not isinstance(parsed_changes(text), Unreadable)


# -- What more than one message, or another protocol, could do


def test_copy_is_refused_or_recorded_row_by_row(
    world: World, application_connection: Connection
) -> None:
    columns = "id, created_at, updated_at, name, slug, description, organization_id, project_id"

    def copy(count: int) -> None:
        with application_connection.cursor().copy(
            f"COPY organizations_target ({columns}) FROM STDIN"
        ) as copying:
            for n in range(count):
                row = (uuid.uuid4(), "now", "now", f"t{n}", f"t{n}", "")
                copying.write_row((*row, world.ids["acme"], world.ids["app"]))

    with (
        pytest.raises(errors.CheckViolation, match="does not say who acts"),
        application_connection.transaction(),
    ):
        copy(1)
    with application_connection.transaction():
        application_connection.execute(REASON)
        copy(100)
    labels = {label for *_, label, _ in world.entries()}
    assert labels == {f"my-app/t{n}" for n in range(100)}


def test_raw_sql_behind_words_in_a_pipeline_is_refused(
    world: World, application_connection: Connection
) -> None:
    with (
        pytest.raises(errors.CheckViolation, match="does not say who acts"),
        application_connection.pipeline(),
    ):
        application_connection.execute(world.sql(said(rename("B"))))
        application_connection.execute(world.sql(rename("C")))
    assert world.entries() == []


def test_a_pipeline_of_statements_that_say_who_acts_is_recorded(
    world: World, application_connection: Connection
) -> None:
    with application_connection.pipeline():
        for name in ("B", "C", "D"):
            application_connection.execute(world.sql(said(rename(name))))
    assert world.entries() == [renamed("My app", "B"), renamed("B", "C"), renamed("C", "D")]


@pytest.mark.parametrize(
    "message",
    [
        # Without parameters, psycopg sends it by the simple protocol: one message, one time.
        f"{said(rename('B'))}; {rename('C')}",
        f"DO 'BEGIN PERFORM set_config(''audit.act'', {STAMP}"
        """ || ''{"actor_type": "user", "actor_label": "x", "interface": "api"}'', true);"""
        " UPDATE organizations_project SET name = ''B'';"
        " UPDATE organizations_project SET name = ''C''; END'",
    ],
    ids=["two statements", "a DO block"],
)
def test_what_shares_a_message_is_recorded_as_the_same_actors(
    world: World, application_connection: Connection, message: str
) -> None:
    application_connection.execute(world.sql(message))
    assert world.entries() == [renamed("My app", "B"), renamed("B", "C")]


def test_a_prepared_statement_is_recorded_each_time(
    world: World, application_connection: Connection, owner_connection: Connection
) -> None:
    statement = world.sql(said(rename("it"))).replace("'it'", "$1")
    application_connection.execute(f"PREPARE p (text) AS {statement}")
    for n in range(8):
        application_connection.execute(f"EXECUTE p ('N{n}')")
    names = [changes["name"][1] for *_, changes in world.entries()]
    assert names == [f"N{n}" for n in range(8)]


@pytest.mark.parametrize(
    ("setting", "error"),
    [
        ("statement_timeout = 1", errors.QueryCanceled),
        ("transaction_read_only = on", errors.ReadOnlySqlTransaction),
    ],
)
def test_what_cannot_be_entered_is_not_changed(
    world: World, application_connection: Connection, setting: str, error: type[psycopg.Error]
) -> None:
    many = said(
        "INSERT INTO organizations_target (id, created_at, updated_at, name, slug, description,"
        " organization_id, project_id) SELECT gen_random_uuid(), now(), now(), 'x', 'x' || n, '',"
        " '$acme', '$app' FROM generate_series(1, 20000) AS n"
    )
    with pytest.raises(error), application_connection.transaction():
        application_connection.execute(f"SET LOCAL {setting}")
        application_connection.execute(world.sql(many))
    assert world.entries() == []
    count = "SELECT count(*) FROM organizations_target"
    assert application_connection.execute(count).fetchone() == (1,)


@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
def test_isolation_makes_no_difference(
    world: World, application_connection: Connection, level: str
) -> None:
    with application_connection.transaction():
        application_connection.execute(f"SET TRANSACTION ISOLATION LEVEL {level}")
        application_connection.execute(world.sql(said(rename("B"))))
    assert world.entries() == [renamed("My app", "B")]


# -- By hand, with a reason


def test_a_reason_is_entered_with_the_role_that_named_it(
    world: World, application_connection: Connection, owner_connection: Connection
) -> None:
    with application_connection.transaction():
        application_connection.execute(REASON)
        application_connection.execute(world.sql(rename("B")))
    [entry] = owner_connection.execute(
        "SELECT actor_type, actor_label, interface, context FROM audit_inbox"
        " ORDER BY id DESC LIMIT 1"
    ).fetchall()
    role = application_connection.info.user
    assert entry == ("database", role, "database", {"reason": "ticket 7"})


def test_a_reason_ends_with_its_transaction(
    world: World, application_connection: Connection
) -> None:
    with application_connection.transaction():
        application_connection.execute(REASON)
        application_connection.execute(world.sql(rename("B")))
    with pytest.raises(errors.CheckViolation, match="does not say who acts"):
        application_connection.execute(world.sql(rename("C")))


def test_the_sealer_forgets_who_left_in_transactions_that_have_ended(
    world: World, application_connection: Connection, owner_connection: Connection
) -> None:
    count = "SELECT count(*) FROM audit_left"
    application_connection.execute(world.sql(said(LEAVE)))
    assert owner_connection.execute(count).fetchone() == (1,)
    sealing.seal()
    assert owner_connection.execute(count).fetchone() == (0,)


# -- Rows that the database takes along

CASCADES = """
    SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
    WHERE contype = 'f' AND connamespace = 'public'::regnamespace AND confdeltype = 'a'
"""


@pytest.fixture
def cascading(owner_connection: Connection) -> Iterator[None]:
    """All foreign keys with ON DELETE CASCADE, as no migration of ours makes them."""
    keys = owner_connection.execute(CASCADES).fetchall()

    def make(table: str, name: str, definition: str) -> None:
        owner_connection.execute(
            f"ALTER TABLE {table} DROP CONSTRAINT {name}, ADD CONSTRAINT {name} {definition}"
        )

    for table, name, definition in keys:
        head, _, tail = definition.partition(" DEFERRABLE")
        make(table, name, f"{head} ON DELETE CASCADE{' DEFERRABLE' if tail else ''}{tail}")
    yield
    for key in keys:
        make(*key)


@pytest.mark.usefixtures("cascading")
def test_rows_that_go_with_a_project_are_recorded_by_their_names(
    world: World, application_connection: Connection
) -> None:
    gone = "DELETE FROM organizations_project WHERE id = '$app'"
    with pytest.raises(errors.CheckViolation, match="does not say who acts"):
        application_connection.execute(world.sql(gone))
    assert world.entries() == []
    application_connection.execute(world.sql(said(gone)))
    assert {(action, kind, label) for _, action, kind, label, _ in world.entries()} == {
        ("delete", "project", "my-app"),
        ("delete", "key_version", "my-app/encryption-key/1"),
        ("delete", "target", "my-app/backend"),
        ("delete", "environment", "my-app/backend/production"),
        ("delete", "environment", "my-app/backend/staging"),
        ("delete", "secret", "my-app/backend/production"),
    }


@pytest.mark.usefixtures("cascading")
def test_a_person_who_goes_with_all_that_is_theirs_is_recorded_in_the_organization(
    world: World, application_connection: Connection
) -> None:
    with application_connection.transaction():
        application_connection.execute(REASON)
        application_connection.execute(
            world.sql("DELETE FROM organizations_user WHERE id = '$ada'")
        )
    found = [(where, action, kind, label) for where, action, kind, label, _ in world.entries()]
    assert ("acme", "delete", "membership", ADA) in found
    assert {where for where, *what in found if what == ["delete", "user", ADA]} == {
        "acme",
        "platform",
    }


def test_no_table_or_key_of_ours_writes_past_the_triggers(owner_connection: Connection) -> None:
    """A write that names a child or a partition fires no trigger of the parent; a row that two
    foreign keys of one statement changed would be entered as more than it was."""
    from audit import policy

    tables = [spec.model_class()._meta.db_table for spec in policy.AUDITED]
    assert (
        owner_connection.execute(
            "SELECT inhparent::regclass, inhrelid::regclass FROM pg_inherits"
            " WHERE inhparent = ANY (%s::text[]::regclass[])"
            " OR inhrelid = ANY (%s::text[]::regclass[])",
            [tables, tables],
        ).fetchall()
        == []
    )
    assert (
        owner_connection.execute(
            "SELECT conname FROM pg_constraint WHERE contype = 'f'"
            " AND conrelid = ANY (%s::text[]::regclass[])"
            " AND (confdeltype IN ('n', 'd') OR confupdtype <> 'a')",
            [tables],
        ).fetchall()
        == []
    )


# -- Many rows, many writers


def test_a_plan_made_for_two_rows_serves_ten_thousand(
    world: World, application_connection: Connection, owner_connection: Connection
) -> None:
    """By a nested loop it would take minutes: the timeout is generous for everything else."""
    more = said(
        "INSERT INTO organizations_target (id, created_at, updated_at, name, slug, description,"
        " organization_id, project_id) SELECT gen_random_uuid(), now(), now(), 'x', 'x' || n, '',"
        " '$acme', '$app' FROM generate_series(first, last) AS n"
    )
    touch = said("UPDATE organizations_target SET description = description || '!'")
    application_connection.execute("SET statement_timeout = '20s'")
    application_connection.execute(world.sql(more.replace("first, last", "1, 1")))
    for _ in range(8):  # until the plan is kept
        application_connection.execute(world.sql(touch))
    application_connection.execute(world.sql(more.replace("first, last", "2, 10001")))
    before = len(world.entries())
    application_connection.execute(world.sql(touch))
    assert len(world.entries()) - before == 10_002
    [(unique,)] = owner_connection.execute(
        "SELECT count(DISTINCT id) = count(*) AND bool_and(substr(id::text, 15, 1) = '7')"
        " FROM audit_inbox"
    ).fetchall()
    assert unique


def test_writers_of_one_row_leave_an_unbroken_chain(world: World, databases: Databases) -> None:
    """Whatever the isolation, each entry goes on from what the one before it ended with."""
    levels = ("READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE")
    update = world.sql(said(rename("%s")))

    def write(writer: int) -> None:
        with psycopg.connect(databases.application, autocommit=True) as connection:
            for n in range(25):
                try:
                    with connection.transaction():
                        connection.execute(
                            f"SET TRANSACTION ISOLATION LEVEL {levels[(writer + n) % 3]}"
                        )
                        connection.execute(update % f"{writer}-{n}")
                except errors.SerializationFailure:
                    continue

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(write, range(6)))
    pairs = [changes["name"] for *_, changes in world.entries()]
    assert len(pairs) > 25
    last = "My app"
    for before, after in pairs:
        assert before == last
        last = after


# -- A role that may make temporary tables, as PostgreSQL lets every role do by default


@pytest.fixture
def with_temporary_tables(
    databases: Databases, superuser_connection: Connection
) -> Iterator[Connection]:
    with psycopg.connect(databases.application, autocommit=True) as application:
        names = [sql.Identifier(name) for name in (application.info.dbname, application.info.user)]
        superuser_connection.execute(sql.SQL("GRANT TEMPORARY ON DATABASE {} TO {}").format(*names))
        yield application
        superuser_connection.execute(
            sql.SQL("REVOKE TEMPORARY ON DATABASE {} FROM {}").format(*names)
        )


def test_a_temporary_inbox_catches_no_entry(
    world: World, with_temporary_tables: Connection
) -> None:
    with_temporary_tables.execute("CREATE TEMPORARY TABLE audit_inbox (LIKE public.audit_inbox)")
    with_temporary_tables.execute("GRANT ALL ON pg_temp.audit_inbox TO PUBLIC")
    with_temporary_tables.execute(world.sql(said(rename("B"))))
    assert world.entries() == [renamed("My app", "B")]
    assert with_temporary_tables.execute("SELECT * FROM pg_temp.audit_inbox").fetchall() == []


FORGERY = """
CREATE TYPE pg_temp.uuid AS (forged pg_catalog.text);
CREATE FUNCTION pg_temp.forge(pg_catalog.text) RETURNS pg_temp.uuid LANGUAGE sql AS
    'SELECT ROW($1)::pg_temp.uuid';
CREATE FUNCTION pg_temp.back_date(pg_temp.uuid) RETURNS pg_catalog.uuid LANGUAGE plpgsql AS
    $$ BEGIN RETURN '018f0000-0000-7000-8000-000000000000'::pg_catalog.uuid; END $$;
CREATE CAST (pg_catalog.text AS pg_temp.uuid) WITH FUNCTION pg_temp.forge(pg_catalog.text);
CREATE CAST (pg_temp.uuid AS pg_catalog.uuid) WITH FUNCTION pg_temp.back_date(pg_temp.uuid)
    AS ASSIGNMENT;
"""


@pytest.mark.parametrize("statement", [forged("view", "project", "x"), said(rename("B"))])
def test_the_time_of_an_entry_is_not_made_by_a_temporary_type(
    world: World,
    with_temporary_tables: Connection,
    owner_connection: Connection,
    statement: str,
) -> None:
    with_temporary_tables.execute(FORGERY)  # type: ignore[call-overload]
    with_temporary_tables.execute(world.sql(statement))
    [(made,)] = owner_connection.execute(
        "SELECT id FROM audit_inbox ORDER BY xid DESC LIMIT 1"
    ).fetchall()
    assert abs(ulid.time_of(made) - clock.now()) < dt.timedelta(minutes=1)


def test_nothing_of_ones_own_is_run_by_the_triggers(
    world: World, with_temporary_tables: Connection
) -> None:
    """A type's check would be run as the owner of all tables."""
    heard: list[str] = []
    with_temporary_tables.add_notice_handler(
        lambda notice: heard.append(str(notice.message_primary))
    )
    with_temporary_tables.execute(
        "CREATE FUNCTION pg_temp.spy(pg_catalog.text) RETURNS boolean LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE WARNING 'run by %', current_user; RETURN true; END $$;"
        " CREATE DOMAIN pg_temp.text AS pg_catalog.text CHECK (pg_temp.spy(VALUE))"
    )
    assert with_temporary_tables.execute("SELECT 'x'::text").fetchone() == ("x",)
    assert heard, "the trap works"
    heard.clear()
    with_temporary_tables.execute("SELECT audit_ulid(gen_random_uuid())")
    with with_temporary_tables.transaction():
        with_temporary_tables.execute(REASON)
        with_temporary_tables.execute(world.sql(rename("B")))
        with_temporary_tables.execute(
            world.sql("DELETE FROM organizations_environment WHERE id = '$staging'")
        )
    assert heard == []
    assert len(world.entries()) == 2


@pytest.mark.parametrize("operation", ["insert", "update", "delete"])
def test_the_triggers_cannot_be_put_on_a_table_of_ones_own(
    world: World, with_temporary_tables: Connection, operation: str
) -> None:
    """They write as the owner: on another table they would record what never happened."""
    with_temporary_tables.execute("CREATE TEMPORARY TABLE mine (LIKE organizations_project)")
    with pytest.raises(errors.InsufficientPrivilege):
        with_temporary_tables.execute(
            f"CREATE TRIGGER forger AFTER {operation} ON mine"
            f" FOR EACH ROW EXECUTE FUNCTION audit_{operation}_organizations_project()"
        )

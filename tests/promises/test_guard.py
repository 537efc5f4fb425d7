"""Promise 1 below Django: what the guards in the database refuse, and what they enter themselves.

The guard fires at commit, as the owner of the tables, and asks the inbox alone.
"""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import psycopg
import pytest
from django.contrib.auth.models import Group, Permission
from django.db import DatabaseError, connection, transaction
from psycopg import errors, sql

from organizations import clock, ulid
from organizations.models import Organization, Project
from tests.conftest import Databases
from tests.factories import (
    EnvironmentFactory,
    MembershipFactory,
    OrganizationFactory,
    ProjectFactory,
    TargetFactory,
    UserFactory,
)
from tests.promises.conftest import Told

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "sealer"])
Connection = psycopg.Connection[Any]
New = Callable[[], list[Told]]
RENAME = "UPDATE organizations_project SET name = %s WHERE id = %s"


def raw(statement: str, *parameters: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)


def refused(why: str = "has no entry in its transaction") -> AbstractContextManager[Any]:
    return pytest.raises(DatabaseError, match=why)


@pytest.fixture
def project(organization: Organization) -> Project:
    return Project.objects.create(organization=organization, name="App", slug="app")


@pytest.fixture
def after(project: Project, entries: Callable[..., list[Told]]) -> New:
    """The entries since the project was made."""
    before = len(entries())
    return lambda: entries(before)


# -- A change that no entry tells


def test_copy_is_refused_like_any_other_statement(organization: Organization) -> None:
    columns = "id, created_at, updated_at, name, slug, description, organization_id, project_id"
    project = ProjectFactory.create(organization=organization)
    row = (uuid.uuid4(), "now", "now", "x", "x", "", organization.pk, project.pk)
    with refused(), transaction.atomic(), connection.cursor() as cursor:  # noqa: SIM117
        with cursor.copy(f"COPY organizations_target ({columns}) FROM STDIN") as copy:
            copy.write_row(row)


def test_constraints_made_immediate_do_not_escape(project: Project, after: New) -> None:
    with refused(), transaction.atomic():
        raw("SET CONSTRAINTS ALL IMMEDIATE")
        raw(RENAME, "raw", project.pk)
    with transaction.atomic():
        raw("SET CONSTRAINTS ALL IMMEDIATE")
        project.name = "told"
        project.save()
    assert [entry.changes for entry in after()] == [{"name": ["App", "told"]}]


def test_a_change_back_does_not_hide_behind_the_changes_before_it(project: Project) -> None:
    """The entry that tells "from App to B" does not tell "from C back to B"."""
    with refused(), transaction.atomic():
        Project.objects.filter(pk=project.pk).update(name="B")
        Project.objects.filter(pk=project.pk).update(name="C")
        raw(RENAME, "B", project.pk)


def test_another_field_does_not_hide_behind_an_entry_of_the_row(project: Project) -> None:
    with refused(), transaction.atomic():
        Project.objects.filter(pk=project.pk).update(name="B")
        raw("UPDATE organizations_project SET metadata = '{\"a\": 1}' WHERE id = %s", project.pk)


def test_an_entry_for_another_organization_does_not_count(
    project: Project, application_connection: Connection
) -> None:
    """Whoever may write entries cannot tell a change where its organization does not see it."""
    other = OrganizationFactory.create(name="Other")
    with pytest.raises(errors.CheckViolation), application_connection.transaction():
        application_connection.execute(RENAME, ["B", project.pk])
        application_connection.execute(
            "INSERT INTO audit_inbox (organization_id, resource_id, actor_type, actor_label,"
            " action, resource_type, resource_label, interface, changes) VALUES (%s, %s, 'user',"
            """ 'x', 'update', 'project', 'app', 'api', '{"name": ["App", "B"]}')""",
            [other.pk, project.pk],
        )


ENTER = (
    "INSERT INTO audit_inbox (organization_id, resource_id, actor_type, actor_label, action,"
    " resource_type, resource_label, result, interface, changes)"
    " VALUES (%s, %s, 'user', 'x', %s, %s, %s, %s, 'api', %s)"
)


def enter(
    organization: Organization,
    key: uuid.UUID,
    action: str,
    type_: str,
    label: str,
    changes: Any,
    result: str = "success",
) -> None:
    raw(ENTER, organization.pk, key, action, type_, label, result, json.dumps(changes))


@pytest.mark.parametrize(
    "told",
    [
        {"action": "view"},
        {"action": "delete"},
        {"action": "rotate"},
        {"result": "denied"},
        {"result": "failed"},
        {"label": "another"},
        {"changes": {"name": ["App", "B", "C"]}},
    ],
)
def test_an_entry_that_tells_something_else_does_not_count(
    project: Project, told: dict[str, Any]
) -> None:
    """Whoever may write entries cannot tell a change as refused, as another act, or of another."""
    truth: dict[str, Any] = {
        "action": "update",
        "label": "app",
        "changes": {"name": ["App", "B"]},
        "result": "success",
    }
    with refused(), transaction.atomic():
        raw(RENAME, "B", project.pk)
        enter(project.organization, project.pk, type_="project", **(truth | told))
    with transaction.atomic():
        raw(RENAME, "B", project.pk)
        enter(project.organization, project.pk, type_="project", **truth)


def test_an_entry_does_not_hide_which_environment_was_deleted(organization: Organization) -> None:
    environment = EnvironmentFactory.create(target__project__organization=organization)
    changes = {
        name: [value, None]
        for name, value in (
            ("target_id", ulid.to_text(environment.target_id)),
            ("name", "Production"),
            ("slug", "production"),
            ("description", ""),
            ("status", "development"),
            ("is_production", False),
        )
    }
    for label, allowed in (("my-app/backend/sandbox", False), ("my-app/backend/production", True)):
        with nullcontext() if allowed else refused(), transaction.atomic():
            raw("DELETE FROM organizations_environment WHERE id = %s", environment.pk)
            enter(organization, environment.pk, "delete", "environment", label, changes)


@pytest.mark.parametrize(
    ("changes", "allowed"),
    [
        ({}, False),
        ({"permissions": None}, False),
        ({"permissions": [[], []]}, False),
        ({"permissions": [[]]}, False),
        ({"permissions": {"1": ["audit:manage"]}}, False),
        ({"permissions": [[], {"audit:manage": 1}]}, False),
        ({"permissions": [[], "audit:manage"]}, False),
        ({"permissions": [["audit:manage"], []]}, False),
        ({"permissions": [[], ["audit:manage", "audit:read"]]}, True),
    ],
)
def test_a_permission_is_given_by_name_alone(
    organization: Organization, changes: dict[str, Any], allowed: bool
) -> None:
    user = MembershipFactory.create(organization=organization, role="member").user
    permission = Permission.objects.get(codename="audit:manage")
    with nullcontext() if allowed else refused(), transaction.atomic():
        raw(
            "INSERT INTO organizations_organizationuserobjectpermission"
            " (user_id, content_object_id, permission_id) VALUES (%s, %s, %s)",
            user.pk,
            organization.pk,
            permission.pk,
        )
        enter(organization, user.pk, "grant", "user", user.email, changes)


def test_what_happens_to_a_person_is_told_to_each_of_their_organizations(
    organization: Organization,
) -> None:
    other, third = (OrganizationFactory.create(name=name) for name in ("Other", "Third"))
    user = MembershipFactory.create(organization=organization).user
    MembershipFactory.create(organization=other, user=user)
    changes = {"name": ["", "Mallory"]}

    def rename(*told_to: Organization) -> None:
        with transaction.atomic():
            raw("UPDATE organizations_user SET name = 'Mallory' WHERE id = %s", user.pk)
            for each in told_to:
                enter(each, user.pk, "update", "user", user.email, changes)

    for told_to in ([third], [organization], [other, third]):
        with refused():
            rename(*told_to)
    rename(organization, other)


def test_a_person_who_changes_and_then_joins_needs_no_second_telling(
    organization: Organization,
) -> None:
    user = UserFactory.create()
    with transaction.atomic():
        user.name = "Newcomer"
        user.save()
        MembershipFactory.create(organization=organization, user=user)


# -- By hand, with a reason


def by_hand(*statements: tuple[Any, ...]) -> None:
    with transaction.atomic():
        raw("SET LOCAL audit.reason = 'ticket 7'")
        for statement, *parameters in statements:
            raw(statement, *parameters)


def test_an_empty_reason_is_none(project: Project) -> None:
    with refused(), transaction.atomic():
        raw("SET LOCAL audit.reason = '  '")
        raw(RENAME, "raw", project.pk)


def test_a_reason_ends_with_its_transaction(project: Project) -> None:
    by_hand((RENAME, "raw", project.pk))
    with refused():
        raw(RENAME, "again", project.pk)


def test_each_change_by_hand_has_an_entry_of_its_own(project: Project, after: New) -> None:
    by_hand(*((RENAME, name, project.pk) for name in ("B", "App", "B")))
    assert [entry.changes["name"] for entry in after()] == [
        ["App", "B"],
        ["B", "App"],
        ["App", "B"],
    ]


def test_rows_deleted_by_hand_with_their_parents_keep_their_names(
    organization: Organization, new_entries: New
) -> None:
    """The guard enters them at commit, when what they were named after is gone."""
    project = ProjectFactory.create(organization=organization)
    EnvironmentFactory.create(target__project=project)
    by_hand(
        ("DELETE FROM organizations_environment",),
        ("DELETE FROM organizations_target",),
        ("DELETE FROM keys_keyversion",),
        ("DELETE FROM organizations_project",),
    )
    assert [(entry.type, entry.label) for entry in new_entries() if entry.action == "delete"] == [
        ("environment", "my-app/backend/production"),
        ("target", "my-app/backend"),
        ("key_version", "my-app/encryption-key/1"),
        ("project", "my-app"),
    ]


def test_a_link_made_and_cut_by_hand_is_told(organization: Organization, new_entries: New) -> None:
    user = organization.memberships.get().user
    group = Group.objects.create(name="reviewers")
    by_hand(
        (
            "INSERT INTO organizations_user_groups (user_id, group_id) VALUES (%s, %s)",
            user.pk,
            group.pk,
        )
    )
    by_hand(("DELETE FROM organizations_user_groups",))
    assert [(entry.action, entry.type, entry.changes) for entry in new_entries()] == [
        ("grant", "user", {"groups": [[], ["reviewers"]]}),
        ("revoke", "user", {"groups": [["reviewers"], []]}),
    ]


# -- What no entry could tell, reason or not


@pytest.mark.parametrize("column", ["id", "organization_id"])
def test_a_row_never_becomes_another_nor_anothers(organization: Organization, column: str) -> None:
    """Its entries would stay behind, and its organization would see it vanish without a word."""
    other = OrganizationFactory.create(name="Other")
    project = Project.objects.create(organization=organization, name="App", slug="app")
    values = {"id": uuid.uuid4(), "organization_id": other.pk}
    with refused("the id or organization of project"):
        Project.objects.filter(pk=project.pk).update(**{column: values[column]})
    statement = f"UPDATE organizations_project SET {column} = %s WHERE id = %s"
    with refused("the id or organization of project"):
        by_hand((statement, values[column], project.pk))


def test_a_link_is_cut_and_made_never_bent(organization: Organization) -> None:
    user = organization.memberships.get().user
    first, second = (Group.objects.create(name=name) for name in ("first", "second"))
    user.groups.add(first)
    with refused("a link of user"):
        by_hand(("UPDATE organizations_user_groups SET group_id = %s", second.pk))


# -- A role that may make temporary tables, as PostgreSQL lets every role do unless told not to


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


def test_the_guard_does_not_ask_a_temporary_inbox(
    project: Project, with_temporary_tables: Connection
) -> None:
    with_temporary_tables.execute("CREATE TEMPORARY TABLE audit_inbox (LIKE public.audit_inbox)")
    with_temporary_tables.execute("GRANT ALL ON pg_temp.audit_inbox TO PUBLIC")
    with pytest.raises(errors.CheckViolation), with_temporary_tables.transaction():
        with_temporary_tables.execute(RENAME, ["evil", project.pk])
        with_temporary_tables.execute(
            "INSERT INTO pg_temp.audit_inbox SELECT gen_random_uuid(), pg_current_xact_id(),"
            " organization_id, NULL, id, NULL, NULL, 'user', 'x', 'update', 'project', 'app',"
            """ 'success', 'api', '', '{"name": ["App", "evil"]}', '{}'"""
            " FROM organizations_project"
        )


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


def test_the_time_of_an_entry_is_not_made_by_a_temporary_type(
    organization: Organization, with_temporary_tables: Connection, owner_connection: Connection
) -> None:
    with_temporary_tables.execute(FORGERY)  # type: ignore[call-overload]
    key = uuid.uuid4()
    values = [organization.pk, key, "view", "project", "x", "success", "{}"]
    with_temporary_tables.execute(ENTER, values)
    [(made,)] = owner_connection.execute(
        "SELECT id FROM audit_inbox WHERE resource_id = %s", [key]
    ).fetchall()
    assert abs(ulid.time_of(made) - clock.now()) < dt.timedelta(minutes=1)


def test_nothing_of_ones_own_is_run_by_the_guard(
    organization: Organization, with_temporary_tables: Connection
) -> None:
    """A type's check would be run by the guard as the owner of all tables."""
    target = TargetFactory.create(project__organization=organization)
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
        with_temporary_tables.execute("SET LOCAL audit.reason = 'ticket 7'")
        with_temporary_tables.execute("DELETE FROM organizations_target WHERE id = %s", [target.pk])
    assert heard == []


def test_the_guard_cannot_be_put_on_a_table_of_ones_own(
    project: Project, with_temporary_tables: Connection
) -> None:
    """It writes as the owner: on another table it would tell what never happened."""
    with_temporary_tables.execute("CREATE TEMPORARY TABLE mine (LIKE organizations_project)")
    with pytest.raises(errors.InsufficientPrivilege):
        with_temporary_tables.execute(
            "CREATE TRIGGER forger AFTER INSERT ON mine"
            " FOR EACH ROW EXECUTE FUNCTION audit_guard_organizations_project()"
        )

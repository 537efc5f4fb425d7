"""Promise 1 below Django: what the guards in the database refuse, and what they enter themselves.

The guard fires at commit, as the owner of the tables, and asks the inbox alone.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import psycopg
import pytest
from django.contrib.auth.models import Group
from django.db import DatabaseError, connection, transaction
from psycopg import errors, sql

from organizations.models import Organization, Project
from tests import factories
from tests.conftest import Databases
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
    project = factories.make_project(organization)
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
    other = factories.make_organization("Other")
    with pytest.raises(errors.CheckViolation), application_connection.transaction():
        application_connection.execute(RENAME, ["B", project.pk])
        application_connection.execute(
            "INSERT INTO audit_inbox (organization_id, resource_id, actor_type, actor_label,"
            " action, resource_type, resource_label, interface, changes) VALUES (%s, %s, 'user',"
            """ 'x', 'update', 'project', 'app', 'api', '{"name": ["App", "B"]}')""",
            [other.pk, project.pk],
        )


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
    project = factories.make_project(organization)
    factories.make_environment(factories.make_target(project))
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
    other = factories.make_organization("Other")
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

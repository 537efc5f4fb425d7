"""Nothing is unaudited by accident: `check` and `migrate` refuse a table that nobody listed."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.apps import apps
from django.conf import settings
from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.models import ContentType
from django.core.checks import run_checks
from django.core.management import CommandError, call_command
from django.db import ProgrammingError, connections, models
from django.test import override_settings
from django.test.utils import isolate_apps
from guardian.models import GroupObjectPermission, UserObjectPermission
from psycopg import sql

from audit import policy
from audit.ledger import roles, unlisted
from audit.policy import Exempt, NamedChange, Operation, Resource, Use
from organizations.models import Organization, User
from organizations.signals import Verb
from tests.conftest import Connection
from tests.factories import MembershipFactory

SQL_TABLES = {"django_migrations", "keys_numbering", "organizations_limit"}
"""Tables that no model stands for."""


def complaints() -> list[str]:
    """What `manage.py check` has against the policy page and the URL map."""
    return [
        f"{message.msg} {message.hint or ''}".strip()
        for message in run_checks()
        if (message.id or "").startswith("audit.")
    ]


@pytest.fixture
def change_line(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Replace what the policy page says of a resource."""

    def change(name: str, **said: Any) -> None:
        changed = tuple(
            dataclasses.replace(spec, **said)
            if isinstance(spec, Resource) and spec.name == name
            else spec
            for spec in policy.AUDITED
        )
        monkeypatch.setattr(policy, "AUDITED", changed)
        monkeypatch.setattr(
            policy, "RESOURCES", tuple(spec for spec in changed if isinstance(spec, Resource))
        )

    return change


# -- `manage.py check`


def test_everything_is_listed() -> None:
    assert complaints() == []


def test_a_model_without_a_line_is_named_with_the_line_that_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with isolate_apps("keys"):

        class SigningKey(models.Model):
            class Meta:
                app_label = "keys"

            def __str__(self) -> str:
                return "a key"

        every = [*apps.get_models(include_auto_created=True), SigningKey]
        monkeypatch.setattr(apps, "get_models", lambda **_: every)
        [complaint] = complaints()
    assert complaint.startswith("keys.SigningKey is neither audited nor exempt in audit/policy.py.")
    assert 'Add Resource("signing_key", "keys.SigningKey", …) to RESOURCES' in complaint
    assert 'UNAUDITED["keys.SigningKey"] = Exempt("…")' in complaint


def test_a_many_to_many_table_without_a_line_is_named_by_its_field(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(policy.UNAUDITED, "auth.Group.permissions")
    [complaint] = complaints()
    assert 'Add Part("auth.Group.permissions", …) to PARTS' in complaint


@pytest.mark.parametrize(
    ("name", "exempt", "complaint"),
    [
        ("keys.Spaceship", Exempt("none exists"), "lists 'keys.Spaceship', which is not a model"),
        ("keys.Secret.crew", Exempt("none"), "lists 'keys.Secret.crew', which is not a model"),
        ("keys.ApiKey", Exempt("twice"), "keys.ApiKey is listed 2 times"),
        ("sessions.Session", Exempt(" "), "sessions.Session is exempt without a reason"),
    ],
)
def test_a_line_of_the_exempt_that_is_wrong(
    monkeypatch: pytest.MonkeyPatch, name: str, exempt: Exempt, complaint: str
) -> None:
    monkeypatch.setitem(policy.UNAUDITED, name, exempt)
    [found] = complaints()
    assert complaint in found


@pytest.mark.parametrize(
    ("said", "complaint"),
    [
        ({"recorded": ("name", "colour")}, "recorded names 'colour'"),
        ({"recorded": ("token_hash",)}, "'token_hash' cannot be recorded (BinaryField)"),
        ({"recorded": ("seen_from",)}, "'seen_from' is both recorded and silent"),
        ({"silent": ("updated_at", "colour")}, "silent names 'colour'"),
        ({"label": "r.colour"}, "label names 'colour'"),
        ({"organization": "tenant_id"}, "organization names 'tenant_id'"),
        ({"organization": "", "person": "whom"}, "person names 'whom'"),
        ({"fixed": ("colour",)}, "fixed names 'colour'"),
        ({"below": ("created_by_id",)}, "below names 'created_by_id', whose values are not"),
        (
            {"verbs": (NamedChange(Verb.ROTATE, Operation.UPDATE, ("colour",)),)},
            "the verb 'rotate' names 'colour'",
        ),
        (
            {"verbs": (NamedChange(Verb.STORE, Operation.UPDATE, ("name",)),)},
            "the verb 'store' is not an action",
        ),
    ],
)
def test_a_line_of_the_audited_that_is_wrong(
    change_line: Callable[..., None], said: dict[str, Any], complaint: str
) -> None:
    change_line("api_key", **said)
    [found] = complaints()
    assert complaint in found


@pytest.mark.parametrize("word", ["create", "grant", "rotate"])
def test_an_action_that_is_missing(monkeypatch: pytest.MonkeyPatch, word: str) -> None:
    known = {name: action for name, action in policy._ACTIONS.items() if name != word}
    monkeypatch.setattr(policy, "_ACTIONS", known)
    assert any(repr(word) in complaint for complaint in complaints())


@pytest.mark.parametrize("name", ["project", "audit_log"])
def test_a_type_that_is_defined_twice(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(policy, "OTHERS", (*policy.OTHERS, policy.Other(name)))
    [complaint] = complaints()
    assert complaint == f"{name!r} is defined twice in audit/policy.py."


def test_an_action_may_be_called_as_a_type_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy, "ACTIONS", (*policy.ACTIONS, policy.Action("target", "aimed at")))
    # No more than what any new action has to be put into.
    [complaint] = complaints()
    assert "in neither of the groups" in complaint


@override_settings(ROOT_URLCONF="tests.test_coverage")
def test_a_route_without_a_line_is_named() -> None:
    assert any("/new/{name} (DELETE, GET) is unmapped" in complaint for complaint in complaints())


# -- `manage.py migrate`


def migrate() -> None:
    call_command("migrate", database="owner", verbosity=1)


@pytest.fixture
def stray(superuser_connection: Connection) -> Iterator[Callable[..., None]]:
    """Make a table in the application's schema, owned by the named role."""

    def make(owner: str, *statements: str) -> None:
        superuser_connection.execute("CREATE TABLE stray (id integer, name text)")
        superuser_connection.execute(f'ALTER TABLE stray OWNER TO "{owner}"')
        for statement in statements:
            superuser_connection.execute(statement)

    yield make
    superuser_connection.execute("DROP TABLE IF EXISTS stray")
    superuser_connection.execute("DROP ROLE IF EXISTS other_software")


OWNER = settings.DATABASES["owner"]["USER"]
APPLICATION = settings.DATABASES["default"]["USER"]

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "owner"])


def test_migrate_refuses_a_table_of_ours_that_nobody_listed(stray: Callable[..., None]) -> None:
    stray(OWNER)
    with pytest.raises(CommandError, match="stray is neither audited nor exempt"):
        migrate()


def test_migrate_takes_a_table_that_is_exempt(
    stray: Callable[..., None], monkeypatch: pytest.MonkeyPatch, application_connection: Connection
) -> None:
    stray(OWNER)
    monkeypatch.setitem(policy.UNAUDITED, "stray", Exempt("made by this test"))
    migrate()
    assert application_connection.execute("SELECT * FROM stray").fetchall() == []
    with pytest.raises(Exception, match="permission denied for table stray"):
        application_connection.execute("INSERT INTO stray (id) VALUES (1)")


def test_migrate_passes_over_tables_of_other_software(
    stray: Callable[..., None],
    superuser_connection: Connection,
    application_connection: Connection,
    capsys: pytest.CaptureFixture[str],
) -> None:
    superuser_connection.execute("CREATE ROLE other_software")
    stray("other_software")
    migrate()
    assert "Skipped tables of other software: stray" in capsys.readouterr().out
    with pytest.raises(Exception, match="permission denied for table stray"):
        application_connection.execute("SELECT * FROM stray")


@pytest.mark.parametrize("right", ["INSERT", "UPDATE (name)", "DELETE", "TRUNCATE"])
def test_migrate_refuses_another_s_table_that_the_application_can_change(
    stray: Callable[..., None], superuser_connection: Connection, right: str
) -> None:
    superuser_connection.execute("CREATE ROLE other_software")
    stray("other_software", f'GRANT {right} ON stray TO "{APPLICATION}"')
    with pytest.raises(CommandError, match="stray belongs to another role"):
        migrate()


# -- What the other roles may do besides

RUNS_AS_OWNER = "FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND prosecdef"


def test_migrate_takes_what_a_dump_restored_without_privileges_gives_everybody(
    superuser_connection: Connection,
) -> None:
    """Functions that run as the owner, such as the one that adds to the trees of evidence."""

    def callable_by(role: str) -> set[str]:
        rows = superuser_connection.execute(
            f"SELECT oid::regprocedure::text {RUNS_AS_OWNER}"  # type: ignore[arg-type]
            " AND has_function_privilege(%s, oid, 'EXECUTE')",
            [role],
        )
        return {name for (name,) in rows}

    named = callable_by(APPLICATION)
    for function in callable_by(OWNER):
        superuser_connection.execute(f"GRANT EXECUTE ON FUNCTION {function} TO PUBLIC")  # type: ignore[arg-type]
    assert callable_by(APPLICATION) > named
    migrate()
    assert callable_by(APPLICATION) == named


SPY = """
    CREATE FUNCTION public.concat_ws(text, text, text, text, text) RETURNS text LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'run by %', current_user; END $$
"""


@pytest.mark.usefixtures("organization")
def test_migrate_takes_the_right_to_create_that_a_cluster_from_before_15_gave_everybody(
    superuser_connection: Connection, application_connection: Connection
) -> None:
    """Triggers, which run as the owner, would call what fits their arguments best."""
    superuser_connection.execute("GRANT CREATE ON SCHEMA public TO PUBLIC")
    application_connection.execute(SPY)
    try:
        with pytest.raises(Exception, match=f"run by {OWNER}"):
            Organization.objects.update(name="Other")
    finally:
        application_connection.execute(
            "DROP FUNCTION public.concat_ws(text, text, text, text, text)"
        )
    migrate()
    with pytest.raises(Exception, match="permission denied for schema public"):
        application_connection.execute(SPY)


EXCESS = [
    ("GRANT CREATE ON SCHEMA pg_catalog TO {0}", "can create in the schema pg_catalog"),
    ("GRANT CREATE ON DATABASE {1} TO {0}", "can create schemas"),
    ("GRANT {2} TO {0}", f"is a member of {OWNER}"),
    ("ALTER ROLE {0} BYPASSRLS", "has BYPASSRLS: make it NOBYPASSRLS"),
    ("ALTER ROLE {0} CREATEROLE", "has CREATEROLE"),
    ("ALTER ROLE {0} REPLICATION", "has REPLICATION"),
    ("ALTER ROLE {0} SUPERUSER", "is a superuser"),
]


@pytest.fixture
def another_role(superuser_connection: Connection) -> Iterator[str]:
    """Not one that other tests use at the same time."""
    name = f"excessive_{os.getpid()}"
    superuser_connection.execute(f"CREATE ROLE {name}")
    yield name
    superuser_connection.execute(f"DROP OWNED BY {name}")
    superuser_connection.execute(f"DROP ROLE {name}")


@pytest.mark.parametrize("alias", ["default", "sealer"])
@pytest.mark.parametrize(("given", "complaint"), EXCESS)
def test_a_role_that_could_undo_what_it_is_kept_from_is_found(
    superuser_connection: Connection,
    another_role: str,
    monkeypatch: pytest.MonkeyPatch,
    alias: str,
    given: str,
    complaint: str,
) -> None:
    assert roles.excess(connections["owner"]) == []
    monkeypatch.setitem(settings.DATABASES[alias], "USER", another_role)
    assert roles.excess(connections["owner"]) == []
    names = (another_role, superuser_connection.info.dbname, OWNER)
    superuser_connection.execute(sql.SQL(given).format(*map(sql.Identifier, names)))
    [found] = roles.excess(connections["owner"])
    assert found.startswith(f"the role {another_role} {complaint}")


def test_migrate_refuses_it(superuser_connection: Connection) -> None:
    superuser_connection.execute(f'GRANT CREATE ON SCHEMA pg_catalog TO "{APPLICATION}"')
    try:
        with pytest.raises(CommandError, match="can create in the schema pg_catalog: REVOKE"):
            migrate()
    finally:
        superuser_connection.execute(f'REVOKE CREATE ON SCHEMA pg_catalog FROM "{APPLICATION}"')


def test_every_table_of_the_schema_is_known(owner_connection: Connection) -> None:
    assert unlisted.tables(connections["owner"]) == []
    names = {
        name
        for (name,) in owner_connection.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
        )
    }
    of_models = {model._meta.db_table for model in apps.get_models(include_auto_created=True)}
    assert {n for n in names - of_models if not n.startswith("audit_")} == SQL_TABLES


# -- What is not used cannot be used


def test_tables_that_are_not_used_take_no_row_from_anybody(
    organization: Organization, superuser_connection: Connection
) -> None:
    permission = Permission.objects.get(codename="audit:read")
    person = organization.memberships.get().user
    group = Group.objects.create(name="reviewers")
    about = {
        "permission": permission,
        "object_pk": organization.pk,
        "content_type": ContentType.objects.get_for_model(Organization),
    }
    for use in (
        lambda: group.permissions.add(permission),
        lambda: UserObjectPermission.objects.create(user=person, **about),
        lambda: GroupObjectPermission.objects.create(group=group, **about),
    ):
        with pytest.raises(ProgrammingError, match="permission denied"):
            use()
    refused = [name for name, e in policy.exempt_tables().items() if e.use is Use.REFUSED]
    assert len(refused) == 3
    for table in refused:
        with pytest.raises(Exception, match=f"{table} is not used"):
            superuser_connection.execute(f"INSERT INTO {table} SELECT (t).* FROM {table} t")


def test_people_and_groups_can_still_be_deleted(organization: Organization) -> None:
    person: User = MembershipFactory.create(organization=organization).user
    group = Group.objects.create(name="reviewers")
    person.groups.add(group)
    person.delete()
    group.delete()
    assert not Group.objects.exists()


def test_what_only_migrate_writes_is_read_only(organization: Organization) -> None:
    with pytest.raises(ProgrammingError, match="permission denied"):
        Permission.objects.create(
            name="x", codename="x", content_type=ContentType.objects.get_for_model(Organization)
        )

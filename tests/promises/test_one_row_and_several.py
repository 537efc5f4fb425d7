"""A statement of one row is entered another way than one of several: both say the same."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from django.db import transaction
from psycopg import sql
from psycopg.types.json import Jsonb

from audit import policy
from audit.evidence import witnesses
from audit.evidence.notes import WitnessKey
from audit.policy import Resource
from audit.questions import saved_views
from keys import secrets
from keys.authors import SYSTEM
from keys.levels import Level
from organizations import members
from organizations.grants import EVERYTHING
from tests.factories import (
    ApiKeyFactory,
    EnvironmentFactory,
    MembershipFactory,
    OrganizationFactory,
)

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "sealer"])

OF_A_TENANT = [spec for spec in policy.RESOURCES if spec.organization]
"""A person's rows are entered by the way of several, whatever their number."""
CHANGED = {
    "updated_at": "now()",
    "created_at": "created_at - interval '1 day'",
    "name": "'Renamed'",
    "role": "'auditor'",
    "abilities": "'{project:read}'",
}
"""Columns that can be changed without more ado: silent, known by name, recorded."""
NEVER_CHANGED = {"key_version": {"created_at"}, "secret_version": {"created_at"}}
"""Other triggers refuse it."""
ENTERED = """
    SELECT organization_id, actor_type, actor_label, interface, context, action, resource_type,
        resource_id, resource_label, changes
    FROM audit_inbox WHERE xid = pg_current_xact_id() ORDER BY action, resource_id
"""
Connection = psycopg.Connection[Any]


@pytest.fixture
def world(transactional_db: None) -> None:
    """Two of everything."""
    for name in ("Acme", "Other"):
        environment = EnvironmentFactory.create(
            target__project__organization=OrganizationFactory.create(name=name)
        )
        project = environment.target.project
        organization = project.organization
        level = Level(project, environment.target, environment)
        for number in (1, 2):
            secrets.store(level, f"TOKEN={number}", author=SYSTEM)
        ApiKeyFactory.create(organization=organization, name=f"ci of {name}")
        member = MembershipFactory.create(organization=organization)
        members.invite(
            organization, "new@example.org", "member", invited_by=None, granter=EVERYTHING
        )
        saved_views.save(organization, member.user, name, "action=delete", is_shared=True)
        with transaction.atomic():
            witnesses.add(organization, WitnessKey(name, name.encode().ljust(32)).vkey)


def entered(connection: Connection, *statements: tuple[sql.Composed, Any]) -> list[Any]:
    """The entries of these statements, which are then undone."""
    with connection.transaction(force_rollback=True):
        connection.execute("SET LOCAL audit.reason = 'to compare'")
        for statement, parameter in statements:
            connection.execute(statement, [parameter])
        return connection.execute(ENTERED).fetchall()


@pytest.mark.parametrize("spec", OF_A_TENANT, ids=lambda spec: spec.name)
def test_both_ways_say_the_same(world: None, owner_connection: Connection, spec: Resource) -> None:
    model = spec.model_class()
    table = sql.Identifier(model._meta.db_table)
    rows = owner_connection.execute(
        sql.SQL("SELECT to_jsonb(r), id FROM {} AS r ORDER BY id LIMIT 2").format(table)
    ).fetchall()
    [one, other] = (Jsonb([row]) for row, _ in rows)
    both, ids = Jsonb([row for row, _ in rows]), [key for _, key in rows]
    delete = sql.SQL("DELETE FROM {} WHERE id = ANY (%s)").format(table)
    insert = sql.SQL(
        "INSERT INTO {0} SELECT * FROM jsonb_populate_recordset(NULL::{0}, %s)"
    ).format(table)
    alone = entered(owner_connection, *((delete, [key]) for key in ids))
    assert len(alone) == 2
    assert entered(owner_connection, (delete, ids)) == alone

    gone = (delete, ids)
    alone = entered(owner_connection, gone, (insert, one), (insert, other))
    assert len(alone) == 4
    assert entered(owner_connection, gone, (insert, both)) == alone

    columns = CHANGED.keys() & policy.columns(model)
    for column in columns - NEVER_CHANGED.get(spec.name, set()):
        update = sql.SQL("UPDATE {} SET {} = {} WHERE id = ANY (%s)").format(
            table, sql.Identifier(column), sql.SQL(CHANGED[column])
        )
        alone = entered(owner_connection, *((update, [key]) for key in ids))
        assert len(alone) == (0 if column in spec.silent else 2), column
        assert entered(owner_connection, (update, ids)) == alone

"""Promise 5, the tenant scope: the database itself hides the entries of other organizations."""

from __future__ import annotations

import contextlib
from typing import Any

import psycopg
import pytest
from django.db import transaction

from audit.ledger import sealing
from audit.models import Entry
from organizations.models import Organization
from tests.factories import OrganizationFactory, ProjectFactory

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "sealer"])
RELATIONS = (
    *("audit_entry", "audit_inbox", "audit_ledger", "audit_name"),
    *("audit_label", "audit_place", "audit_log", "audit_field"),
)


@pytest.fixture
def others() -> tuple[Organization, Organization]:
    mine, theirs = (OrganizationFactory.create(name=name) for name in ("Mine", "Theirs"))
    sealing.seal()
    for organization in (mine, theirs):
        ProjectFactory.create(organization=organization)
    return mine, theirs


def name(connection: psycopg.Connection[Any], organizations: str) -> None:
    connection.execute("SELECT set_config('audit.organizations', %s, true)", [organizations])


def count(connection: psycopg.Connection[Any], relation: str, organization: Organization) -> int:
    [(found,)] = connection.execute(
        f"SELECT count(*) FROM {relation} WHERE organization_id = %s", [organization.pk]
    ).fetchall()
    return int(found)


@pytest.mark.parametrize("relation", RELATIONS)
def test_a_session_that_named_no_organization_reads_nothing(
    application_connection: psycopg.Connection[Any],
    others: tuple[Organization, Organization],
    relation: str,
) -> None:
    assert [count(application_connection, relation, each) for each in others] == [0, 0]


@pytest.mark.parametrize("relation", RELATIONS)
def test_a_session_reads_only_what_it_named(
    application_connection: psycopg.Connection[Any],
    others: tuple[Organization, Organization],
    relation: str,
) -> None:
    mine, theirs = others
    with application_connection.transaction():
        application_connection.execute(
            "SELECT set_config('audit.organizations', %s, true)", [str(mine.pk)]
        )
        assert count(application_connection, relation, mine) > 0
        assert count(application_connection, relation, theirs) == 0
    assert count(application_connection, relation, mine) == 0


def test_a_session_reads_each_of_the_many_it_named(
    application_connection: psycopg.Connection[Any],
    others: tuple[Organization, Organization],
) -> None:
    third = OrganizationFactory.create(name="Third")
    named = ",".join(str(each.pk) for each in (*others, OrganizationFactory.create(name="Fourth")))
    with application_connection.transaction():
        name(application_connection, named)
        for relation in RELATIONS:
            assert [count(application_connection, relation, each) > 0 for each in others] == [
                True
            ] * 2
            assert count(application_connection, relation, third) == 0


def test_everything_is_opened_by_a_star_alone(
    application_connection: psycopg.Connection[Any],
    others: tuple[Organization, Organization],
) -> None:
    with application_connection.transaction():
        name(application_connection, "*")
        assert all(count(application_connection, "audit_entry", each) for each in others)


@pytest.mark.parametrize("relation", RELATIONS)
def test_naming_the_empty_list_reads_nothing(
    application_connection: psycopg.Connection[Any],
    others: tuple[Organization, Organization],
    relation: str,
) -> None:
    with application_connection.transaction():
        name(application_connection, "")
        assert [count(application_connection, relation, each) for each in others] == [0, 0]


@pytest.mark.parametrize(
    "named",
    [
        "nonsense",
        "{theirs} ",
        "{mine},",
        ",{mine}",
        "{mine},*",
        "*,{mine}",
        "**",
        " *",
        "%",
        "NULL",
        "{{{mine},{theirs}}}",
        "{mine};{theirs}",
        "{mine}' OR '1'='1",
        "{mine}') OR (SELECT true) OR ('",
        "{mine_start}",
    ],
)
@pytest.mark.parametrize("relation", RELATIONS)
def test_what_is_no_list_of_ids_opens_nothing(
    application_connection: psycopg.Connection[Any],
    others: tuple[Organization, Organization],
    relation: str,
    named: str,
) -> None:
    mine, theirs = others
    value = named.format(mine=mine.pk, theirs=theirs.pk, mine_start=str(mine.pk)[:8])
    for organization in others:
        with (
            contextlib.suppress(psycopg.errors.InvalidTextRepresentation),
            application_connection.transaction(),
        ):
            name(application_connection, value)
            assert count(application_connection, relation, organization) == 0


@pytest.mark.parametrize("table", ("audit_hold", "audit_removal"))
def test_what_retention_reports_is_within_the_tenant_scope_too(
    application_connection: psycopg.Connection[Any], table: str
) -> None:
    [(policies,)] = application_connection.execute(
        "SELECT array_agg(qual) FROM pg_policies WHERE tablename = %s", [table]
    ).fetchall()
    [(of_the_log,)] = application_connection.execute(
        "SELECT qual FROM pg_policies WHERE tablename = 'audit_log'"
        " AND policyname = 'audit_tenant_scope'"
    ).fetchall()
    assert policies == [of_the_log]


def test_a_forgotten_filter_still_shows_one_organization(
    others: tuple[Organization, Organization],
) -> None:
    mine, _ = others
    with transaction.atomic():
        Entry.objects.visible([mine.pk])
        assert {entry.organization_id for entry in Entry.objects.all()} == {mine.pk}


def test_reading_outside_a_transaction_is_refused(
    others: tuple[Organization, Organization],
) -> None:
    with pytest.raises(transaction.TransactionManagementError, match="inside a transaction"):
        Entry.objects.visible([others[0].pk])

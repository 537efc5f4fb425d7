"""Promise 5, the second wall: the database itself hides the entries of other organizations."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from django.db import transaction

from audit import sealing
from audit.models import Entry
from organizations.models import Organization
from tests import factories

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "sealer"])
RELATIONS = ("audit_entry", "audit_inbox", "audit_ledger", "audit_name", "audit_label", "audit_log")


@pytest.fixture
def others() -> tuple[Organization, Organization]:
    mine, theirs = factories.make_organization("Mine"), factories.make_organization("Theirs")
    sealing.seal()
    for organization in (mine, theirs):
        factories.make_project(organization)
    return mine, theirs


def count(connection: psycopg.Connection[Any], relation: str, organization: Organization) -> int:
    [found] = connection.execute(
        f"SELECT count(*) FROM {relation} WHERE organization_id = %s", [organization.pk]
    ).fetchone()
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
    with pytest.raises(transaction.TransactionManagementError, match="needs a transaction"):
        Entry.objects.visible([others[0].pk])

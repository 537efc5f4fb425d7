"""Two organizations with two old months of entries, and runs of retention over them."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import call_command

from audit.ledger import partitions, sealing
from organizations.models import Organization
from tests.factories import OrganizationFactory
from tests.query import seeding

Connection = psycopg.Connection[Any]

JANUARY, FEBRUARY, MARCH = (datetime(2021, month, 1, tzinfo=UTC) for month in (1, 2, 3))
A_MONTH = 120
"""Entries of an organization."""


@pytest.fixture(autouse=True)
def no_leftovers(owner_connection: Connection) -> Iterator[None]:
    yield
    left = owner_connection.execute(
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
        " AND relname ~ '^audit_(ledger|kept|removed)_20(19|2[0-4])'"
    ).fetchall()
    for (table,) in left:
        owner_connection.execute(f'DROP TABLE "{table}"')  # type: ignore[call-overload]


def lived(connection: Connection, organization: Organization, seed: int) -> None:
    """Two old months of changes and reads of the organization's things, then sealed."""
    made_up = seeding.Organization(organization.pk, seed, projects=2)
    rows = [
        *made_up.rows(A_MONTH, JANUARY, FEBRUARY),
        *made_up.rows(A_MONTH, FEBRUARY, MARCH),
    ]
    rows = [
        replace(row, changes={"name": [None, "New"]}) if row.action == "create" else row
        for row in rows
    ]
    seeding.receive(connection, rows)


@pytest.fixture
def acme(owner_connection: Connection) -> Organization:
    organization = OrganizationFactory.create(name="Acme")
    lived(owner_connection, organization, 1)
    return organization


@pytest.fixture
def other(owner_connection: Connection) -> Organization:
    organization = OrganizationFactory.create(name="Other")
    lived(owner_connection, organization, 2)
    return organization


@pytest.fixture
def sealed(acme: Organization, other: Organization) -> None:
    partitions.make_ahead(JANUARY)
    sealing.seal()


def retention(directory: Path, *arguments: str, stderr: io.StringIO | None = None) -> str:
    """What a run said that keeps twelve months."""
    said = io.StringIO()
    command = ["audit_retention", "--directory", str(directory), "--months", "12", *arguments]
    call_command(*command, stdout=said, stderr=stderr or said)
    return said.getvalue()

"""A log of some thousand entries, sealed and not, beside another organization's of equal names."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from django.db.models import QuerySet

from audit.models import Entry
from audit.questions.filters import EntryFilter
from organizations.models import Organization as OrganizationModel
from tests.conftest import Databases, empty
from tests.query import seeding
from tests.query.seeding import Organization, Row

NOW = dt.datetime(2026, 11, 23, 12, 30, 15, 123000, tzinfo=dt.UTC)
KEY = uuid.UUID("019a0000-0000-7000-8000-000000000001")
OTHER_KEY = uuid.UUID("019a0000-0000-7000-8000-000000000002")
ORGANIZATION = OrganizationModel(pk=KEY, slug="acme")
OTHER_ORGANIZATION = OrganizationModel(pk=OTHER_KEY, slug="other")


@dataclass(frozen=True)
class Log:
    organization: Organization
    other: Organization
    sealed: list[Row]
    unsealed: list[Row]

    @property
    def rows(self) -> list[Row]:
        return self.sealed + self.unsealed

    @property
    def shown(self) -> list[Row]:
        """Without looks at the log, which are left out unless they are asked for."""
        return [row for row in self.rows if row.action != "view"]


@pytest.fixture(scope="module")
def log(databases: Databases, django_db_setup: None) -> Iterator[Log]:
    organization, other = Organization(KEY, seed=1), Organization(OTHER_KEY, seed=2)
    since = NOW - dt.timedelta(days=120)
    sealed = organization.rows(2500, since, NOW - dt.timedelta(hours=2))
    unsealed = organization.rows(400, NOW - dt.timedelta(hours=3), NOW)
    held = seeding.held(organization, since, NOW - dt.timedelta(days=1))
    sealed = sorted([*sealed, *held], key=lambda row: row.id)
    made = Log(organization, other, sealed=sealed, unsealed=unsealed)
    foreign = other.rows(900, NOW - dt.timedelta(days=120), NOW)
    with psycopg.connect(databases.owner, autocommit=True) as connection:
        seeding.seal(connection, [*made.sealed, *foreign[:800]])
        seeding.receive(connection, [*made.unsealed, *foreign[800:]])
        connection.execute("ANALYZE")
    yield made
    with psycopg.connect(databases.superuser, autocommit=True) as connection:
        empty(connection)


@pytest.fixture
def entries(log: Log, db: None) -> QuerySet[Entry]:
    """What an auditor of the organization may see."""
    return Entry.objects.visible([KEY])  # type: ignore[attr-defined, no-any-return]


@pytest.fixture
def ask(entries: QuerySet[Entry]) -> Callable[..., EntryFilter]:
    def ask(**data: Any) -> EntryFilter:
        return EntryFilter(data, entries, organizations=[ORGANIZATION])

    return ask

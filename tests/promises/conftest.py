"""Reading the log as its owner does, past every tenant scope: these tests check what is in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import psycopg
import pytest

from organizations.models import Organization
from tests.factories import OrganizationFactory


class Told(NamedTuple):
    """An entry, as short as a test wants it."""

    action: str
    type: str
    label: str
    changes: dict[str, Any]
    actor_type: str
    actor: str
    context: dict[str, Any]
    interface: str
    resource_id: Any


_TOLD = """
SELECT action, resource_type, resource_label, changes, actor_type, actor_label, context, interface,
    resource_id
FROM audit_entry
"""


@pytest.fixture
def entries(
    owner_connection: psycopg.Connection[Any], transactional_db: None
) -> Callable[..., list[Told]]:
    """The entries committed so far, oldest first; `since` leaves out the first ones."""

    def read(since: int = 0, **columns: Any) -> list[Told]:
        where = " AND ".join(f"{column} = %s" for column in columns) or "true"
        rows = owner_connection.execute(
            f"{_TOLD} WHERE {where} ORDER BY id", list(columns.values())
        ).fetchall()
        return [Told(*row) for row in rows][since:]

    return read


@pytest.fixture
def organization(transactional_db: None) -> Organization:
    return OrganizationFactory.create(name="Acme")


@pytest.fixture
def new_entries(
    entries: Callable[..., list[Told]], organization: Organization
) -> Callable[[], list[Told]]:
    """The entries that came since the organization was made."""
    before = len(entries())
    return lambda: entries(before)

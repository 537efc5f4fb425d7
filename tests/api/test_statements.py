"""How many SQL statements a request takes, those that begin and end its transaction included."""

from __future__ import annotations

from typing import Any

import pytest
from pytest_django import DjangoAssertNumQueries

from keys import authors, secrets
from organizations.models import Organization
from tests.api.conftest import Api
from tests.factories import LevelFactory

pytestmark = pytest.mark.django_db(transaction=True)

RECOGNIZED = 2
"""The key with how often its address failed, and the count of the organization's requests."""
TRANSACTION = 2


@pytest.mark.parametrize(
    ("method", "path", "body", "statements"),
    [
        # Reads and locks the project; changes it and enters that, in one.
        ("PATCH", "/{o}/shop", {"name": "Shop again"}, 2),
        ("PATCH", "/{o}/shop", {"name": "Shop again", "description": "Sells"}, 2),
        ("GET", "/{o}/shop", None, 1),
        # Reads the project, the versions, and how far old ones are brought after the key.
        ("GET", "/{o}/shop/encryption-key/history", None, 3),
        # Enters the tenant scope, sets how to plan, reads a page (of the last month, then what came
        # before, as this log has less than a page), sets that back, looks up which actors and
        # resources of it are still there, enters the reading, looks whether something was removed,
        # and how far the log is sealed.
        ("GET", "/organizations/{o}/audit/entries", None, 9),
    ],
)
def test_a_request_takes_few_statements(
    api: Api,
    shop: Any,
    django_assert_num_queries: DjangoAssertNumQueries,
    method: str,
    path: str,
    body: Any,
    statements: int,
) -> None:
    assert api.send(method, path, body).status_code == 200  # notes that the key is used
    with django_assert_num_queries(RECOGNIZED + TRANSACTION + statements):
        assert api.send(method, path, body).status_code == 200


PRODUCTION = {"project": "my-app", "target": "backend", "environment": "production"}


@pytest.fixture
def three_levels(acme: Organization) -> None:
    """Production with what lies above it, each written twice."""
    for level in LevelFactory.create(project__organization=acme).and_above:
        for text in ("A=1", "A=2"):
            secrets.store(level, text, author=authors.SYSTEM)


@pytest.mark.parametrize(
    ("method", "path", "body", "statements"),
    [
        # Each reads the three nodes. Then: the blobs of all levels, and the entries of all.
        ("GET", "/{o}/my-app/backend/production/secrets", None, 3 + 2),
        # The active key and those that the blobs are under as well.
        ("GET", "/{o}/my-app/backend/production/secrets?decrypt=true&merge=true", None, 3 + 4),
        # Of what is there already: a savepoint's two; the key before and under its lock, with the
        # lock itself; the node and the blob, locked.
        ("POST", "/{o}/secrets/store", {**PRODUCTION, "content": "A=3"}, 3 + 2 + 3 + 2),
        # Counts, and reads a page.
        ("POST", "/{o}/secrets/versions", PRODUCTION, 3 + 2),
        # The version with its path, its key, the entry, and only then the content.
        ("GET", "/{o}/secrets/versions/6", None, 4),
    ],
)
def test_secrets_take_few_statements(
    api: Api,
    three_levels: None,
    django_assert_num_queries: DjangoAssertNumQueries,
    method: str,
    path: str,
    body: Any,
    statements: int,
) -> None:
    assert api.send(method, path, body).status_code == 200
    with django_assert_num_queries(RECOGNIZED + TRANSACTION + statements):
        assert api.send(method, path, body).status_code == 200


def test_storing_something_else_takes_few_statements(
    api: Api, three_levels: None, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    path = "/{o}/secrets/store"
    assert api.send("POST", path, {**PRODUCTION, "content": "A=3"}).status_code == 200
    # As for what is there already; then a number, what was there as a version, and what comes.
    with django_assert_num_queries(RECOGNIZED + TRANSACTION + 3 + 2 + 3 + 2 + 3):
        assert api.send("POST", path, {**PRODUCTION, "content": "A=4"}).status_code == 200

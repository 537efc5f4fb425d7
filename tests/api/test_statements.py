"""How many SQL statements a request takes, those that begin and end its transaction included."""

from __future__ import annotations

from typing import Any

import pytest
from pytest_django import DjangoAssertNumQueries

from tests.api.conftest import Api

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
        # Opens the wall, reads a page (of the last month, then what came before, as this log has
        # less than a page), enters that, and looks whether something was removed.
        ("GET", "/organizations/{o}/audit/entries", None, 5),
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

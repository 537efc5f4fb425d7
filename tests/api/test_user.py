"""Who the caller is: the shape that logging in reads."""

from __future__ import annotations

import datetime as dt

import pytest

from organizations import clock
from organizations.models import Organization
from tests.api.conftest import Api
from tests.factories import ApiKeyFactory

pytestmark = pytest.mark.django_db(transaction=True)


def test_an_api_key_learns_who_it_is_and_where_it_belongs(acme: Organization) -> None:
    expires_at = clock.now() + dt.timedelta(days=1)
    issued = ApiKeyFactory.create(
        organization=acme, abilities=["project:read"], name="deploy", expires_at=expires_at
    )
    response = Api(issued.token).get("/user")
    assert response.status_code == 200
    body = response.json()
    assert body["data"]["type"] == "api-keys"
    assert body["data"]["id"] == issued.api_key.ulid
    attributes = body["data"]["attributes"]
    assert attributes["name"] == "deploy"
    assert attributes["email"] == ""
    assert attributes["is_verified"] is True
    assert attributes["abilities"] == ["project:read"]
    assert attributes["expires_at"] == expires_at.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert body["data"]["relationships"]["organizations"]["data"] == [
        {"type": "organizations", "id": acme.ulid}
    ]
    assert body["included"] == [
        {
            "type": "organizations",
            "id": acme.ulid,
            "attributes": {
                "ulid": acme.ulid,
                "name": "Acme",
                "slug": "acme",
                "role": "api_user",
            },
        }
    ]

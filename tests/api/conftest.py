"""A caller of the API: Django's client with a token, JSON in and out."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from django.db import transaction
from django.test import Client

from audit.models import Entry
from dotenv_cloud.environment import Limit
from organizations.models import Environment, Organization, Project, Target
from tests.factories import (
    ApiKeyFactory,
    EnvironmentFactory,
    OrganizationFactory,
    ProjectFactory,
    TargetFactory,
)

AGENT = "dotenv-go-sdk/1.0.0"
ADDRESS = "203.0.113.7"


class Api:
    """Speaks as clients do: JSON, a Bearer token, no trailing slash. Paths begin after /api/v1;
    `{o}` in them is the organization's slug."""

    def __init__(self, token: str | None, organization: Organization | None = None) -> None:
        self.token = token
        self.organization = organization
        self.client = Client(
            headers={"user-agent": AGENT}, REMOTE_ADDR=ADDRESS, raise_request_exception=False
        )

    def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: dict[str, str] | None = None,
        **extra: Any,
    ) -> Any:
        """Send `body` as JSON; without one, no content type either."""
        if self.organization is not None:
            path = path.replace("{o}", self.organization.slug)
        path = path.removeprefix("http://testserver")  # as links in answers begin
        path = path if path.startswith("/api") else f"/api/v1{path}"
        if body is not None:
            text = body if isinstance(body, str | bytes) else json.dumps(body)
            extra = {"data": text, "content_type": "application/json", **extra}
        if self.token is not None:
            headers = {"authorization": f"Bearer {self.token}", **(headers or {})}
        return self.client.generic(method.upper(), path, headers=headers, **extra)

    def get(self, path: str, **extra: Any) -> Any:
        return self.send("GET", path, **extra)

    def post(self, path: str, body: Any = None, **extra: Any) -> Any:
        return self.send("POST", path, body, **extra)

    def patch(self, path: str, body: Any = None) -> Any:
        return self.send("PATCH", path, body)

    def put(self, path: str, body: Any = None) -> Any:
        return self.send("PUT", path, body)

    def delete(self, path: str) -> Any:
        return self.send("DELETE", path)


ApiWith = Callable[..., Api]


def caller(organization: Organization, *abilities: str, **fields: Any) -> Api:
    """Somebody who calls with a new key of these abilities (all of `*` when none is named)."""
    token = ApiKeyFactory.create(
        organization=organization, abilities=abilities or ["*"], **fields
    ).token
    return Api(token, organization)


@pytest.fixture
def acme(db: None) -> Organization:
    return OrganizationFactory.create(name="Acme", owner__email="olga@example.org")


@pytest.fixture
def api(acme: Organization) -> Api:
    return caller(acme, created_by=acme.memberships.get().user)


@pytest.fixture
def api_with(acme: Organization) -> ApiWith:
    """A caller of Acme with these abilities."""
    return lambda *abilities, **fields: caller(acme, *abilities, name="narrow", **fields)


@pytest.fixture
def shop(acme: Organization) -> Project:
    return ProjectFactory.create(organization=acme, name="Shop")


@pytest.fixture
def web(shop: Project) -> Target:
    return TargetFactory.create(project=shop, name="Web")


@pytest.fixture
def live(web: Target) -> Environment:
    return EnvironmentFactory.create(target=web, name="Live")


@pytest.fixture
def no_limits(settings: Any) -> None:
    """For walks that send more requests than a minute allows."""
    settings.RATE_LIMITS = {name: Limit(100_000, 60) for name in settings.RATE_LIMITS}


@pytest.fixture
def entries(db: None) -> Callable[..., list[Entry]]:
    """The entries of an organization, oldest first."""

    def read(organization: Organization, **columns: Any) -> list[Entry]:
        with transaction.atomic():
            visible = Entry.objects.visible([organization.pk])  # type: ignore[attr-defined]
            return list(visible.filter(**columns).order_by("id"))

    return read


class Recorded(NamedTuple):
    """An entry of any organization."""

    action: str
    type: str
    label: str
    actor_type: str
    actor: str
    ip: str | None
    user_agent: str
    request_id: Any
    interface: str
    result: str
    changes: dict[str, Any]
    context: dict[str, Any]
    organization_id: Any
    actor_id: Any


_RECORDED = """
SELECT action, resource_type, resource_label, actor_type, actor_label, host(ip), user_agent,
    request_id, interface, result, changes, context, organization_id, actor_id
FROM audit_entry ORDER BY id
"""


@pytest.fixture
def left_by(
    owner_connection: Any, transactional_db: None
) -> Callable[[Callable[[], Any]], list[Recorded]]:
    """The entries, of all organizations, that doing something leaves. Transactional tests only."""

    def read() -> list[Recorded]:
        return [Recorded(*row) for row in owner_connection.execute(_RECORDED).fetchall()]

    def left_by(do: Callable[[], Any]) -> list[Recorded]:
        before = len(read())
        do()
        return read()[before:]

    return left_by

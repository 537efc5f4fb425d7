"""A caller of the API: Django's client with a token, JSON in and out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from audit.models import Entry
from dotenv_cloud.environment import Limit
from organizations.models import Environment, Organization, Project, Target
from tests import factories

AGENT = "dotenv-go-sdk/1.0.0"
ADDRESS = "203.0.113.7"


class Api:
    """Calls `/api/v1/…` with a token; `{o}` in a path is the organization's slug."""

    def __init__(self, organization: Organization | None, token: str | None) -> None:
        self.organization = organization
        self.token = token
        self.client = Client(
            headers={"user-agent": AGENT}, REMOTE_ADDR=ADDRESS, raise_request_exception=False
        )

    def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """Send `body` as JSON; without one, no content type either, as clients do."""
        if self.organization is not None:
            path = path.replace("{o}", self.organization.slug)
        if self.token is not None:
            headers = {"authorization": f"Bearer {self.token}", **headers}
        sent = {"data": body, "content_type": "application/json"} if body is not None else {}
        if not path.startswith("/api/"):
            path = f"/api/v1{path}"
        return getattr(self.client, method.lower())(path, headers=headers, **sent)

    def get(self, path: str, **headers: str) -> Any:
        return self("get", path, **headers)

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        return self("post", path, body, **headers)

    def patch(self, path: str, body: Any = None) -> Any:
        return self("patch", path, body)

    def put(self, path: str, body: Any = None) -> Any:
        return self("put", path, body)

    def delete(self, path: str) -> Any:
        return self("delete", path)


ApiWith = Callable[..., Api]


def caller(organization: Organization, *abilities: str, **fields: Any) -> Api:
    """Somebody who calls with a new key of these abilities (all of `*` when none is named)."""
    token = factories.make_api_key(organization, *abilities, **fields).token
    return Api(organization, token)


@pytest.fixture
def acme(db: None) -> Organization:
    return factories.make_organization("Acme", owner=factories.make_user("olga@example.org"))


@pytest.fixture
def api(acme: Organization) -> Api:
    return caller(acme)


@pytest.fixture
def api_with(acme: Organization) -> ApiWith:
    """A caller of Acme with these abilities."""
    return lambda *abilities, **fields: caller(acme, *abilities, name="narrow", **fields)


@pytest.fixture
def shop(acme: Organization) -> Project:
    return factories.make_project(acme, "Shop")


@pytest.fixture
def web(shop: Project) -> Target:
    return factories.make_target(shop, "Web")


@pytest.fixture
def live(web: Target) -> Environment:
    return factories.make_environment(web, "Live")


@pytest.fixture
def no_limits(settings: Any) -> None:
    """For walks that send more requests than a minute allows."""
    settings.RATE_LIMITS = {name: Limit(100_000, 60) for name in settings.RATE_LIMITS}


@pytest.fixture
def entries(db: None) -> Callable[..., list[Entry]]:
    """The entries of an organization, oldest first."""

    def read(organization: Organization, **columns: Any) -> list[Entry]:
        visible = Entry.objects.visible([organization.pk])  # type: ignore[attr-defined]
        return list(visible.filter(**columns).order_by("id"))

    return read

"""An organization with people in it, browsers signed in as them, and the entries they leave."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from audit.models import Entry
from organizations import ulid
from organizations.models import Organization, User
from tests.factories import MembershipFactory, OrganizationFactory, UserFactory

AGENT = "Browser of the tests"
ADDRESS = "203.0.113.7"

Browser = Callable[..., Client]
Entries = Callable[..., list[Entry]]


@pytest.fixture
def owner(db: None) -> User:
    return UserFactory.create(email="owner@example.org", name="Olga Owner")


@pytest.fixture
def acme(owner: User) -> Organization:
    return OrganizationFactory.create(name="Acme", owner=owner)


@pytest.fixture
def other(db: None) -> Organization:
    """Another organization, which nobody of Acme belongs to."""
    return OrganizationFactory.create(name="Other", owner__email="stranger@example.org")


@pytest.fixture
def browser() -> Browser:
    """A browser, of somebody signed in or of nobody."""

    def open_browser(user: User | None = None) -> Client:
        client = Client(headers={"user-agent": AGENT}, REMOTE_ADDR=ADDRESS)
        if user is not None:
            client.force_login(user)
        return client

    return open_browser


@pytest.fixture
def browser_as(browser: Browser, acme: Organization) -> Callable[[str], Client]:
    """A browser of a new member of Acme with this role."""

    def as_role(role: str) -> Client:
        return browser(MembershipFactory.create(organization=acme, role=role).user)

    return as_role


@pytest.fixture
def entries(db: None) -> Entries:
    """The entries of an organization (None: of the platform), oldest first."""

    def read(organization: Organization | None, **columns: Any) -> list[Entry]:
        key = organization.pk if organization else ulid.NIL
        visible = Entry.objects.visible([key])  # type: ignore[attr-defined]
        return list(visible.filter(**columns).order_by("id"))

    return read

"""A running server with an organization, and clients of it."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pytest

from keys import access_tokens, crypto
from organizations.models import Organization, User
from tests.compat.client import Sdk, prove
from tests.factories import ApiKeyFactory, EnvironmentFactory, OrganizationFactory, UserFactory

CLIENT_KEY = "only the clients know this key of theirs"
ROUNDS = 100_000


@dataclass
class Place:
    """Where clients go: the server, the organization, a token of full access."""

    url: str
    organization: Organization
    token: str
    owner: User

    @cached_property
    def sdk(self) -> Sdk:
        return Sdk(self.url, self.token, self.organization.slug)

    def named(self, reference: str) -> Sdk:
        """The same client, which calls the organization by another name."""
        return Sdk(self.url, self.token, reference)

    def with_abilities(self, *abilities: str, **more: Any) -> Sdk:
        issued = ApiKeyFactory.create(
            organization=self.organization,
            name="narrow",
            abilities=abilities,
            created_by=self.owner,
            **more,
        )
        return Sdk(self.url, issued.token, self.organization.slug)

    def of_person(self) -> Sdk:
        return Sdk(
            self.url, access_tokens.create(self.owner, "laptop").token, self.organization.slug
        )


@pytest.fixture
def place(live_server: Any, transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> Place:
    # Clients take the rounds from the server: a test need not do 600,000.
    monkeypatch.setattr(crypto, "ITERATIONS", 1000)
    owner = UserFactory.create(email="olivia@acme.example", name="Olivia")
    acme = OrganizationFactory.create(name="Acme", owner=owner)
    issued = ApiKeyFactory.create(organization=acme, created_by=owner)
    EnvironmentFactory.create(target__project__organization=acme, status="production")
    return Place(live_server.url, acme, issued.token, owner)


@pytest.fixture
def sdk(place: Place) -> Sdk:
    return place.sdk


@pytest.fixture
def vault(sdk: Sdk) -> Callable[[str], dict[str, Any]]:
    """Makes a client-managed project called Vault, with a key; returns its attributes."""

    def make(key: str) -> dict[str, Any]:
        salt = os.urandom(16)
        return sdk.create(
            "projects",
            name="Vault",
            storage_mode="client",
            key_check=prove(key, salt, ROUNDS),
            key_check_salt=base64.b64encode(salt).decode(),
            key_check_iterations=ROUNDS,
        )

    return make

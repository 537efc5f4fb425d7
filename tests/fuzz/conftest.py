"""An organization that is put back together before each call, and a watch over its audited rows."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest
from django.db import transaction

from audit import policy
from audit.evidence.notes import WitnessKey
from audit.models import Entry, Witness
from audit.policy import Resource
from dotenv_cloud.environment import Limit
from keys import access_tokens, client_keys, crypto
from keys.client_keys import ClientKey
from keys.levels import Level
from keys.models import ApiKey, SecretVersion
from organizations import clock, ulid
from organizations.models import Environment, Membership, Organization, Project, Target, User
from tests.conftest import Databases
from tests.factories import (
    ApiKeyFactory,
    EnvironmentFactory,
    MembershipFactory,
    OrganizationFactory,
    ProjectFactory,
    SecretFactory,
    TargetFactory,
    UserFactory,
)

PROJECTS = ("my-app", "vault")
CLIENT_KEY = ClientKey(bytes(range(32)), bytes(16), client_keys.FEWEST_ITERATIONS)
"""Of the vault, whose key the server does not have."""
OWNER = "olga@example.org"
MEMBER = "max@example.org"


@dataclass
class World:
    """Values that mean something here, by the names that paths and bodies give them, and who
    calls."""

    names: dict[str, Any] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)
    needs_mending: bool = True
    _caller: uuid.UUID | None = None

    def mend(self) -> None:
        """Make anew what a call has deleted, renamed or ended."""
        owner = User.objects.filter(email=OWNER).first() or UserFactory.create(email=OWNER)
        acme = Organization.objects.filter(slug="acme", status="active").first()
        if acme is None or not Membership.objects.filter(organization=acme, user=owner).exists():
            Organization.objects.filter(slug="acme").delete()
            acme = OrganizationFactory.create(name="Acme", owner=owner)
        if "person" not in self.tokens:
            self.tokens["person"] = access_tokens.create(owner, "laptop").token
        keys = ApiKey.objects.filter(organization=acme)
        if self._caller is None or not keys.filter(pk=self._caller).exists():
            issued = ApiKeyFactory.create(organization=acme, created_by=owner)
            self._caller, self.tokens["api key"] = issued.api_key.pk, issued.token
        other = keys.filter(name="other").first()
        level = [_level(acme, name) for name in PROJECTS][0]
        self.names |= {
            "organization": acme.slug,
            "target": "backend",
            "environment": "production",
            "api_key": (
                other or ApiKeyFactory.create(organization=acme, name="other").api_key
            ).ulid,
            "member": _member(acme).ulid,
            "version": str(_version(level)),
            "entry": _entry(acme),
            "email": "new@example.org",
            "role": "admin",
            "abilities": ["project:read"],
            "witness": _witness(acme).ulid,
            "vkey": WitnessKey("another", b"a" * 32).vkey,
        }


def _level(acme: Organization, slug: str) -> Level:
    project = Project.objects.filter(organization=acme, slug=slug).first()
    project = project or ProjectFactory.create(
        organization=acme, name=slug, client_key=CLIENT_KEY if slug == "vault" else None
    )
    target = Target.objects.filter(project=project, slug="backend").first()
    target = target or TargetFactory.create(project=project)
    environments = Environment.objects.filter(target=target, slug="production")
    return Level(project, target, environments.first() or EnvironmentFactory.create(target=target))


def _member(acme: Organization) -> Membership:
    user = User.objects.filter(email=MEMBER).first() or UserFactory.create(email=MEMBER)
    found = Membership.objects.filter(organization=acme, user=user).first()
    return found or MembershipFactory.create(organization=acme, user=user)


def _witness(acme: Organization) -> Witness:
    found = Witness.objects.filter(organization=acme, name="auditor").first()
    vkey = WitnessKey("auditor", b"w" * 32).vkey
    return found or Witness.objects.create(organization=acme, name="auditor", vkey=vkey)


def _version(level: Level) -> int:
    of_level = SecretVersion.objects.filter(environment=level.environment)
    while not of_level.exists():
        SecretFactory.create(level=level, plaintext=clock.now().isoformat().encode())
    return int(of_level[0].number)


def _entry(acme: Organization) -> str:
    with transaction.atomic():
        newest = Entry.objects.visible([acme.pk]).order_by("-id").first()
    assert newest is not None
    return ulid.to_text(newest.id)


@pytest.fixture
def world(transactional_db: None, monkeypatch: pytest.MonkeyPatch, settings: Any) -> World:
    # Nothing here depends on the rounds: a test need not do 600,000.
    monkeypatch.setattr(crypto, "ITERATIONS", 1000)
    settings.RATE_LIMITS = {name: Limit(1_000_000, 60) for name in settings.RATE_LIMITS}
    return World()


class Watch:
    """Sees whose rows have changed, without asking the code that changes and records them."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.connection = connection
        self.seen = self._digests()

    def changes(self) -> set[str]:
        """The types of the resources that changed since the last look."""
        before, self.seen = self.seen, self._digests()
        return {table[0] for table in self.seen if self.seen[table] != before[table]}

    def recorded(self, request_id: uuid.UUID) -> set[str]:
        """The types of the resources that a request's entries are about."""
        query = "SELECT resource_type FROM audit_entry WHERE request_id = %s"
        return {name for (name,) in self.connection.execute(query, [request_id])}

    def _digests(self) -> dict[tuple[str, str], str]:
        """The content of each audited table, but for columns whose change alone leaves no entry."""
        parts = []
        for spec in policy.AUDITED:
            resource = spec.name if isinstance(spec, Resource) else spec.of
            silent = ",".join(spec.silent) if isinstance(spec, Resource) else ""
            table = spec.model_class()._meta.db_table
            parts.append(
                f"SELECT '{resource}', '{table}', md5(coalesce(string_agg("
                f"(to_jsonb(t) - '{{{silent}}}'::text[])::text, ',' ORDER BY t.id), ''))"
                f' FROM "{table}" t'
            )
        rows = self.connection.execute(" UNION ALL ".join(parts)).fetchall()
        return {(resource, table): digest for resource, table, digest in rows}


@pytest.fixture
def watch(databases: Databases) -> Iterator[Watch]:
    with psycopg.connect(databases.owner, autocommit=True) as connection:
        yield Watch(connection)

"""An organization that is put back together before each call, and a watch over its audited rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest

from audit import policy
from audit.policy import Resource
from dotenv_cloud.environment import Limit
from keys import access_tokens, crypto
from keys.levels import Level
from keys.models import ApiKey, SecretVersion
from organizations import clock, creation, hierarchy, members
from organizations.models import Environment, Membership, Organization, Project, Target, User
from tests import factories
from tests.conftest import Databases

OWNER = "olga@example.org"
MEMBER = "max@example.org"


@dataclass
class World:
    """What calls find, by the names that paths and bodies give it, and who calls."""

    names: dict[str, str] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)

    def mend(self) -> None:
        """Make anew what the last call has deleted, renamed or ended."""
        owner = User.objects.filter(email=OWNER).first() or factories.make_user(OWNER)
        acme = Organization.objects.filter(slug="acme", status="active").first()
        if acme is None:
            for taken in Organization.objects.filter(slug="acme"):
                taken.delete()
            acme = creation.create_organization("Acme", owner=owner)
        if not access_tokens.AccessToken.objects.filter(user=owner).exists():
            self.tokens["person"] = access_tokens.create(owner, "laptop").token
        keys = ApiKey.objects.filter(organization=acme)
        if not keys.filter(pk=self.names.get("_caller")).exists():
            issued = factories.make_api_key(acme, created_by=owner)
            self.names["_caller"] = str(issued.api_key.pk)
            self.tokens["api key"] = issued.token
        other = keys.filter(name="other").first()
        other = other or factories.make_api_key(acme, name="other").api_key
        level = _level(acme)
        self.names |= {
            "organization": acme.slug,
            "project": level.project.slug,
            "target": "backend",
            "environment": "production",
            "api_key": other.ulid,
            "member": _member(acme).ulid,
            "version": str(_version(level)),
        }


def _level(acme: Organization) -> Level:
    projects = Project.objects.filter(organization=acme)
    project = projects.filter(slug="my-app").first() or factories.make_project(acme)
    targets = Target.objects.filter(project=project)
    target = targets.filter(slug="backend").first() or factories.make_target(project)
    environments = Environment.objects.filter(target=target)
    environment = environments.filter(slug="production").first()
    return Level(project, target, environment or hierarchy.create_environment(target, "Production"))


def _member(acme: Organization) -> Membership:
    user = User.objects.filter(email=MEMBER).first() or factories.make_user(MEMBER)
    found = Membership.objects.filter(organization=acme, user=user).first()
    return found or members.add(acme, user, "member")


def _version(level: Level) -> int:
    of_level = SecretVersion.objects.filter(environment=level.environment)
    while not of_level.exists():
        factories.make_secret(level, clock.now().isoformat().encode())
    return int(of_level[0].number)


@pytest.fixture
def world(transactional_db: None, monkeypatch: pytest.MonkeyPatch, settings: Any) -> World:
    # Nothing here depends on the rounds: a test need not do 600,000.
    monkeypatch.setattr(crypto, "ITERATIONS", 1000)
    settings.RATE_LIMITS = {name: Limit(1_000_000, 60) for name in settings.RATE_LIMITS}
    return World()


class Watch:
    """Tells whose rows have changed, without asking the code that changes and records them."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.connection = connection

    def digests(self) -> dict[str, str]:
        """The content of each audited table, by the resource type of its entries and its name.
        Columns whose change alone leaves no entry are left out."""
        parts = []
        for spec in policy.AUDITED:
            name = spec.name if isinstance(spec, Resource) else spec.of
            silent = ",".join(spec.silent) if isinstance(spec, Resource) else ""
            table = spec.model_class()._meta.db_table
            parts.append(
                f"SELECT '{name} {table}', md5(coalesce(string_agg("
                f"(to_jsonb(t) - '{{{silent}}}'::text[])::text, ',' ORDER BY t.id), ''))"
                f' FROM "{table}" t'
            )
        return dict(self.connection.execute(" UNION ALL ".join(parts)).fetchall())

    def told(self, request_id: Any) -> set[tuple[str, str]]:
        """The resource types and results of a request's entries."""
        query = "SELECT resource_type, result FROM audit_entry WHERE request_id = %s"
        return set(self.connection.execute(query, [request_id]).fetchall())


@pytest.fixture
def watch(databases: Databases) -> Iterator[Watch]:
    with psycopg.connect(databases.owner, autocommit=True) as connection:
        yield Watch(connection)

"""What tests begin with: people, organizations and projects, made by the product's functions."""

from __future__ import annotations

from itertools import count

from keys import api_keys, authors, blobs, crypto, data_keys, retrieval, secrets
from keys.api_keys import Issued
from keys.levels import Level
from keys.models import Secret
from keys.projects import create_project
from organizations import creation, hierarchy, members, roles
from organizations.models import Environment, Membership, Organization, Project, Target, User

PASSWORD = "correct horse battery staple"

_numbers = count(1)


def make_user(email: str | None = None, **fields: object) -> User:
    return User.objects.create_user(
        email or f"person{next(_numbers)}@example.org", PASSWORD, **fields
    )


def make_organization(name: str | None = None, *, owner: User | None = None) -> Organization:
    return creation.create_organization(
        name or f"Organization {next(_numbers)}", owner=owner or make_user()
    )


def make_member(
    organization: Organization, role: str = "member", user: User | None = None
) -> Membership:
    return members.add(organization, user or make_user(), role)


def make_project(organization: Organization, name: str = "My app") -> Project:
    return create_project(organization, name)


def make_target(project: Project, name: str = "Backend") -> Target:
    return hierarchy.create_target(project, name)


def make_environment(target: Target, name: str = "Production", **fields: str) -> Environment:
    return hierarchy.create_environment(target, name, **fields)


def make_secret(level: Level, plaintext: bytes = b"A=1") -> Secret:
    """What the server's own key encrypts, stored at a level; what was there becomes a version."""
    key = data_keys.data_key(retrieval.active(level.project))
    blob = blobs.to_text(crypto.encrypt(key, plaintext))
    return secrets.store(level, blob, author=authors.SYSTEM)


def make_api_key(
    organization: Organization, *abilities: str, name: str = "ci", **fields: object
) -> Issued:
    """An API key with these abilities (all of `*` when none is named); the token is in `.token`."""
    return api_keys.create(organization, name, abilities or ["*"], granter=roles.ALL, **fields)

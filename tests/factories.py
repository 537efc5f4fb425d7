"""What tests begin with: people, organizations and projects, made by the product's functions.

`create` makes the rows above as well, unless they are given; those above are reached by two
underscores: `EnvironmentFactory.create(target__project__organization=acme)`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from factory.base import Factory
from factory.declarations import (
    LazyAttribute,
    LazyFunction,
    SelfAttribute,
    Sequence,
    SubFactory,
    Trait,
)
from factory.django import DjangoModelFactory

from keys import api_keys, authors, blobs, crypto, data_keys, projects, retrieval, secrets
from keys.api_keys import Issued
from keys.client_keys import FEWEST_ITERATIONS, ClientKey
from keys.levels import Level
from keys.models import ApiKey, Secret
from organizations import creation, hierarchy, members
from organizations.grants import EVERYTHING, Scope
from organizations.models import Environment, Membership, Organization, Project, Target, User
from organizations.roles import Role

PASSWORD = "correct horse battery staple"
CLIENT_KEY = "a client's own key, longer than 32 bytes"


def client_key(key: str = CLIENT_KEY, salt: bytes = bytes(16)) -> ClientKey:
    """What a client sends of its key, in as few rounds as the server takes."""
    return ClientKey(crypto.prove(key, salt, FEWEST_ITERATIONS), salt, FEWEST_ITERATIONS)


class UserFactory(DjangoModelFactory[User]):
    class Meta:
        model = User

    email = Sequence(lambda number: f"person{number}@example.org")
    password = PASSWORD

    @classmethod
    def _create(cls, model_class: type[User], **fields: Any) -> User:
        return User.objects.create_user(**fields)


class OrganizationFactory(DjangoModelFactory[Organization]):
    class Meta:
        model = Organization

    name = Sequence(lambda number: f"Organization {number}")
    owner = SubFactory(UserFactory)

    @classmethod
    def _create(cls, model_class: type[Organization], name: str, **fields: Any) -> Organization:
        return creation.create_organization(name, **fields)


class MembershipFactory(DjangoModelFactory[Membership]):
    class Meta:
        model = Membership

    class Params:
        auditor = Trait(role=Role.AUDITOR)

    organization = SubFactory(OrganizationFactory)
    user = SubFactory(UserFactory)
    role = Role.MEMBER

    @classmethod
    def _create(cls, model_class: type[Membership], **fields: Any) -> Membership:
        return members.add(**fields)


class ProjectFactory(DjangoModelFactory[Project]):
    class Meta:
        model = Project

    class Params:
        client_managed = Trait(client_key=LazyFunction(client_key))

    organization = SubFactory(OrganizationFactory)
    name = "My app"

    @classmethod
    def _create(cls, model_class: type[Project], **fields: Any) -> Project:
        return projects.create_project(**fields)


class TargetFactory(DjangoModelFactory[Target]):
    class Meta:
        model = Target

    project = SubFactory(ProjectFactory)
    name = "Backend"

    @classmethod
    def _create(cls, model_class: type[Target], **fields: Any) -> Target:
        return hierarchy.create_target(**fields)


class EnvironmentFactory(DjangoModelFactory[Environment]):
    class Meta:
        model = Environment

    target = SubFactory(TargetFactory)
    name = "Production"

    @classmethod
    def _create(cls, model_class: type[Environment], **fields: Any) -> Environment:
        return hierarchy.create_environment(**fields)


class LevelFactory(Factory[Level]):
    """The level of an environment; with `environment=None` that of its target."""

    class Meta:
        model = Level

    project = SubFactory(ProjectFactory)
    target = SubFactory(TargetFactory, project=SelfAttribute("..project"))
    environment = SubFactory(EnvironmentFactory, target=SelfAttribute("..target"))


class SecretFactory(DjangoModelFactory[Secret]):
    """What the server's own key encrypts, stored at a level; what was there becomes a version."""

    class Meta:
        model = Secret

    level = SubFactory(LevelFactory)
    plaintext = b"A=1"

    @classmethod
    def _create(cls, model_class: type[Secret], level: Level, plaintext: bytes) -> Secret:
        key = data_keys.data_key(retrieval.active(level.project))
        blob = blobs.to_text(crypto.encrypt(key, plaintext))
        return secrets.store(level, blob, author=authors.SYSTEM).secret


class ApiKeyFactory(DjangoModelFactory[Issued]):
    """An API key, and in `.token` what it is called with, which is kept nowhere.

    `narrowed_to` (a level) narrows all its abilities to that level and what is below.
    """

    class Meta:
        model = ApiKey

    class Params:
        auditor = Trait(abilities=("audit:read", "audit:export"))
        narrowed_to = Trait(
            scopes=LazyAttribute(
                lambda key: [Scope(ability, *key.narrowed_to.ids) for ability in key.abilities]
            )
        )

    organization = SubFactory(OrganizationFactory)
    name = "ci"
    abilities: Iterable[str] = ("*",)
    granter = EVERYTHING

    @classmethod
    def _create(cls, model_class: type[ApiKey], **fields: Any) -> Issued:
        return api_keys.create(**fields)

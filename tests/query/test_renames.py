"""What is asked for by name is found whatever it was called: by its present name with all of its
past, by a former name with all that came since, and with everything below it."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest
from django.db import transaction
from django.test import Client

from audit.ledger import sealing
from audit.models import Entry
from audit.questions import name_index
from audit.questions.asking import ask
from keys import rotation
from keys.levels import Level
from keys.models import SecretVersion
from organizations import members
from organizations.models import Environment, Organization, Project, Target, User
from tests.factories import (
    ApiKeyFactory,
    EnvironmentFactory,
    MembershipFactory,
    OrganizationFactory,
    ProjectFactory,
    SecretFactory,
    TargetFactory,
)

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "sealer"])

Seal = Callable[[], None]


@pytest.fixture(params=["sealed", "unsealed", "half sealed"])
def seal(request: pytest.FixtureRequest) -> dict[str, Seal]:
    """When the sealer comes by: before and after what is renamed, never, or only before."""

    def really() -> None:
        sealing.seal()

    def never() -> None:
        return None

    return {
        "before": never if request.param == "unsealed" else really,
        "after": really if request.param == "sealed" else never,
    }


@pytest.fixture
def acme() -> Organization:
    return OrganizationFactory.create(name="Acme", owner__email="owner@example.org")


class Answer(NamedTuple):
    entries: set[Any]
    notes: list[str]


def question(organization: Organization, **params: Any) -> Answer:
    with transaction.atomic():
        asked = ask([organization], params)
        assert asked.is_valid(), asked.errors
        return Answer({entry.id for entry in asked.qs}, asked.notes)


def found(organization: Organization, **params: Any) -> set[Any]:
    return question(organization, **params).entries


@contextmanager
def reading(organization: Organization) -> Iterator[Any]:
    with transaction.atomic():
        yield Entry.objects.visible([organization.pk])  # type: ignore[attr-defined]


def about(organization: Organization, *things: Any) -> set[Any]:
    with reading(organization) as entries:
        keys = [thing.pk for thing in things]
        return {entry.id for entry in entries.filter(resource_id__in=keys)}


def present_name(organization: Organization, key: Any) -> str | None:
    with reading(organization):
        return name_index.present_names([key], [organization.pk]).get(key)


def rename(thing: Any, **fields: str) -> None:
    for name, value in fields.items():
        setattr(thing, name, value)
    thing.save()


class Tree:
    """A project with a target, an environment, a secret in it and two versions of its key."""

    def __init__(self, organization: Organization, slug: str) -> None:
        self.project: Project = ProjectFactory.create(organization=organization, slug=slug)
        self.target: Target = TargetFactory.create(project=self.project, slug="web")
        self.environment: Environment = EnvironmentFactory.create(
            target=self.target, slug="staging"
        )
        self.secret = SecretFactory.create(level=Level(self.project, self.target, self.environment))
        rotation.rotate(self.project)
        self.keys = list(self.project.key_versions.all())

    @property
    def below_target(self) -> list[Any]:
        return [
            self.target,
            self.environment,
            self.secret,
            *SecretVersion.objects.filter(environment=self.environment),
        ]

    @property
    def everything(self) -> list[Any]:
        return [self.project, *self.keys, *self.below_target]


@pytest.mark.parametrize("name", ["old", "/New/"])
def test_a_renamed_project_is_found_with_its_past_and_all_below_it(
    acme: Organization, seal: dict[str, Seal], name: str
) -> None:
    tree, other = Tree(acme, "old"), Tree(acme, "other")
    seal["before"]()
    rename(tree.project, slug="new")
    seal["after"]()
    asked = question(acme, resource=name)
    assert asked.entries == about(acme, *tree.everything)
    assert not found(acme, resource=name) & about(acme, *other.everything)
    assert asked.notes == (["resource: 'old' is now 'new'."] if name == "old" else [])


@pytest.mark.parametrize("name", ["old/web", "new/web", "NEW/Site"])
def test_a_path_leads_over_every_name_of_its_parts(
    acme: Organization, seal: dict[str, Seal], name: str
) -> None:
    tree = Tree(acme, "old")
    seal["before"]()
    rename(tree.project, slug="new")
    rename(tree.target, slug="site")
    seal["after"]()
    asked = question(acme, resource=name)
    assert asked.entries == about(acme, *tree.below_target)
    is_present = name.lower() == "new/site"
    assert asked.notes == ([] if is_present else [f"resource: {name!r} is now 'new/site'."])


@pytest.mark.parametrize(
    ("name", "which"),
    [
        ("new/web/staging", "environment"),
        ("new/web/stag*", "environment"),
        ("new/web/staging#{number}", "version"),
        ("new/encryption-key", "keys"),
        ("new/encryption-key/2", "key"),
        ("web/staging", "environment"),
        ("new/web/sta", "environment"),
    ],
)
def test_what_is_below_a_renamed_project_is_found_by_its_present_path(
    acme: Organization, seal: dict[str, Seal], name: str, which: str
) -> None:
    tree = Tree(acme, "old")
    seal["before"]()
    rename(tree.project, slug="new")
    seal["after"]()
    versions = list(SecretVersion.objects.filter(environment=tree.environment))
    expected: dict[str, list[Any]] = {
        "environment": [tree.environment, tree.secret, *versions],
        "version": versions[:1],
        "keys": tree.keys,
        "key": [key for key in tree.keys if key.version == 2],
    }
    asked = name.format(number=versions[0].number)
    assert found(acme, resource=asked) == about(acme, *expected[which]) != set()


def test_what_was_renamed_is_found_after_it_is_gone(
    acme: Organization, seal: dict[str, Seal]
) -> None:
    tree = Tree(acme, "old")
    everything = about(acme, *tree.everything)
    seal["before"]()
    rename(tree.project, slug="new")
    key = tree.project.pk
    tree.project.delete()
    seal["after"]()
    assert everything < found(acme, resource="new") == found(acme, resource="old")
    assert found(acme, resource="new/web", type="secret")
    assert present_name(acme, key) == "new"


def test_things_that_shared_a_name_are_all_found_and_told_apart(
    acme: Organization, seal: dict[str, Seal]
) -> None:
    first = Tree(acme, "shop")
    seal["before"]()
    rename(first.project, slug="store")
    second = Tree(acme, "shop")
    seal["after"]()
    asked = question(acme, resource="shop")
    assert asked.entries == about(acme, *first.everything, *second.everything)
    [note] = asked.notes
    assert "'shop' is or was the name of 2" in note
    assert f"project {first.project.ulid}, now 'store', made 2" in note
    assert f"project {second.project.ulid}, still called so, made 2" in note
    assert found(acme, resource="store") == about(acme, *first.everything)
    with reading(acme):
        alike = name_index.namesakes(first.project.pk, "project", [acme.pk], 10)
    assert alike == [(second.project.pk, "project", "shop")]


@pytest.mark.parametrize("name", ["ci", "CI-Prod"])
def test_a_renamed_api_key_is_found_with_all_that_it_did(
    acme: Organization, seal: dict[str, Seal], name: str, client: Any
) -> None:
    made = ApiKeyFactory.create(organization=acme, auditor=True, name="ci")
    for _ in range(2):
        answer = client.get(
            "/api/v1/organizations/acme/audit/entries?per_page=1",
            headers={"authorization": f"Bearer {made.token}"},
        )
        assert answer.status_code == 200
    seal["before"]()
    rename(made.api_key, name="ci-prod")
    seal["after"]()
    with reading(acme) as entries:
        did = {entry.id for entry in entries.filter(actor_id=made.api_key.pk)}
    assert found(acme, actor=name, views="true") == did != set()
    assert found(acme, resource=name) == about(acme, made.api_key)
    told = question(acme, actor=name).notes
    assert told == (["actor: 'ci' is now 'ci-prod'."] if name == "ci" else [])


@pytest.mark.parametrize("name", ["jane@example.org", "Jane@Example.com"])
def test_a_person_is_found_by_every_address(
    acme: Organization, seal: dict[str, Seal], name: str
) -> None:
    member = MembershipFactory.create(organization=acme, user__email="jane@example.org")
    user: User = member.user
    seal["before"]()
    rename(user, email="jane@example.com")
    seal["after"]()
    assert found(acme, resource=name) == about(acme, user, member)
    told = question(acme, resource=name).notes
    is_former = name.endswith(".org")
    assert told == (
        ["resource: 'jane@example.org' is now 'jane@example.com'."] if is_former else []
    )
    members.remove(member)
    assert about(acme, member) <= found(acme, resource=name)


@pytest.mark.parametrize(
    ("called", "asked"),
    [
        ("build #7", "build #7"),
        ("build #7", "Build #7"),
        ("a/b", "A/B"),
        ("Zoë", "zoe\u0308"),
        ("CAFÉ", "café"),
    ],
)
def test_a_name_is_found_however_it_is_written(
    acme: Organization, seal: dict[str, Seal], called: str, asked: str
) -> None:
    made = ApiKeyFactory.create(organization=acme, name=called)
    seal["before"]()
    for form in ("NFC", "NFD"):
        text = unicodedata.normalize(form, asked)
        assert found(acme, resource=text) == about(acme, made.api_key) != set()
        assert found(acme, q=text) >= about(acme, made.api_key)


def test_an_address_may_have_254_characters_and_capitals(
    acme: Organization, seal: dict[str, Seal]
) -> None:
    address = f"Neu.Person@{'x' * 60}.{'y' * 60}.{'z' * 60}.{'w' * 56}.org"
    assert len(address) == 254
    member = MembershipFactory.create(organization=acme, user__email=address)
    seal["before"]()
    assert found(acme, resource=address.lower()) == about(acme, member, member.user)
    assert found(acme, resource=address.upper()) == about(acme, member, member.user)


def test_words_are_those_of_the_present_path_too(acme: Organization, seal: dict[str, Seal]) -> None:
    tree, other = Tree(acme, "old"), Tree(acme, "other")
    seal["before"]()
    rename(tree.project, slug="new")
    seal["after"]()
    assert found(acme, q="new staging") == about(acme, *tree.below_target[1:])
    assert found(acme, q="NEW") == about(acme, *tree.everything)
    assert not found(acme, q="new") & about(acme, *other.everything)


def test_names_of_other_organizations_find_nothing(
    acme: Organization, seal: dict[str, Seal]
) -> None:
    tree, other = Tree(acme, "old"), OrganizationFactory.create(name="Other")
    rename(tree.project, slug="new")
    seal["after"]()
    assert found(other, resource="new") == found(other, q="new") == set()
    assert present_name(other, tree.project.pk) is None


def test_page_api_and_history_say_what_a_former_name_is_now(
    acme: Organization, client: Client
) -> None:
    tree = Tree(acme, "old")
    rename(tree.project, slug="new")
    rename(tree.target, slug="site")
    client.force_login(acme.memberships.get().user)  # type: ignore[attr-defined]
    page = client.get("/o/acme/activity", {"resource": "old/web"}).content.decode()
    assert "<b>old/web</b>" in page
    assert '<span class="exact">now new/site</span>' in page
    history = client.get(f"/o/acme/history/resource/{tree.environment.ulid}").content.decode()
    assert "History of new/site/staging" in history
    above = client.get(f"/o/acme/history/resource/{tree.project.ulid}").content.decode()
    assert f'{tree.environment.ulid}">new/site/staging</a>' in above
    token = ApiKeyFactory.create(organization=acme, auditor=True).token
    answer = client.get(
        "/api/v1/organizations/acme/audit/entries?resource=old/web",
        headers={"authorization": f"Bearer {token}"},
    ).json()
    [named] = answer["meta"]["names"]
    assert named.pop("created_at")
    assert named.pop("now_called") is None  # no person
    assert named == {
        "parameter": "resource",
        "asked": "old/web",
        "type": "target",
        "id": tree.target.ulid,
        "now": "new/site",
    }
    assert answer["meta"]["notes"] == ["resource: 'old/web' is now 'new/site'."]

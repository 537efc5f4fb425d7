"""The questions that auditors ask, put in words, answered from what really happened."""

from __future__ import annotations

import pytest
from django.db import transaction

from audit import context
from audit.context import Actor
from audit.ledger import sealing
from audit.policy import ActorType
from audit.questions import asking, paging, reading
from keys import rotation
from organizations import hierarchy
from organizations.models import Organization, User
from tests.factories import (
    EnvironmentFactory,
    MembershipFactory,
    OrganizationFactory,
    TargetFactory,
    UserFactory,
)

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "sealer"])


def acting(user: User) -> Actor:
    return Actor(ActorType.USER, user.pk, user.email)


def answer(organization: Organization, text: str) -> list[str]:
    """The first page of what the question bar finds, an entry a line."""
    with transaction.atomic():
        asked = asking.ask([organization], {"ask": text, "tz": "Europe/Berlin"})
        question = asking.question_of(asked)
        assert question is not None
        assert question.struck == ()
        assert asked.is_valid(), asked.errors
        return [
            f"{entry.actor_label} {entry.action_label} {entry.resource_label}"
            for entry in paging.page(asked.qs).entries
        ]


@pytest.fixture
def jane() -> User:
    return UserFactory.create(email="jane@example.org")


@pytest.fixture
def acme(jane: User) -> Organization:
    """Where John made two environments, and Jane deleted the one for production."""
    john = UserFactory.create(email="john@example.org")
    organization = OrganizationFactory.create(name="Acme", owner=john)
    MembershipFactory.create(organization=organization, role="admin", user=jane)
    with context.acting_as(acting(john)):
        target = TargetFactory.create(project__organization=organization, name="Backend")
        production = EnvironmentFactory.create(target=target, name="Production")
        EnvironmentFactory.create(target=target, name="Staging")
    with context.acting_as(acting(jane)):
        rotation.rotate(target.project)
        hierarchy.delete_node(production)
    return organization


@pytest.fixture(params=["before sealing", "after sealing"])
def log(request: pytest.FixtureRequest, acme: Organization) -> Organization:
    if request.param == "after sealing":
        assert sealing.seal().entries > 0
    return acme


@pytest.mark.parametrize(
    "text",
    [
        "who deleted the production environment?",
        "action:delete type:environment production",
        "deleted by:jane today",
        'resource:my-app/backend/production action:delete since:"this month"',
        "actor:jane resource:my-app -action:rotate,update",
    ],
)
def test_who_deleted_the_production_environment(log: Organization, text: str) -> None:
    assert answer(log, text) == ["jane@example.org deleted my-app/backend/production"]


def test_what_is_gone_keeps_its_whole_history(log: Organization) -> None:
    assert answer(log, "resource:my-app/backend/production") == [
        "jane@example.org deleted my-app/backend/production",
        "john@example.org created my-app/backend/production",
    ]


def test_a_project_shows_everything_below_it(log: Organization) -> None:
    told = answer(log, "resource:my-app")
    assert {line.split()[-1] for line in told} == {
        "my-app",
        "my-app/backend",
        "my-app/backend/production",
        "my-app/backend/staging",
        "my-app/encryption-key/1",
        "my-app/encryption-key/2",
    }


def test_what_changed_leaves_out_who_merely_looked(log: Organization) -> None:
    with transaction.atomic():
        reading.record_view(log, {"action": "delete"})
    told = answer(log, "what changed today?")
    assert "jane@example.org deleted my-app/backend/production" in told
    assert not [line for line in told if "viewed" in line]
    assert answer(log, "viewed") == ["system viewed acme"]


def test_nobody_changed_anything_yesterday(log: Organization) -> None:
    assert answer(log, "what changed yesterday?") == []

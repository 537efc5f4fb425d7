"""The rows that benchmarks write: an organization, and environments below one of its targets."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from benchmarks.timing import Contender

if TYPE_CHECKING:
    from benchmarks.subjects.models import EnvironmentCopy
    from organizations.models import Environment

_number = itertools.count(1)


class World:
    """The rows that environments hang on, and how contenders write one."""

    def __init__(self, number: int = 0) -> None:
        from keys.projects import create_project
        from organizations import hierarchy
        from organizations.creation import create_organization
        from organizations.models import User

        owner = User.objects.create_user(f"owner-{number}@bench.example", None)
        self.user = owner
        self.organization = create_organization(f"Bench {number}", owner=owner)
        self.project = create_project(self.organization, "Bench")
        self.target = hierarchy.create_target(self.project, "Bench")

    def new(self, model: type[EnvironmentCopy | Environment]) -> Any:
        n = next(_number)
        return model(
            organization_id=self.organization.pk,
            target_id=self.target.pk,
            name=f"Environment {n}",
            slug=f"environment-{n}",
            description="One of many, made to be measured",
        )

    def saved(self, model: type[EnvironmentCopy | Environment]) -> Any:
        row = self.new(model)
        row.save()
        return row

    def holding(self, model: type[EnvironmentCopy | Environment]) -> Any:
        """One that holds a secret, with two versions of what it held before."""
        from benchmarks.subjects.models import BELOW
        from keys.models import Secret, SecretVersion

        row, below = self.saved(model), BELOW[model]
        level = {
            "organization_id": self.organization.pk,
            "project_id": self.project.pk,
            "target_id": self.target.pk,
            "environment_id": row.pk,
            "content": b"0" * 400,
            "size_bytes": 536,
            "key_version": 1,
        }
        below[Secret].objects.create(number=next(_number), **level)
        for _ in range(2):
            below[SecretVersion].objects.create(number=next(_number), action="update", **level)
        return row


def create(row: Any) -> None:
    from django.db import transaction

    with transaction.atomic():
        row.save()


def update(row: Any) -> None:
    from django.db import transaction

    with transaction.atomic():
        row.name += "!"
        row.save()


def delete(row: Any) -> None:
    """The row alone, without Django's looking for what is below it."""
    from django.db import transaction

    with transaction.atomic():
        type(row)._base_manager.filter(pk=row.pk)._raw_delete(row._state.db)


OPERATIONS: dict[str, Callable[[Any], None]] = {
    "create": create,
    "update": update,
    "delete": delete,
}


def contender(
    world: World, name: str, model: Any, operation: str, run: Callable[[Any], object]
) -> Contender:
    make = world.new if operation == "create" else world.saved
    return Contender(name, lambda: make(model), run)


def as_request(world: World) -> AbstractContextManager[None]:
    """Who and from where, as a request would name them."""
    from audit.context import Actor, Origin, acting_from
    from audit.policy import ActorType, Interface

    origin = Origin(Interface.WEB, "192.0.2.1", "Mozilla/5.0", uuid.uuid4())
    return acting_from(origin, Actor(ActorType.USER, world.user.pk, world.user.email))

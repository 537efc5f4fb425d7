"""What a project holds, for looking at: its levels, and which of them hold a secret."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import Count, Func, IntegerField, OuterRef, Q, QuerySet, Subquery, Window
from django.db.models.functions import RowNumber

from keys.levels import Level
from keys.models import KeyVersion, Secret, SecretVersion
from organizations.models import Environment, Project, Target

SHOWN_OF_TARGET = 10
"""Environments of one target that a project's page shows; the target's own page has them all."""


@dataclass(frozen=True)
class Branch:
    """A level, and the secret that it holds."""

    level: Level
    secret: Secret | None = None


@dataclass(frozen=True)
class Bough:
    """A target with the first of its environments. more: how many there are beside."""

    target: Branch
    environments: list[Branch]
    more: int


@dataclass(frozen=True)
class Contents:
    """How much lies at and below a node."""

    targets: int
    environments: int
    secrets: int
    versions: int


def projects(of: QuerySet[Project]) -> QuerySet[Project]:
    """With what a list shows of each: counts, and the number of the active key."""
    active = KeyVersion.objects.filter(project=OuterRef("pk"), is_active=True)
    return of.annotate(
        target_count=_count(Target.objects.filter(project=OuterRef("pk"))),
        environment_count=_count(Environment.objects.filter(target__project=OuterRef("pk"))),
        secret_count=_count(Secret.objects.filter(project=OuterRef("pk"))),
        key_number=Subquery(active.values("version")),
    )


def boughs(project: Project, targets: Iterable[Target]) -> list[Bough]:
    """Targets of a project with their first environments, in three statements."""
    targets = list(targets)
    place = Window(RowNumber(), partition_by="target_id", order_by=("name", "id"))
    below = Environment.objects.filter(target__in=targets)
    found = list(below.annotate(place=place).filter(place__lte=SHOWN_OF_TARGET))
    total = dict(
        below.order_by().values("target_id").annotate(n=Count("pk")).values_list("target_id", "n")
    )
    by_target: dict[object, list[Environment]] = {}
    for environment in found:
        by_target.setdefault(environment.target_id, []).append(environment)
    held = _held(project, Q(target__in=targets, environment=None) | Q(environment__in=found))
    made = []
    for target in targets:
        target.project = project
        mine = by_target.get(target.pk, [])
        made.append(
            Bough(
                Branch(Level(project, target), held.get((target.pk, None))),
                [_branch(target, environment, held) for environment in mine],
                total.get(target.pk, 0) - len(mine),
            )
        )
    return made


def branches(target: Target, environments: Iterable[Environment]) -> list[Branch]:
    """Environments of a target, each with its secret."""
    environments = list(environments)
    held = _held(target.project, Q(environment__in=environments))
    return [_branch(target, environment, held) for environment in environments]


def branch(level: Level) -> Branch:
    """One level with its secret."""
    return Branch(level, Secret.objects.filter(**level.columns).defer("content").first())


def contents(node: Project | Target | Environment) -> Contents:
    """What deleting the node deletes with it."""
    match node:
        case Project():
            here, below = Q(project=node), Environment.objects.filter(target__project=node)
        case Target():
            here, below = Q(target=node), Environment.objects.filter(target=node)
        case _:
            here, below = Q(environment=node), Environment.objects.none()
    return Contents(
        targets=node.targets.count() if isinstance(node, Project) else 0,
        environments=below.count(),
        secrets=Secret.objects.filter(here).count(),
        versions=SecretVersion.objects.filter(here).count(),
    )


def _branch(
    target: Target, environment: Environment, held: dict[tuple[object, object], Secret]
) -> Branch:
    environment.target = target
    level = Level(target.project, target, environment)
    return Branch(level, held.get((target.pk, environment.pk)))


def _held(project: Project, where: Q) -> dict[tuple[object, object], Secret]:
    secrets = Secret.objects.filter(where, project=project).defer("content")
    return {(secret.target_id, secret.environment_id): secret for secret in secrets}


def _count(rows: QuerySet[Target] | QuerySet[Environment] | QuerySet[Secret]) -> Subquery:
    """As a column: joining and grouping would count the product."""
    return Subquery(
        rows.order_by().values(total=Func(template="count(*)", output_field=IntegerField()))
    )

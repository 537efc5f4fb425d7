"""Creating, changing and finding targets and environments; finding and changing projects.

Creating a project makes its first key too, so it lives in `keys.projects`.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any, TypeVar

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Model, QuerySet

from organizations import ulid
from organizations.creation import SlugTakenError
from organizations.grants import (
    EVERYTHING,
    LEVELS,
    TO_CHANGE_RETENTION,
    TO_DELETE,
    Grant,
    refuse_more_than_held,
)
from organizations.models import Environment, Project, Target
from organizations.slugs import (
    PATTERN,
    RESERVED_ENVIRONMENT,
    RESERVED_PROJECT,
    RESERVED_TARGET,
    Reserved,
    free_slug,
)

Node = TypeVar("Node", Project, Target, Environment)

RESERVED: dict[type[Model], frozenset[str]] = {
    Project: RESERVED_PROJECT,
    Target: RESERVED_TARGET,
    Environment: RESERVED_ENVIRONMENT,
}
CHANGEABLE: dict[type[Model], frozenset[str]] = {
    Project: frozenset(
        (
            "name",
            "slug",
            "description",
            "metadata",
            "secret_versioning",
            "history_policy",
            "history_retention_days",
            "strict_encryption",
        )
    ),
    Target: frozenset(("name", "slug", "description")),
    Environment: frozenset(("name", "slug", "description", "status", "is_production")),
}


def choose_slug(siblings: QuerySet[Any], name: str, slug: str | None) -> str:
    """`slug` if it is free among `siblings`, or a free one made from `name`."""
    reserved = RESERVED[siblings.model]
    if slug is None:
        return free_slug(name, siblings.values_list("slug", flat=True), reserved)
    try:
        Reserved(reserved)(slug)
    except ValidationError as error:
        raise ValidationError({"slug": error.messages}) from None
    if siblings.filter(slug=slug).exists():
        raise SlugTakenError(slug)
    return slug


@transaction.atomic
def create_target(
    project: Project, name: str, *, description: str = "", slug: str | None = None
) -> Target:
    """Create a target; its slug comes from the name unless given."""
    target = Target(
        organization_id=project.organization_id,
        project=project,
        name=name,
        slug=choose_slug(project.targets.all(), name, slug),
        description=description,
    )
    target.full_clean()
    target.save(force_insert=True)
    return target


@transaction.atomic
def create_environment(
    target: Target,
    name: str,
    *,
    status: str = Environment.Status.DEVELOPMENT,
    description: str = "",
    is_production: bool | None = None,
    slug: str | None = None,
) -> Environment:
    """Create an environment; `is_production` defaults to whether its status is production."""
    environment = Environment(
        organization_id=target.organization_id,
        target=target,
        name=name,
        slug=choose_slug(target.environments.all(), name, slug),
        status=status,
        description=description,
        is_production=(
            status == Environment.Status.PRODUCTION if is_production is None else is_production
        ),
    )
    environment.full_clean()
    environment.save(force_insert=True)
    return environment


@transaction.atomic
def update_node(node: Node, changes: Mapping[str, Any], *, granter: Grant = EVERYTHING) -> Node:
    """Change a project, target or environment; `changes` may be empty.

    Raises ValidationError naming a field that cannot be changed or does not fit, and NotHeldError
    for one that reaches all of the node, of which the granter may do the same in a part only.
    """
    return update_locked_node(
        type(node)._default_manager.select_for_update().get(pk=node.pk), changes, granter=granter
    )


def update_locked_node(
    node: Node, changes: Mapping[str, Any], *, granter: Grant = EVERYTHING
) -> Node:
    """As `update_node`, for a node that this transaction read with `select_for_update`."""
    model = type(node)
    unknown = set(changes) - CHANGEABLE[model]
    if unknown:
        raise ValidationError(dict.fromkeys(unknown, "This field cannot be changed."))
    slug = changes.get("slug")
    has_other_slug = slug is not None and slug != node.slug
    if has_other_slug:
        choose_slug(_siblings(node), "", str(slug))
    kept_days = getattr(node, "history_retention_days", None)
    for name, value in changes.items():
        setattr(node, name, value)
    if getattr(node, "history_retention_days", None) != kept_days:
        needed = granter.held_at(TO_CHANGE_RETENTION, **_path(node))
        refuse_more_than_held(granter, needed, "history_retention_days")
    # What stays was valid; that parents exist and a slug is alone need not be asked again.
    fields = {field.name for field in model._meta.fields}
    node.full_clean(exclude=None if has_other_slug else fields - set(changes))
    if changes:
        node.save(force_update=True)
    return node


@transaction.atomic
def delete_node(node: Project | Target | Environment, *, granter: Grant = EVERYTHING) -> None:
    """Delete a node and all below it; each child leaves an entry of its own.

    Raises NotHeldError when the granter may delete, or write, in a part of it only.
    Locked from below: who writes to a node holds it, and makes sure of those above at the end.
    """
    path = _path(node)
    above = LEVELS[: len(path) - 1]
    needed = (ability for ability in TO_DELETE if ability.partition(":")[0] not in above)
    refuse_more_than_held(granter, granter.held_at(needed, **path), type(node).__name__.lower())
    below: list[QuerySet[Any]] = []
    if isinstance(node, Project):
        below = [Environment.objects.filter(target__project=node), node.targets.all()]
    elif isinstance(node, Target):
        below = [node.environments.all()]
    itself = type(node)._default_manager.filter(pk=node.pk)
    for nodes in (*below, itself):
        list(nodes.select_for_update(of=("self",)).order_by("pk").values_list("pk"))
    node.delete()


def _path(node: Project | Target | Environment) -> dict[str, uuid.UUID]:
    """The ids of the node and of those above it, by level."""
    if isinstance(node, Environment):
        return {**_path(node.target), "environment": node.pk}
    if isinstance(node, Target):
        return {"project": node.project_id, "target": node.pk}
    return {"project": node.pk}


def _siblings(node: Model) -> QuerySet[Any]:
    if isinstance(node, Project):
        return node.organization.projects.exclude(pk=node.pk)
    if isinstance(node, Target):
        return node.project.targets.exclude(pk=node.pk)
    assert isinstance(node, Environment)
    return node.target.environments.exclude(pk=node.pk)


def find_node(siblings: QuerySet[Any], reference: str) -> Any | None:
    """The node among `siblings` with this ULID (any case) or slug."""
    return called(siblings, reference).first()


def called(siblings: QuerySet[Any], reference: str) -> QuerySet[Any]:
    """The same as rows: one, or none."""
    key = ulid.parse_or_none(reference)
    if key:
        return siblings.filter(pk=key)
    return siblings.filter(slug=reference) if PATTERN.fullmatch(reference) else siblings.none()

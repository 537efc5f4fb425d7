"""A level of a project: where a blob can lie, and how its path is read."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from organizations.models import Environment, Project, Target


@dataclass(frozen=True)
class Level:
    """A project, one of its targets, or one of that target's environments."""

    project: Project
    target: Target | None = None
    environment: Environment | None = None

    @property
    def name(self) -> str:
        """`project`, `target` or `environment`."""
        if self.environment is not None:
            return "environment"
        return "project" if self.target is None else "target"

    @property
    def node(self) -> Project | Target | Environment:
        """The deepest node, whose level this is."""
        return self.environment or self.target or self.project

    @property
    def slug(self) -> str:
        return self.node.slug

    @property
    def path(self) -> str:
        nodes = (self.project, self.target, self.environment)
        return "/".join(node.slug for node in nodes if node is not None)

    @property
    def ids(self) -> tuple[uuid.UUID, ...]:
        """Those of its nodes, the project's first."""
        nodes = (self.project, self.target, self.environment)
        return tuple(node.pk for node in nodes if node is not None)

    @property
    def columns(self) -> dict[str, Any]:
        """The columns of a row at exactly this level; as look-ups they find it."""
        return {
            "organization_id": self.project.organization_id,
            "project": self.project,
            "target": self.target,
            "environment": self.environment,
        }

    @property
    def and_above(self) -> tuple[Level, ...]:
        """The levels whose contents clients merge for this one, the outermost first."""
        levels = [Level(self.project)]
        if self.target is not None:
            levels.append(Level(self.project, self.target))
        if self.environment is not None:
            levels.append(self)
        return tuple(levels)

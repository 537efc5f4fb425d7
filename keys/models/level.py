"""Where a blob lies: a project, a target or an environment, in columns that two models share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import models

from organizations.models.base import Timestamped
from organizations.models.hierarchy import Environment, Project, Target
from organizations.models.organization import Organization

if TYPE_CHECKING:
    from keys.levels import Level


class OfLevel(Timestamped):
    """A row of one level: the deepest of project, target and environment that is not null.

    Composite foreign keys (in the first migration) keep the path true: the environment is the
    target's, the target the project's, the project the organization's.
    """

    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="+")
    project = models.ForeignKey(
        Project, on_delete=models.CASCADE, related_name="%(class)ss", related_query_name="%(class)s"
    )
    target = models.ForeignKey(
        Target,
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="%(class)ss",
        related_query_name="%(class)s",
    )
    environment = models.ForeignKey(
        Environment,
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="%(class)ss",
        related_query_name="%(class)s",
    )

    class Meta:
        abstract = True

    @property
    def level(self) -> Level:
        from keys.levels import Level

        return Level(self.project, self.target, self.environment)

    @property
    def path(self) -> str:
        return self.level.path

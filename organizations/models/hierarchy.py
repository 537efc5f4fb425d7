"""Project → target → environment: where secrets live.

Each row names its organization too, so that one column isolates tenants everywhere; composite
foreign keys (in the first migration) keep it equal to the parent's.
"""

from __future__ import annotations

from typing import Any

from django.db import models

from organizations.labels import DescriptionField, LabelField
from organizations.models.base import Timestamped
from organizations.models.organization import Organization
from organizations.slugs import NodeSlugField


class Project(Timestamped):
    class SecretFormat(models.TextChoices):
        ENV = "env", ".env"
        JSON = "json", "JSON"
        YAML = "yaml", "YAML"
        TEXT = "text", "Text"

    class StorageMode(models.TextChoices):
        SERVER = "server", "Server-managed key"
        CLIENT = "client", "Client-managed key"

    class HistoryPolicy(models.TextChoices):
        KEEP = "keep", "Keep versions under their old key"
        RE_ENCRYPT = "re_encrypt", "Re-encrypt versions"

    organization = models.ForeignKey(
        Organization, on_delete=models.CASCADE, related_name="projects"
    )
    name = LabelField(max_length=100)
    slug = NodeSlugField()
    description = DescriptionField(max_length=1000, blank=True)
    secret_format = models.CharField(max_length=10, choices=SecretFormat, default=SecretFormat.ENV)
    storage_mode = models.CharField(max_length=10, choices=StorageMode, default=StorageMode.SERVER)
    history_policy = models.CharField(
        max_length=10, choices=HistoryPolicy, default=HistoryPolicy.KEEP
    )
    secret_versioning = models.BooleanField(default=True)
    # Null takes the organization's.
    history_retention_days = models.PositiveIntegerField(null=True, blank=True)
    # Refuse what is not encrypted already, instead of encrypting it on arrival.
    strict_encryption = models.BooleanField(default=False)
    metadata = models.JSONField(default=dict, blank=True)

    class Meta:
        ordering = ("name", "id")
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(
                fields=("organization", "slug"), name="organizations_project_slug"
            )
        ]

    def __str__(self) -> str:
        return self.slug

    @property
    def path(self) -> str:
        return self.slug


class Target(Timestamped):
    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="+")
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="targets")
    name = LabelField(max_length=100)
    slug = NodeSlugField()
    description = DescriptionField(max_length=1000, blank=True)

    class Meta:
        ordering = ("name", "id")
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=("project", "slug"), name="organizations_target_slug")
        ]

    def __str__(self) -> str:
        return self.path

    @property
    def path(self) -> str:
        return f"{self.project.path}/{self.slug}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if self.organization_id is None:
            self.organization_id = self.project.organization_id
        super().save(*args, **kwargs)


class Environment(Timestamped):
    class Status(models.TextChoices):
        PRODUCTION = "production", "Production"
        STAGING = "staging", "Staging"
        DEVELOPMENT = "development", "Development"
        LOCAL = "local", "Local"

    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="+")
    target = models.ForeignKey(Target, on_delete=models.CASCADE, related_name="environments")
    name = LabelField(max_length=100)
    slug = NodeSlugField()
    description = DescriptionField(max_length=1000, blank=True)
    # One of the four, or a word of the user's own: choices help a form, they bind nothing.
    status = models.CharField(max_length=50, default=Status.DEVELOPMENT)
    is_production = models.BooleanField(default=False)

    class Meta:
        ordering = ("name", "id")
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(
                fields=("target", "slug"), name="organizations_environment_slug"
            )
        ]

    def __str__(self) -> str:
        return self.path

    @property
    def path(self) -> str:
        return f"{self.target.path}/{self.slug}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if self.organization_id is None:
            self.organization_id = self.target.organization_id
        super().save(*args, **kwargs)

"""A project's encryption key, in one of its versions."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models import F, Q

from organizations.models.base import Timestamped
from organizations.models.hierarchy import Project
from organizations.models.organization import Organization

IMMUTABLE = (
    "organization_id",
    "project_id",
    "version",
    "managed",
    "key_check_salt",
    "key_check_iterations",
    "key_check",
    "key_hint",
    "created_at",
)
"""Never changes once a version exists; a trigger says the same to SQL."""


class KeyVersion(Timestamped):
    """Exactly one version of a project is active; a rotated one never changes again.

    `wrapped_key` is the server-managed key sealed by master key number `master_key_version`
    (`keys.crypto`); only a re-wrapping under another master key may replace it.
    """

    class Managed(models.TextChoices):
        SERVER = "server", "Server"
        CLIENT = "client", "Client"

    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="+")
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="key_versions")
    version = models.PositiveIntegerField()
    managed = models.CharField(max_length=10, choices=Managed, default=Managed.SERVER)
    is_active = models.BooleanField(default=True)
    wrapped_key = models.BinaryField(null=True)
    master_key_version = models.PositiveIntegerField(null=True)
    key_check = models.BinaryField(null=True)
    key_check_salt = models.BinaryField()
    key_check_iterations = models.PositiveIntegerField()
    key_hint = models.CharField(max_length=100, blank=True)
    rotated_at = models.DateTimeField(null=True, blank=True)

    _loaded: dict[str, Any]

    class Meta:
        ordering = ("-is_active", "-version")
        verbose_name = "encryption key"
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=("project", "version"), name="keys_keyversion_number"),
            models.UniqueConstraint(
                fields=("project",), condition=Q(is_active=True), name="keys_keyversion_one_active"
            ),
            models.CheckConstraint(
                condition=Q(is_active=True, rotated_at=None)
                | Q(is_active=False, rotated_at__isnull=False),
                name="keys_keyversion_rotated_is_inactive",
            ),
            models.CheckConstraint(
                condition=Q(
                    managed="server",
                    wrapped_key__isnull=False,
                    master_key_version__isnull=False,
                    key_check=None,
                )
                | Q(
                    managed="client",
                    wrapped_key=None,
                    master_key_version=None,
                    key_check__isnull=False,
                ),
                name="keys_keyversion_custody",
            ),
            models.CheckConstraint(
                condition=Q(version__gte=1) & Q(updated_at__gte=F("created_at")),
                name="keys_keyversion_sane",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.project.path}/encryption-key/{self.version}"

    @classmethod
    def from_db(cls, *args: Any, **kwargs: Any) -> KeyVersion:
        version = super().from_db(*args, **kwargs)
        version._loaded = {name: version.__dict__.get(name) for name in (*IMMUTABLE, "is_active")}
        return version

    def save(self, *args: Any, **kwargs: Any) -> None:
        loaded = getattr(self, "_loaded", None)
        if loaded:
            changed = [name for name in IMMUTABLE if self.__dict__.get(name) != loaded[name]]
            if not loaded["is_active"] and self.is_active:
                changed.append("is_active")
            if changed:
                raise ValueError(f"a key version never changes its {', '.join(changed)}")
        super().save(*args, **kwargs)

"""A project's encryption key, in one of its versions."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models import F, Q

from organizations.labels import LabelField
from organizations.models.base import Timestamped
from organizations.models.hierarchy import Project
from organizations.models.organization import Organization

IMMUTABLE = (
    "organization_id",
    "project_id",
    "version",
    "key_check_salt",
    "key_check_iterations",
    "key_hint",
    "history_policy",
    "created_at",
)
"""Never changes once a version exists; a trigger says the same to SQL."""

FIXED_ONCE_ROTATED = ("is_active", "managed")
"""The active version changes hands by a switch of custody, or retires; a rotated one does not."""


class KeyVersion(Timestamped):
    """Exactly one version of a project is active; a rotated one never changes again.

    What is secret in it is sealed by master key number `master_key_version` (`keys.master_key`),
    and only a re-wrapping under another master key may replace it: `wrapped_key`, the key itself
    of a server-managed version, or `wrapped_key_check`, the proof of a client-managed one, whose
    key the server has never seen or has given away.

    history_policy: what the rotation that made this version does with what older keys encrypted.
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
    wrapped_key_check = models.BinaryField(null=True)
    master_key_version = models.PositiveIntegerField()
    key_check_salt = models.BinaryField()
    key_check_iterations = models.PositiveIntegerField()
    key_hint = LabelField(max_length=100, blank=True)
    history_policy = models.CharField(
        max_length=10, choices=Project.HistoryPolicy, default=Project.HistoryPolicy.KEEP
    )
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
                condition=Q(managed="server", wrapped_key__isnull=False, wrapped_key_check=None)
                | Q(managed="client", wrapped_key=None, wrapped_key_check__isnull=False),
                name="keys_keyversion_custody",
            ),
            models.CheckConstraint(
                condition=Q(version__gte=1) & Q(updated_at__gte=F("created_at")),
                name="keys_keyversion_sane",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.project.path}/encryption-key/{self.version}"

    @property
    def is_client_managed(self) -> bool:
        return self.managed == self.Managed.CLIENT

    @classmethod
    def from_db(cls, *args: Any, **kwargs: Any) -> KeyVersion:
        version = super().from_db(*args, **kwargs)
        version._loaded = {
            name: version.__dict__.get(name) for name in (*IMMUTABLE, *FIXED_ONCE_ROTATED)
        }
        return version

    def save(self, *args: Any, **kwargs: Any) -> None:
        loaded = getattr(self, "_loaded", None)
        if loaded:
            fixed = IMMUTABLE if loaded["is_active"] else (*IMMUTABLE, *FIXED_ONCE_ROTATED)
            changed = [name for name in fixed if self.__dict__.get(name) != loaded[name]]
            if changed:
                raise ValueError(f"a key version never changes its {', '.join(changed)}")
        super().save(*args, **kwargs)

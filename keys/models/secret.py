"""What a level holds now: one blob that the server cannot read without the project's key."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from keys.models.level import OfLevel


class Secret(OfLevel):
    """The current blob of one level: AES-256-GCM (`keys.crypto`) under version `key_version` of the
    project's key, as bytes; clients see it as base64.

    number: for clients that want an integer; unique in the organization.
    size_bytes: the length of the base64 text, which is how clients measure a blob.
    Change it through `keys.secrets`, `keys.secret_versions` and `keys.rotation` alone.
    """

    number = models.BigIntegerField(editable=False)
    content = models.BinaryField()
    size_bytes = models.PositiveIntegerField()
    key_version = models.PositiveIntegerField()

    class Meta:
        ordering = ("project_id", "target_id", "environment_id")
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(
                fields=("project", "target", "environment"),
                nulls_distinct=False,
                name="keys_secret_one_a_level",
            ),
            models.UniqueConstraint(fields=("organization", "number"), name="keys_secret_number"),
            models.CheckConstraint(
                condition=Q(environment=None) | Q(target__isnull=False), name="keys_secret_level"
            ),
        ]

    def __str__(self) -> str:
        return self.path

"""What a level held before: each write keeps what it replaces."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from keys.models.level import OfLevel


class SecretVersion(OfLevel):
    """The blob that a level held until `action` replaced it, at `created_at`.

    It outlives the level's blob, not the level. Its content changes by re-encryption alone, which
    moves it to a newer key version; a trigger says the same to SQL.

    number: what clients call it, an integer; unique in the organization.
    author_number, author_name: who wrote what replaced it; a snapshot.
    """

    class Action(models.TextChoices):
        UPDATE = "update", "Overwritten"
        DELETE = "delete", "Deleted"
        RESTORE = "restore", "Replaced by an earlier version"
        ROTATE = "rotate", "Re-encrypted under a new key"

    number = models.BigIntegerField(editable=False)
    action = models.CharField(max_length=10, choices=Action)
    content = models.BinaryField()
    size_bytes = models.PositiveIntegerField()
    key_version = models.PositiveIntegerField()
    author_number = models.BigIntegerField(null=True, blank=True)
    author_name = models.CharField(max_length=150, blank=True)
    metadata = models.JSONField(default=dict, blank=True)
    re_encrypted_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-number",)
        verbose_name = "secret version"
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(
                fields=("organization", "number"), name="keys_secretversion_number"
            ),
            models.CheckConstraint(
                condition=Q(environment=None) | Q(target__isnull=False),
                name="keys_secretversion_level",
            ),
        ]
        indexes = [
            models.Index(
                fields=("project", "target", "environment", "-number"),
                name="keys_secretversion_of_level",
            ),
            # What a rotation left under old keys, without reading what is under the new one.
            models.Index(fields=("project", "key_version"), name="keys_secretversion_key"),
        ]

    def __str__(self) -> str:
        return f"{self.path}#{self.number}"

"""A former token of an API key: if it is still tried, the log can name the key."""

from __future__ import annotations

import uuid

from django.db import models

from organizations import clock
from organizations.models.organization import Organization


class FormerToken(models.Model):
    """Only the SHA-256 is kept, as of tokens that work. The key itself may be gone."""

    class End(models.TextChoices):
        REVOKED = "revoked", "Revoked"
        ROTATED = "rotated", "Rotated"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="+")
    token_hash = models.BinaryField(max_length=32, unique=True)
    api_key_id = models.UUIDField()
    key_name = models.CharField(max_length=100)
    end = models.CharField(max_length=10, choices=End)
    ended_at = models.DateTimeField(default=clock.now)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return self.key_name

"""A token for programs: bound to one organization, holding abilities of its own."""

from __future__ import annotations

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models

from organizations import clock, ulid
from organizations.models.base import NextNumber, Timestamped
from organizations.models.organization import Organization


class ApiKey(Timestamped):
    """Only the SHA-256 of the token is kept; `fingerprint` tells keys apart without revealing.

    `scopes` narrows abilities to nodes: a list of
    `{"permission", "project", "target"?, "environment"?}` objects whose values are ULIDs.
    """

    number = models.BigIntegerField(
        unique=True, editable=False, db_default=NextNumber("keys_apikey_number")
    )
    organization = models.ForeignKey(
        Organization, on_delete=models.CASCADE, related_name="api_keys"
    )
    name = models.CharField(max_length=100)
    token_hash = models.BinaryField(max_length=32, unique=True)
    abilities = ArrayField(models.CharField(max_length=40))
    scopes = models.JSONField(default=list, blank=True)
    inherit_parents = models.BooleanField(default=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    rotated_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    last_used_ip = models.GenericIPAddressField(null=True, blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )

    class Meta:
        ordering = ("name", "id")
        verbose_name = "API key"
        default_permissions = ()

    def __str__(self) -> str:
        return self.name

    @property
    def fingerprint(self) -> str:
        """First 8 hexadecimal digits of the token's SHA-256."""
        return bytes(self.token_hash).hex()[:8]

    @property
    def token_prefix(self) -> str:
        """First 12 characters of the token: product prefix and start of the organization's id."""
        return f"dotenv_{ulid.to_text(self.organization_id)}"[:12]

    @property
    def is_expired(self) -> bool:
        return self.expires_at is not None and self.expires_at <= clock.now()

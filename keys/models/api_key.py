"""A token for programs: bound to one organization, holding abilities of its own."""

from __future__ import annotations

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models

from keys.models.token import Token
from organizations import ulid
from organizations.models.base import NextNumber
from organizations.models.organization import Organization


class ApiKey(Token):
    """`scopes` narrows abilities to nodes: a list of
    `{"permission", "project", "target"?, "environment"?}` objects whose values are ULIDs.
    """

    number = models.BigIntegerField(
        unique=True, editable=False, db_default=NextNumber("keys_apikey_number")
    )
    organization = models.ForeignKey(
        Organization, on_delete=models.CASCADE, related_name="api_keys"
    )
    abilities = ArrayField(models.CharField(max_length=40))
    scopes = models.JSONField(default=list, blank=True)
    inherit_parents = models.BooleanField(default=True)
    rotated_at = models.DateTimeField(null=True, blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    rotated_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    """Who was shown the present token, unless it is still the first one."""

    class Meta:
        ordering = ("name", "id")
        verbose_name = "API key"
        default_permissions = ()

    @property
    def token_prefix(self) -> str:
        """First 12 characters of the token: product prefix and start of the organization's id."""
        return f"dotenv_{ulid.to_text(self.organization_id)}"[:12]

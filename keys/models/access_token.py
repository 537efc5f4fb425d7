"""A token for one person's own programs: it does what the person may do, wherever that is."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from keys.models.token import Token


class AccessToken(Token):
    """It has no abilities: those of the person's roles count, as they are at each request."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="access_tokens"
    )

    class Meta:
        ordering = ("name", "id")
        default_permissions = ()

"""What API keys and access tokens have in common: a token that is known by its hash alone."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models

from organizations import clock
from organizations.labels import LabelField
from organizations.models.base import Timestamped


class Token(Timestamped):
    """Only the SHA-256 of the token is kept; `fingerprint` names one without revealing it.

    `seen_from`: the addresses it was last used from, so that another one is noticed.
    """

    name = LabelField(max_length=100)
    token_hash = models.BinaryField(max_length=32, unique=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    last_used_ip = models.GenericIPAddressField(null=True, blank=True)
    seen_from = ArrayField(models.CharField(max_length=45), default=list, blank=True)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return self.name

    @property
    def fingerprint(self) -> str:
        """First 8 hexadecimal digits of the token's SHA-256."""
        return bytes(self.token_hash).hex()[:8]

    @property
    def is_expired(self) -> bool:
        return self.expires_at is not None and self.expires_at <= clock.now()

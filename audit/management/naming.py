"""How commands name organizations."""

from __future__ import annotations

from django.core.management.base import CommandError

from audit.retention import holds
from organizations import ulid
from organizations.models import Organization


def organization(reference: str) -> Organization:
    """By slug or id, as the owner's role; by id also one that is deleted and has a log, and the
    platform's own (all zeros). Raises CommandError."""
    key = ulid.parse_or_none(reference)
    named = {"pk": key} if key else {"slug": reference.lower()}
    found = Organization.objects.using("owner").filter(**named).first()
    if found is None and key is not None and holds.has_log(key):
        found = Organization(pk=key, slug=ulid.to_text(key))
    if found is None:
        raise CommandError(f"There is no organization {reference!r}. Give its slug or id.")
    return found

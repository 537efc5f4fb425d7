"""Where the row that an entry refers to is to be seen today, for who may see it."""

from __future__ import annotations

from typing import NamedTuple

from django.db.models import Model
from django.urls import reverse

from audit.models import Entry
from keys.models import ApiKey, KeyVersion, Secret, SecretVersion
from organizations.membership_access import OrganizationRequest
from organizations.models import (
    Environment,
    Invitation,
    Membership,
    Organization,
    Project,
    Target,
    User,
)


class Page(NamedTuple):
    ability: str
    """What one needs to open it."""
    address: str


def address_of(entry: Entry, name: str, request: OrganizationRequest) -> str:
    """The address of the page of an entry's "actor" or "resource" as it is today; empty when it is
    gone, has no page, or the reader may not open it.

    Call it after `references.fetch`, which leaves out what belongs to other organizations.
    """
    row = getattr(entry, name)
    if isinstance(row, User):
        row = Membership.objects.filter(organization=request.organization, user=row).first()
    page = _page(row, request.organization.slug) if row is not None else None
    return page.address if page is not None and page.ability in request.abilities else ""


def _page(row: Model, organization: str) -> Page | None:
    """The page of a row. Access tokens and saved views have none but their owner's."""

    def at(ability: str, name: str, *args: object) -> Page:
        return Page(ability, reverse(name, args=[organization, *args]))

    match row:
        case Organization():
            return at("organization:read", "settings")
        case Membership():
            return at("member:read", "member", row.ulid)
        case Invitation():
            return at("member:read", "members")
        case Project():
            return at("project:read", "project", row.slug)
        case Target():
            return at("target:read", "target", row.project.slug, row.slug)
        case Environment():
            return _page(row.target, organization)
        case Secret():
            return _page(row.target or row.project, organization)
        case SecretVersion():
            return at("secret:history", "version", row.number)
        case KeyVersion():
            return at("audit:read", "key_history", row.project.slug)
        case ApiKey():
            return at("api-token:read", "api_key", row.ulid)
    return None

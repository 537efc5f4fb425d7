"""Icons, marks of people, and the switch to another organization, in every template without
loading them."""

from __future__ import annotations

from django import template
from django.utils.safestring import SafeString

from organizations import icons, permissions
from organizations.models import Organization, User

register = template.Library()

MOST_LISTED = 9
"""Organizations that the switch lists; the rest are on a page of their own."""


@register.simple_tag
def icon(name: str, more: str = "") -> SafeString:
    return icons.icon(name, more)


@register.filter
def mark(user: User) -> SafeString:
    """A person's mark."""
    return icons.person(user.pk, user.name or user.email)


@register.filter
def initial(name: str) -> str:
    """The letter that stands for an organization."""
    return next((letter for letter in name if letter.isalnum()), "·").upper()


@register.simple_tag
def organizations_of(user: User) -> list[Organization]:
    """Where a person belongs, the first few by name."""
    return list(permissions.organizations_of(user).order_by("name")[:MOST_LISTED])

"""Creating, changing and deleting organizations."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction

from organizations import members, permissions, roles
from organizations.grants import (
    EVERYTHING,
    TO_CHANGE_RETENTION,
    TO_DELETE,
    Grant,
    refuse_more_than_held,
)
from organizations.models import Organization, User
from organizations.roles import Role
from organizations.slugs import RESERVED_ORGANIZATION, free_slug, slugify


class SlugTakenError(ValidationError):
    """An explicitly requested slug belongs to another row."""

    def __init__(self, slug: str) -> None:
        super().__init__(
            {"slug": f"The slug “{slug}” is already in use. Choose another."}, code="taken"
        )


@transaction.atomic
def create_organization(name: str, *, owner: User, slug: str | None = None) -> Organization:
    """Create an organization with `owner` as its owner.

    Without `slug` one is derived from the name and made free. Raises ValidationError, or
    SlugTakenError for an explicit slug that exists.
    """
    if slug is not None and Organization.objects.filter(slug=slug).exists():
        raise SlugTakenError(slug)
    taken = Organization.objects.filter(slug__startswith=slugify(name)[:40])
    organization = Organization(
        name=name,
        slug=slug
        or free_slug(name, taken.values_list("slug", flat=True), RESERVED_ORGANIZATION, least=3),
    )
    organization.full_clean()
    organization.save(force_insert=True)
    members.add(organization, owner, Role.OWNER)
    return organization


CHANGEABLE = frozenset({"name", "slug", "history_retention_days", "member_key_retrieve"})


@transaction.atomic
def update_organization(
    organization: Organization, *, granter: Grant = EVERYTHING, **changes: Any
) -> Organization:
    """Change any of CHANGEABLE. granter: what the person or key that changes it holds.

    Turning `member_key_retrieve` gives or takes that permission at once, in the same transaction.
    Raises ValidationError naming the field, and as `create_organization`.
    """
    organization = Organization.objects.select_for_update().get(pk=organization.pk)
    unknown = set(changes) - CHANGEABLE
    if unknown:
        raise ValidationError(dict.fromkeys(unknown, "This field cannot be changed."))
    slug = changes.get("slug", organization.slug)
    if slug != organization.slug and Organization.objects.filter(slug=slug).exists():
        raise SlugTakenError(slug)
    was_on, kept_days = organization.member_key_retrieve, organization.history_retention_days
    for name, value in changes.items():
        setattr(organization, name, value)
    organization.full_clean()
    if organization.member_key_retrieve != was_on:
        switched = Grant(roles.SWITCHED)
        if was_on:
            switched = granter.held_at(roles.SWITCHED)
        refuse_more_than_held(granter, switched, "member_key_retrieve")
    if organization.history_retention_days != kept_days:
        needed = granter.held_at(TO_CHANGE_RETENTION)
        refuse_more_than_held(granter, needed, "history_retention_days")
    organization.save(force_update=True)
    if organization.member_key_retrieve != was_on:
        permissions.follow_switch(organization)
    return organization


@transaction.atomic
def delete_organization(organization: Organization, *, granter: Grant = EVERYTHING) -> None:
    """Delete an organization and everything it owns; each row leaves an entry of its
    own, and the entries stay.

    Raises NotHeldError when the granter may delete, or write, in some of it only."""
    refuse_more_than_held(granter, granter.held_at(TO_DELETE), "organization")
    organization.delete()

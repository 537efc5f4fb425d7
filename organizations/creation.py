"""Creating, renaming and deleting organizations."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.db import transaction

from organizations import members
from organizations.models import Organization, User
from organizations.roles import Role
from organizations.slugs import RESERVED_ORGANIZATION, free_slug, slugify


class SlugTakenError(ValidationError):
    """An explicitly requested slug belongs to another row."""

    def __init__(self, slug: str) -> None:
        super().__init__({"slug": f"The slug “{slug}” is taken; choose another."}, code="taken")


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


@transaction.atomic
def update_organization(
    organization: Organization, *, name: str | None = None, slug: str | None = None
) -> Organization:
    """Rename an organization or change its slug. Raises as `create_organization`."""
    organization = Organization.objects.select_for_update().get(pk=organization.pk)
    if slug is not None and slug != organization.slug:
        if Organization.objects.filter(slug=slug).exists():
            raise SlugTakenError(slug)
        organization.slug = slug
    if name is not None:
        organization.name = name
    organization.full_clean()
    organization.save(force_update=True)
    return organization


@transaction.atomic
def delete_organization(organization: Organization) -> None:
    """Delete an organization and all it owns; each row leaves an entry of its own, which stay."""
    organization.delete()

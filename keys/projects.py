"""Creating projects: a project is born with the first version of its key."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.db import transaction

from keys import crypto, master_key
from keys.models import KeyVersion
from organizations import clock, ulid
from organizations.hierarchy import choose_slug
from organizations.models import Organization, Project

SHORTEST_KEY_BYTES = 16


@transaction.atomic
def create_project(
    organization: Organization,
    name: str,
    *,
    description: str = "",
    secret_format: str = Project.SecretFormat.ENV,
    encryption_key: str | None = None,
    key_hint: str = "",
    slug: str | None = None,
) -> Project:
    """Create a project with a server-managed key: `encryption_key`, or a fresh one.

    Raises ValidationError naming the field, SlugTakenError for an explicit slug that exists.
    """
    if encryption_key is not None:
        _check_key(encryption_key)
    project = Project(
        organization=organization,
        name=name,
        slug=choose_slug(organization.projects.all(), name, slug),
        description=description,
        secret_format=secret_format,
    )
    project.full_clean()
    project.save(force_insert=True)
    make_version(project, 1, encryption_key or crypto.generate_key(), key_hint=key_hint)
    return project


def make_version(project: Project, number: int, key: str, *, key_hint: str = "") -> KeyVersion:
    """Insert an active server-managed version holding `key`."""
    row = ulid.new()
    wrapped = master_key.wrap(key, row)
    made = clock.now()
    return KeyVersion.objects.create(
        id=row,
        organization_id=project.organization_id,
        project=project,
        version=number,
        wrapped_key=wrapped.wrapped_key,
        master_key_version=wrapped.master_key_version,
        key_check_salt=crypto.generate_salt(),
        key_check_iterations=crypto.ITERATIONS,
        key_hint=key_hint,
        created_at=made,
    )


def _check_key(key: str) -> None:
    length = len(key.encode())
    if length < SHORTEST_KEY_BYTES:
        raise ValidationError({"encryption_key": f"Use at least {SHORTEST_KEY_BYTES} bytes."})
    if length == 32:
        raise ValidationError(
            {
                "encryption_key": "A key of exactly 32 bytes would equal the proof that clients "
                "send; use a longer or shorter one."
            }
        )

"""Creating projects: a project is born with the first version of its key."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.db import transaction

from keys import crypto, key_versions
from keys.client_keys import ClientKey
from organizations.hierarchy import choose_slug
from organizations.models import Organization, Project


@transaction.atomic
def create_project(
    organization: Organization,
    name: str,
    *,
    description: str = "",
    secret_format: str = Project.SecretFormat.ENV,
    encryption_key: str | None = None,
    client_key: ClientKey | None = None,
    key_hint: str = "",
    slug: str | None = None,
) -> Project:
    """Create a project with a server-managed key (`encryption_key`, or a fresh one), or with a key
    that only its clients have, of which `client_key` is the proof.

    Raises ValidationError naming the field, SlugTakenError for an explicit slug that exists.
    """
    if client_key is not None and encryption_key is not None:
        raise ValidationError(
            {"encryption_key": "Do not send the key of a client-managed project."}
        )
    if encryption_key is not None:
        key_versions.check_key(encryption_key)
    mode = Project.StorageMode
    project = Project(
        organization=organization,
        name=name,
        slug=choose_slug(organization.projects.all(), name, slug),
        description=description,
        secret_format=secret_format,
        storage_mode=mode.SERVER if client_key is None else mode.CLIENT,
    )
    project.full_clean()
    project.save(force_insert=True)
    if client_key is None:
        key_versions.make(project, 1, encryption_key or crypto.generate_key(), key_hint=key_hint)
    else:
        key_versions.make_client_managed(project, 1, client_key, key_hint=key_hint)
    return project

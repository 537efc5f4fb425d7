"""Creating projects: a project is born with the first version of its key."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.db import transaction

from keys import client_keys, crypto, master_key
from keys.client_keys import ClientKey
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
            {"encryption_key": "Never send the key of a client-managed project; leave it out."}
        )
    if encryption_key is not None:
        check_key(encryption_key)
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
        make_version(project, 1, encryption_key or crypto.generate_key(), key_hint=key_hint)
    else:
        client_keys.make_version(project, 1, client_key, key_hint=key_hint)
    return project


def make_version(
    project: Project,
    number: int,
    key: str,
    *,
    salt: bytes | None = None,
    key_hint: str = "",
    history_policy: str = Project.HistoryPolicy.KEEP,
) -> KeyVersion:
    """Insert an active server-managed version holding `key`."""
    row = ulid.new()
    wrapped = master_key.wrap(key, row)
    return KeyVersion.objects.create(
        id=row,
        organization_id=project.organization_id,
        project=project,
        version=number,
        wrapped_key=wrapped.sealed,
        master_key_version=wrapped.master_key_version,
        key_check_salt=salt or crypto.generate_salt(),
        key_check_iterations=crypto.ITERATIONS,
        key_hint=key_hint,
        history_policy=history_policy,
        created_at=clock.now(),
    )


def check_key(key: str, field: str = "encryption_key") -> None:
    """Raise ValidationError naming `field` unless `key` may become a server-managed key."""
    if key != key.strip():
        # Those who read it from a file, or paste it, would have another key.
        raise ValidationError({field: "A key neither begins nor ends with white space."})
    length = len(key.encode())
    if length < SHORTEST_KEY_BYTES:
        raise ValidationError({field: f"Use at least {SHORTEST_KEY_BYTES} bytes."})
    if length == 32:
        raise ValidationError(
            {
                field: "A key of exactly 32 bytes would equal the proof that clients "
                "send; use a longer or shorter one."
            }
        )

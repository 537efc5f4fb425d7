"""The versions of a project's key, and making one: a key that the server holds, or the
proof of one that only its clients have."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.db.models import QuerySet

from keys import crypto, master_key
from keys.client_keys import ClientKey
from keys.models import KeyVersion
from organizations import clock, ulid
from organizations.models import Project

SHORTEST_KEY_BYTES = 16


def of_project(project: Project) -> QuerySet[KeyVersion]:
    """The versions of a project's key, the active one first; without what is secret in them."""
    return KeyVersion.objects.filter(project=project).defer("wrapped_key", "wrapped_key_check")


def make(
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


def make_client_managed(
    project: Project,
    number: int,
    key: ClientKey,
    *,
    key_hint: str = "",
    history_policy: str = Project.HistoryPolicy.KEEP,
) -> KeyVersion:
    """Insert an active client-managed version: its proof, wrapped, and never its key."""
    row = ulid.new()
    wrapped = master_key.wrap_proof(key.proof, row)
    return KeyVersion.objects.create(
        id=row,
        organization_id=project.organization_id,
        project=project,
        version=number,
        managed=KeyVersion.Managed.CLIENT,
        wrapped_key_check=wrapped.sealed,
        master_key_version=wrapped.master_key_version,
        key_check_salt=key.salt,
        key_check_iterations=key.iterations,
        key_hint=key_hint,
        history_policy=history_policy,
        created_at=clock.now(),
    )


def check_key(key: str, field: str = "encryption_key") -> None:
    """Raise ValidationError naming `field` unless `key` may become a server-managed key."""
    if key != key.strip():
        # Those who read it from a file, or paste it, would have another key.
        raise ValidationError({field: "A key must not begin or end with white space."})
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

"""Rotating a project's server-managed key."""

from __future__ import annotations

from django.db import transaction

from keys import crypto
from keys.models import KeyVersion
from keys.projects import make_version
from organizations import clock
from organizations.acts import act
from organizations.models import Project


class NoActiveKeyError(Exception):
    """The project has no active key version."""


class ClientManagedError(Exception):
    """The server does not hold this project's key, so it cannot rotate it."""


class RotationInProgressError(Exception):
    """Another rotation of the same project has not finished."""


@transaction.atomic
def rotate(project: Project, *, history_policy: str | None = None) -> KeyVersion:
    """Retire the active version and make the next one, in one transaction; returns the new one.

    history_policy: `keep` or `re_encrypt`; None takes the project's setting.
    Raises NoActiveKeyError, ClientManagedError or RotationInProgressError; then nothing changed.
    """
    versions = KeyVersion.objects.filter(project=project, is_active=True)
    active = versions.select_for_update(skip_locked=True).first()
    if active is None:
        if versions.exists():
            raise RotationInProgressError(f"the key of {project.slug} is being rotated")
        raise NoActiveKeyError(f"{project.slug} has no active key")
    if active.managed == KeyVersion.Managed.CLIENT:
        raise ClientManagedError(f"the key of {project.slug} is managed by its clients")
    number = active.version + 1
    with act("rotate", key_version=number, history_policy=history_policy or project.history_policy):
        active.is_active = False
        active.rotated_at = clock.now()
        active.save(update_fields={"is_active", "rotated_at"})
        return make_version(project, number, crypto.generate_key(), key_hint=active.key_hint)

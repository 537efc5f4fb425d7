"""Revealing a project's key to who may have it."""

from __future__ import annotations

from typing import NamedTuple

from keys import master_key
from keys.models import KeyVersion
from keys.rotation import NoActiveKeyError
from organizations.models import Project
from organizations.signals import content_revealed


class Retrieved(NamedTuple):
    """`key` is None for a client-managed version."""

    version: KeyVersion
    key: str | None


def retrieve(project: Project) -> Retrieved:
    """The active version with its key. The reveal is announced first: if it cannot be recorded,
    nothing is revealed. Raises NoActiveKeyError."""
    version = KeyVersion.objects.filter(project=project, is_active=True).first()
    if version is None:
        raise NoActiveKeyError(f"{project.slug} has no active key")
    content_revealed.send(
        KeyVersion, instance=version, verb="retrieve", facts={"key_version": version.version}
    )
    is_server = version.managed == KeyVersion.Managed.SERVER
    return Retrieved(version, master_key.unwrap(version) if is_server else None)

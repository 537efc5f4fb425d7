"""Revealing a project's key to who may have it, and finding the key to work with."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from django.db import connection

from keys import master_key
from keys.errors import NoActiveKeyError
from keys.models import KeyVersion
from organizations.models import Project
from organizations.signals import Verb, content_revealed


class Retrieved(NamedTuple):
    """`key` is None for a client-managed version."""

    version: KeyVersion
    key: str | None


def retrieve(project: Project) -> Retrieved:
    """The active version with its key, as `reveal` does. Raises NoActiveKeyError."""
    version = active(project)
    return Retrieved(version, reveal(version))


def reveal(version: KeyVersion) -> str | None:
    """The key of a version; None for a client-managed one. The reveal is announced first: if it
    cannot be recorded, nothing is revealed."""
    facts = {"key_version": version.version}
    content_revealed.send(KeyVersion, verb=Verb.RETRIEVE, revealed=[(version, facts)])
    return None if version.is_client_managed else master_key.unwrap(version)


def active(project: Project) -> KeyVersion:
    """The active version. Raises NoActiveKeyError."""
    version = KeyVersion.objects.filter(project=project, is_active=True).first()
    if version is None:
        raise NoActiveKeyError(f"The project {project.slug} has no active key.")
    version.project = project
    return version


def active_to_write(project: Project) -> KeyVersion:
    """The active version, which stays the active one until this transaction ends: a rotation waits
    for it, other writers do not. Raises NoActiveKeyError."""
    for _ in range(3):
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT id FROM keys_keyversion WHERE project_id = %s AND is_active FOR SHARE",
                [project.pk],
            )
            row = cursor.fetchone()
        if row is not None:
            version = KeyVersion.objects.get(pk=row[0])
            version.project = project
            return version
        # None is left of the row that was waited for when a rotation retired it meanwhile.
    raise NoActiveKeyError(f"The project {project.slug} has no active key.")


def numbered(project: Project, numbers: Iterable[int]) -> dict[int, KeyVersion]:
    """The project's versions with these numbers."""
    found = KeyVersion.objects.filter(project=project, version__in=set(numbers))
    return {version.version: version for version in found}

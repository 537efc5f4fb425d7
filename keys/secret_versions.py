"""What levels held before: listed, shown, restored, deleted, purged.

Old versions can be locked by age (a retention window of the project or its organization): they
stay listed, and their content stays closed.
"""

from __future__ import annotations

import datetime as dt
from typing import NamedTuple

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet

from keys import blobs, data_keys, secrets
from keys.authors import Author
from keys.blobs import Blob
from keys.errors import (
    ContentRequiredError,
    GoneError,
    VersionLockedError,
    VersionProtectedError,
)
from keys.levels import Level
from keys.models import KeyVersion, Secret, SecretVersion
from keys.retrieval import active_to_write
from organizations import clock
from organizations.models import Organization, Project
from organizations.signals import Verb, act, content_revealed


class Shown(NamedTuple):
    """A version with the key version that it is under."""

    version: SecretVersion
    key: KeyVersion


def of_level(level: Level) -> QuerySet[SecretVersion]:
    """The versions of a level, the newest first, without their contents."""
    return _described(SecretVersion.objects.filter(**level.columns))


def find(organization: Organization, number: int) -> SecretVersion | None:
    """The version that clients call `number`, with its path, without its content."""
    found: SecretVersion | None = (
        _described(SecretVersion.objects.filter(organization=organization, number=number))
        .select_related("project__organization", "target", "environment")
        .first()
    )
    return found


def _described(found: QuerySet[SecretVersion]) -> QuerySet[SecretVersion]:
    """With whether a client's key encrypts each; without contents, which may be large."""
    client_keys = KeyVersion.objects.filter(
        project=OuterRef("project"),
        version=OuterRef("key_version"),
        managed=KeyVersion.Managed.CLIENT,
    )
    return found.annotate(is_client_encrypted=Exists(client_keys)).defer("content")


def retention_days(project: Project) -> int | None:
    """For how many days versions of the project stay open; None for ever."""
    if project.history_retention_days is not None:
        return project.history_retention_days
    return project.organization.history_retention_days


def lock_reason(version: SecretVersion, project: Project) -> str | None:
    """Why the version is locked, or None when it is open."""
    days = retention_days(project)
    if days is None or clock.now() - version.created_at <= dt.timedelta(days=days):
        return None
    return f"older than the {days} days that history stays readable"


def outline(version: SecretVersion) -> Shown:
    """The version without its content: nothing is revealed. Raises VersionLockedError."""
    _refuse_locked(version)
    return Shown(version, _key_of(version))


def show(version: SecretVersion) -> Shown:
    """The version with its content, announced as a reveal. Raises VersionLockedError."""
    _refuse_locked(version)
    key = _key_of(version)
    facts = {"key_version": version.key_version, "size": version.size_bytes}
    content_revealed.send(SecretVersion, verb=Verb.READ, revealed=[(version, facts)])
    return Shown(version, key)


@transaction.atomic
def restore(
    version: SecretVersion,
    *,
    author: Author,
    content: str | None = None,
    key_proof: str | None = None,
) -> Secret:
    """Make a version's content the level's again; what is there becomes a version itself.

    Under a server-managed key the server re-encrypts. What lies under an old key of clients only
    they can bring under the active one: `content` is that, with `key_proof`. Raises
    VersionLockedError, ContentRequiredError, and what `keys.blobs.arriving` raises.
    """
    _refuse_locked(version)
    level = version.level
    secrets.warm_up(level)
    old = _key_of(version)
    if not old.is_client_managed:
        data_keys.data_key(old)
    key = active_to_write(level.project)
    secrets.locked(level)
    # Read again, locked: re-encryption may have moved it to another key meanwhile.
    found = SecretVersion.objects.select_for_update().filter(pk=version.pk).first()
    if found is None:
        raise GoneError(f"Version {version.number} was deleted in the meantime.")
    version = found
    version.project, version.target, version.environment = (
        level.project,
        level.target,
        level.environment,
    )
    blob = _restorable(version, _key_of(version), key, content, key_proof)
    metadata = {"restored_from": str(version.number)}
    with act(Verb.RESTORE, version=version.number, **blob.facts):
        return secrets.put(
            level, blob, SecretVersion.Action.RESTORE, author=author, metadata=metadata
        )


@transaction.atomic
def delete(version: SecretVersion, *, force: bool = False) -> None:
    """Delete one version. Raises VersionProtectedError when it is all that is left of a level
    whose blob is gone, unless `force`."""
    secret = secrets.locked(version.level)
    level = version.level
    others = SecretVersion.objects.filter(**level.columns).exclude(pk=version.pk)
    if secret is None and not force and not others.exists():
        raise VersionProtectedError(
            f"Version {version.number} is the last copy of {version.path}. Send force to"
            " delete it anyway."
        )
    with act(Verb.PURGE):
        version.delete()


@transaction.atomic
def purge(level: Level, *, whole_project: bool = False) -> int:
    """Delete all versions of a level, or of all levels of its project; returns how many. What the
    levels hold now stays."""
    return secrets.purge(**({"project": level.project} if whole_project else level.columns))


def _restorable(
    version: SecretVersion,
    old: KeyVersion,
    key: KeyVersion,
    content: str | None,
    key_proof: str | None,
) -> Blob:
    """The blob that restoring `version` stores under `key`."""
    is_current = old.version == key.version
    if is_current and content is None:
        return Blob(bytes(version.content), key.version)
    if not old.is_client_managed and not key.is_client_managed:
        return Blob(blobs.moved(version.content, old, key), key.version)
    if content is None:
        raise ContentRequiredError(
            f"Version {version.number} is under key version {old.version}, which the server does"
            " not have. Send the content encrypted under the active key, and key_proof."
        )
    return blobs.arriving(content, key, key_proof=key_proof, is_strict=True)


def _key_of(version: SecretVersion) -> KeyVersion:
    key = KeyVersion.objects.get(project_id=version.project_id, version=version.key_version)
    key.project = version.project
    return key


def _refuse_locked(version: SecretVersion) -> None:
    reason = lock_reason(version, version.project)
    if reason:
        raise VersionLockedError(
            f"Version {version.number} is {reason}.",
            retention_days=retention_days(version.project),
            version_created_at=version.created_at.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        )

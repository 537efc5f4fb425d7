"""Rotating a project's key: the server's own, or its clients'.

The next version is made, every level's blob moved to it, and each former blob kept as a version
under the old key, in one transaction. Reading goes on meanwhile; writing waits.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from django.db import connection, transaction

from keys import blobs, client_keys, crypto, data_keys, key_versions, numbering, retrieval
from keys.authors import SYSTEM, Author
from keys.client_keys import ClientKey
from keys.errors import (
    ClientManagedError,
    RotationInProgressError,
    RotationMismatchError,
    ServerManagedError,
)
from keys.models import KeyVersion, Secret, SecretVersion
from organizations import clock, ulid
from organizations.models import Project
from organizations.signals import Verb, act

BATCH = 25
"""Blobs written by one statement. A thousand of 64 KiB take 4.0 s so, 5.6 s by hundreds, and 8.0 s
by 250; of 4 KiB 1.5 s each way."""


class Encrypted(NamedTuple):
    """A blob that a client brought under its new key: the id of its Secret, and base64."""

    secret: str
    content: str


@transaction.atomic
def rotate(
    project: Project, *, history_policy: str | None = None, author: Author = SYSTEM
) -> KeyVersion:
    """Replace a server-managed key by a fresh one; returns the new version.

    history_policy: `keep` leaves older versions under their keys, `re_encrypt` has them moved to
    the new one in the background; None takes the project's setting. Raises NoActiveKeyError,
    ClientManagedError or RotationInProgressError; then nothing changed.
    """
    old = retrieval.active(project)
    _refuse_clients(old)
    # Both take a third of a second, so they come before any lock.
    old_key, key, salt = data_keys.data_key(old), crypto.generate_key(), crypto.generate_salt()
    new_key = crypto.derive_data_key(key, salt, crypto.ITERATIONS)
    old = _locked(project, old)
    _refuse_clients(old)  # again: it may have changed hands meanwhile
    policy = history_policy or project.history_policy
    held = _held(project)
    with act(Verb.ROTATE, key_version=old.version + 1, history_policy=policy, count=len(held)):
        _retire(old)
        made = key_versions.make(
            project,
            old.version + 1,
            key,
            salt=salt,
            key_hint=old.key_hint,
            history_policy=policy,
        )
        _move(
            held,
            lambda secret: crypto.encrypt(new_key, blobs.opened_by(old_key, secret.content)),
            made,
            author=author,
        )
    data_keys.remember(made, new_key)
    return made


@transaction.atomic
def rotate_client_key(
    project: Project,
    encrypted: Iterable[Encrypted],
    key: ClientKey,
    *,
    key_proof: str | None = None,
    history_policy: str | None = None,
    author: Author = SYSTEM,
) -> KeyVersion:
    """Replace a client-managed key: the client has encrypted every level's blob under the new one,
    whose proof is `key`. key_proof: the proof of the current key, checked if it is sent.

    Raises ServerManagedError, KeyProofMismatchError, RotationMismatchError, the errors of
    `keys.blobs.checked_under`, and what `rotate` raises; then nothing changed.
    """
    old = _locked(project, retrieval.active(project))
    if not old.is_client_managed:
        raise ServerManagedError(f"The server holds the key of {project.slug}: rotate it there.")
    if key_proof:
        client_keys.check_proof(old, key_proof)
    policy = history_policy or project.history_policy
    held = _held(project)
    contents = _matched(held, encrypted, key)
    with act(Verb.ROTATE, key_version=old.version + 1, history_policy=policy, count=len(held)):
        _retire(old)
        made = key_versions.make_client_managed(
            project, old.version + 1, key, key_hint=old.key_hint, history_policy=policy
        )
        _move(held, lambda secret: contents[secret.pk], made, author=author)
    return made


def is_under_way(project: Project) -> bool:
    """Whether the project's key is being rotated right now."""
    with connection.cursor() as cursor:
        cursor.execute(_IS_LOCKED, [_lock(project)])
        [is_locked] = cursor.fetchone()
    return bool(is_locked)


# How PostgreSQL shows a 64-bit advisory lock: its halves apart.
_IS_LOCKED = """
SELECT EXISTS (
    SELECT FROM pg_locks, (VALUES (%s::bigint)) AS asked (key)
    WHERE locktype = 'advisory' AND objsubid = 1 AND granted
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND classid::bigint = (key >> 32) & 4294967295 AND objid::bigint = key & 4294967295)
"""


def _refuse_clients(version: KeyVersion) -> None:
    if version.is_client_managed:
        slug = version.project.slug
        raise ClientManagedError(f"The clients hold the key of {slug}: they have to rotate it.")


def _lock(project: Project) -> int:
    return int.from_bytes(project.pk.bytes[8:], "big", signed=True)


def _locked(project: Project, expected: KeyVersion) -> KeyVersion:
    """The active version, locked against writers and other rotations until the transaction ends.

    Another rotation is not waited for, writers are.
    """
    in_progress = RotationInProgressError(f"The key of {project.slug} is being rotated.")
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_lock(project)])
        [is_mine] = cursor.fetchone()
    if not is_mine:
        raise in_progress
    active = KeyVersion.objects.filter(pk=expected.pk, is_active=True)
    # Not against those who merely make sure, as they commit, that the version exists.
    locked = active.select_for_update(no_key=True).first()
    if locked is None:  # rotated since it was looked at
        raise in_progress
    locked.project = project
    return locked


def _retire(version: KeyVersion) -> None:
    version.is_active = False
    version.rotated_at = clock.now()
    version.save(update_fields={"is_active", "rotated_at"})


def _held(project: Project) -> list[uuid.UUID]:
    """The blobs of all levels, locked: who deletes one does not ask for the key. Writers are locked
    out by it, so there will be no others."""
    held = Secret.objects.select_for_update().filter(project=project).order_by("id")
    return list(held.values_list("id", flat=True))


def _matched(
    held: Sequence[uuid.UUID], encrypted: Iterable[Encrypted], key: ClientKey
) -> dict[uuid.UUID, bytes]:
    """The new content of each blob. Raises RotationMismatchError unless every one comes once."""
    contents: dict[uuid.UUID, bytes] = {}
    repeated, wanted = set(), set(held)
    unknown = []
    for secret, content in encrypted:
        row = ulid.parse_or_none(secret)
        if row is None or row not in wanted:
            unknown.append(secret)
        elif row in contents:
            repeated.add(secret)
        else:
            contents[row] = blobs.checked_under(content, key.proof)
    missing = [ulid.to_text(row) for row in held if row not in contents]
    wrong = [
        f"{text}: {', '.join(sorted(ids)[:5])}{'…' if len(ids) > 5 else ''}"
        for text, ids in (("missing", missing), ("unknown", unknown), ("repeated", repeated))
        if ids
    ]
    if wrong:
        raise RotationMismatchError(
            f"secrets: List every blob of the project exactly once ({'; '.join(wrong)})."
        )
    return contents


def _move(
    held: Sequence[uuid.UUID],
    content_of: Callable[[Secret], bytes],
    key: KeyVersion,
    *,
    author: Author,
) -> None:
    """Put every blob under `key`, keeping what was there as a version under the old one."""
    numbers = iter(numbering.take(key.organization_id, len(held))) if held else iter(())
    for start in range(0, len(held), BATCH):
        batch = list(
            Secret.objects.select_for_update(of=("self",))
            .select_related("project")
            .filter(pk__in=held[start : start + BATCH])
            .order_by("id")
        )
        moved = [content_of(secret) for secret in batch]
        if key.project.secret_versioning:
            SecretVersion.objects.bulk_create(
                [
                    SecretVersion(
                        organization_id=secret.organization_id,
                        project_id=secret.project_id,
                        target_id=secret.target_id,
                        environment_id=secret.environment_id,
                        number=next(numbers),
                        action=SecretVersion.Action.ROTATE,
                        content=bytes(secret.content),
                        size_bytes=secret.size_bytes,
                        key_version=secret.key_version,
                        author_number=author.number,
                        author_name=author.name,
                    )
                    for secret in batch
                ]
            )
        for secret, content in zip(batch, moved, strict=True):
            secret.content = content
            secret.size_bytes = blobs.text_length(content)
            secret.key_version = key.version
            secret.updated_at = clock.now()
        Secret.objects.bulk_update(batch, ["content", "size_bytes", "key_version", "updated_at"])

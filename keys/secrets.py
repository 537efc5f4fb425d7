"""Reading, writing and deleting the blobs of levels. Each write keeps what it replaces.

Order of locks, the same everywhere: the project's active key, the level's node (the deepest first,
for a deletion), its blob, its versions by their numbers, the organization's numbers.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from django.db import transaction
from django.db.models import Q

from keys import blobs, data_keys, numbering
from keys.authors import Author
from keys.blobs import Blob
from keys.errors import ClientManagedError, GoneError
from keys.levels import Level
from keys.models import Secret, SecretVersion
from keys.retrieval import active, active_to_write, numbered
from organizations.signals import Verb, act, content_revealed


class Opened(NamedTuple):
    """A level's blob and, where the server was asked to decrypt it, its plaintext."""

    level: Level
    secret: Secret
    plaintext: bytes | None = None


class Stored(NamedTuple):
    """The row of a level's blob, and whether anything changed in it."""

    secret: Secret
    is_changed: bool = True


def read(levels: Iterable[Level]) -> list[Opened]:
    """The blobs of `levels` (of one project), those without one left out. Each reveal is announced
    before anything is returned."""
    found = _at(levels)
    _announce(Verb.READ, found)
    return [Opened(level, secret) for level, secret in found]


def decrypt(levels: Iterable[Level]) -> list[Opened]:
    """As `read`, with the plaintexts. Raises ClientManagedError for a client-managed project,
    ContentUndecryptableError for a damaged blob."""
    levels = list(levels)
    project = levels[0].project
    key = active(project)
    found = _at(levels)
    keys = numbered(project, {secret.key_version for _, secret in found})
    # Asked of those read last too: the key may have changed hands meanwhile.
    if any(version.is_client_managed for version in (key, *keys.values())):
        raise ClientManagedError(
            f"The clients hold the key of {project.slug}: the server cannot decrypt."
        )
    opened = [
        Opened(level, secret, blobs.opened(keys[secret.key_version], secret.content))
        for level, secret in found
    ]
    _announce(Verb.DECRYPT, found)
    return opened


@transaction.atomic
def store(
    level: Level,
    sent: str,
    *,
    author: Author,
    key_proof: str | None = None,
    no_backup: bool = False,
) -> Stored:
    """Put what a client sent in the place of the level's blob.

    What was there becomes a version, unless `no_backup` or the project keeps none. Where the server
    has the key and the level holds the same already, nothing changes. Raises the
    errors of `keys.errors` that `keys.blobs.arriving` names, and NoActiveKeyError.
    """
    warm_up(level)
    version = active_to_write(level.project)
    blob = blobs.arriving(
        sent, version, key_proof=key_proof, is_strict=level.project.strict_encryption
    )
    held = locked(level)
    if (
        held is not None
        and held.key_version == version.version
        and blobs.is_same(blob, version, held.content)
    ):
        return Stored(held, is_changed=False)
    with act(Verb.STORE, no_backup=no_backup or None, **blob.facts):
        action = SecretVersion.Action.UPDATE
        return Stored(_replace(held, level, blob, action, author, keeps_backup=not no_backup))


@transaction.atomic
def delete(level: Level, *, author: Author, no_backup: bool = False) -> bool:
    """Empty the level; whether it held anything. What it held becomes a version, unless
    `no_backup`: then the level's versions go too, for good."""
    secret = locked(level)
    if no_backup:
        purge(**level.columns)
    if secret is None:
        return False
    if not no_backup and level.project.secret_versioning:
        keep(secret, level, SecretVersion.Action.DELETE, author=author)
    with act(Verb.DELETE, no_backup=no_backup or None):
        secret.delete()
    return True


def warm_up(level: Level) -> None:
    """Derive the key before locks are taken: that takes a third of a second."""
    version = active(level.project)
    if not version.is_client_managed:
        data_keys.data_key(version)


def put(
    level: Level,
    blob: Blob,
    action: str,
    *,
    author: Author,
    metadata: dict[str, Any] | None = None,
) -> Secret:
    """Make `blob` the level's, keeping what it replaces as a version of `action`."""
    return _replace(locked(level), level, blob, action, author, metadata=metadata)


def _replace(
    secret: Secret | None,
    level: Level,
    blob: Blob,
    action: str,
    author: Author,
    *,
    keeps_backup: bool = True,
    metadata: dict[str, Any] | None = None,
) -> Secret:
    """`put`, with the level's row locked already."""
    if secret is None:
        [number] = numbering.take(level.project.organization_id)
        return Secret.objects.create(
            **level.columns,
            number=number,
            content=blob.content,
            size_bytes=blob.size_bytes,
            key_version=blob.key_version,
        )
    if keeps_backup and level.project.secret_versioning:
        keep(secret, level, action, author=author, metadata=metadata)
    secret.content = blob.content
    secret.size_bytes = blob.size_bytes
    secret.key_version = blob.key_version
    secret.save(update_fields={"content", "size_bytes", "key_version"})
    return secret


def keep(
    secret: Secret,
    level: Level,
    action: str,
    *,
    author: Author,
    metadata: dict[str, Any] | None = None,
) -> SecretVersion:
    """Make what the level holds a version, as replaced by `action`."""
    [number] = numbering.take(level.project.organization_id)
    return SecretVersion.objects.create(
        **level.columns,
        number=number,
        action=action,
        content=bytes(secret.content),
        size_bytes=secret.size_bytes,
        key_version=secret.key_version,
        author_number=author.number,
        author_name=author.name,
        metadata=metadata or {},
    )


def purge(**where: Any) -> int:
    """Delete versions, locked in the order in which re-encryption locks them; returns how many."""
    versions = SecretVersion.objects.filter(**where)
    list(versions.select_for_update().order_by("number").values_list("pk"))
    with act(Verb.PURGE):
        count, _ = versions.delete()
    return count


def locked(level: Level) -> Secret | None:
    """The level's blob, locked until the transaction ends. The node is locked first: before the
    first write there is no blob to lock. Raises GoneError."""
    node = level.node
    nodes = type(node)._default_manager.select_for_update(no_key=True)
    if not nodes.filter(pk=node.pk).values_list("pk", flat=True):
        raise GoneError(f"{level.path} was deleted in the meantime.")
    found = Secret.objects.select_for_update().filter(**level.columns).first()
    if found is not None:
        found.project, found.target, found.environment = (
            level.project,
            level.target,
            level.environment,
        )
    return found


def _at(levels: Iterable[Level]) -> list[tuple[Level, Secret]]:
    """The levels that hold a blob, in order, each with it."""
    wanted = list(levels)
    here = Q(pk__in=[])
    for level in wanted:
        here |= Q(**level.columns)
    by_node = {
        (secret.target_id, secret.environment_id): secret for secret in Secret.objects.filter(here)
    }
    found = []
    for level in wanted:
        node = (level.target and level.target.pk, level.environment and level.environment.pk)
        if node in by_node:
            found.append((level, by_node[node]))
    return found


def _announce(verb: Verb, found: Iterable[tuple[Level, Secret]]) -> None:
    revealed = []
    for level, secret in found:
        secret.project, secret.target, secret.environment = (
            level.project,
            level.target,
            level.environment,
        )
        revealed.append((secret, {"key_version": secret.key_version, "size": secret.size_bytes}))
    content_revealed.send(Secret, verb=verb, revealed=revealed)

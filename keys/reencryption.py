"""Moving versions of secrets from old keys to the active one, a batch at a time.

Server-managed ones in the background (`manage.py re_encrypt`), where a rotation asked for it;
client-managed ones by their clients, which fetch what is pending and submit it encrypted anew. What
is left to do is read from the versions themselves, so it can stop anywhere and go on later.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet

from keys import blobs, client_keys, data_keys, master_key, retrieval
from keys.errors import ClientManagedError, KeyVersionConflictError, ServerManagedError
from keys.models import KeyVersion, SecretVersion
from organizations import clock
from organizations.models import Project
from organizations.signals import Verb, act, content_revealed

BATCH = 100
"""Versions moved by one statement and, in the background, by one transaction."""


class Pending(NamedTuple):
    """Versions to bring under the active key, and how many there are in all."""

    versions: list[SecretVersion]
    remaining: int


class Submitted(NamedTuple):
    number: int
    content: str


class Progress(NamedTuple):
    """How far the background work on a project is."""

    done: int
    total: int

    @property
    def remaining(self) -> int:
        return self.total - self.done


# -- By clients


def pending(project: Project, limit: int) -> Pending:
    """Client-managed versions under old keys, the oldest first, announced as reveals.

    Raises ServerManagedError, NoActiveKeyError.
    """
    key = _of_clients(retrieval.active(project))
    waiting = _under_other_keys(key)
    some = _together(waiting.order_by("number").values_list("pk", "size_bytes")[:limit])
    found = list(
        waiting.filter(pk__in=some).select_related("target", "environment").order_by("number")
    )
    revealed = []
    for version in found:
        version.project = project
        revealed.append((version, {"key_version": version.key_version, "size": version.size_bytes}))
    content_revealed.send(SecretVersion, verb=Verb.READ, revealed=revealed)
    return Pending(found, waiting.count())


def _together(sizes: Iterable[tuple[uuid.UUID, int]]) -> list[uuid.UUID]:
    """As many as the client can submit in one request, and at least one."""
    found: list[uuid.UUID] = []
    total = 0
    for pk, size in sizes:
        total += size
        if found and total > settings.CLIENT_ROTATION_MAX_BYTES // 2:
            break
        found.append(pk)
    return found


@transaction.atomic
def submit(project: Project, submitted: Sequence[Submitted], key_proof: str | None) -> Pending:
    """Store versions that a client brought under the active key; returns those stored, and how
    many remain.

    Raises KeyVersionConflictError when the key was rotated or a version was moved or deleted
    meanwhile, and the errors of proofs and contents; then nothing was stored.
    """
    key = _of_clients(retrieval.active_to_write(project))
    client_keys.check_proof(key, key_proof)
    proof = master_key.unwrap_proof(key)
    contents = {number: blobs.checked_under(content, proof) for number, content in submitted}
    versions = list(
        _under_other_keys(key)
        .filter(number__in=contents)
        .select_for_update(of=("self",))
        .order_by("number")
    )
    if len(versions) != len(submitted):
        raise KeyVersionConflictError(
            "Some of these versions are not waiting for this key any more. Fetch the pending"
            " versions again."
        )
    _store(versions, [contents[version.number] for version in versions], key)
    return Pending(versions, _under_other_keys(key).count())


# -- By the server


def projects_to_do() -> QuerySet[Project]:
    """Projects with versions that a rotation asked to re-encrypt, and that still wait for it."""
    server = KeyVersion.Managed.SERVER
    of_server = KeyVersion.objects.filter(
        project=OuterRef("project"), version=OuterRef("key_version"), managed=server
    )
    waiting = SecretVersion.objects.filter(
        Exists(of_server), project=OuterRef("project"), key_version__lt=OuterRef("version")
    )
    asked = KeyVersion.objects.filter(
        Exists(waiting), managed=server, history_policy=Project.HistoryPolicy.RE_ENCRYPT
    )
    return Project.objects.filter(pk__in=asked.values("project")).order_by("id")


def progress(project: Project) -> Progress | None:
    """How far re-encryption of a project is, or None when no rotation asked for it."""
    last = _last_asked(project)
    if last is None:
        return None
    done = SecretVersion.objects.filter(
        project=project, re_encrypted_at__gt=last.created_at, key_version__gte=last.version
    ).count()
    return Progress(done, done + _waiting_for(last).count())


def run(project: Project, report: Callable[[int], None] | None = None) -> int:
    """Move the project's versions to the active key, batch by batch, each in a transaction of its
    own; returns how many. `report` is called with the count after each batch. Safe to stop and
    run again.

    Raises ClientManagedError when the key was given to clients meanwhile.
    """
    count = 0
    while True:
        moved = _run_batch(project)
        if not moved:
            return count
        count += moved
        if report:
            report(count)


def move_all(project: Project, key: KeyVersion) -> int:
    """Move every version under an older key of the server to `key`, the active one, in the current
    transaction, asked for or not; returns how many."""
    count = 0
    waiting = _waiting_for(key).select_for_update(of=("self",))
    while moved := _move_some(waiting, project, key):
        count += moved
    return count


@transaction.atomic
def _run_batch(project: Project) -> int:
    last = _last_asked(project)
    if last is None:
        return 0
    warm = retrieval.active(project)
    if not warm.is_client_managed:
        data_keys.data_key(warm)
    key = retrieval.active_to_write(project)
    if key.is_client_managed:
        raise ClientManagedError(f"The clients hold the key of {project.slug}.")
    waiting = _waiting_for(last).select_for_update(of=("self",), skip_locked=True)
    return _move_some(waiting, project, key)


def _move_some(waiting: QuerySet[SecretVersion], project: Project, key: KeyVersion) -> int:
    versions = list(waiting.order_by("number")[:BATCH])
    old = retrieval.numbered(project, {version.key_version for version in versions})
    contents = [blobs.moved(v.content, old[v.key_version], key) for v in versions]
    if versions:
        _store(versions, contents, key)
    return len(versions)


def _store(versions: Iterable[SecretVersion], contents: Iterable[bytes], key: KeyVersion) -> None:
    changed = []
    for version, content in zip(versions, contents, strict=True):
        version.content = content
        version.size_bytes = blobs.text_length(content)
        version.key_version = key.version
        version.re_encrypted_at = version.updated_at = clock.now()
        changed.append(version)
    with act(Verb.RE_ENCRYPT, key_version=key.version):
        SecretVersion.objects.bulk_update(
            changed,
            ["content", "size_bytes", "key_version", "re_encrypted_at", "updated_at"],
            batch_size=BATCH,
        )


def _of_clients(key: KeyVersion) -> KeyVersion:
    if not key.is_client_managed:
        raise ServerManagedError(
            f"The key of {key.project.slug} is held by the server, which re-encrypts on its own."
        )
    return key


def _under_other_keys(key: KeyVersion) -> QuerySet[SecretVersion]:
    old = KeyVersion.objects.filter(
        project_id=key.project_id, managed=KeyVersion.Managed.CLIENT, version__lt=key.version
    )
    return SecretVersion.objects.filter(
        project_id=key.project_id, key_version__in=old.values("version")
    )


def _waiting_for(last: KeyVersion) -> QuerySet[SecretVersion]:
    old = KeyVersion.objects.filter(
        project_id=last.project_id, managed=KeyVersion.Managed.SERVER, version__lt=last.version
    )
    return SecretVersion.objects.filter(
        project_id=last.project_id, key_version__in=old.values("version")
    )


def _last_asked(project: Project) -> KeyVersion | None:
    """The newest server-managed version whose rotation asked for re-encryption."""
    asked: KeyVersion | None = (
        KeyVersion.objects.filter(
            project=project,
            managed=KeyVersion.Managed.SERVER,
            history_policy=Project.HistoryPolicy.RE_ENCRYPT,
        )
        .order_by("-version")
        .first()
    )
    return asked

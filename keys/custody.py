"""Who holds a project's key: switched from the server to its clients, or back.

No blob changes: the same key with the same salt encrypts before and after. From the server's side
only what it keeps changes, the key itself or just the proof of it.
"""

from __future__ import annotations

import hmac

from django.core.exceptions import ValidationError
from django.db import transaction

from keys import crypto, data_keys, key_versions, master_key, reencryption, retrieval
from keys.errors import (
    ClientManagedError,
    ContentUndecryptableError,
    GoneError,
    InsecureClientKeyError,
    KeyProofMismatchError,
    ServerManagedError,
)
from keys.models import KeyVersion, Secret
from organizations.models import Project
from organizations.signals import Verb, act, content_revealed


def offer(project: Project) -> str:
    """The key that clients are about to take over, for them to keep; announced as a reveal.

    Raises ClientManagedError, NoActiveKeyError, InsecureClientKeyError for a key of 32 bytes
    (rotate it first).
    """
    version = retrieval.active(project)
    key = _to_give(version)
    facts = {"key_version": version.version}
    content_revealed.send(KeyVersion, verb=Verb.RETRIEVE, revealed=[(version, facts)])
    return key


@transaction.atomic
def to_clients(project: Project, key: str) -> KeyVersion:
    """Keep no more than the proof of the key. `key` is what the clients kept of it: giving it away
    to nobody would lose every secret.

    What older keys of the server encrypt is moved to this one first, since nobody could later.
    Raises what `offer` raises, and KeyProofMismatchError for another key.
    """
    version = _locked(project)
    held = _to_give(version)
    if not hmac.compare_digest(held.encode(), key.encode()):
        raise KeyProofMismatchError("This is not the project's key. Nothing was changed.")
    reencryption.move_all(project, version)
    proof = crypto.prove(held, bytes(version.key_check_salt), version.key_check_iterations)
    wrapped = master_key.wrap_proof(proof, version.id)
    version.managed = KeyVersion.Managed.CLIENT
    version.wrapped_key, version.wrapped_key_check = None, wrapped.sealed
    _switch(version, wrapped.master_key_version, Project.StorageMode.CLIENT)
    data_keys.forget(version)
    return version


@transaction.atomic
def to_server(project: Project, key: str) -> KeyVersion:
    """Take the key in: `key` must be the one that the kept proof is of, and open every blob.

    Raises ServerManagedError, NoActiveKeyError, ValidationError for a key that no server-managed
    key may be, KeyProofMismatchError, ContentUndecryptableError.
    """
    version = _locked(project)
    if not version.is_client_managed:
        raise ServerManagedError(f"The key of {project.slug} is already held by the server.")
    key_versions.check_key(key, "key")
    salt, rounds = bytes(version.key_check_salt), version.key_check_iterations
    if crypto.prove(key, salt, rounds) != master_key.unwrap_proof(version):
        raise KeyProofMismatchError("This is not the project's key.")
    _check_opens(project, crypto.derive_data_key(key, salt, rounds), version)
    wrapped = master_key.wrap(key, version.id)
    version.managed = KeyVersion.Managed.SERVER
    version.wrapped_key, version.wrapped_key_check = wrapped.sealed, None
    _switch(version, wrapped.master_key_version, Project.StorageMode.SERVER)
    return version


def _check_opens(project: Project, data_key: bytes, version: KeyVersion) -> None:
    """The proof covers 32 bytes of the key: only the blobs show whether the rest is right."""
    held = Secret.objects.filter(project=project, key_version=version.version)
    for secret in held.select_related("project", "target", "environment").iterator(100):
        try:
            crypto.decrypt(data_key, bytes(secret.content))
        except crypto.UnwrapError:
            raise ContentUndecryptableError(
                f"The key begins correctly, but does not decrypt {secret.path}: check the"
                " part after its 32nd byte."
            ) from None


def _to_give(version: KeyVersion) -> str:
    """The key of a version that may go to clients."""
    if version.is_client_managed:
        raise ClientManagedError(
            f"The key of {version.project.slug} is already held by its clients."
        )
    key = master_key.unwrap(version)
    if len(key.encode()) == crypto.KEY_BYTES:
        raise InsecureClientKeyError(
            "This key is 32 bytes long, so its proof could decrypt what it encrypts. Rotate it"
            " first."
        )
    return key


def _locked(project: Project) -> KeyVersion:
    version = retrieval.active(project)
    active = KeyVersion.objects.filter(pk=version.pk, is_active=True)
    locked = active.select_for_update(no_key=True).first()
    if locked is None:  # rotated since it was looked at
        raise ValidationError("The key was rotated in the meantime. Reload and try again.")
    # Before any version: who deletes a level locks the node first.
    found = Project.objects.select_for_update(no_key=True).filter(pk=project.pk).first()
    if found is None:
        raise GoneError(f"{project.slug} was deleted in the meantime.")
    locked.project = found
    return locked


def _switch(version: KeyVersion, master_key_version: int, mode: str) -> None:
    version.master_key_version = master_key_version
    project = version.project
    project.storage_mode = mode
    with act(Verb.SWITCH_CUSTODY, key_version=version.version):
        version.save(
            update_fields={"managed", "wrapped_key", "wrapped_key_check", "master_key_version"}
        )
        project.save(update_fields={"storage_mode"})

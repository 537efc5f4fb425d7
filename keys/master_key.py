"""Wrapping keys and proofs by the master key, and moving them to another master key.

Master keys come from the settings alone: `MASTER_KEYS` maps a version to 32 bytes, and
`MASTER_KEY_CURRENT` names the one that wraps. What is wrapped is bound to its row and to what it
is, so it cannot be passed off as another project's, nor a proof as a key.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import NamedTuple

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import transaction

from keys import crypto
from keys.models import KeyVersion
from organizations.signals import Verb, act

_PROOF = b"proof"


class Wrapped(NamedTuple):
    sealed: bytes
    master_key_version: int


def wrap(key: str, row: uuid.UUID) -> Wrapped:
    """Seal `key` for the KeyVersion with id `row` under the current master key."""
    return _wrap(key.encode(), row.bytes)


def wrap_proof(proof: bytes, row: uuid.UUID) -> Wrapped:
    """Seal the proof of a client's key for the KeyVersion with id `row`."""
    return _wrap(proof, row.bytes + _PROOF)


def unwrap(version: KeyVersion) -> str:
    """The key string of a server-managed version. Raises ImproperlyConfigured when its master key
    is missing, crypto.UnwrapError when it is the wrong one."""
    if version.wrapped_key is None:
        raise ValueError(f"version {version.version} is client-managed: its key is not here")
    return _unwrap(version, version.wrapped_key, version.id.bytes).decode()


def unwrap_proof(version: KeyVersion) -> bytes:
    """The proof (32 bytes) of a client-managed version. Raises as `unwrap` does."""
    if version.wrapped_key_check is None:
        raise ValueError(f"version {version.version} is server-managed: it has no proof")
    return _unwrap(version, version.wrapped_key_check, version.id.bytes + _PROOF)


def rewrap_all(batch: int = 500, progress: Callable[[int], None] | None = None) -> int:
    """Re-wrap what another master key than the current one wraps; returns how many versions.

    In batches of a transaction each, so it can be stopped and run again. `progress` gets the
    number done after each batch.
    """
    current = settings.MASTER_KEY_CURRENT
    total = 0
    while True:
        with transaction.atomic(), act(Verb.REWRAP, master_key_version=current):
            versions = list(
                KeyVersion.objects.select_for_update()
                .exclude(master_key_version=current)
                .order_by("id")[:batch]
            )
            for version in versions:
                _rewrap(version)
            KeyVersion.objects.bulk_update(
                versions, ["wrapped_key", "wrapped_key_check", "master_key_version"]
            )
        if not versions:
            return total
        total += len(versions)
        if progress:
            progress(total)


def _rewrap(version: KeyVersion) -> None:
    if version.is_client_managed:
        wrapped = wrap_proof(unwrap_proof(version), version.id)
        version.wrapped_key_check = wrapped.sealed
    else:
        wrapped = wrap(unwrap(version), version.id)
        version.wrapped_key = wrapped.sealed
    version.master_key_version = wrapped.master_key_version


def _wrap(content: bytes, bound_to: bytes) -> Wrapped:
    current: int = settings.MASTER_KEY_CURRENT
    return Wrapped(crypto.encrypt(_master_key(current), content, bound_to), current)


def _unwrap(version: KeyVersion, sealed: bytes | memoryview[int], bound_to: bytes) -> bytes:
    return crypto.decrypt(_master_key(version.master_key_version), bytes(sealed), bound_to)


def _master_key(version: int) -> bytes:
    try:
        key: bytes = settings.MASTER_KEYS[version]
    except KeyError:
        raise ImproperlyConfigured(
            f"Keys are wrapped by master key {version}, which MASTER_KEYS does not hold; add it."
        ) from None
    return key

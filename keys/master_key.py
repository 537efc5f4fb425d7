"""Wrapping server-managed keys by the master key, and moving them to another master key.

Master keys come from the settings alone: `MASTER_KEYS` maps a version to 32 bytes, and
`MASTER_KEY_CURRENT` names the one that wraps. A wrapped key is bound to its row, so it cannot be
passed off as another project's.
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
from organizations.acts import act


class Wrapped(NamedTuple):
    wrapped_key: bytes
    master_key_version: int


def wrap(key: str, row: uuid.UUID) -> Wrapped:
    """Seal `key` for the KeyVersion with id `row` under the current master key."""
    current: int = settings.MASTER_KEY_CURRENT
    return Wrapped(crypto.encrypt(_master_key(current), key.encode(), row.bytes), current)


def unwrap(version: KeyVersion) -> str:
    """The key string of a server-managed version. Raises ImproperlyConfigured when its master key
    is missing, crypto.UnwrapError when it is the wrong one."""
    if version.wrapped_key is None or version.master_key_version is None:
        raise ValueError(f"version {version.version} is client-managed: its key is not here")
    sealed = bytes(version.wrapped_key)
    return crypto.decrypt(
        _master_key(version.master_key_version), sealed, version.id.bytes
    ).decode()


def rewrap_all(batch: int = 500, progress: Callable[[int], None] | None = None) -> int:
    """Re-wrap every key that another master key than the current one wraps; returns how many.

    In batches of a transaction each, so it can be stopped and run again. `progress` is told how
    many are done after each batch.
    """
    current = settings.MASTER_KEY_CURRENT
    total = 0
    while True:
        with transaction.atomic(), act("rewrap", master_key_version=current):
            versions = list(
                KeyVersion.objects.select_for_update()
                .filter(managed=KeyVersion.Managed.SERVER)
                .exclude(master_key_version=current)
                .order_by("id")[:batch]
            )
            for version in versions:
                version.wrapped_key, version.master_key_version = wrap(unwrap(version), version.id)
            KeyVersion.objects.bulk_update(versions, ["wrapped_key", "master_key_version"])
        if not versions:
            return total
        total += len(versions)
        if progress:
            progress(total)


def _master_key(version: int) -> bytes:
    try:
        key: bytes = settings.MASTER_KEYS[version]
    except KeyError:
        raise ImproperlyConfigured(
            f"Keys are wrapped by master key {version}, which MASTER_KEYS does not hold; add it."
        ) from None
    return key

"""The AES keys that server-managed keys stand for, derived once and kept in memory for minutes.

Deriving one takes about a third of a second (600,000 rounds), so it is done outside of locks.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections import OrderedDict

from keys import crypto, master_key
from keys.models import KeyVersion

SECONDS = 300
MOST = 256


class _Cache:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[uuid.UUID, tuple[float, bytes]] = OrderedDict()

    def get(self, key: uuid.UUID) -> bytes | None:
        with self._lock:
            until, value = self._kept.get(key, (0.0, b""))
            return value if until > time.monotonic() else None

    def put(self, key: uuid.UUID, value: bytes) -> None:
        with self._lock:
            self._kept[key] = (time.monotonic() + SECONDS, value)
            self._kept.move_to_end(key)
            while len(self._kept) > MOST:
                self._kept.popitem(last=False)

    def forget(self, key: uuid.UUID) -> None:
        with self._lock:
            self._kept.pop(key, None)


_cache = _Cache()


def data_key(version: KeyVersion) -> bytes:
    """The AES key (32 bytes) of a server-managed version.

    Raises what `master_key.unwrap` raises.
    """
    kept = _cache.get(version.id)
    if kept is None:
        kept = crypto.derive_data_key(
            master_key.unwrap(version), bytes(version.key_check_salt), version.key_check_iterations
        )
        _cache.put(version.id, kept)
    return kept


def remember(version: KeyVersion, derived: bytes) -> None:
    """Keep a key that was derived already, for a version that is new."""
    _cache.put(version.id, derived)


def padded_key(version: KeyVersion) -> bytes:
    """The AES key that clients older than the derivation use for the same key."""
    return crypto.pad_key(master_key.unwrap(version))


def forget(version: KeyVersion) -> None:
    """Drop what is kept of a key that the server gives away."""
    _cache.forget(version.id)

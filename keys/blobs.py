"""Content on its way into a level: checked against the key it must be under, and made a blob.

Clients send base64 of a blob. Some old ones send plaintext, which the server encrypts where it has
the key (and says so in the log), and never keeps.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings

from keys import client_keys, crypto, data_keys, master_key
from keys.errors import (
    ContentNotEncryptedError,
    ContentTooLargeError,
    ContentUndecryptableError,
)
from keys.models import KeyVersion

SHORTEST_BLOB = crypto.NONCE_BYTES + crypto.TAG_BYTES


@dataclass(frozen=True)
class Blob:
    """What a level can hold: `content` is under version `key_version`. facts: what was done to it
    on arrival, worth recording. plaintext: where the server could open it."""

    content: bytes = field(repr=False)
    key_version: int
    facts: Mapping[str, Any] = field(default_factory=dict)
    plaintext: bytes | None = field(default=None, repr=False)

    @property
    def size_bytes(self) -> int:
        return text_length(self.content)


def text_length(content: bytes | memoryview[int]) -> int:
    """The length of the base64 text of `content`: how clients measure it."""
    return 4 * -(-len(content) // 3)


def to_text(content: bytes | memoryview[int]) -> str:
    """As clients see it: base64 with padding, on one line."""
    return base64.b64encode(bytes(content)).decode()


def arriving(
    sent: str, version: KeyVersion, *, key_proof: str | None = None, is_strict: bool = False
) -> Blob:
    """The blob to store for what a client sent under `version`.

    is_strict: refuse plaintext instead of encrypting it. Raises the errors of `keys.errors` that
    say what is wrong with it.
    """
    _check_size(sent)
    if version.is_client_managed:
        client_keys.check_proof(version, key_proof)
        return Blob(checked_under(sent, master_key.unwrap_proof(version)), version.version)
    content = _decoded(sent)
    data_key = data_keys.data_key(version)
    if content is None:
        if is_strict:
            raise ContentNotEncryptedError(
                "The content is not encrypted, and this project does not accept plaintext."
            )
        # Encrypted it is longer, and clients must be able to send back what they were given.
        encrypted = crypto.encrypt(data_key, sent.encode())
        _check_length(text_length(encrypted), "Encrypted, the content")
        return Blob(encrypted, version.version, {"plaintext_upload": True}, sent.encode())
    plaintext = _opens(data_key, content)
    if plaintext is not None:
        return Blob(content, version.version, plaintext=plaintext)
    plaintext = _opens(data_keys.padded_key(version), content)
    if plaintext is not None:
        encrypted = crypto.encrypt(data_key, plaintext)
        return Blob(encrypted, version.version, {"legacy_derivation": True}, plaintext)
    raise ContentUndecryptableError(
        f"The project's active key (version {version.version}) does not decrypt the content."
        " Fetch the key and encrypt again."
    )


def checked_under(sent: str, proof: bytes) -> bytes:
    """The blob in what a client sent under the key that `proof` belongs to. Raises
    ContentNotEncryptedError, ContentTooLargeError or InsecureClientKeyError."""
    _check_size(sent)
    content = _decoded(sent)
    if content is None:
        raise ContentNotEncryptedError(
            "The content is not encrypted. Encrypt it with the project's key and send it as base64."
        )
    client_keys.refuse_insecure(proof, content)
    return content


def opened(version: KeyVersion, content: bytes | memoryview[int]) -> bytes:
    """The plaintext of a blob under a server-managed version.

    Raises ContentUndecryptableError: the blob was damaged, or stored by other ways than these.
    """
    return opened_by(data_keys.data_key(version), content)


def opened_by(data_key: bytes, content: bytes | memoryview[int]) -> bytes:
    """As `opened`, by a derived key."""
    plaintext = _opens(data_key, bytes(content))
    if plaintext is None:
        raise ContentUndecryptableError("The key does not decrypt the stored content.")
    return plaintext


def is_same(blob: Blob, version: KeyVersion, content: bytes | memoryview[int]) -> bool:
    """Whether what is stored under a version has the plaintext of a blob that arrived under it.
    False if the server cannot know."""
    if blob.plaintext is None:
        return False
    held = _opens(data_keys.data_key(version), bytes(content))
    return held is not None and hmac.compare_digest(held, blob.plaintext)


def moved(content: bytes | memoryview[int], old: KeyVersion, new: KeyVersion) -> bytes:
    """The same plaintext under another server-managed version."""
    return crypto.encrypt(data_keys.data_key(new), opened(old, content))


def _opens(key: bytes, content: bytes) -> bytes | None:
    try:
        return crypto.decrypt(key, content)
    except crypto.UnwrapError:
        return None


def _decoded(sent: str) -> bytes | None:
    """The bytes of a blob; None for what cannot be a blob."""
    try:
        content = base64.b64decode(sent, validate=True)
    except ValueError:
        return None
    return content if len(content) >= SHORTEST_BLOB else None


def _check_size(sent: str) -> None:
    _check_length(len(sent.encode()), "The content")


def _check_length(length: int, what: str) -> None:
    largest: int = settings.SECRET_MAX_BYTES
    if length > largest:
        raise ContentTooLargeError(
            f"{what} is {length:,} bytes; a level holds at most {largest:,}."
        )

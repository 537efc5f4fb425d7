"""The cryptography of keys: AES-256-GCM blobs, key derivation, wrapping by the master key.

Blob (contract): nonce (12 bytes) ‖ ciphertext ‖ tag (16 bytes), NIST SP 800-38D. Derivation:
PBKDF2-HMAC-SHA256, RFC 8018 §5.2. All of it by the `cryptography` library.
"""

from __future__ import annotations

import os
import secrets
import string

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC

ITERATIONS = 600_000
KEY_BYTES = 32
SALT_BYTES = 16
NONCE_BYTES = 12
TAG_BYTES = 16
KEY_CHARACTERS = 48
"""Never 32: for a key of 32 bytes the proof that clients send would equal the data key."""

_ALPHABET = string.ascii_letters + string.digits


class UnwrapError(Exception):
    """The master key at hand did not seal this."""


def generate_key() -> str:
    """A fresh server-managed key: 48 letters and digits, about 285 bits."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(KEY_CHARACTERS))


def generate_salt() -> bytes:
    return os.urandom(SALT_BYTES)


def derive_data_key(key: str, salt: bytes, iterations: int = 0) -> bytes:
    """The AES key that a key string stands for (32 bytes). iterations: 0 for what is usual."""
    return _pbkdf2(key.encode(), salt, iterations)


def prove(key: str, salt: bytes, iterations: int = 0) -> bytes:
    """The proof that shows knowledge of a client-managed key (32 bytes)."""
    return _pbkdf2(pad_key(key), salt, iterations)


def pad_key(key: str) -> bytes:
    """The key's bytes cut or padded with ASCII `0` to 32. Raises ValueError when it is empty."""
    if not key:
        raise ValueError("the key is empty")
    return key.encode()[:KEY_BYTES].ljust(KEY_BYTES, b"0")


def encrypt(data_key: bytes, plaintext: bytes, bound_to: bytes | None = None) -> bytes:
    """A blob; `bound_to` must be the same when it is opened."""
    nonce = os.urandom(NONCE_BYTES)
    return nonce + AESGCM(data_key).encrypt(nonce, plaintext, bound_to)


def decrypt(data_key: bytes, blob: bytes, bound_to: bytes | None = None) -> bytes:
    """What `encrypt` sealed. Raises UnwrapError when key, blob or binding do not fit."""
    if len(blob) < NONCE_BYTES + TAG_BYTES:
        raise UnwrapError("the blob is shorter than a nonce and a tag")
    try:
        return AESGCM(data_key).decrypt(blob[:NONCE_BYTES], blob[NONCE_BYTES:], bound_to)
    except InvalidTag:
        raise UnwrapError("the key does not open the blob") from None


def _pbkdf2(password: bytes, salt: bytes, iterations: int) -> bytes:
    kdf = PBKDF2HMAC(
        algorithm=SHA256(),
        length=KEY_BYTES,
        salt=salt,
        iterations=iterations if iterations > 0 else ITERATIONS,
    )
    return kdf.derive(password)

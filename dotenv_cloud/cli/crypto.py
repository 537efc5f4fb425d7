"""The cryptography that clients of the service share: blobs, data keys, proofs.

AES-256-GCM (NIST SP 800-38D) as nonce ‖ ciphertext ‖ tag in base64; keys by PBKDF2-HMAC-SHA256
(RFC 8018 §5.2). The server has the same in `keys.crypto`: this command imports nothing from it.
"""

from __future__ import annotations

import base64
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC

ITERATIONS = 600_000
KEY_BYTES = 32
SALT_BYTES = 16
NONCE_BYTES = 12
TAG_BYTES = 16


class WrongKeyError(ValueError):
    """The key does not open the blob, or it is not a valid blob."""


def pad_key(key: str) -> bytes:
    """The key's bytes, cut or padded with ASCII `0` to 32. Raises ValueError if it is empty."""
    if not key:
        raise ValueError("the key is empty")
    return key.encode()[:KEY_BYTES].ljust(KEY_BYTES, b"0")


def derive_data_key(key: str, salt: bytes, iterations: int = 0) -> bytes:
    """The AES key that a key string stands for. iterations: 0 for the default."""
    return _pbkdf2(key.encode(), salt, iterations)


def prove(key: str, salt: bytes, iterations: int = 0) -> str:
    """The proof of a client's key, in base64."""
    return base64.b64encode(_pbkdf2(pad_key(key), salt, iterations)).decode()


def generate_salt() -> bytes:
    return os.urandom(SALT_BYTES)


def encrypt(data_key: bytes, plaintext: bytes) -> str:
    """A blob, in base64 on one line."""
    nonce = os.urandom(NONCE_BYTES)
    return base64.b64encode(nonce + AESGCM(data_key).encrypt(nonce, plaintext, None)).decode()


def decrypt(data_key: bytes, blob: str) -> bytes:
    """What a blob holds. Raises WrongKeyError."""
    try:
        content = base64.b64decode(blob, validate=True)
    except ValueError:
        raise WrongKeyError("the content is not base64") from None
    if len(content) < NONCE_BYTES + TAG_BYTES:
        raise WrongKeyError("the content is too short to be encrypted")
    try:
        return AESGCM(data_key).decrypt(content[:NONCE_BYTES], content[NONCE_BYTES:], None)
    except InvalidTag:
        raise WrongKeyError("the key does not open it") from None


def _pbkdf2(password: bytes, salt: bytes, iterations: int) -> bytes:
    rounds = iterations if iterations > 0 else ITERATIONS
    kdf = PBKDF2HMAC(algorithm=SHA256(), length=KEY_BYTES, salt=salt, iterations=rounds)
    return kdf.derive(password)

"""The command's cryptography against the published vectors."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from dotenv_cloud.cli import crypto

K64 = "52c7e8f043e61267076c35827d6c4be454c70ecac00bf10e79a56d703e32e123"
ZERO_16 = bytes(16)
SEQUENCE_16 = bytes(range(16))


def text(value: bytes) -> str:
    return base64.b64encode(value).decode()


@pytest.mark.parametrize(
    ("key", "blob"),
    [
        (K64, "7GvE2YvXvWsbzoQ71OocEa3yGvCdWf2hFTz6goD6f3xRBpLnZeS84QoisjblDTY="),
        ("test-key-123", "+zDYe4BoH2laQAU8AUyFVFHiZ8S5pnY6Ysk8EaeU5DvVPFjJ6Sm+CsztAgHin3w="),
    ],
)
def test_v1_v2_blobs_under_padded_keys_open(key: str, blob: str) -> None:
    assert crypto.decrypt(crypto.pad_key(key), blob) == b"HELLO=world\nFOO=bar"


def test_v3_keys_are_padded() -> None:
    assert crypto.pad_key(K64) == b"52c7e8f043e61267076c35827d6c4be4"
    assert crypto.pad_key("test-key-123") == b"test-key-123" + b"0" * 20
    with pytest.raises(ValueError, match="empty"):
        crypto.pad_key("")


@pytest.mark.parametrize(
    ("key", "salt", "expected"),
    [
        (
            "correct horse battery staple",
            SEQUENCE_16,
            "ppsXnjrdPB4KryJ6DrOqKqhkWrhv7PbKAMF1Eml8cZ4=",
        ),
        (K64, ZERO_16, "g5T4ig0YA4jkFMb7NXO3gednz//JOU/6EnjjwNdAl4U="),
        ("abc", ZERO_16, "wUq9z+VFog/6QBHMm2oWOgWwIrSuX8FNBvyCNx//DU8="),
        ("abc0", ZERO_16, "WWmQhigTh4uCR3wRaTJmdOkz7gDX9WD3eCVWrrO3pAk="),
        ("hunter2", SEQUENCE_16, "9VUOiRGfWTzTZixtfaW9P3qQ4lzS3CIfWKYWbHcnU9M="),
    ],
)
def test_v4_v8_v9_v12_data_keys_are_derived(key: str, salt: bytes, expected: str) -> None:
    assert text(crypto.derive_data_key(key, salt, 1000)) == expected


@pytest.mark.parametrize(
    ("key", "iterations", "expected"),
    [
        ("test-key-123", 1000, "NmvqZy0aWO8MAZ/l3xHShSRA3IRhdRwM6jCBBHDP+eE="),
        (K64, 1000, "h2VVjXvhr9LDoUBIbJKZ0ZWUrxRLSxsKhVZdRGwmv14="),
        (K64[:32], 1000, "h2VVjXvhr9LDoUBIbJKZ0ZWUrxRLSxsKhVZdRGwmv14="),
        ("abc", 1000, "s8HK415BoCIUBtIU741ll14D82BnKeDexPI8JRRFNgY="),
        ("abc0", 1000, "s8HK415BoCIUBtIU741ll14D82BnKeDexPI8JRRFNgY="),
        ("test-key-123", 600_000, "ayMCnThxgJYJAp0OwOC+yPq5GFwLGVthJJjFv47RyhI="),
        ("test-key-123", 0, "ayMCnThxgJYJAp0OwOC+yPq5GFwLGVthJJjFv47RyhI="),
    ],
)
def test_v5_v7_v9_v11_proofs(key: str, iterations: int, expected: str) -> None:
    assert crypto.prove(key, ZERO_16, iterations) == expected


@pytest.mark.parametrize(
    ("rounds", "expected"),
    [
        (1, "120fb6cffcf8b32c43e7225256c4f837a86548c92ccc35480805987cb70be17b"),
        (2, "ae4d0c95af6b46d32d0adff928f06dd02a303f8ef3c251dfd6e2d85a95474c43"),
        (4096, "c5e478d59288c841aa530db6845c4c8d962893a001ce4e11a4963873aa98134a"),
    ],
)
def test_v6_pbkdf2(rounds: int, expected: str) -> None:
    assert crypto.derive_data_key("password", b"salt", rounds).hex() == expected


def test_v10_a_key_of_32_bytes_is_its_own_proof() -> None:
    key = K64[:32]
    data_key = crypto.derive_data_key(key, ZERO_16, 1000)
    assert text(data_key) == crypto.prove(key, ZERO_16, 1000)


def test_v12_v13_blobs_are_nonce_ciphertext_tag() -> None:
    data_key = crypto.derive_data_key("hunter2", SEQUENCE_16, 1000)
    blob = "AAECAwQFBgcICQoLnBpFxur80DWK8NkhqkQ7lvJazJrcz2QLPg/17A=="
    nonce = bytes(range(12))
    assert text(nonce + AESGCM(data_key).encrypt(nonce, b"SECRET=value", None)) == blob
    assert crypto.decrypt(data_key, blob) == b"SECRET=value"
    padded = crypto.pad_key("test-key-123")
    assert crypto.decrypt(padded, "AAAAAAAAAAAAAAAAPYeVaynugiHDQ6aosVh85p87weM=") == b"A=1\n"


def test_each_blob_is_new_and_on_one_line() -> None:
    key = bytes(32)
    first, second = crypto.encrypt(key, b"A=1" * 100), crypto.encrypt(key, b"A=1" * 100)
    assert first != second
    assert "\n" not in first
    assert crypto.decrypt(key, first) == crypto.decrypt(key, second) == b"A=1" * 100


@pytest.mark.parametrize("blob", ["", "A=1", "c2hvcnQ=", text(bytes(40)), "ä"])
def test_what_is_no_blob_is_said_to_be_none(blob: str) -> None:
    with pytest.raises(crypto.WrongKeyError):
        crypto.decrypt(bytes(32), blob)

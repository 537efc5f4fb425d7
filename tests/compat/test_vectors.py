"""The published vectors, by the server's cryptography and by the client's, which share no code."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable
from typing import NamedTuple

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from keys import crypto
from tests.compat import client

K64 = "52c7e8f043e61267076c35827d6c4be454c70ecac00bf10e79a56d703e32e123"
ZERO = bytes(16)
SEQUENCE = bytes(range(16))


class End(NamedTuple):
    pad: Callable[[str], bytes]
    derive: Callable[[str, bytes, int], bytes]
    prove: Callable[[str, bytes, int], bytes]
    open: Callable[[bytes, str], bytes]


SERVER = End(
    crypto.pad_key,
    crypto.derive_data_key,
    crypto.prove,
    lambda data_key, blob: crypto.decrypt(data_key, b64decode(blob)),
)
CLIENT = End(
    client.pad_key,
    lambda key, salt, rounds: client.derive(key.encode(), salt, rounds),
    lambda key, salt, rounds: b64decode(client.prove(key, salt, rounds)),
    client.open_blob,
)


@pytest.fixture(params=[SERVER, CLIENT], ids=["server", "client"])
def end(request: pytest.FixtureRequest) -> End:
    found: End = request.param
    return found


def text(value: bytes) -> str:
    return b64encode(value).decode()


@pytest.mark.parametrize(
    ("key", "blob", "plaintext"),
    [
        pytest.param(
            K64,
            "7GvE2YvXvWsbzoQ71OocEa3yGvCdWf2hFTz6goD6f3xRBpLnZeS84QoisjblDTY=",
            b"HELLO=world\nFOO=bar",
            id="V1",
        ),
        pytest.param(
            "test-key-123",
            "+zDYe4BoH2laQAU8AUyFVFHiZ8S5pnY6Ysk8EaeU5DvVPFjJ6Sm+CsztAgHin3w=",
            b"HELLO=world\nFOO=bar",
            id="V2",
        ),
        pytest.param(
            "test-key-123", "AAAAAAAAAAAAAAAAPYeVaynugiHDQ6aosVh85p87weM=", b"A=1\n", id="V13"
        ),
    ],
)
def test_padded_keys_open(end: End, key: str, blob: str, plaintext: bytes) -> None:
    assert end.open(end.pad(key), blob) == plaintext


def test_v3_keys_are_cut_or_filled(end: End) -> None:
    assert end.pad(K64) == b"52c7e8f043e61267076c35827d6c4be4"
    assert end.pad("test-key-123") == b"test-key-123" + b"0" * 20


@pytest.mark.parametrize(
    ("key", "salt", "expected"),
    [
        pytest.param(
            "correct horse battery staple",
            SEQUENCE,
            "ppsXnjrdPB4KryJ6DrOqKqhkWrhv7PbKAMF1Eml8cZ4=",
            id="V4",
        ),
        pytest.param(K64, ZERO, "g5T4ig0YA4jkFMb7NXO3gednz//JOU/6EnjjwNdAl4U=", id="V8"),
        pytest.param("abc", ZERO, "wUq9z+VFog/6QBHMm2oWOgWwIrSuX8FNBvyCNx//DU8=", id="V9-abc"),
        pytest.param("abc0", ZERO, "WWmQhigTh4uCR3wRaTJmdOkz7gDX9WD3eCVWrrO3pAk=", id="V9-abc0"),
        pytest.param(K64[:32], ZERO, "h2VVjXvhr9LDoUBIbJKZ0ZWUrxRLSxsKhVZdRGwmv14=", id="V10"),
        pytest.param("hunter2", SEQUENCE, "9VUOiRGfWTzTZixtfaW9P3qQ4lzS3CIfWKYWbHcnU9M=", id="V12"),
    ],
)
def test_data_keys(end: End, key: str, salt: bytes, expected: str) -> None:
    assert text(end.derive(key, salt, 1000)) == expected


@pytest.mark.parametrize(
    ("key", "rounds", "expected"),
    [
        pytest.param("test-key-123", 1000, "NmvqZy0aWO8MAZ/l3xHShSRA3IRhdRwM6jCBBHDP+eE=", id="V5"),
        pytest.param(K64, 1000, "h2VVjXvhr9LDoUBIbJKZ0ZWUrxRLSxsKhVZdRGwmv14=", id="V7-whole"),
        pytest.param(K64[:32], 1000, "h2VVjXvhr9LDoUBIbJKZ0ZWUrxRLSxsKhVZdRGwmv14=", id="V7-cut"),
        pytest.param("abc", 1000, "s8HK415BoCIUBtIU741ll14D82BnKeDexPI8JRRFNgY=", id="V9-abc"),
        pytest.param("abc0", 1000, "s8HK415BoCIUBtIU741ll14D82BnKeDexPI8JRRFNgY=", id="V9-abc0"),
        pytest.param(
            "test-key-123", 600_000, "ayMCnThxgJYJAp0OwOC+yPq5GFwLGVthJJjFv47RyhI=", id="V11"
        ),
    ],
)
def test_proofs(end: End, key: str, rounds: int, expected: str) -> None:
    assert text(end.prove(key, ZERO, rounds)) == expected


@pytest.mark.parametrize(
    ("rounds", "expected"),
    [
        (1, "120fb6cffcf8b32c43e7225256c4f837a86548c92ccc35480805987cb70be17b"),
        (2, "ae4d0c95af6b46d32d0adff928f06dd02a303f8ef3c251dfd6e2d85a95474c43"),
        (4096, "c5e478d59288c841aa530db6845c4c8d962893a001ce4e11a4963873aa98134a"),
    ],
)
def test_v6_pbkdf2(end: End, rounds: int, expected: str) -> None:
    assert end.derive("password", b"salt", rounds).hex() == expected


def test_v10_a_key_of_32_bytes_is_its_own_proof(end: End) -> None:
    assert end.derive(K64[:32], ZERO, 1000) == end.prove(K64[:32], ZERO, 1000)


def test_v12_a_blob_is_nonce_ciphertext_and_tag(end: End) -> None:
    data_key, nonce = end.derive("hunter2", SEQUENCE, 1000), bytes(range(12))
    blob = "AAECAwQFBgcICQoLnBpFxur80DWK8NkhqkQ7lvJazJrcz2QLPg/17A=="
    assert text(nonce + AESGCM(data_key).encrypt(nonce, b"SECRET=value", None)) == blob
    assert end.open(data_key, blob) == b"SECRET=value"


def test_each_end_opens_what_the_other_sealed() -> None:
    data_key = CLIENT.derive("a key of both ends", SEQUENCE, 1000)
    assert SERVER.open(data_key, client.seal(data_key, b"A=1")) == b"A=1"
    assert CLIENT.open(data_key, text(crypto.encrypt(data_key, b"A=1"))) == b"A=1"

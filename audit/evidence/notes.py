"""Signed notes and checkpoints: C2SP signed-note, tlog-checkpoint and tlog-proof.

A note is its text, an empty line, and a line for each signature. Ed25519 alone is signed here.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

ED25519 = b"\x01"
"""The type of a log's key."""
PROOF = "c2sp.org/tlog-proof@v1"


@dataclass(frozen=True)
class Key:
    """A key that signs for every log of an installation: its name is the log's origin, so its id
    differs from log to log. number: 1 for the first, one more with each rotation."""

    number: int
    private: Ed25519PrivateKey

    @property
    def public(self) -> bytes:
        return self.private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def key_id(name: str, public: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\n" + ED25519 + public).digest()[:4]


def vkey(name: str, public: bytes) -> str:
    """The public key as verifiers take it."""
    return f"{name}+{key_id(name, public).hex()}+{in_base64(ED25519 + public)}"


def checkpoint_text(origin: str, size: int, root: bytes) -> str:
    return f"{origin}\n{size}\n{in_base64(root)}\n"


def signed(text: str, name: str, keys: Sequence[Key]) -> str:
    """`text`, which ends with a line, signed by each of `keys` under this name."""
    lines = [
        f"— {name} {in_base64(key_id(name, key.public) + key.private.sign(text.encode()))}\n"
        for key in keys
    ]
    return f"{text}\n{''.join(lines)}"


def text_of(note: str) -> str:
    """What was signed."""
    return note[: note.rindex("\n\n") + 1]


def proof(index: int, path: Sequence[bytes], checkpoint: str, extra: bytes) -> str:
    """A tlog-proof: that leaf `index` is in the log of this checkpoint. extra: what the leaf is
    made of."""
    lines = [PROOF, f"extra {in_base64(extra)}", f"index {index}", *map(in_base64, path)]
    return "".join(f"{line}\n" for line in lines) + f"\n{checkpoint}"


def consistency(old: int, path: Sequence[bytes], checkpoint: str) -> str:
    """The body of a tlog-witness request: that this checkpoint's log was once of size `old`."""
    lines = [f"old {old}", *map(in_base64, path)]
    return "".join(f"{line}\n" for line in lines) + f"\n{checkpoint}"


def in_base64(data: bytes) -> str:
    return base64.b64encode(data).decode()

"""Signed notes and checkpoints: C2SP signed-note, tlog-checkpoint, tlog-cosignature and tlog-proof.

A note is its text, an empty line, and a line for each signature. Ed25519 alone is signed here.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

ED25519 = b"\x01"
"""The type of a log's key."""
COSIGNATURE = b"\x04"
"""The type of a witness's key."""
PROOF = "c2sp.org/tlog-proof@v1"
HEADS = uuid.UUID(int=1)
"""The id of the log `heads`, which is no organization's."""

_NAME = re.compile(r"[^\s+\x00-\x1f\x7f]{1,200}")
_SIGNATURE = re.compile(r"— ([^\s+\x00-\x1f\x7f]{1,200}) ([A-Za-z0-9+/]{12,200}={0,2})")


@dataclass(frozen=True)
class Key:
    """A key that signs for every log of an installation: its name is the log's origin, so its id
    differs from log to log. number: 1 for the first, one more with each rotation."""

    number: int
    private: Ed25519PrivateKey

    @property
    def public(self) -> bytes:
        return self.private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def key_id(name: str, public: bytes, kind: bytes = ED25519) -> bytes:
    return hashlib.sha256(name.encode() + b"\n" + kind + public).digest()[:4]


def vkey(name: str, public: bytes) -> str:
    """The public key as verifiers take it."""
    return f"{name}+{key_id(name, public).hex()}+{in_base64(ED25519 + public)}"


class InvalidKeyError(ValueError):
    """It is not the key of a witness; the message says why."""


@dataclass(frozen=True)
class WitnessKey:
    """The public key of a witness, whose signatures say when it saw a checkpoint."""

    name: str
    public: bytes

    @classmethod
    def parse(cls, text: str) -> WitnessKey:
        """`<name>+<key id>+<base64 of type and public key>`. Raises InvalidKeyError."""
        name, identity, encoded = (*text.strip().split("+", 2), "", "")[:3]
        data = from_base64(encoded)
        if not _NAME.fullmatch(name) or data is None or len(data) != 33:
            raise InvalidKeyError("A key is <name>+<key id>+<base64 of 33 bytes>, in one line.")
        if data[:1] != COSIGNATURE:
            raise InvalidKeyError("This key is not a witness's: its type is not 0x04.")
        key = cls(name, data[1:])
        if key.id.hex() != identity:
            raise InvalidKeyError("The id in the key is not that of its bytes: it was altered.")
        return key

    @property
    def id(self) -> bytes:
        return key_id(self.name, self.public, COSIGNATURE)

    @property
    def vkey(self) -> str:
        return f"{self.name}+{self.id.hex()}+{in_base64(COSIGNATURE + self.public)}"

    def seen_at(self, text: str, line: str) -> int | None:
        """When, in seconds, a signature line says that this witness saw the checkpoint with this
        text; None if the line is not its own. Raises InvalidSignature."""
        found = _SIGNATURE.fullmatch(line)
        data = from_base64(found[2]) if found else None
        if found is None or data is None or (found[1], data[:4]) != (self.name, self.id):
            return None
        if len(data) != 4 + 8 + 64:
            raise InvalidSignature
        at = int.from_bytes(data[4:12], "big")
        signed = f"cosignature/v1\ntime {at}\n{text}".encode()
        Ed25519PublicKey.from_public_bytes(self.public).verify(data[12:], signed)
        return at


def opened(note: str) -> tuple[str, list[str]] | None:
    """The text of a note and its signature lines; None if it is not a note."""
    text, _, signatures = note.rpartition("\n\n")
    lines = signatures.split("\n")
    if not text or lines.pop() or not 1 <= len(lines) <= 100:
        return None
    return f"{text}\n", lines


def checkpoint_in(text: str) -> tuple[str, int, bytes] | None:
    """Origin, size and root of a checkpoint's text; None if it is none."""
    lines = text.split("\n")
    if len(lines) != 4 or lines[3] or not re.fullmatch("0|[1-9][0-9]{0,15}", lines[1]):
        return None
    root = from_base64(lines[2])
    return (lines[0], int(lines[1]), root) if root and len(root) == 32 else None


def is_signed_by(note: str, name: str, public: Sequence[bytes]) -> bool:
    """Whether one of these keys signed it under this name."""
    found = opened(note)
    if found is None:
        return False
    for line in found[1]:
        parts = _SIGNATURE.fullmatch(line)
        data = from_base64(parts[2]) if parts else None
        if parts is None or data is None or parts[1] != name:
            continue
        for each in public:
            if data[:4] == key_id(name, each) and _holds(each, data[4:], found[0].encode()):
                return True
    return False


def _holds(public: bytes, signature: bytes, signed: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, signed)
    except InvalidSignature:
        return False
    return True


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


def from_base64(text: str) -> bytes | None:
    """None for what is not base64, or not the one form of it."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return data if in_base64(data) == text else None

"""From a signed note to a size and a root that can be trusted.

C2SP signed-note, tlog-checkpoint, tlog-cosignature and tlog-proof; and the log `heads`, which shows
that everybody was shown the same.
"""

from __future__ import annotations

import re
import struct
import time
from base64 import b64encode
from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from dotenv_cloud.verifier.trees import (
    LEAF,
    Refused,
    decimal,
    from_base64,
    from_json,
    hashes_of,
    node_hash,
    require,
    verify_inclusion,
)

ED25519, COSIGNATURE, ML_DSA_44 = 0x01, 0x04, 0x06
KEY_SIZES = {ED25519: 32, COSIGNATURE: 32, ML_DSA_44: 1312}
NAME = re.compile(r"[^\s+\x00-\x1f\x7f]+")
CLOCKS_DIFFER = 300  # seconds by which a witness's clock may be ahead of ours
ROUND = re.compile(r'\{"root":"([A-Za-z0-9+/=]{44})","time":[1-9][0-9]{0,15},"v":1\}')


class Key(NamedTuple):
    name: str
    type: int
    public: bytes

    @classmethod
    def parse(cls, vkey: str) -> Key:
        """`<name>+<id>+<base64 of type and public key>`."""
        name, identity, encoded = (*vkey.strip().split("+", 2), "", "")[:3]
        data = from_base64(encoded) or b"\0"
        key = cls(name, data[0], data[1:])
        known = NAME.fullmatch(name) and len(key.public) == KEY_SIZES.get(key.type)
        require(known, "a key is not <name>+<id>+<base64>, or of an unknown type")
        require(key.id.hex() == identity, f"the id of the key of {name} is not that of its bytes")
        return key

    @property
    def id(self) -> bytes:
        return sha256(self.name.encode() + b"\n" + bytes([self.type]) + self.public).digest()[:4]

    def verify(self, text: str, signature: bytes) -> int:
        """Returns the time that is signed, in seconds, or 0; raises InvalidSignature."""
        signed, at = text.encode(), 0
        if self.type != ED25519:
            at, signature = int.from_bytes(signature[:8], "big"), signature[8:]
            signed = f"cosignature/v1\ntime {at}\n".encode() + signed
        if self.type != ML_DSA_44:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, signed)
            return at
        log, size, root = three_lines(text)
        names = [bytes([len(name) % 256]) + name for name in (self.name.encode(), log.encode())]
        signed = b"subtree/v1\n\0" + names[0] + struct.pack(">Q", at) + names[1]
        try:
            from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey

            public = MLDSA44PublicKey.from_public_bytes(self.public)
            public.verify(signature, signed + struct.pack(">QQ", 0, size) + root)
        except (ImportError, UnsupportedAlgorithm):
            raise Refused("`cryptography` is too old here for a key of type ML-DSA-44") from None
        return at


class Checkpoint(NamedTuple):
    origin: str
    size: int
    root: bytes
    text: str
    signed_by: tuple[Key, ...] = ()
    cosigned: tuple[tuple[str, int], ...] = ()  # witnesses, and when each saw it, in seconds


def three_lines(text: str) -> tuple[str, int, bytes]:
    lines = text.split("\n")
    exact = len(lines) == 4 and lines[0] and not lines[3]
    require(exact, "it does not have exactly three lines: origin, size, root")
    return lines[0], decimal(lines[1]), from_base64(lines[2], 32)


def verify_note(note: bytes, keys: Iterable[Key]) -> tuple[str, list[tuple[Key, int]]]:
    """The text, and which of these keys signed it when. A wrong signature by one spoils it all."""
    whole = note.decode(errors="ignore") if len(note) <= 1 << 20 else ""
    require(whole.encode() == note, "it is not UTF-8 of at most 1 MiB")
    require(not re.search(r"[\x00-\x09\x0b-\x1f]", whole), "it has a control character")
    text, _, below = whole.rpartition("\n\n")
    *lines, end = below.split("\n")
    signed = text and not end and 1 <= len(lines) <= 100
    require(signed, "it is not a text, an empty line, and 1 to 100 signatures")
    known, found = {(key.name, key.id): key for key in keys}, []
    for line in lines:
        name, encoded = (*line.split(" "), "", "")[1:3]
        data = from_base64(encoded)
        right = line == f"— {name} {encoded}" and NAME.fullmatch(name) and len(data) > 4
        require(right, "a signature is malformed or cut off")
        if key := known.get((name, data[:4])):
            try:
                found.append((key, key.verify(text + "\n", data[4:])))
            except (InvalidSignature, ValueError):
                raise Refused(f"the signature of {name} is wrong") from None
    return text + "\n", found


def read_checkpoint(
    note: bytes, keys: Sequence[Key], witnesses: Sequence[Key] = (), now: float | None = None
) -> Checkpoint:
    """A checkpoint that one of the log's keys signed. No key is learnt from what is read."""
    text, signed = verify_note(note, [*keys, *witnesses])
    origin, size, root = three_lines(text)
    mine = [key for key in keys if key.name == origin and key.type != COSIGNATURE]
    require(mine, "it is a checkpoint of another log than that of the given keys")
    logs = tuple(key for key, _ in signed if key in mine)
    require(logs, "no key that is trusted for this log signed it")
    return Checkpoint(origin, size, root, text, logs, seen_by(signed, keys, witnesses, now))


def seen_by(
    signed: Iterable[tuple[Key, int]],
    keys: Sequence[Key],
    witnesses: Sequence[Key],
    now: float | None = None,
) -> tuple[tuple[str, int], ...]:
    """Which witnesses say when they saw it. Who signs for the log, or without a time, is none."""
    others = ((key, at) for key, at in signed if key in witnesses and key not in keys)
    seen = tuple((key.name, at) for key, at in others if key.type != ED25519 and at)
    latest = (time.time() if now is None else now) + CLOCKS_DIFFER
    require(all(at <= latest for _, at in seen), "a cosignature is of the future")
    return seen


def open_proof(data: bytes) -> tuple[bytes | None, int, list[bytes], bytes]:
    """Extra data, index, hashes and note of a tlog-proof."""
    head, _, note = data.partition(b"\n\n")
    lines = [*head.decode("ascii", "replace").split("\n"), "", ""]
    require(lines.pop(0) == "c2sp.org/tlog-proof@v1", "it is not a tlog-proof")
    extra = from_base64(lines.pop(0)[6:]) if lines[0].startswith("extra ") else None
    require(lines[0].startswith("index "), "it has no index")
    return extra, decimal(lines[0][6:]), hashes_of([line for line in lines[1:] if line]), note


def verify_head(data: bytes, checkpoint: Checkpoint, witnesses: Sequence[Key]) -> Checkpoint:
    """That the log `heads` has this checkpoint, and in that round no other, of its organization;
    returns the checkpoint of `heads`. The place of an organization follows from its origin."""
    extra, index, proof, note = open_proof(data)
    name = checkpoint.origin.rpartition("/audit/")[0] + "/audit/heads"
    if fork := re.match(re.escape(name).encode() + rb"/[1-9][0-9]{0,8}(?=\n)", note):
        name = fork[0].decode()
    said: dict[str, Any] = from_json(extra or b"")
    keys = [Key(name, key.type, key.public) for key in checkpoint.signed_by]
    heads = read_checkpoint(note, keys, witnesses)
    leaf, path = ROUND.fullmatch(said["leaf"]), hashes_of(said["path"])
    require(leaf and 24 <= len(path) <= 256, "it does not have the form of a round and a path")
    hashed = sha256(LEAF + said["leaf"].encode()).digest()
    verify_inclusion(index, heads.size, hashed, proof, heads.root)
    salt = re.fullmatch("[0-9a-f]{32}", said["salt"]) and bytes.fromhex(said["salt"])
    value = sha256(b"\x08" + (salt or b"") + checkpoint.text.encode()).digest()
    place = int.from_bytes(sha256(b"\x07" + checkpoint.origin.encode()).digest(), "big")
    for height, beside in enumerate(path):
        right = place >> (256 - len(path) + height) & 1
        value = node_hash(beside, value) if right else node_hash(value, beside)
    found = bool(salt and leaf and b64encode(value).decode() == leaf[1])
    require(found, "this checkpoint is not in the place of its log")
    return heads

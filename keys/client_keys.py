"""Keys that only clients have: their proofs, and what a proof shows about what is stored.

The proof stops mistakes, not attackers: anyone who has seen it can send it again.
"""

from __future__ import annotations

import base64
import hmac
from dataclasses import dataclass

from django.core.exceptions import ValidationError

from keys import crypto, master_key
from keys.errors import InsecureClientKeyError, KeyProofMismatchError, KeyProofRequiredError
from keys.models import KeyVersion

PROOF_BYTES = 32
SHORTEST_SALT_BYTES = 16
LONGEST_SALT_BYTES = 64
FEWEST_ITERATIONS = 100_000
MOST_ITERATIONS = 2_000_000


@dataclass(frozen=True, repr=False)
class ClientKey:
    """What the server keeps of a client's key: proof, salt and rounds (RFC 8018 §5.2)."""

    proof: bytes
    salt: bytes
    iterations: int

    @classmethod
    def parse(cls, key_check: str, key_check_salt: str, key_check_iterations: int) -> ClientKey:
        """From what clients send, in base64. Raises ValidationError naming each wrong field."""
        wrong = {}
        proof, salt = _base64(key_check), _base64(key_check_salt)
        if proof is None or len(proof) != PROOF_BYTES:
            wrong["key_check"] = f"Send base64 of exactly {PROOF_BYTES} bytes."
        if salt is None or not SHORTEST_SALT_BYTES <= len(salt) <= LONGEST_SALT_BYTES:
            wrong["key_check_salt"] = (
                f"Send base64 of {SHORTEST_SALT_BYTES} to {LONGEST_SALT_BYTES} bytes."
            )
        if not FEWEST_ITERATIONS <= key_check_iterations <= MOST_ITERATIONS:
            wrong["key_check_iterations"] = (
                f"Use {FEWEST_ITERATIONS:,} to {MOST_ITERATIONS:,} rounds; clients expect 600,000."
            )
        if wrong:
            raise ValidationError(wrong)
        assert proof is not None and salt is not None
        return cls(proof, salt, key_check_iterations)


def check_proof(version: KeyVersion, sent: str | None) -> None:
    """Raise unless `sent` (base64) is the proof of a client-managed version.

    Raises KeyProofRequiredError or KeyProofMismatchError; the comparison takes the same time.
    """
    if not sent:
        raise KeyProofRequiredError(
            "The clients hold this project's key: send key_proof, the proof of that key."
        )
    stored = base64.b64encode(master_key.unwrap_proof(version))
    if not hmac.compare_digest(stored, sent.strip().encode()):
        raise KeyProofMismatchError(
            f"The proof does not match key version {version.version}. It belongs to another key or"
            " an older version. Nothing was written."
        )


def refuse_insecure(proof: bytes, blob: bytes) -> None:
    """Raise InsecureClientKeyError if the proof opens the blob: a key of 32 bytes is its own proof,
    and anyone who can read the proof could read everything (contract, T1)."""
    try:
        crypto.decrypt(proof, blob)
    except crypto.UnwrapError:
        return
    raise InsecureClientKeyError(
        "This key is 32 bytes long, so its proof could decrypt what it encrypts."
        " Nothing was written. Use a longer key."
    )


def _base64(text: str) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        return None

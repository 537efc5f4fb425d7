"""Keys that sign checkpoints, and what the installation is called in them.

One key signs the checkpoints of all organizations. A rotation puts a new one in front: while both
are given, each checkpoint has a line of each, so that whoever knows one accepts it. The old one
announces the new one, in a note that anybody can ask for.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from functools import cache

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.conf import settings

from audit.evidence import notes
from organizations import clock, ulid


@cache
def keys() -> tuple[notes.Key, ...]:
    """Those of the settings, the current one first; none where nothing is signed."""
    return tuple(
        notes.Key(number, Ed25519PrivateKey.from_private_bytes(seed))
        for number, seed in settings.AUDIT_SIGNING_KEYS.items()
    )


def origin(organization: uuid.UUID) -> str:
    """What the log of an organization is called, in checkpoints and by its key."""
    if organization == notes.HEADS:
        return f"{settings.AUDIT_ORIGIN}/audit/heads"
    return f"{settings.AUDIT_ORIGIN}/audit/{ulid.to_text(organization)}"


def announcement(signing: Sequence[notes.Key]) -> str:
    """The note in which the first of these keys is announced, signed by all of them."""
    name = f"{settings.AUDIT_ORIGIN}/audit/keys"
    key = signing[0]
    day = clock.now().date().isoformat()
    public = notes.in_base64(notes.ED25519 + key.public)
    return notes.signed(f"{name}\n{key.number}\n{public}\n{day}\n", name, signing)


def checkpoint(organization: uuid.UUID, size: int, root: bytes) -> str:
    """The signed checkpoint of a log."""
    name = origin(organization)
    return notes.signed(notes.checkpoint_text(name, size, root), name, keys())

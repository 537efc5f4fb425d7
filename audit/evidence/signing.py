"""Keys that sign checkpoints, and what the installation is called in them.

One key signs the checkpoints of all organizations. A rotation puts a new one in front: while both
are given, each checkpoint has a line of each, so that whoever knows one accepts it. The old one
announces the new one, in a note that anybody can ask for.
"""

from __future__ import annotations

import re
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


def origin(organization: uuid.UUID, fork: int = 0) -> str:
    """What the log of an organization is called, in checkpoints and by its key. fork: its number,
    if it was forked (`reading.fork`)."""
    own = "heads" if organization == notes.HEADS else ulid.to_text(organization)
    return f"{settings.AUDIT_ORIGIN}/audit/{own}" + (f"/{fork}" if fork else "")


def fork_of(name: str, organization: uuid.UUID) -> int | None:
    """The number of the fork that the log of an organization is called so; None if this is not what
    it is called."""
    rest = name.removeprefix(origin(organization))
    if not rest:
        return 0
    found = re.fullmatch("/([1-9][0-9]{0,8})", rest)
    return int(found[1]) if found else None


def announcement(signing: Sequence[notes.Key]) -> str:
    """The note in which the first of these keys is announced, signed by all of them."""
    name = f"{settings.AUDIT_ORIGIN}/audit/keys"
    key = signing[0]
    day = clock.now().date().isoformat()
    public = notes.in_base64(notes.ED25519 + key.public)
    return notes.signed(f"{name}\n{key.number}\n{public}\n{day}\n", name, signing)


def checkpoint(organization: uuid.UUID, size: int, root: bytes, fork: int = 0) -> str:
    """The signed checkpoint of a log."""
    name = origin(organization, fork)
    return notes.signed(notes.checkpoint_text(name, size, root), name, keys())

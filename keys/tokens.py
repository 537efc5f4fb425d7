"""Tokens: what API keys and people show to be recognized. Shown once; only their SHA-256 is kept.

`dotenv_`, 26 characters that name whose it is, `_`, and the secret: letters and digits alone, as
clients check before they send one.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import secrets
import string
import uuid

from organizations import ulid

SECRET_CHARACTERS = 40
LAST_USED_PRECISION = dt.timedelta(minutes=1)
_BASE62 = string.digits + string.ascii_letters


def new(named: uuid.UUID) -> str:
    """A fresh token that names `named`."""
    secret = "".join(secrets.choice(_BASE62) for _ in range(SECRET_CHARACTERS))
    return f"dotenv_{ulid.to_text(named)}_{secret}"


def digest(token: str) -> bytes:
    """What is kept of a token. A token is looked up by it, so the time that takes tells nothing."""
    return hashlib.sha256(token.encode()).digest()


def was_noted(
    last_used_at: dt.datetime | None, last_used_ip: str | None, ip: str | None, now: dt.datetime
) -> bool:
    """Whether the same use, within a minute, has been written down already."""
    return (
        last_used_at is not None and now - last_used_at < LAST_USED_PRECISION and last_used_ip == ip
    )

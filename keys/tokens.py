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

from django.core.exceptions import ValidationError
from django.db import transaction

from keys.models.token import Token
from organizations import clock, ulid
from organizations.signals import token_used

SECRET_CHARACTERS = 40
LAST_USED_PRECISION = dt.timedelta(minutes=1)
ADDRESSES_KNOWN = 64
"""From how many addresses a token may be used without one of them being news again."""
_BASE62 = string.digits + string.ascii_letters


def new(named: uuid.UUID) -> str:
    """A fresh token that names `named`."""
    secret = "".join(secrets.choice(_BASE62) for _ in range(SECRET_CHARACTERS))
    return f"dotenv_{ulid.to_text(named)}_{secret}"


def digest(token: str) -> bytes:
    """What is kept of a token. Tokens are looked up by it, so the time taken reveals nothing."""
    return hashlib.sha256(token.encode()).digest()


def in_future(expires_at: dt.datetime | None) -> dt.datetime | None:
    """When a token ends. Raises ValidationError for one that would be dead already."""
    if expires_at is not None and expires_at <= clock.now():
        raise ValidationError({"expires_at": "Choose a time in the future."})
    return expires_at


def note_use(token: Token, ip: str | None) -> None:
    """Remember when and from where a token was last used, at most once a minute however many use
    it; its first use, and one from an address that is not among the last known, is announced."""
    now = clock.now()
    is_first = token.last_used_at is None
    is_known = ip is None or ip in token.seen_from
    if is_known and token.last_used_at and now - token.last_used_at < LAST_USED_PRECISION:
        return
    token.last_used_at, token.last_used_ip = now, ip
    mine = type(token)._default_manager.filter(pk=token.pk)
    if ip is None or is_known:
        mine.update(last_used_at=now, last_used_ip=ip)
        return
    token.seen_from = [*token.seen_from, ip][-ADDRESSES_KNOWN:]
    with transaction.atomic():
        # Of several at once, one is the first.
        if mine.exclude(seen_from__contains=[ip]).update(
            last_used_at=now, last_used_ip=ip, seen_from=token.seen_from
        ):
            token_used.send(type(token), token=token, is_first=is_first)

"""Access tokens of people: made, revoked, and recognized."""

from __future__ import annotations

import datetime as dt
from typing import NamedTuple

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Expression

from keys import tokens
from keys.models import AccessToken
from organizations import ulid
from organizations.models import User

MOST = 50
"""How many one person may have: none is looked after among hundreds."""


class Issued(NamedTuple):
    """`token` is shown once and kept nowhere."""

    access_token: AccessToken
    token: str


@transaction.atomic
def create(user: User, name: str, *, expires_at: dt.datetime | None = None) -> Issued:
    """Make a token for `user`. Raises ValidationError naming the field."""
    # Locked, so that two at once cannot both be the last.
    User.objects.select_for_update().get(pk=user.pk)
    if AccessToken.objects.filter(user=user).count() >= MOST:
        raise ValidationError(f"You have {MOST} access tokens; revoke one first.")
    key = ulid.new()
    token = tokens.new(key)
    access_token = AccessToken(
        id=key,
        user=user,
        name=name,
        token_hash=tokens.digest(token),
        expires_at=tokens.in_future(expires_at),
    )
    access_token.full_clean()
    access_token.save(force_insert=True)
    return Issued(access_token, token)


@transaction.atomic
def revoke(access_token: AccessToken) -> None:
    """Delete a token; it stops working at once."""
    access_token.delete()


@transaction.atomic
def end_all(user: User) -> int:
    """End the tokens of a person whose password was changed, as anyone who knew the old one may
    have made them; returns how many."""
    tokens_of_user = list(AccessToken.objects.select_for_update().filter(user=user).order_by("pk"))
    for token in tokens_of_user:
        token.delete()
    return len(tokens_of_user)


def recognize(token: str, **asked: Expression) -> AccessToken | None:
    """The access token that `token` is, expired or not, with its person; None when there is none.
    asked: what else to look up meanwhile, as attributes of it."""
    mine = AccessToken.objects.select_related("user").filter(token_hash=tokens.digest(token))
    return mine.annotate(**asked).order_by().first()

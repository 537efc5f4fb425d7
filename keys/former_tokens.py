"""Tokens of API keys that ended before their time: kept when they end, recognized when tried."""

from __future__ import annotations

from keys import tokens
from keys.models import ApiKey, FormerToken


def keep(api_key: ApiKey, end: FormerToken.End) -> None:
    """Remember the token that the key has now, which ends in this transaction."""
    FormerToken.objects.create(
        organization_id=api_key.organization_id,
        token_hash=api_key.token_hash,
        api_key_id=api_key.pk,
        key_name=api_key.name,
        end=end,
    )


def recognize(token: str) -> FormerToken | None:
    return FormerToken.objects.filter(token_hash=tokens.digest(token)).first()

"""Recognizing the caller by the Bearer token: an API key's, or a person's access token."""

from __future__ import annotations

import uuid
from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from audit import context
from audit.context import Actor
from audit.policy import ActorType
from dotenv_cloud.api import errors
from dotenv_cloud.api.principal import Principal
from keys import access_tokens, api_keys, former_tokens, tokens
from keys.models import AccessToken, ApiKey
from organizations import limits
from organizations.models import Membership, User

FAILED = "failed_authentication"


class TokenAuthentication(BaseAuthentication):
    """`Authorization: Bearer dotenv_…`. Wrong tokens are limited per address: when there were too
    many, a right one gets the same answer."""

    def authenticate(self, request: Request) -> tuple[Principal, Any] | None:
        address = limits.network(context.origin().ip)
        header = request.headers.get("Authorization", "")
        token = _find(header, address)
        if token is None or token.is_limited:  # type: ignore[union-attr]
            limited = limits.check(FAILED, address)
            if not limited.allowed:
                raise errors.rate_limited(limited, "Too many wrong tokens from this address")
        try:
            principal = _admit(token, header)
        except errors.ApiError as error:
            error.headers |= limits.hit(FAILED, address).headers
            raise
        assert token is not None
        request._request.api_principal = principal  # type: ignore[attr-defined]
        tokens.note_use(token, context.origin().ip)
        return principal, token

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="dotenv"'


def _find(header: str, address: str) -> ApiKey | AccessToken | None:
    """Whose token it is, which also knows whether the address failed too often: one statement for
    API keys, two for people."""
    scheme, _, token = header.partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token:
        return None
    is_limited = limits.is_reached(FAILED, address)
    return api_keys.recognize(token, is_limited=is_limited) or access_tokens.recognize(
        token, is_limited=is_limited
    )


def _admit(token: ApiKey | AccessToken | None, header: str) -> Principal:
    if not header:
        raise errors.unauthenticated(errors.NO_CALLER)
    scheme, _, sent = header.partition(" ")
    if scheme.lower() != "bearer" or not sent.strip():
        raise errors.unauthenticated("The Authorization header must be: Bearer dotenv_…")
    if token is None:
        raise _unrecognized(sent.strip())
    if isinstance(token, AccessToken):
        return _admit_person(token)
    context.set_actor(Actor(ActorType.API_KEY, token.pk, token.name))
    if token.is_expired:
        raise errors.unauthenticated(
            "This API key has expired. Create another one or extend it.",
            [token.organization_id],
            reason="expired",
        )
    return Principal.of(token)


def _unrecognized(token: str) -> errors.ApiError:
    """What a key tries that was revoked or rotated is entered in its organization's log, as that
    key's: so one sees whether a token that leaked is still tried. Strangers belong to nobody."""
    message = "Unknown token. It may be mistyped, revoked or rotated."
    former = former_tokens.recognize(token)
    if former is None:
        return errors.unauthenticated(message)
    context.set_actor(Actor(ActorType.API_KEY, former.api_key_id, former.key_name))
    return errors.unauthenticated(message, [former.organization_id], reason=former.end)


def _admit_person(token: AccessToken) -> Principal:
    user = token.user
    context.set_actor(Actor(ActorType.USER, user.pk, user.email))
    context.set_access_token(token.ulid)
    if token.is_expired:
        raise errors.unauthenticated(
            "This access token has expired. Create another one.", _places(user), reason="expired"
        )
    if not user.is_active:
        raise errors.unauthenticated("This account has been deactivated.", _places(user))
    return Principal.of(user)


def _places(user: User) -> list[uuid.UUID]:
    """Where a person belongs."""
    return list(Membership.objects.filter(user=user).values_list("organization_id", flat=True))


class BearerScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """How the schema describes it."""

    target_class = "dotenv_cloud.api.authentication.TokenAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "bearerFormat": "dotenv_ULID_secret"}

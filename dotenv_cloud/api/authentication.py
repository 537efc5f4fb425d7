"""Recognizing the caller by the Bearer token."""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from audit import context
from audit.context import Actor
from audit.policy import ActorType
from dotenv_cloud.api import errors
from dotenv_cloud.api.principal import Principal
from keys import api_keys
from keys.models import ApiKey
from organizations import limits

FAILED = "failed_authentication"


class ApiKeyAuthentication(BaseAuthentication):
    """`Authorization: Bearer dotenv_…`. Wrong tokens are limited per address: when there were too
    many, a right one gets the same answer."""

    def authenticate(self, request: Request) -> tuple[Principal, Any] | None:
        address = context.origin().ip or "unknown"
        api_key = _find(request.headers.get("Authorization", ""), address)
        if api_key is None or api_key.is_limited:  # type: ignore[attr-defined]
            limited = limits.check(FAILED, address)
            if not limited.allowed:
                raise errors.rate_limited(limited, "Too many wrong API keys from this address")
        try:
            principal = _admit(api_key, request.headers.get("Authorization", ""))
        except errors.ApiError as error:
            error.headers |= limits.hit(FAILED, address).headers
            raise
        assert api_key is not None
        request._request.api_principal = principal  # type: ignore[attr-defined]
        api_keys.note_use(api_key, context.origin().ip)
        return principal, api_key

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="dotenv"'


def _find(header: str, address: str) -> ApiKey | None:
    """The key of the token, which knows whether the address failed too often: one statement."""
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        return None
    return api_keys.recognize(token.strip(), is_limited=limits.is_reached(FAILED, address))


def _admit(api_key: ApiKey | None, header: str) -> Principal:
    if not header:
        raise errors.unauthenticated(errors.NO_CALLER)
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise errors.unauthenticated("The Authorization header must be: Bearer dotenv_…")
    if api_key is None:
        raise errors.unauthenticated("This API key is unknown: mistyped, revoked or rotated.")
    context.set_actor(Actor(ActorType.API_KEY, api_key.pk, api_key.name))
    if api_key.is_expired:
        raise errors.unauthenticated(
            "This API key has expired; make another or extend it.",
            organization_id=api_key.organization_id,
        )
    return Principal.of(api_key)


class BearerScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """How the schema describes it."""

    target_class = "dotenv_cloud.api.authentication.ApiKeyAuthentication"
    name = "apiKey"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "bearerFormat": "dotenv_ULID_secret"}

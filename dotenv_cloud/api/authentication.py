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
from organizations import limits


class ApiKeyAuthentication(BaseAuthentication):
    """`Authorization: Bearer dotenv_…`. Wrong tokens are limited per address, before a look-up."""

    def authenticate(self, request: Request) -> tuple[Principal, Any] | None:
        address = context.origin().ip or "unknown"
        limited = limits.check("failed_authentication", address)
        if not limited.allowed:
            raise errors.rate_limited(limited, "Too many wrong API keys from this address")
        try:
            principal = _recognize(request.headers.get("Authorization", ""))
        except errors.ApiError as error:
            error.headers |= limits.hit("failed_authentication", address).headers
            raise
        key = principal.api_key
        request._request.api_principal = principal  # type: ignore[attr-defined]
        api_keys.note_use(key, context.origin().ip)
        return principal, key

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="dotenv"'


def _recognize(header: str) -> Principal:
    scheme, _, token = header.partition(" ")
    if not header:
        raise errors.unauthenticated("Send an API key: Authorization: Bearer dotenv_…")
    if scheme.lower() != "bearer" or not token.strip():
        raise errors.unauthenticated("The Authorization header must be: Bearer dotenv_…")
    api_key = api_keys.recognize(token.strip())
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

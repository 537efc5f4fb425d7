"""Errors: the one envelope, `{"error", "message", "details"?, "errors"?}`, for whatever goes wrong.

A client may show nothing but `message`, so it stands alone: it names the field and the reason.
"""

from __future__ import annotations

import logging
import sys
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from django.core.exceptions import ObjectDoesNotExist, PermissionDenied, ValidationError
from django.db import IntegrityError, InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.views import defaults
from django.views.decorators.csrf import csrf_exempt
from rest_framework import exceptions
from rest_framework.request import Request
from rest_framework.response import Response

from keys.errors import RotationMismatchError, RuleError
from organizations.creation import SlugTakenError
from organizations.grants import NotHeldError
from organizations.limits import Limited, LimitedError
from organizations.signals import access_denied

logger = logging.getLogger(__name__)

HEADERS = {
    "X-API-Version": "1",
    "Cache-Control": "no-store",
    "X-XSS-Protection": "1; mode=block",
}
"""Of every answer of the API."""

NO_CALLER = "Send an API key or an access token: Authorization: Bearer dotenv_…"


class ApiError(Exception):
    """An answer that is an error. `is_refusal`: it is entered in the audit log, for `reason`.

    organizations: in whose logs, where it is not that of the caller alone.
    """

    def __init__(
        self,
        status: int,
        error: str,
        message: str,
        *,
        details: Mapping[str, Any] | None = None,
        errors: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        is_refusal: bool = False,
        organizations: Sequence[uuid.UUID] = (),
    ) -> None:
        super().__init__(message)
        self.status = status
        self.error = error
        self.reason = error
        self.message = message
        self.details = details
        self.errors = errors
        self.headers = dict(headers or {})
        self.is_refusal = is_refusal
        self.organizations = organizations

    def body(self) -> dict[str, Any]:
        body: dict[str, Any] = {"error": self.error, "message": self.message}
        if self.details is not None:
            body["details"] = dict(self.details)
        if self.errors is not None:
            body["errors"] = dict(self.errors)
        return body


def unauthenticated(
    message: str, organizations: Sequence[uuid.UUID] = (), *, reason: str = "unauthenticated"
) -> ApiError:
    """reason: as the log has it; the client gets a sentence."""
    refused = ApiError(
        401,
        "unauthenticated",
        message,
        headers={"WWW-Authenticate": 'Bearer realm="dotenv"'},
        is_refusal=True,
        organizations=organizations,
    )
    refused.reason = reason
    return refused


def rate_limited(limited: Limited, what: str) -> ApiError:
    return ApiError(
        429,
        "rate_limited",
        f"{what}; try again in {limited.retry_after} seconds.",
        headers=limited.headers,
        is_refusal=True,
    )


def too_many(error: Exception, reason: str, seconds: int) -> ApiError:
    """Too many of something are under way at once: entered for `reason`."""
    refused = ApiError(
        429,
        "rate_limited",
        str(error),
        headers={"Retry-After": str(seconds)},
        is_refusal=True,
    )
    refused.reason = reason
    return refused


def forbidden(ability: str) -> ApiError:
    return ApiError(
        403,
        "insufficient_permissions",
        f"This needs the ability {ability}, which you do not have.",
        details={"required": ability},
        is_refusal=True,
    )


def unavailable() -> ApiError:
    return ApiError(
        503,
        "unavailable",
        "The database cannot do this right now. Nothing was changed. Try again in a moment.",
        headers={"Retry-After": "5"},
    )


def not_found(what: str = "resource") -> ApiError:
    return ApiError(404, "not_found", f"There is no such {what}.")


def hidden(what: str = "resource") -> ApiError:
    """The same answer as `not_found`, for what exists but is not the caller's to know."""
    error = not_found(what)
    error.is_refusal = True
    return error


MOST_REPORTED = 10
"""How many errors of a request are reported; the rest appear once these are fixed."""


def invalid(errors: Mapping[str, list[str]]) -> ApiError:
    reported = [(name, text) for name, texts in errors.items() for text in texts][:MOST_REPORTED]
    # A message may quote what was sent, and JSON may hold halves of characters.
    errors = {}
    for name, text in reported:
        errors.setdefault(name, []).append(text.encode(errors="replace").decode())
    message = " ".join(
        f"{name}: {text}" if name != "non_field_errors" else text
        for name, texts in errors.items()
        for text in texts
    )
    return ApiError(422, "validation_failed", message, errors=errors)


def in_plain_strings(error: Exception) -> ApiError:
    """A 400 for a body that does not fit: of it, clients show `errors` alone, as strings."""
    refused = _translate(error)
    assert refused is not None and refused.errors is not None
    texts = {name: " ".join(each) for name, each in refused.errors.items()}
    return ApiError(400, refused.error, refused.message, errors=texts)


def handle(exception: Exception, context: dict[str, Any]) -> Response:
    """The REST framework's exception handler: whatever was raised becomes the envelope.

    The handler's own transaction has been rolled back by the exception already.
    """
    error = _translate(exception)
    if error is None:
        # The message of an unexpected error may quote a value; only its trace is logged.
        logger.exception("unexpected error in the API", exc_info=exception)
        error = ApiError(500, "server_error", "Something went wrong on our side.")
    request = context["request"]
    if error.is_refusal:
        places: Sequence[uuid.UUID | None] = error.organizations or [_organization_of(request)]
        for organization_id in places:
            access_denied.send(
                type(context.get("view")),
                request=request,
                status=error.status,
                reason=error.reason,
                organization_id=organization_id,
            )
    return Response(error.body(), status=error.status, headers=error.headers)


def _organization_of(request: HttpRequest | Request) -> uuid.UUID | None:
    principal = getattr(getattr(request, "_request", request), "api_principal", None)
    return principal.organization.pk if principal and principal.organization else None


def _translate(exception: Exception) -> ApiError | None:
    match exception:
        case ApiError():
            return exception
        case SlugTakenError():
            return ApiError(409, "slug_taken", " ".join(exception.messages))
        case ValidationError():
            return _of_validation(exception)
        case exceptions.ParseError():
            return ApiError(400, "malformed_json", "The body is not valid JSON.")
        case exceptions.UnsupportedMediaType():
            return ApiError(415, "unsupported_media_type", "Send application/json.")
        case exceptions.NotAcceptable():
            return ApiError(406, "not_acceptable", "This API answers application/json.")
        case exceptions.MethodNotAllowed():
            return ApiError(405, "method_not_allowed", str(exception.detail))
        case exceptions.ValidationError():
            return invalid(_flatten(exception.detail))
        case Http404() | ObjectDoesNotExist():
            # What does not exist was there when the request began.
            return not_found()
        case PermissionDenied():
            return ApiError(
                403, "insufficient_permissions", "This is not allowed.", is_refusal=True
            )
        case RuleError():
            return _of_rule(exception)
        case OperationalError() | InterfaceError():
            # Gone, full, restarting, or too busy: psycopg distinguishes these from our errors.
            logger.error("the database is unavailable", exc_info=exception)
            return unavailable()
        case IntegrityError():
            return _of_conflict(exception)
    return None


def _of_validation(error: ValidationError) -> ApiError:
    if isinstance(error, LimitedError):
        return rate_limited(error.limited, str(error.message).partition(".")[0])
    refused = invalid(_messages(error))
    if isinstance(error, NotHeldError):
        refused.is_refusal, refused.reason = True, "not_held"
    return refused


def _of_conflict(error: IntegrityError) -> ApiError | None:
    """What another request did meanwhile; None for a mistake of ours."""
    said = str(error).lower()
    if "unique" in said:
        return ApiError(
            409,
            "conflict",
            "Someone else has just created one with this name. Reload and try again.",
        )
    if "foreign key" in said:
        return ApiError(
            409, "conflict", "Someone else has just deleted part of it. Reload and try again."
        )
    return None


_STATUS_OF_RULE = {
    "not_found": 404,
    "client_managed_encryption": 400,
    "server_managed_encryption": 400,
    "rotation_in_progress": 409,
    "version_locked": 403,
    "payload_too_large": 413,
}
"""Where it is not 422."""


def _of_rule(error: RuleError) -> ApiError:
    if isinstance(error, RotationMismatchError):
        # With status 400 clients show the fields alone, and as plain strings.
        return ApiError(400, error.code, str(error), errors={"secrets": str(error)})
    return ApiError(
        _STATUS_OF_RULE.get(error.code, 422),
        error.code,
        str(error),
        details=error.details or None,
        is_refusal=error.is_refusal,
    )


def _messages(error: ValidationError) -> dict[str, list[str]]:
    if hasattr(error, "error_dict"):
        names = {"__all__": "non_field_errors"}
        return {names.get(name, name): texts for name, texts in error.message_dict.items()}
    return {"non_field_errors": error.messages}


def _flatten(detail: Any, name: str = "non_field_errors") -> dict[str, list[str]]:
    """The REST framework's nested messages, one level deep with dotted names."""
    if isinstance(detail, Mapping):
        flat: dict[str, list[str]] = {}
        for key, value in detail.items():
            path = str(key) if name == "non_field_errors" else f"{name}.{key}"
            flat.update(_flatten(value, path))
        return flat
    if isinstance(detail, list):
        if any(isinstance(item, Mapping | list) for item in detail):
            flat = {}
            for number, item in enumerate(detail):
                if item:
                    flat.update(_flatten(item, f"{name}.{number}"))
            return flat
        return {name: [str(item) for item in detail]}
    return {name: [str(detail)]}


# -- Where no API view runs


def plain(error: ApiError) -> JsonResponse:
    return JsonResponse(error.body(), status=error.status, headers=HEADERS)


@csrf_exempt
def unknown_path(request: HttpRequest, **kwargs: Any) -> JsonResponse:
    return plain(not_found("path"))


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """`handler400` of the site: JSON below /api, a page elsewhere."""
    if not _is_below_api(request):
        return defaults.bad_request(request, exception)
    return plain(ApiError(400, "bad_request", "The request is malformed."))


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """`handler404` of the site."""
    if not _is_below_api(request):
        return defaults.page_not_found(request, exception)
    return unknown_path(request)


def crashed(request: HttpRequest) -> HttpResponse:
    """`handler500` of the site."""
    # Django calls this while it handles the exception.
    if isinstance(sys.exc_info()[1], OperationalError | InterfaceError):
        if _is_below_api(request):
            return plain(unavailable())
        response = defaults.server_error(request, "503.html")
        response.status_code = 503
        response.headers["Retry-After"] = "5"
        return response
    if not _is_below_api(request):
        return defaults.server_error(request)
    return plain(ApiError(500, "server_error", "Something went wrong on our side."))


def _is_below_api(request: HttpRequest) -> bool:
    return f"{request.path_info}/".startswith(("/api/", "/audit/"))

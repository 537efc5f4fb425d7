"""Refusals: collected while a request runs, recorded after its transaction has ended.

Repeated refusals of the same actor at the same route within a minute are counted, not listed.
"""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass

from django.db import transaction
from django.http import HttpRequest
from django.urls import ResolverMatch
from rest_framework.request import Request

from audit.capture.events import record_once_a_minute
from audit.coverage.routes import readable
from audit.policy import Result
from organizations import ulid

REFUSING = frozenset((401, 403, 429))
"""Statuses that are always refusals; a 404 that hides something is announced by the code."""

NAMED_IN_PATHS = ("organization", "project", "target", "environment", "api_key", "member", "entry")
"""Parts of a path that an entry may repeat."""
_SLUG = re.compile(r"[a-z0-9-]{1,50}")


@dataclass(frozen=True)
class Refusal:
    status: int
    reason: str
    organization_id: uuid.UUID


def collect(
    request: HttpRequest | Request, status: int, reason: str, organization_id: uuid.UUID | None
) -> None:
    """Remember a refusal of a page or of the API."""
    plain: HttpRequest = getattr(request, "_request", request)
    refusal = Refusal(status, reason, organization_id or ulid.NIL)
    plain.__dict__.setdefault("_refusals", []).append(refusal)


def are_pending(request: HttpRequest, status: int) -> bool:
    return status in REFUSING or "_refusals" in request.__dict__


def named_in(match: ResolverMatch | None) -> dict[str, str]:
    """What the path named, by allow-list: a path may also hold the token of a link, or anything
    that was pasted where a name belongs."""
    found = match.kwargs if match else {}
    return {
        name: found[name]
        for name in NAMED_IN_PATHS
        if name in found and (_SLUG.fullmatch(found[name]) or ulid.PATTERN.fullmatch(found[name]))
    }


def record(request: HttpRequest, status: int) -> None:
    """Write the refusals of a request, in a transaction of their own."""
    collected: list[Refusal] = request.__dict__.get("_refusals", [])
    if not collected:
        collected = [Refusal(status, f"http_{status}", ulid.NIL)]
    route = "/" + readable(request.resolver_match.route) if request.resolver_match else "(no route)"
    with transaction.atomic():
        for refusal in dict.fromkeys(collected):
            record_once_a_minute(
                "access",
                resource_type="endpoint",
                resource_label=f"{request.method} {route}",
                organization_id=refusal.organization_id,
                result=Result.DENIED,
                sample={"named": named_in(request.resolver_match)},
                status=refusal.status,
                reason=refusal.reason,
            )

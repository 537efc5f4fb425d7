"""Addresses in answers: whole ones, on the host that was asked."""

from __future__ import annotations

from django.http import QueryDict
from rest_framework.request import Request


def to(request: Request, query: QueryDict) -> str:
    """The address that was asked, with another query."""
    return request.build_absolute_uri(f"{request.path}?{query.urlencode()}")

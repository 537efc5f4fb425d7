"""The reader's time zone: named by the question, else remembered by the browser, else UTC.

The pages alone remember one. An address that they hand out names it, so that it means the same to
whoever opens it, to the API and to an export.
"""

from __future__ import annotations

import datetime as dt

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase

from audit.questions import periods

COOKIE = "time_zone"
_YEAR = 365 * 24 * 3600

ZONES = (
    "UTC",
    "America/Los_Angeles",
    "America/Chicago",
    "America/New_York",
    "America/Sao_Paulo",
    "Europe/London",
    "Europe/Berlin",
    "Europe/Athens",
    "Africa/Nairobi",
    "Asia/Dubai",
    "Asia/Kolkata",
    "Asia/Singapore",
    "Asia/Tokyo",
    "Australia/Sydney",
)
"""Offered for choice; any other is taken from the address or the browser."""


def remembered(request: HttpRequest) -> str:
    """The name that the browser remembers, empty when that is none."""
    name = request.COOKIES.get(COOKIE, "")
    return name if name and _is_zone(name) else ""


def of(request: HttpRequest) -> dt.tzinfo:
    """In which zone to show this reader an instant."""
    for name in (request.GET.get("tz", ""), remembered(request)):
        if name and _is_zone(name):
            return periods.time_zone(name)
    return dt.UTC


def remember(response: HttpResponseBase, name: str) -> None:
    """Keep a chosen zone for the next page."""
    if _is_zone(name):
        response.set_cookie(
            COOKIE, name, max_age=_YEAR, samesite="Lax", secure=settings.SESSION_COOKIE_SECURE
        )


def _is_zone(name: str) -> bool:
    try:
        periods.time_zone(name)
    except ValueError:
        return False
    return True

"""How close together the rows of the admin's log stand, remembered by the browser."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase

COOKIE = "density"
DENSITIES = ("comfortable", "compact")
_YEAR = 365 * 24 * 3600


def of(request: HttpRequest) -> str:
    """What this reader chose; comfortable unless they did."""
    chosen = request.COOKIES.get(COOKIE, "")
    return chosen if chosen in DENSITIES else DENSITIES[0]


def remember(response: HttpResponseBase, name: str) -> None:
    """Keep a choice for the next page."""
    if name in DENSITIES:
        response.set_cookie(
            COOKIE, name, max_age=_YEAR, samesite="Lax", secure=settings.SESSION_COOKIE_SECURE
        )

"""Lists that do not fit on a page: which part of one is shown."""

from __future__ import annotations

from typing import Any

from django.core.paginator import Page, Paginator
from django.db.models import QuerySet
from django.http import HttpRequest

PER_PAGE = 50


def page_of(request: HttpRequest, rows: QuerySet[Any], per_page: int = PER_PAGE) -> Page[Any]:
    """The part of `rows` that `?page=` names; the nearest one for a number that is none."""
    return Paginator(rows, per_page).get_page(request.GET.get("page"))

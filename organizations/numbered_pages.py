"""Lists that do not fit on a page: which part of one is shown. Entries of the log have pages of
their own (`audit.questions.paging`)."""

from __future__ import annotations

from typing import Any

from django.core.paginator import Page, Paginator
from django.db.models import QuerySet
from django.http import HttpRequest

PER_PAGE = 50


def page_of(request: HttpRequest, rows: QuerySet[Any], per_page: int = PER_PAGE) -> Page[Any]:
    """The part of `rows` that `?page=` names; the nearest one for a number that is none."""
    return Paginator(rows, per_page).get_page(request.GET.get("page"))


def page_numbered(rows: QuerySet[Any], number: int, per_page: int) -> Page[Any]:
    """Page `number` of `rows`; empty beyond the last one."""
    start = (number - 1) * per_page
    return Page(rows[start : start + per_page], number, Paginator(rows, per_page))

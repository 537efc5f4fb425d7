"""Pages of hierarchy lists: only for who asks; the clients we serve never do."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from django.core.paginator import Page, Paginator
from django.db.models import QuerySet
from rest_framework.request import Request
from rest_framework.response import Response

from dotenv_cloud.api import errors, links
from organizations import numbered_pages

LARGEST_PAGE = 100
DEFAULT_PAGE = 25


def collection(
    request: Request, rows: QuerySet[Any], show: Callable[[Any], dict[str, Any]]
) -> Response:
    """All rows without `page` and `per_page`; else that page of them. With `meta` and `links`."""
    asked = {name: request.query_params.get(name) for name in ("page", "per_page")}
    if all(value in (None, "") for value in asked.values()):
        every = list(rows)
        return _answer(request, Page(every, 1, Paginator(every, max(len(every), 1))), show)
    page = _number("page", asked["page"], 1, None)
    per_page = _number("per_page", asked["per_page"], DEFAULT_PAGE, LARGEST_PAGE)
    return page_of(request, rows, show, number=page, per_page=per_page)


def page_of(
    request: Request,
    rows: QuerySet[Any],
    show: Callable[[Any], dict[str, Any]],
    *,
    number: int,
    per_page: int,
) -> Response:
    """Page `number` of the rows, with `meta` and `links`."""
    return _answer(request, numbered_pages.page_numbered(rows, number, per_page), show)


def _number(name: str, text: str | None, default: int, largest: int | None) -> int:
    if text in (None, ""):
        return default
    allowed = f"a whole number from 1{f' to {largest}' if largest else ''}"
    # Ten million pages are enough for anybody, and more would overflow the database's bigint.
    number = int(str(text)) if re.fullmatch("[0-9]{1,8}", str(text)) else 0
    if not 1 <= number <= (largest or 10_000_000):
        raise errors.invalid({name: [f"Use {allowed}."]})
    return number


def _answer(request: Request, page: Page[Any], show: Callable[[Any], dict[str, Any]]) -> Response:
    shown = [show(row) for row in page]
    last, per_page = page.paginator.num_pages, page.paginator.per_page
    first_shown = (page.number - 1) * per_page + 1

    def link(number: int) -> str:
        query = request.query_params.copy()
        query["page"] = str(number)
        query["per_page"] = str(per_page)
        return links.to(request, query)

    answer = Response(
        {
            "data": shown,
            "meta": {
                "current_page": page.number,
                "from": first_shown if shown else None,
                "last_page": last,
                "per_page": per_page,
                "to": first_shown + len(shown) - 1 if shown else None,
                "total": page.paginator.count,
            },
            "links": {
                "first": link(1),
                "last": link(last),
                "prev": link(page.number - 1) if page.has_previous() else None,
                "next": link(page.number + 1) if page.has_next() else None,
            },
        }
    )
    answer.is_conditional = True  # type: ignore[attr-defined]
    return answer

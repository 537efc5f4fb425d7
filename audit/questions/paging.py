"""Paging by id, newest or oldest first: a page costs the same wherever in the log it lies."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import Q, QuerySet

from audit.models import Entry
from audit.questions.fields import LARGEST_PAGE, parse_ulid
from audit.questions.querysets import EntryQuerySet, Part
from organizations import ulid

DEFAULT_PAGE = 50
NEWEST, OLDEST = ORDERS = ("newest", "oldest")
"""Which entries come first."""


@dataclass(frozen=True)
class Page:
    """next_cursor: pass it as `cursor` for what comes next in the list; previous_cursor: pass it as
    `back` of the order (`after`; `before` where the oldest come first) for what came before it.
    None where there are none.

    reached: the list ends here although it may go on: as many entries were looked at as are at
    once (see `querysets.MOST_LOOKED_AT`). next_cursor leads on from there.
    """

    entries: list[Entry]
    next_cursor: str | None
    previous_cursor: str | None
    reached: dt.datetime | None = None
    order: str = NEWEST

    @property
    def note(self) -> str:
        """What to say of a page that ends where looking ended; else empty."""
        if self.reached is None:
            return ""
        word = "down" if self.order == NEWEST else "up"
        return (
            "No index answers this question, so only a part of the log was searched:"
            f" {word} to {self.reached:%Y-%m-%d %H:%M:%S} UTC. The next page goes on from there."
        )

    @property
    def back(self) -> str:
        """The parameter that previous_cursor is for."""
        return "after" if self.order == NEWEST else "before"


def page(
    queryset: QuerySet[Entry],
    cursor: str | uuid.UUID | None = None,
    per_page: int = DEFAULT_PAGE,
    *,
    before: str | uuid.UUID | None = None,
    after: str | uuid.UUID | None = None,
    order: str = NEWEST,
) -> Page:
    """The first `per_page` entries by `order`, from `cursor` on; or those that are older than
    `before` or newer than `after`, the nearest to it.

    One query, or a few of a question that no index answers. Raises ValidationError for a cursor
    that is no ULID.
    """
    per_page = max(1, min(per_page, LARGEST_PAGE))
    older_than, newer_than = _key(before), _key(after)
    if cursor:
        older_than, newer_than = (_key(cursor), None) if order == NEWEST else (None, _key(cursor))
    is_back = (older_than if order == OLDEST else newer_than) is not None
    is_down = (order == NEWEST) != is_back
    bound, start = Q(), None
    if newer_than is not None:
        bound, start = Q(id__gt=newer_than), newer_than
    elif older_than is not None:
        bound, start = Q(id__lt=older_than), older_than
    part = _read(queryset, bound, "-id" if is_down else "id", per_page + 1, start)
    entries = part.entries[:per_page]
    # The last entry that is shown, if there are more, or else where looking ended.
    onward = entries[-1].id if len(part.entries) > per_page else part.reached
    if not entries and onward is None:
        return _empty(older_than, newer_than, order)
    there = ulid.to_text(onward) if onward else None
    here = ulid.to_text(entries[0].id if entries and not is_back else start) if start else None
    reached = ulid.time_of(part.reached) if part.reached else None
    if is_back:
        back_from = entries[0].ulid if entries else here
        return Page(entries[::-1], back_from, there, reached, order)
    return Page(entries, there, here, reached, order)


def page_at(queryset: QuerySet[Entry], position: Mapping[str, Any]) -> Page:
    """The page that validated parameters (`EntryFilter.form.cleaned_data`) ask for."""
    return page(
        queryset,
        position.get("cursor"),
        position.get("per_page") or DEFAULT_PAGE,
        before=position.get("before"),
        after=position.get("after"),
        order=position.get("order") or NEWEST,
    )


def _read(
    queryset: QuerySet[Entry], bound: Q, order: str, limit: int, start: uuid.UUID | None
) -> Part:
    assert isinstance(queryset, EntryQuerySet)
    if order == "-id":
        start = min(filter(None, (start, queryset.until)), default=None)
    return queryset.first_part(bound, order, limit, start)


def _empty(older_than: uuid.UUID | None, newer_than: uuid.UUID | None, order: str) -> Page:
    """Nothing lies beyond the cursor: the way back includes the entry that the cursor names."""
    older = newer_than and ulid.to_text(uuid.UUID(int=min(newer_than.int + 1, 2**128 - 1)))
    newer = older_than and ulid.to_text(uuid.UUID(int=max(older_than.int - 1, 0)))
    if order == OLDEST:
        return Page([], newer or None, older or None, order=order)
    return Page([], next_cursor=older or None, previous_cursor=newer or None)


def _key(cursor: str | uuid.UUID | None) -> uuid.UUID | None:
    return parse_ulid(cursor) if isinstance(cursor, str) and cursor else cursor or None  # type: ignore[return-value]

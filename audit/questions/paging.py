"""Paging by id, newest first: a page costs the same wherever in the log it lies."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import Q, QuerySet

from audit.models import Entry
from audit.questions.fields import LARGEST_PAGE, parse_ulid
from audit.questions.querysets import EntryQuerySet
from organizations import ulid

DEFAULT_PAGE = 50


@dataclass(frozen=True)
class Page:
    """next_cursor: pass it as `cursor` (or `before`) for older entries; previous_cursor: pass it
    as `after` for newer ones. None where there are none."""

    entries: list[Entry]
    next_cursor: str | None
    previous_cursor: str | None


def page(
    queryset: QuerySet[Entry],
    cursor: str | uuid.UUID | None = None,
    per_page: int = DEFAULT_PAGE,
    *,
    after: str | uuid.UUID | None = None,
) -> Page:
    """The newest `per_page` entries older than `cursor`, or the next ones newer than `after`.

    One query. Raises ValidationError for a cursor that is no ULID.
    """
    per_page = max(1, min(per_page, LARGEST_PAGE))
    older_than, newer_than = _key(cursor), _key(after)
    if newer_than is not None:
        found = _read(queryset, Q(id__gt=newer_than), "id", per_page + 1, newer_than)
        entries = found[:per_page][::-1]
        has_newer, has_older = len(found) > per_page, True
    else:
        bound = Q() if older_than is None else Q(id__lt=older_than)
        found = _read(queryset, bound, "-id", per_page + 1, older_than)
        entries = found[:per_page]
        has_newer, has_older = older_than is not None, len(found) > per_page
    if not entries:
        return _empty(older_than, newer_than)
    return Page(
        entries,
        next_cursor=entries[-1].ulid if has_older else None,
        previous_cursor=entries[0].ulid if has_newer else None,
    )


def page_at(queryset: QuerySet[Entry], position: Mapping[str, Any]) -> Page:
    """The page that validated parameters (`EntryFilter.form.cleaned_data`) ask for."""
    return page(
        queryset,
        position.get("cursor") or position.get("before"),
        position.get("per_page") or DEFAULT_PAGE,
        after=position.get("after"),
    )


def _read(
    queryset: QuerySet[Entry], bound: Q, order: str, limit: int, start: uuid.UUID | None
) -> list[Entry]:
    assert isinstance(queryset, EntryQuerySet)
    if order == "-id":
        start = min(filter(None, (start, queryset.until)), default=None)
    return queryset.first_entries(bound, order, limit, start)


def _empty(older_than: uuid.UUID | None, newer_than: uuid.UUID | None) -> Page:
    """Nothing lies beyond the cursor: the way back includes the entry that the cursor names."""
    older = newer_than and ulid.to_text(uuid.UUID(int=min(newer_than.int + 1, 2**128 - 1)))
    newer = older_than and ulid.to_text(uuid.UUID(int=max(older_than.int - 1, 0)))
    return Page([], next_cursor=older or None, previous_cursor=newer or None)


def _key(cursor: str | uuid.UUID | None) -> uuid.UUID | None:
    return parse_ulid(cursor) if isinstance(cursor, str) and cursor else cursor or None  # type: ignore[return-value]

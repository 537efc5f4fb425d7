"""Exporting entries as lines, in the order in which they happened.

Streamed in chunks by id, each read in a short transaction of its own: an answer is sent after the
request's transaction has ended, and a slow reader must hold none open. It ends at the newest entry
that was there when it began, and breaks off when retention removes entries meanwhile. Enter the
export (`audit.access.note_export`) before anything leaves.
"""

from __future__ import annotations

import csv as csv_module
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from django.db import transaction
from django.db.models import QuerySet

from audit import lines
from audit import ocsf as ocsf_events
from audit.lines import Row
from audit.models import Entry
from audit.querysets import open_wall
from audit.retention import floor

FIRST_CHUNK = 200  # so that the first bytes leave at once
CHUNK = 2_000


class RemovedMeanwhileError(RuntimeError):
    """Retention removed entries while they were exported: what was to come has a gap."""


def ndjson(queryset: QuerySet[Entry]) -> Iterator[str]:
    """The entries as canonical JSON, one a line, many lines a string."""
    for rows in _chunks(queryset):
        yield "\n".join([*lines.canonical(rows), ""])


def csv(queryset: QuerySet[Entry]) -> Iterator[str]:
    """The entries as CSV with a header (RFC 4180)."""
    yield _csv([lines.CELLS])
    for rows in _chunks(queryset):
        yield _csv(lines.cells(rows))


def ocsf(queryset: QuerySet[Entry]) -> Iterator[str]:
    """The entries as events of OCSF, one a line."""
    for rows in _chunks(queryset):
        yield "\n".join([*ocsf_events.events(rows), ""])


@dataclass(frozen=True)
class Format:
    """A way to write entries. `suffix`: how the name of such a file ends."""

    label: str
    media_type: str
    suffix: str
    write: Callable[[QuerySet[Entry]], Iterator[str]]


FORMATS = {
    "ndjson": Format("NDJSON", "application/x-ndjson", "ndjson", ndjson),
    "csv": Format("CSV", "text/csv; charset=utf-8", "csv", csv),
    "ocsf": Format("OCSF", "application/x-ndjson", "ocsf.ndjson", ocsf),
}


def _chunks(queryset: QuerySet[Entry]) -> Iterator[list[Row]]:
    """The rows of `queryset`, oldest first."""
    organizations = queryset.visible_organizations  # type: ignore[attr-defined]
    last = position = removals = None
    size = FIRST_CHUNK
    while True:
        with transaction.atomic(using=queryset.db):
            open_wall(organizations, queryset.db)
            if last is None:
                last = queryset.order_by("-id").values_list("id", flat=True).first()
                if last is None:
                    return
            rest = queryset.filter(id__lte=last)
            if position is not None:
                rest = rest.filter(id__gt=position)
            rows = lines.read(rest.order_by("id")[:size])
            now = floor.removals(organizations, queryset.db)
        if removals not in (None, now):
            # The answer ends without its end, which every client takes for a failure.
            raise RemovedMeanwhileError("retention removed entries meanwhile; export again")
        removals = now
        if rows:
            yield rows
            position = rows[-1][0]
        if len(rows) < size:
            return
        size = CHUNK


def _csv(table: Sequence[Sequence[str | None]]) -> str:
    text = io.StringIO()
    csv_module.writer(text).writerows(table)
    return text.getvalue()

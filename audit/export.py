"""Exporting entries as lines, in the order in which they happened.

Streamed in chunks by id, each read in a short transaction of its own: an answer is sent after the
request's transaction has ended, and a slow reader must hold none open. It ends at the newest entry
that was there when it began, and breaks off when retention removes entries meanwhile. Enter the
export (`audit.access.note_export`) before anything leaves.
"""

from __future__ import annotations

import csv as csv_module
import io
import json
from collections.abc import Iterator, Sequence
from typing import Any

from django.db import connections, transaction
from django.db.models import QuerySet

from audit import presentation
from audit.models import Entry
from audit.presentation import canonical_line, line_of
from audit.querysets import open_wall
from audit.retention import floor

FIRST_CHUNK = 200  # so that the first bytes leave at once
CHUNK = 4_000

COLUMNS = (
    "time",
    "id",
    "seq",
    "organization",
    "actor_type",
    "actor_id",
    "actor_label",
    "action",
    "resource_type",
    "resource_id",
    "resource_label",
    "result",
    "reason",
    "ip",
    "user_agent",
    "request_id",
    "interface",
    "changes",
    "changed_fields",
    "context",
)
"""Of the CSV, always these in this order."""


class RemovedMeanwhileError(RuntimeError):
    """Retention removed entries while they were exported: what was to come has a gap."""


CONTENT_TYPES = {"ndjson": "application/x-ndjson", "csv": "text/csv; charset=utf-8"}


def ndjson(queryset: QuerySet[Entry]) -> Iterator[str]:
    """The entries as canonical JSON, one a line, many lines a string."""
    for rows in _chunks(queryset):
        yield "\n".join([*map(line_of, rows), ""])


def csv(queryset: QuerySet[Entry]) -> Iterator[str]:
    """The entries as CSV with a header (RFC 4180)."""
    yield _csv([COLUMNS])
    for rows in _chunks(queryset):
        yield _csv([_cells(json.loads(line_of(row))) for row in rows])


def _chunks(queryset: QuerySet[Entry]) -> Iterator[list[tuple[Any, ...]]]:
    """The rows of `queryset` by presentation.COLUMNS, oldest first."""
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
            rows = read_rows(rest.order_by("id")[:size])
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


def read_rows(queryset: QuerySet[Entry]) -> list[tuple[Any, ...]]:
    """Without making models of them, nor values of the JSON that is to become text again."""
    sql, parameters = queryset.values_list(*presentation.COLUMNS).query.sql_with_params()
    with connections[queryset.db].cursor() as cursor:
        cursor.execute(sql, parameters)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows


def _csv(rows: Sequence[Sequence[Any]]) -> str:
    text = io.StringIO()
    csv_module.writer(text).writerows(rows)
    return text.getvalue()


def _cells(attributes: dict[str, Any]) -> list[str]:
    flat = attributes | {
        f"{name}_{part}": attributes[name][part]
        for name in ("actor", "resource")
        for part in ("type", "id", "label")
    }
    flat["changes"] = canonical_line(attributes["changes"]) if attributes["changes"] else ""
    flat["context"] = canonical_line(attributes["context"]) if attributes["context"] else ""
    flat["changed_fields"] = " ".join(attributes["changed_fields"])
    return [_harmless(flat[column]) for column in COLUMNS]


def _harmless(value: Any) -> str:
    """A cell that no spreadsheet takes for a formula (OWASP, CSV injection)."""
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text

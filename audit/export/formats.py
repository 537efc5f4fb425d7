"""Exporting entries as lines, in the order in which they happened.

Streamed in chunks by id, each read in a short transaction of its own: an answer is sent after the
request's transaction has ended, and a slow reader must hold none open. It ends at the newest entry
that was there when it began, and breaks off when retention removes entries meanwhile. Enter the
export before anything leaves: `audit.export.download` does, with its end.
"""

from __future__ import annotations

import csv
import io
import uuid
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass

from django.db import transaction
from django.db.models import QuerySet

from audit.entry import bulk_json, references
from audit.entry.bulk_json import Row
from audit.export import ocsf
from audit.export.extent import Extent
from audit.models import Entry
from audit.questions import retention_boundary, tenant_scope
from audit.questions.querysets import EntryQuerySet, any_of

FIRST_CHUNK = 200  # so that the first bytes leave at once
CHUNK = 2_000
PIECE = 500
"""Of a chunk, written at once: the server copies each string several times on its way out."""


Names = Mapping[str, str]


class RemovedMeanwhileError(RuntimeError):
    """Retention removed entries while they were exported: what was to come has a gap."""


@dataclass(frozen=True)
class Format:
    """A way to write entries. suffix: how the name of such a file ends; header: its first line;
    has_names: what people are called is given with the rows, by their ids in it."""

    label: str
    media_type: str
    suffix: str
    write: Callable[[Sequence[Row], Names], str]
    header: str = ""
    has_names: bool = False


def _lines(written: Sequence[str]) -> str:
    return "\n".join([*written, ""])


def _csv(table: Sequence[Sequence[str | None]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows(table)
    return text.getvalue()


FORMATS = {
    "ndjson": Format(
        "NDJSON",
        "application/x-ndjson",
        "ndjson",
        lambda rows, names: _lines(bulk_json.canonical(rows)),
    ),
    "csv": Format(
        "CSV",
        "text/csv; charset=utf-8",
        "csv",
        lambda rows, names: _csv(bulk_json.cells(rows, names)),
        header=_csv([bulk_json.CELLS]),
        has_names=True,
    ),
    "ocsf": Format(
        "OCSF",
        "application/x-ndjson",
        "ocsf.ndjson",
        lambda rows, names: _lines(ocsf.events(rows)),
    ),
}
"""Canonical JSON, one entry a line; a table with a header (RFC 4180); OCSF, one event a line."""


def written(
    name: str,
    queryset: QuerySet[Entry],
    note: Callable[[Sequence[Row]], None] = lambda rows: None,
    extent: Extent | None = None,
) -> Generator[str, None, None]:
    """The entries of `queryset` in the format called `name`, oldest first, many a string.

    note: called with the rows of each string before it is sent; extent: which of them, where that
    was said before.
    """
    format = FORMATS[name]
    if format.header:
        yield format.header
    people = People(queryset) if format.has_names else None
    for chunk in _chunks(queryset, extent.removals if extent else None, people):
        rows = [row for row in chunk if extent.holds(row)] if extent else chunk
        for start in range(0, len(rows), PIECE):
            piece = rows[start : start + PIECE]
            text = format.write(piece, people.names if people else bulk_json.NOBODY)
            note(piece)
            yield text


class People:
    """What those are called who acted in an export, each looked up once."""

    def __init__(self, queryset: QuerySet[Entry]) -> None:
        self.names: dict[str, str] = {}
        self._queryset = queryset

    def look_up(self, rows: Sequence[Row]) -> None:
        acted = {row.actor_id for row in rows if row.actor_id and row.actor_type == "user"}
        missing = [uuid.UUID(key) for key in acted - self.names.keys()]
        if missing:
            organizations = self._queryset.visible_organizations  # type: ignore[attr-defined]
            found = references.names_of_people(missing, organizations, self._queryset.db)
            self.names |= {key.hex: found.get(key, "") for key in missing}


def _chunks(
    queryset: QuerySet[Entry], removals: int | None, people: People | None
) -> Iterator[list[Row]]:
    """The rows of `queryset`, oldest first. removals: how often retention had removed something;
    people: whose names are looked up with them."""
    assert isinstance(queryset, EntryQuerySet)
    organizations = queryset.visible_organizations
    last: uuid.UUID | None = None
    position: uuid.UUID | None = None
    size = FIRST_CHUNK
    while True:
        with transaction.atomic(using=queryset.db):
            tenant_scope.enter(organizations, queryset.db)
            if last is None:
                last = _newest(queryset)
                if last is None:
                    return
            part, reached = queryset.next_part(position)
            rows = bulk_json.read(part.filter(id__lte=last).order_by("id")[:size])
            if people is not None:
                people.look_up(rows)
            now = retention_boundary.removals(organizations, queryset.db)
        if removals not in (None, now):
            # The answer ends without its end, which every client takes for a failure.
            raise RemovedMeanwhileError("retention removed entries during the export; export again")
        removals = now
        if rows:
            yield rows
        if len(rows) == size:
            position = uuid.UUID(rows[-1].id)
        elif reached is None or reached >= last:
            return
        else:
            position = reached
        size = CHUNK


def _newest(queryset: EntryQuerySet) -> uuid.UUID | None:
    """The newest entry of the logs that are exported, whether it is one that is asked for or not:
    to find such a one may take long."""
    entries = queryset.model.objects.using(queryset.db)
    of_logs = entries.filter(any_of("organization_id", [*queryset.visible_organizations]))
    found: uuid.UUID | None = of_logs.order_by("-id").values_list("id", flat=True).first()
    return found

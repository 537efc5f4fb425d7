"""An export as an HTTP answer: page, API and admin send it, and it leaves two entries.

The first is entered before anything leaves and says what was asked. The second, of the same
request, is entered when the answer ends, and says how many entries were handed to the network and
whether that was all of them. Where the second is missing, the server itself ended.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from django.db import transaction
from django.http import StreamingHttpResponse

from audit import context
from audit.entry.bulk_json import Row
from audit.export import formats
from audit.policy import Result
from audit.questions import counting, reading, retention_boundary
from audit.questions.filters import EntryFilter
from organizations.models import Organization

MOST_COUNTED = 10_000
"""Entries that are counted ahead, so that who waits sees how far it is."""


def answer(
    organizations: Sequence[Organization], asked: EntryFilter, name: str, *, title: str
) -> StreamingHttpResponse:
    """The entries that `asked` finds in the logs of `organizations`, in the format `name`.

    title: how the name of the file begins.
    """
    chosen = formats.FORMATS[name]
    count = _count(organizations, asked)
    for organization in organizations:
        reading.note_export(organization, asked, name)
    response = StreamingHttpResponse(
        Download(organizations, asked.qs, name), content_type=chosen.media_type
    )
    response["Content-Disposition"] = f'attachment; filename="{title}-audit.{chosen.suffix}"'
    response["Audit-Count"] = f"{count.value}{'' if count.is_exact else '+'}"
    if found := retention_boundary.reached([o.pk for o in organizations], asked.period):
        response["Audit-Floor"] = ", ".join(each.header for each in found.values())
    response["X-Accel-Buffering"] = "no"
    return response


def _count(organizations: Sequence[Organization], asked: EntryFilter) -> counting.Count:
    if all(name == "tz" for name in asked.params):
        return counting.Count(sum(map(counting.total, organizations)), True)
    return counting.bounded_count(asked.qs, MOST_COUNTED)


class Download(Iterator[str]):
    """The text of an export, which enters its own end: complete, broken or cut off.

    An answer is sent after its request, so who asked and from where is kept here.
    """

    def __init__(self, organizations: Sequence[Organization], entries: Any, name: str) -> None:
        self._organizations = organizations
        self._name = name
        self._who, self._origin = context.actor(), context.origin()
        self._sent: Counter[str] = Counter()
        self._parts = formats.written(name, entries, self._note)
        self._has_ended = False

    def __next__(self) -> str:
        try:
            return next(self._parts)
        except StopIteration:
            # Committed before the answer's own end, so who has all of it finds it entered.
            self._enter_end(Result.SUCCESS)
            raise
        except formats.RemovedMeanwhileError:
            self._enter_end(Result.FAILED, reason="removed_meanwhile")
            raise
        except Exception:
            self._enter_end(Result.FAILED, reason="broken")
            raise

    def close(self) -> None:
        """Called when the answer is over, also when its reader has gone away."""
        self._parts.close()
        self._enter_end(Result.FAILED, reason="cut_off")

    def _note(self, rows: Sequence[Row]) -> None:
        self._sent.update(row[1] for row in rows)

    def _enter_end(self, result: Result, reason: str = "") -> None:
        if self._has_ended:
            return
        self._has_ended = True
        counts: Mapping[uuid.UUID, int] = {uuid.UUID(key): n for key, n in self._sent.items()}
        with context.acting_from(self._origin, self._who), transaction.atomic():
            for organization in self._organizations:
                reading.note_end_of_export(
                    organization, self._name, counts.get(organization.pk, 0), result, reason
                )

"""An export as an HTTP answer: page, API and admin send it, and it leaves two entries.

The first is recorded before anything leaves and says what was asked. The second, of the same
request, is recorded when the answer ends, and says how many entries were handed to the network and
whether that was all of them. Where the second is missing, the server itself ended.
"""

from __future__ import annotations

import threading
import uuid
import weakref
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from django.db import transaction
from django.http import StreamingHttpResponse

from audit import context
from audit.entry.as_json import rfc3339
from audit.entry.bulk_json import Row
from audit.export import extent, formats
from audit.policy import Result
from audit.questions import reading, retention_boundary
from audit.questions.filters import EntryFilter
from organizations.models import Organization

MOST_COUNTED = 10_000
"""Entries that are counted ahead, so that who waits sees how far it is."""


MOST_AT_ONCE = 4
MOST_OF_ONE = 2
"""Exports that a process sends at once, and how many of them may be of one organization: a slow
reader holds a thread, and the others are for everybody else."""
RETRY_SECONDS = 30


class TooManyExportsError(Exception):
    """Others are being exported; nothing was entered and nothing was sent."""

    def __init__(self) -> None:
        super().__init__(
            "Too many exports are running. Wait until one has finished, or try again in"
            f" {RETRY_SECONDS} seconds."
        )


class _Places:
    """The exports that this process is sending, by organization."""

    def __init__(self) -> None:
        # Reentrant: what frees a place is called by the garbage collector too, at any moment.
        self._lock = threading.RLock()
        self._all = 0
        self._taken: Counter[uuid.UUID] = Counter()

    def take(self, organizations: Sequence[Organization]) -> tuple[uuid.UUID, ...]:
        """One place, which counts for each of the organizations. Raises TooManyExportsError."""
        wanted = tuple(organization.pk for organization in organizations)
        with self._lock:
            if self._all >= MOST_AT_ONCE or any(self._taken[k] >= MOST_OF_ONE for k in wanted):
                raise TooManyExportsError
            self._all += 1
            self._taken.update(wanted)
        return wanted

    def free(self, taken: tuple[uuid.UUID, ...]) -> None:
        with self._lock:
            self._all -= 1
            self._taken.subtract(taken)
            self._taken += Counter()  # forgets those at zero


_places = _Places()


def take_place(holder: object, organizations: Sequence[Organization]) -> Callable[[], object]:
    """One place for `holder`, which is free again when what this gives is called, and at the latest
    when `holder` is gone. Raises TooManyExportsError."""
    return weakref.finalize(holder, _places.free, _places.take(organizations))


def answer(
    organizations: Sequence[Organization], asked: EntryFilter, name: str, *, title: str
) -> StreamingHttpResponse:
    """The entries that `asked` finds in the logs of `organizations`, in the format `name`.

    title: how the name of the file begins. Raises TooManyExportsError.
    """
    chosen = formats.FORMATS[name]
    download = Download(organizations, asked.qs, name)
    count = extent.count(
        asked.qs,
        download.extent,
        MOST_COUNTED,
        is_everything=set(asked.params) <= {"tz", "views"} and not asked.left_out,
    )
    for organization in organizations:
        reading.record_export(organization, asked, name)
    response = StreamingHttpResponse(download, content_type=chosen.media_type)
    response["Content-Disposition"] = f'attachment; filename="{title}-audit.{chosen.suffix}"'
    response["Audit-Count"] = f"{count.value}{'' if count.is_exact else '+'}"
    if found := retention_boundary.reached([o.pk for o in organizations], asked.period):
        response["Audit-Retention-Boundary"] = ", ".join(each.header for each in found.values())
    if len(organizations) == 1:
        [sealed_to] = download.extent.sizes.values()
        response["Audit-Sealed-To"] = str(sealed_to)
    if download.extent.complete_to is not None:
        response["Audit-Complete-To"] = rfc3339(download.extent.complete_to)
    if asked.left_out:
        response["Audit-Left-Out"] = ", ".join(asked.left_out)
    if asked.period.until is not None:
        response["Audit-Until"] = rfc3339(asked.period.until)
    response["X-Accel-Buffering"] = "no"
    return response


class Download(Iterator[str]):
    """The text of an export, which enters its own end: complete, broken or cut off.

    An answer is sent after its request, so who asked and from where is kept here.
    """

    def __init__(self, organizations: Sequence[Organization], entries: Any, name: str) -> None:
        # Whatever becomes of the answer, its place is free again: at the latest when it is gone.
        self._leave = take_place(self, organizations)
        self._organizations = organizations
        self._name = name
        self._who, self._origin = context.actor(), context.origin()
        self._sent: Counter[str] = Counter()
        self.extent = extent.now(entries)
        self._parts = formats.written(name, entries, self._note, self.extent)
        self._has_ended = False

    def __next__(self) -> str:
        try:
            return next(self._parts)
        except StopIteration:
            # Committed before the answer's own end, so who has all of it finds it recorded.
            self._record_end(Result.SUCCESS)
            raise
        except formats.RemovedMeanwhileError:
            self._record_end(Result.FAILED, reason="removed_meanwhile")
            raise
        except Exception:
            self._record_end(Result.FAILED, reason="broken")
            raise

    def close(self) -> None:
        """Called when the answer is over, also when its reader has gone away."""
        self._parts.close()
        self._record_end(Result.FAILED, reason="cut_off")

    def _note(self, rows: Sequence[Row]) -> None:
        self._sent.update(row.organization_id for row in rows)

    def _record_end(self, result: Result, reason: str = "") -> None:
        if self._has_ended:
            return
        self._has_ended = True
        self._leave()
        counts: Mapping[uuid.UUID, int] = {uuid.UUID(key): n for key, n in self._sent.items()}
        with context.acting_from(self._origin, self._who), transaction.atomic():
            for organization in self._organizations:
                reading.record_end_of_export(
                    organization, self._name, counts.get(organization.pk, 0), result, reason
                )

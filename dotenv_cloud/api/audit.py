"""The audit log over HTTP: the same question as on the page, word for word."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any, ClassVar

from django.db import transaction
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request
from rest_framework.response import Response

from audit import policy
from audit.entry import as_json, references
from audit.export import download, formats
from audit.ledger import replica
from audit.models import Entry
from audit.questions import (
    answering,
    counting,
    following,
    paging,
    reading,
    retention_boundary,
    waiting,
)
from audit.questions.asking import ask, question_of, texts_of_two
from audit.questions.filters import ELSEWHERE, ONE_OF, EntryFilter
from dotenv_cloud.api import errors, links
from dotenv_cloud.api.base import ApiView, data
from dotenv_cloud.api.schema import asks_the_log, described
from organizations import ulid
from organizations.models import User


class LogView(ApiView):
    abilities: ClassVar = {"GET": "audit:read"}
    is_conditional = True
    known: ClassVar[tuple[str, ...]] = ()
    """Parameters of its own, which are no filters."""

    def question(self, request: Request, *, whole: bool = False, without: str = "") -> EntryFilter:
        """The question in the query string. Raises a 422 that names each parameter.

        whole: with what is left out of other answers unless it is asked for; without: a parameter
        that means something else here.
        """
        params = request.query_params.copy()
        params.pop(without, None)
        if params.getlist("order") == ["seq"]:
            del params["order"]
        if whole and "views" not in params:
            params["views"] = "true"
        for name in ELSEWHERE:
            if name in params and name not in self.known:
                raise errors.invalid({name: [_NOT_HERE[name]]})
        caller = self.principal.caller
        reader = caller.email if isinstance(caller, User) else caller.name
        asked = ask([self.organization], params, known=self.known, reader=reader)
        if not asked.is_valid():
            raise errors.invalid({name: list(texts) for name, texts in asked.errors.items()})
        return asked

    def _standing(self, asked: EntryFilter) -> following.Standing:
        """How far the log is; to be asked before what is read of it."""
        return following.standing(self.organization.pk, asked.qs.db)

    def _wait_until_complete(self, request: Request, seconds: int) -> None:
        """Wait until nothing can be added any more to a time that is over, `seconds` at most."""

        def look(is_last: bool) -> bool | None:
            with transaction.atomic():
                asked = self.question(request)
                return (
                    None
                    if _short(asked, self._standing(asked).complete_to) and not is_last
                    else True
                )

        if seconds:
            try:
                waiting.wait_for(self.organization.pk, seconds, look)
            except waiting.TooManyWaitingError as full:
                raise errors.too_many(full, "too_many_waiting", waiting.RETRY_SECONDS) from None


NOT_UNDERSTOOD = (
    "Nothing in this question was understood, so there is nothing to export. The list of entries"
    " says why, in meta.understood."
)
TWO_LISTS = "This asks for two lists. Export each by itself: {}, and {}."
_NOT_HERE = {
    "page": "Entries have no numbered pages, as new ones come in front; follow links.next.",
    "format": "This is always JSON; the export has formats.",
}


def _number(request: Request, name: str, most: int) -> int | None:
    """A whole number from 0 to `most` in the query; None if there is none."""
    given = request.query_params.getlist(name)
    if not given or given == [""]:
        return None
    [text, *others] = given
    if others or not re.fullmatch("[0-9]{1,18}", text) or int(text) > most:
        up_to = f" to {most}" if most < 10**6 else ""
        raise errors.invalid({name: [f"Give one whole number from 0{up_to}."]})
    return int(text)


def _short(asked: EntryFilter, complete_to: dt.datetime | None) -> str | None:
    """What to say where the time asked for is over, and yet something may be added to it."""
    until = asked.period.until
    if until is None or until > asked.now or (complete_to is not None and complete_to >= until):
        return None
    reached = _instant(complete_to) or "never"
    return (
        f"This may still be short: the log is complete to {reached}, not yet to {_instant(until)}."
        " Ask again, or with `wait`."
    )


def _understood(asked: EntryFilter) -> dict[str, Any] | None:
    """What was read of a question in words; None where it was asked by parameters."""
    question = question_of(asked)
    return question.as_json() if question else None


def _answer(asked: EntryFilter, facets: counting.Facets) -> str | None:
    """The line that answers a question in words; None where it was asked by parameters."""
    count = counting.Count(facets.counted, facets.is_exact)
    return answering.of_counts(asked, count, facets) or None


def _instant(moment: dt.datetime | None) -> str | None:
    return as_json.rfc3339(moment) if moment else None


def _resource(entry: Entry) -> dict[str, Any]:
    return {
        "type": "audit-entries",
        "id": entry.ulid,
        "attributes": as_json.as_json(entry),
        "meta": {
            "actor_name": entry.actor_name,
            "actor_exists": _exists(entry, "actor"),
            "resource_exists": _exists(entry, "resource"),
        },
    }


def _exists(entry: Entry, name: str) -> bool | None:
    """Whether what an entry refers to is still there; None if it refers to no row."""
    return True if getattr(entry, name) else False if references.is_gone(entry, name) else None


def _boundary_notes(found: retention_boundary.Boundary | None, page: paging.Page) -> list[str]:
    """Told where it is reached: what is missing from last year surprises nobody who reads the
    newest entries."""
    if found is None or (page.next_cursor and _end_of(page) >= found.before):
        return []
    return [str(found)]


def _end_of(page: paging.Page) -> dt.datetime:
    """How far down the log a page goes that has one after it."""
    if page.order == paging.OLDEST:
        return page.entries[0].time if page.entries else dt.datetime.min.replace(tzinfo=dt.UTC)
    return page.reached or page.entries[-1].time


def _names(asked: EntryFilter) -> list[dict[str, Any]]:
    """What was asked for by a former name, or by one that several had."""
    return [
        {
            "parameter": parameter,
            "asked": one.asked,
            "type": one.type,
            "id": ulid.to_text(one.id),
            "now": one.now,
            "now_called": one.called or None,
            "created_at": _instant(one.since),
        }
        for parameter in asked.found
        for one in asked.named(parameter)
    ]


class Entries(LogView):
    is_atomic = False
    known = ("after_seq", "wait")

    @asks_the_log(
        "List entries, newest first, or by their numbers",
        answer="EntryList",
        parameters=[
            OpenApiParameter(
                "after_seq", int, description="Sealed entries after this number, oldest first."
            ),
            OpenApiParameter(
                "order",
                str,
                enum=["newest", "oldest", "seq"],
                description="Which entries come first; seq: as after_seq, from the first.",
            ),
            OpenApiParameter(
                "wait",
                int,
                description="Seconds, up to 25, to wait for an entry, or for the end of a time.",
            ),
        ],
    )
    def get(self, request: Request, organization: str) -> Response:
        seconds = _number(request, "wait", waiting.LONGEST) or 0
        after = self._after(request)
        if after is None:
            self._wait_until_complete(request, seconds)
            with transaction.atomic():
                return self._page(request)
        replica.stay_on_primary()
        reached = after

        def look(is_last: bool) -> Response | None:
            nonlocal reached
            with transaction.atomic():
                asked = self.question(request, whole=True)
                per_page = asked.form.cleaned_data.get("per_page") or paging.DEFAULT_PAGE
                part = following.part_after(asked.qs, self.organization.pk, reached, per_page)
                if not part.entries and not is_last and part.reached >= part.log.sealed_to:
                    reached = part.reached
                    return None
                return self._followed(request, asked, part, after, per_page)

        try:
            answer = waiting.wait_for(self.organization.pk, seconds, look)
        except waiting.TooManyWaitingError as full:
            raise errors.too_many(full, "too_many_waiting", waiting.RETRY_SECONDS) from None
        assert answer is not None
        return answer

    def _after(self, request: Request) -> int | None:
        """The number to go on from; None for a list by time."""
        after = _number(request, "after_seq", 2**63 - 1)
        if request.query_params.getlist("order") == ["seq"]:
            after = after or 0
        if after is not None:
            for name in ("order", "limit"):
                if request.query_params.get(name) not in (None, "", "seq"):
                    raise errors.invalid({name: ["By number it is the oldest first, and all."]})
            for name in ONE_OF:
                if request.query_params.get(name):
                    raise errors.invalid(
                        {
                            name: [
                                f"Give after_seq or {name}, not both: one goes by number, the"
                                " other by time."
                            ]
                        }
                    )
        return after

    def _followed(
        self,
        request: Request,
        asked: EntryFilter,
        part: following.Part,
        after: int,
        per_page: int,
    ) -> Response:
        references.look_up(part.entries, [self.organization.pk])
        reading.record_view(self.organization, asked)
        missing = retention_boundary.of_numbers(self.organization.pk, after, part.reached)
        notes = [*asked.notes, *([str(missing)] if missing else [])]
        if after > part.log.sealed_to:
            notes.append(
                f"The log ends at number {part.log.sealed_to}, before {after}. If it was restored"
                " from a backup, begin again at the last number that you share."
            )
        query = request.query_params.copy()
        query.pop("order", None)
        query["after_seq"] = str(part.reached)
        return Response(
            {
                "data": [_resource(entry) for entry in part.entries],
                "meta": {
                    "next_cursor": None,
                    "sealed_to": part.log.sealed_to,
                    "reached": part.reached,
                    "complete_to": _instant(part.log.complete_to),
                    "per_page": per_page,
                    "since": _instant(asked.period.since),
                    "until": _instant(asked.period.until),
                    "as_of": None,
                    "left_out": list(asked.left_out),
                    "understood": _understood(asked),
                    "answer": None,
                    "notes": notes,
                    "names": _names(asked),
                    "retention_boundary": missing.as_json() if missing else None,
                },
                "links": {"prev": None, "next": links.to(request, query)},
            }
        )

    def _page(self, request: Request) -> Response:
        asked = self.question(request)
        position = asked.form.cleaned_data
        log = self._standing(asked)
        page = paging.page_at(asked.qs, position)
        references.look_up(page.entries, [self.organization.pk])
        reading.record_view(self.organization, asked)
        found = retention_boundary.below(self.organization.pk, asked.period)
        as_of = replica.as_of()
        behind = f"As of {_instant(as_of)}: the replica that answered is behind." if as_of else None
        short = _short(asked, log.complete_to)
        said = [page.note, *_boundary_notes(found, page), behind, short]
        return Response(
            {
                "data": [_resource(entry) for entry in page.entries],
                "meta": {
                    "next_cursor": page.next_cursor,
                    "sealed_to": log.sealed_to,
                    "reached": None,
                    "complete_to": _instant(log.complete_to),
                    "per_page": position.get("per_page") or paging.DEFAULT_PAGE,
                    "since": _instant(asked.period.since),
                    "until": _instant(asked.period.until),
                    "as_of": _instant(as_of),
                    "left_out": list(asked.left_out),
                    "understood": _understood(asked),
                    "answer": answering.of_page(asked, page) or None,
                    "notes": [*asked.notes, *(text for text in said if text)],
                    "names": _names(asked),
                    "retention_boundary": found.as_json() if found else None,
                },
                "links": {
                    "prev": self._link(request, page.back, page.previous_cursor),
                    "next": self._link(request, "cursor", page.next_cursor),
                },
            }
        )

    @staticmethod
    def _link(request: Request, name: str, cursor: str | None) -> str | None:
        """Where the list goes on: `cursor` leads to what comes next, the other one back."""
        if cursor is None:
            return None
        query = request.query_params.copy()
        for other in (*ONE_OF, "wait"):
            query.pop(other, None)
        query[name] = cursor
        return links.to(request, query)


class OneEntry(LogView):
    @described("Show an entry", answer="Entry")
    def get(self, request: Request, organization: str, entry: str) -> Response:
        key = ulid.parse_or_none(entry)
        mine = Entry.objects.visible([self.organization.pk])
        found = mine.filter(pk=key).first() if key else None
        if found is None:
            raise errors.not_found("entry")
        references.look_up([found], [self.organization.pk])
        reading.record_view(self.organization, entry=found)
        return data(_resource(found))


class Export(LogView):
    abilities: ClassVar = {"GET": "audit:export"}
    is_atomic = False
    is_conditional = False
    known = ("format", "wait")

    @asks_the_log(
        "Export entries as NDJSON, CSV or OCSF events",
        answer=None,
        parameters=[
            OpenApiParameter(
                "wait", int, description="Seconds, up to 25, to wait for the end of a time."
            )
        ],
    )
    def get(self, request: Request, organization: str) -> Any:
        name = request.query_params.get("format", "ndjson")
        if name not in formats.FORMATS:
            raise errors.invalid({"format": ["Use ndjson, csv or ocsf."]})
        self._wait_until_complete(request, _number(request, "wait", waiting.LONGEST) or 0)
        with transaction.atomic():
            asked = self.question(request)
            question = question_of(asked)
            if question is not None and not question.is_answerable:
                # A file without a line would read like an answer.
                raise errors.invalid({"ask": [NOT_UNDERSTOOD]})
            if question is not None and question.is_of_two_kinds:
                raise errors.invalid({"ask": [TWO_LISTS.format(*texts_of_two(question))]})
            try:
                return download.answer(
                    [self.organization], asked, name, title=self.organization.slug
                )
            except download.TooManyExportsError as full:
                raise errors.too_many(full, "too_many_exports", download.RETRY_SECONDS) from None


class Histogram(LogView):
    @asks_the_log("Count entries over time", answer="Histogram")
    def get(self, request: Request, organization: str) -> Response:
        asked = self.question(request)
        log = self._standing(asked)
        buckets = counting.histogram(asked.qs, asked.period.since, asked.period.until, asked.zone)
        reading.record_view(self.organization, asked)
        return Response(
            {
                "data": [
                    {
                        "start": _instant(bucket.start),
                        "end": _instant(bucket.end),
                        "count": bucket.count,
                        "is_exact": bucket.is_exact,
                    }
                    for bucket in buckets
                ],
                "meta": {
                    "complete_to": _instant(log.complete_to),
                    "left_out": list(asked.left_out),
                    "understood": _understood(asked),
                },
            }
        )


class Counts(LogView):
    known = ("by", "at_least", "search")

    @asks_the_log(
        "Count entries by what they have in common",
        answer="Counts",
        parameters=[
            OpenApiParameter("by", str, enum=counting.BY, description="Unless `ask` says so."),
            OpenApiParameter("at_least", int, description="Only what so many entries have."),
            OpenApiParameter(
                "limit",
                int,
                description=f"Rows, the most frequent first; 10, at most {counting.MOST_ROWS}.",
            ),
            OpenApiParameter("search", str, description="Only what has this in its name."),
        ],
    )
    def get(self, request: Request, organization: str) -> Response:
        asked = self.question(request, without="limit")
        question = question_of(asked)
        by = request.query_params.get("by") or (question.by if question else "")
        if by not in counting.BY:
            raise errors.invalid({"by": [f"Use one of {', '.join(counting.BY)}."]})
        limit = _number(request, "limit", counting.MOST_ROWS)
        at_least = _number(request, "at_least", 2**31)
        if question is not None and question.by:
            limit = question.limit if limit is None else limit
            at_least = question.at_least if at_least is None else at_least
        log = self._standing(asked)
        found = counting.counts(
            asked,
            by,
            limit=10 if limit is None else max(limit, 1),
            at_least=at_least or 1,
            search=request.query_params.get("search", ""),
        )
        answer = _answer(asked, counting.facets(asked)) if question else None
        reading.record_view(self.organization, asked)
        return Response(
            {
                "data": [_row(row) for row in found.rows],
                "meta": {
                    "by": by,
                    "groups": found.groups,
                    **_extent(found.extent),
                    "complete_to": _instant(log.complete_to),
                    "left_out": list(asked.left_out),
                    "understood": _understood(asked),
                    "answer": answer,
                    "notes": asked.notes,
                },
            }
        )


def _row(row: counting.Counted) -> dict[str, Any]:
    params = {name: text for name, text in row.params.items() if text}
    return {"value": row.value, "label": row.label, "count": row.count, "params": params}


def _extent(extent: counting.Extent) -> dict[str, Any]:
    """Which entries were counted."""
    return {
        "counted": extent.counted,
        "is_exact": extent.is_exact,
        "counted_from": None if extent.is_exact else _instant(extent.since),
    }


class Facets(LogView):
    @asks_the_log("Count the most frequent values of eight columns", answer="Facets")
    def get(self, request: Request, organization: str) -> Response:
        asked = self.question(request)
        log = self._standing(asked)
        found = counting.facets(asked)
        reading.record_view(self.organization, asked)
        return Response(
            {
                "data": {name: [_row(row) for row in rows] for name, rows in found.items()},
                "meta": {
                    "groups": found.groups,
                    **_extent(found.extent),
                    "complete_to": _instant(log.complete_to),
                    "left_out": list(asked.left_out),
                    "understood": _understood(asked),
                    "answer": _answer(asked, found),
                },
            }
        )


class Catalogue(LogView):
    @described("List actions, resource types and recorded fields", answer="Catalogue")
    def get(self, request: Request, organization: str) -> Response:
        return data(
            {
                "actions": [
                    {
                        "name": action.name,
                        "label": action.label,
                        "severity": action.severity,
                        "context": [*action.context, *policy.ALWAYS_ALLOWED],
                    }
                    for action in policy.ACTIONS
                ],
                "groups": [
                    {
                        "name": group.name,
                        "label": group.label,
                        "about": group.about,
                        "actions": list(group.actions),
                    }
                    for group in policy.ACTION_GROUPS
                ],
                "types": [
                    {
                        "name": name,
                        "label": label,
                        "fields": list(spec.recorded) if (spec := policy.resource(name)) else [],
                    }
                    for name, label in policy.RESOURCE_TYPES.items()
                ],
                "results": [*policy.Result],
                "interfaces": [*policy.Interface],
                "actor_types": [*policy.ActorType],
            }
        )

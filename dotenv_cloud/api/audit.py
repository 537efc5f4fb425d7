"""The audit log over HTTP: the same question as on the page, word for word."""

from __future__ import annotations

import datetime as dt
from typing import Any, ClassVar

from rest_framework.request import Request
from rest_framework.response import Response

from audit import policy
from audit.entry import as_json, references
from audit.export import download, formats
from audit.ledger import replica
from audit.models import Entry
from audit.questions import counting, paging, reading, retention_boundary
from audit.questions.asking import ask
from audit.questions.filters import EntryFilter
from dotenv_cloud.api import errors
from dotenv_cloud.api.base import ApiView, data
from dotenv_cloud.api.schema import asks_the_log, described
from organizations import ulid


class _LogView(ApiView):
    abilities: ClassVar = {"GET": "audit:read"}

    def question(self, request: Request) -> EntryFilter:
        """The question in the query string. Raises a 422 that names each parameter."""
        asked = ask([self.organization], request.query_params)
        if not asked.is_valid():
            raise errors.invalid({name: list(texts) for name, texts in asked.errors.items()})
        return asked


def _instant(moment: dt.datetime | None) -> str | None:
    return as_json.rfc3339(moment) if moment else None


def _resource(entry: Entry) -> dict[str, Any]:
    return {
        "type": "audit-entries",
        "id": entry.ulid,
        "attributes": as_json.as_json(entry),
        "meta": {
            "actor_exists": _exists(entry, "actor"),
            "resource_exists": _exists(entry, "resource"),
        },
    }


def _exists(entry: Entry, name: str) -> bool | None:
    """Whether what an entry refers to is still there; None if it refers to no row."""
    return True if getattr(entry, name) else False if references.is_gone(entry, name) else None


def _floor_notes(found: retention_boundary.Boundary | None, page: paging.Page) -> list[str]:
    """Told where it is reached: what is missing from last year surprises nobody who reads the
    newest entries."""
    if found is None or (page.next_cursor and page.entries[-1].time >= found.before):
        return []
    return [str(found)]


class Entries(_LogView):
    @asks_the_log("List entries, newest first", answer="EntryList")
    def get(self, request: Request, organization: str) -> Response:
        asked = self.question(request)
        position = asked.form.cleaned_data
        page = paging.page_at(asked.qs, position)
        references.look_up(page.entries, [self.organization.pk])
        reading.record_view(self.organization, asked)
        query = request.query_params.copy()
        for name in ("before", "after"):
            query.pop(name, None)
        if page.next_cursor:
            query["cursor"] = page.next_cursor
        found = retention_boundary.below(self.organization.pk, asked.period)
        as_of = replica.as_of()
        return Response(
            {
                "data": [_resource(entry) for entry in page.entries],
                "meta": {
                    "next_cursor": page.next_cursor,
                    "per_page": position.get("per_page") or paging.DEFAULT_PAGE,
                    "since": _instant(asked.period.since),
                    "until": _instant(asked.period.until),
                    "as_of": _instant(as_of),
                    "notes": [
                        *asked.notes,
                        *_floor_notes(found, page),
                        *(
                            [f"As of {_instant(as_of)}: the replica that answered is behind."]
                            if as_of
                            else []
                        ),
                    ],
                    "floor": found.as_json() if found else None,
                },
                "links": {
                    "next": f"{request.path}?{query.urlencode()}" if page.next_cursor else None
                },
            }
        )


class OneEntry(_LogView):
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


class Export(_LogView):
    abilities: ClassVar = {"GET": "audit:export"}

    @asks_the_log("Export entries as NDJSON, CSV or OCSF events", answer=None)
    def get(self, request: Request, organization: str) -> Any:
        name = request.query_params.get("format", "ndjson")
        if name not in formats.FORMATS:
            raise errors.invalid({"format": ["Use ndjson, csv or ocsf."]})
        asked = self.question(request)
        try:
            return download.answer([self.organization], asked, name, title=self.organization.slug)
        except download.TooManyExportsError as full:
            raise errors.too_many_exports(full) from None


class Histogram(_LogView):
    @asks_the_log("Count entries over time", answer="Histogram")
    def get(self, request: Request, organization: str) -> Response:
        asked = self.question(request)
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
                ]
            }
        )


class Facets(_LogView):
    @asks_the_log("Count the most frequent actors, actions and types", answer="Facets")
    def get(self, request: Request, organization: str) -> Response:
        asked = self.question(request)
        found = counting.facets(asked.qs)
        reading.record_view(self.organization, asked)
        return Response(
            {
                "data": {
                    name: [
                        {"value": value.value, "label": value.label, "count": value.count}
                        for value in values
                    ]
                    for name, values in found.items()
                },
                "meta": {"counted": found.counted, "is_exact": found.is_exact},
            }
        )


class Catalogue(_LogView):
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

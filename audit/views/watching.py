"""What came while somebody watches the list."""

from __future__ import annotations

import uuid
from typing import Any

from django.db.models import Q
from django.http import HttpResponse, JsonResponse, QueryDict
from django.views.decorators.http import require_GET

from audit import access
from audit.filters import POSITION, EntryFilter
from audit.models import Entry
from organizations.access import organization_page

MOST = 100
OVERLAP_MS = 60_000
"""Ids are made when an entry is written, and seen when its transaction is over: one that took
longer comes before entries that were shown already."""


@require_GET
@organization_page("audit:read")
def new_entries(request: Any) -> HttpResponse:
    """The ids of the newest entries that answer the question of a page, from a minute before
    `after` on. That the watcher reads the log is no news to the watcher, and left out."""
    organization = request.organization
    given: QueryDict = request.GET.copy()
    asked = EntryFilter(
        given, Entry.objects.visible([organization.pk]), organizations=[organization]
    )
    if not asked.is_valid():
        return JsonResponse({"error": "This is no question to the log."}, status=422)
    after: uuid.UUID | None = asked.form.cleaned_data["after"]
    own = Q(action="view", resource_type="audit_log", actor_id=request.user.pk)
    bound = ~own if after is None else ~own & Q(id__gt=_earlier(after))
    found = asked.qs.first_entries(bound, "-id", MOST + 1)
    access.note_view(organization, asked, is_part=True)
    return JsonResponse(
        {"entries": [entry.ulid for entry in found[:MOST]], "is_all": len(found) <= MOST}
    )


def address(path: str, given: QueryDict, asked: EntryFilter, newest: Entry | None) -> str:
    """Where a page asks for what is new; empty for one to which nothing can be added."""
    if asked.period.until is not None and asked.period.until <= asked.now:
        return ""
    if any(name in given for name in POSITION if name != "per_page"):
        return ""  # a page further down stays as it is
    question = given.copy()
    question.pop("ask", None)
    if newest is not None:
        question["after"] = newest.ulid
    return f"{path}?{question.urlencode()}"


def _earlier(key: uuid.UUID) -> uuid.UUID:
    return uuid.UUID(int=max(key.int - (OVERLAP_MS << 80), 0))

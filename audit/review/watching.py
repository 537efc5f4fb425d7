"""Entries that arrived while someone watches the list."""

from __future__ import annotations

import uuid

from django.db.models import Q
from django.http import HttpResponse, QueryDict
from django.shortcuts import render
from django.views.decorators.http import require_GET

from audit.models import Entry
from audit.questions import paging, reading
from audit.questions.asking import ask
from audit.questions.filters import POSITION, EntryFilter
from organizations.membership_access import OrganizationRequest, organization_page
from organizations.models import User

MOST = 100


@require_GET
@organization_page("audit:read")
def new_entries(request: OrganizationRequest) -> HttpResponse:
    """How many entries answer the question of a page and are not on it, in words: those after
    `after`, the page's oldest, less the `shown` of them that it has.

    Counted from there and not from the newest on, as an id is made when an entry is written, and
    seen when its transaction is over: a slow one comes between entries that were shown already.
    """
    organization = request.organization
    given: QueryDict = request.GET.copy()
    [text] = given.pop("shown", ["0"])[-1:]
    asked = ask([organization], given)
    if not asked.is_valid() or not (text.isascii() and text.isdigit() and len(text) < 4):
        return HttpResponse("This query is not valid.\n", "text/plain", status=422)
    shown = int(text)
    after: uuid.UUID | None = asked.form.cleaned_data["after"]
    bound = ~_views_of(request.user)
    if after is not None:
        bound &= Q(id__gt=after)
    found = asked.qs.first_entries(bound, "-id", shown + MOST)
    reading.record_view(organization, asked, is_part=True)
    count = max(len(found) - shown, 0)
    return render(request, "audit/news.html", {"count": count, "is_all": count < MOST})


def address(
    path: str, given: QueryDict, asked: EntryFilter, page: paging.Page, reader: User
) -> str:
    """Where a page asks for what is new; empty for one to which nothing can be added."""
    if asked.period.until is not None and asked.period.until <= asked.now:
        return ""
    if any(name in given for name in POSITION if name != "per_page"):
        return ""  # a page further down stays as it is
    question = given.copy()
    question.pop("ask", None)
    shown = [entry for entry in page.entries if not _is_view_of(reader, entry)]
    if page.next_cursor:  # what is older than a full page's last entry is not new
        oldest = page.entries[-1]
        question["after"] = oldest.ulid
        shown = [entry for entry in shown if entry.pk != oldest.pk]
    question["shown"] = str(len(shown))
    return f"{path}?{question.urlencode()}"


# That the watcher reads the log is no news to the watcher.


def _views_of(reader: User) -> Q:
    return Q(action="view", resource_type="audit_log", actor_id=reader.pk)


def _is_view_of(reader: User, entry: Entry) -> bool:
    recorded = (entry.action, entry.resource_type, entry.actor_id)
    return recorded == ("view", "audit_log", reader.pk)

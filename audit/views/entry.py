"""One entry as a page."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from audit import access
from audit.models import Entry
from organizations import ulid
from organizations.access import organization_page


@require_GET
@organization_page("audit:read")
def entry(request: Any, entry: str) -> HttpResponse:
    """One entry whole: what changed, from where, and the way to what is related."""
    key = ulid.parse_or_none(entry)
    found = Entry.objects.visible([request.organization.pk]).filter(pk=key).first()
    if found is None:
        raise Http404("There is no such entry.")
    access.note_view(request.organization, entry=found)
    context = {
        "section": "activity",
        "entry": found,
        "context": {name: fact for name, fact in found.context.items() if name != "reason"},
        "back": request.GET.urlencode(),
    }
    return render(request, "audit/entry.html", context)

"""What happened to one thing: the key of a project."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse, QueryDict
from django.shortcuts import render
from django.views.decorators.http import require_GET

from audit import access, paging
from audit.filters import EntryFilter
from audit.models import Entry
from keys import reencryption
from keys.views import find_project, key_versions
from organizations.access import organization_page


@require_GET
@organization_page("key:retrieve", "audit:read")
def key_history(request: Any, project: str) -> HttpResponse:
    """The versions of a project's key and, for who reads the log, what happened to them."""
    found = find_project(request, project)
    context: dict[str, Any] = {
        "section": "projects",
        "project": found,
        "versions": key_versions(found),
        "progress": reencryption.progress(found),
        "entries": None,
    }
    if "audit:read" in request.abilities:
        organization = request.organization
        params = QueryDict(mutable=True)
        params.update({"resource": found.slug, "type": "key_version"})
        asked = EntryFilter(
            params, Entry.objects.visible([organization.pk]), organizations=[organization]
        )
        context["entries"] = paging.page(asked.qs, per_page=25).entries
        access.note_view(organization, asked)
    return render(request, "keys/history.html", context)

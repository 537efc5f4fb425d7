"""The versions of a project's key, and what happened to them: it reads keys and the log both."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from audit.entry import references
from audit.models import Entry
from audit.questions import paging, reading
from audit.questions.asking import ask
from keys import key_versions, reencryption
from keys.views.finding import find_project
from organizations.membership_access import OrganizationRequest, organization_page
from organizations.models import Organization


@require_GET
@organization_page("key:retrieve", "audit:read")
def key_history(request: OrganizationRequest, project: str) -> HttpResponse:
    """The versions of a project's key and, for who reads the log, what happened to them."""
    found = find_project(request, project)
    versions = key_versions.of_project(found)
    context: dict[str, Any] = {
        "section": "projects",
        "project": found,
        "versions": versions,
        "progress": reencryption.progress(found),
        "entries": None,
    }
    if "audit:read" in request.abilities:
        organization = request.organization
        asked = ask([organization], {"resource": found.slug, "type": "key_version"})
        context["entries"] = paging.page(asked.qs, per_page=25).entries
        references.look_up(context["entries"], [organization.pk])
        context["began"] = _beginnings(organization, found.slug)
        reading.record_view(organization, asked)
    return render(request, "audit/key_history.html", context)


def _beginnings(organization: Organization, slug: str) -> dict[int, Entry]:
    """The entry that each version of the project's key began with, of the newest hundred."""
    asked = ask(
        [organization], {"resource": slug, "type": "key_version", "action": "create,rotate"}
    )
    entries = paging.page(asked.qs, per_page=100).entries
    return {
        int(version): entry
        for entry in entries
        if (version := entry.resource_label.rpartition("/")[2]).isdecimal()
    }

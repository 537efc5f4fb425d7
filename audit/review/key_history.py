"""The versions of a project's key, and what happened to them: it reads keys and the log both."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET

from audit.entry import references
from audit.ledger import replica
from audit.models import Entry
from audit.questions import name_index, paging, reading, tenant_scope
from audit.questions.asking import ask
from keys import key_versions, reencryption
from keys.views.finding import find_project
from organizations.membership_access import OrganizationRequest, organization_page
from organizations.models import Organization, Project


@require_GET
@organization_page("key:retrieve", "audit:read")
def key_history(request: OrganizationRequest, project: str) -> HttpResponse:
    """The versions of a project's key and, for who reads the log, what happened to them."""
    try:
        found = find_project(request, project)
    except Http404:
        renamed = _renamed(request, project)
        if renamed is None:
            raise
        return redirect("key_history", request.organization.slug, renamed.slug)
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
        asked = ask([organization], {"resource": _below(found), "type": "key_version"})
        context["entries"] = paging.page(asked.qs, per_page=25).entries
        references.look_up(context["entries"], [organization.pk])
        context["began"] = _beginnings(organization, found)
        reading.record_view(organization, asked)
    return render(request, "audit/key_history.html", context)


def _renamed(request: OrganizationRequest, name: str) -> Project | None:
    """The one project that was called so, for who reads the log, which knows."""
    if "audit:read" not in request.abilities:
        return None
    organization = request.organization
    tenant_scope.enter([organization.pk], replica.database())
    try:
        found = name_index.resources(name, [organization.pk], ["project"])
    except name_index.TooManyNamesError:
        return None
    if found.is_part:
        return None
    projects = organization.projects.filter(pk__in=found.resources)[:2]
    return projects[0] if len(projects) == 1 else None


def _below(project: Project) -> str:
    """The project and all below it, by its id: others may have had its name."""
    return f"{project.ulid}/"


def _beginnings(organization: Organization, project: Project) -> dict[int, Entry]:
    """The entry that each version of the project's key began with, of the newest hundred."""
    asked = ask(
        [organization],
        {"resource": _below(project), "type": "key_version", "action": "create,rotate"},
    )
    entries = paging.page(asked.qs, per_page=100).entries
    return {
        int(version): entry
        for entry in entries
        if (version := entry.resource_label.rpartition("/")[2]).isdecimal()
    }

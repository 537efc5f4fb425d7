"""Projects: listed, shown with all their levels, made, changed, deleted."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods

from keys import key_versions, reencryption, tree
from keys.forms import ProjectForm, ProjectSettingsForm
from keys.levels import Level
from keys.models import Secret
from keys.projects import create_project
from keys.views.finding import find_project
from keys.views.node_pages import deletion, node_form
from organizations.hierarchy import update_node
from organizations.labels import isolated
from organizations.membership_access import OrganizationRequest, organization_page
from organizations.models import Project, Target
from organizations.numbered_pages import page_of

TARGETS_PER_PAGE = 15


@require_GET
@organization_page("project:read")
def project_list(request: OrganizationRequest) -> HttpResponse:
    mine = Project.objects.filter(organization=request.organization).order_by("name", "id")
    page = page_of(request, tree.projects(mine))
    return render(request, "keys/projects.html", {"section": "projects", "page": page})


@require_GET
@organization_page("project:read")
def show(request: OrganizationRequest, project: str) -> HttpResponse:
    """A project: its key, and what it holds, level by level."""
    found = find_project(request, project)
    may_see = "target:read" in request.abilities
    targets = found.targets.order_by("name", "id") if may_see else Target.objects.none()
    page = page_of(request, targets, TARGETS_PER_PAGE)
    context = {
        "section": "projects",
        "project": found,
        "key": key_versions.of_project(found).filter(is_active=True).first(),
        "progress": reencryption.progress(found),
        "secret_count": Secret.objects.filter(project=found).count(),
        "root": tree.branch(Level(found)),
        "boughs": tree.boughs(found, page),
        "page": page,
    }
    return render(request, "keys/project.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@organization_page("project:create")
def create(request: OrganizationRequest) -> HttpResponse:
    form = ProjectForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        made = form.attempt(request, lambda: create_project(request.organization, **form.given))
        if made is not None:
            messages.success(
                request, f"The project {isolated(made.name)} was created, with its own key."
            )
            return redirect("project", request.organization.slug, made.slug)
    return node_form(request, form, heading="New project", button="Create project")


@require_http_methods(["GET", "HEAD", "POST"])
@organization_page("project:update")
def change(request: OrganizationRequest, project: str) -> HttpResponse:
    found = find_project(request, project)
    form = ProjectSettingsForm(request.POST if request.method == "POST" else None, node=found)
    if request.method == "POST" and form.is_valid():
        changed = form.attempt(
            request, lambda: update_node(found, form.changes, granter=request.grant)
        )
        if changed is not None:
            messages.success(request, f"The project {isolated(changed.name)} was changed.")
            return redirect("project", request.organization.slug, changed.slug)
    heading = f"Change {isolated(found.name)}"
    return node_form(request, form, heading=heading, button="Save", project=found)


@require_http_methods(["GET", "HEAD", "POST"])
@organization_page("project:delete")
def delete(request: OrganizationRequest, project: str) -> HttpResponse:
    return deletion(request, find_project(request, project), "project")

"""Targets and environments: shown, made, changed, deleted."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods

from keys import tree
from keys.forms import EnvironmentForm, NodeForm
from keys.levels import Level
from keys.views.finding import find_environment, find_project, find_target
from keys.views.node_pages import deletion, node_form
from organizations.hierarchy import create_environment, create_target, update_node
from organizations.labels import isolated
from organizations.membership_access import OrganizationRequest, organization_page
from organizations.models import Environment
from organizations.numbered_pages import page_of


@require_GET
@organization_page("target:read")
def target(request: OrganizationRequest, project: str, target: str) -> HttpResponse:
    """A target with all of its environments."""
    found = find_target(request, project, target)
    may_see = "environment:read" in request.abilities
    below = found.environments.order_by("name", "id") if may_see else Environment.objects.none()
    page = page_of(request, below)
    context = {
        "section": "projects",
        "project": found.project,
        "target": found,
        "own": tree.branch(Level(found.project, found)),
        "branches": tree.branches(found, page),
        "page": page,
    }
    return render(request, "keys/target.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@organization_page("target:create")
def new_target(request: OrganizationRequest, project: str) -> HttpResponse:
    parent = find_project(request, project)
    form = NodeForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        made = form.attempt(request, lambda: create_target(parent, **form.given))
        if made is not None:
            messages.success(request, f"The target {isolated(made.name)} was created.")
            return redirect("project", request.organization.slug, parent.slug)
    heading = f"New target of {isolated(parent.name)}"
    return node_form(request, form, heading=heading, button="Create target", project=parent)


@require_http_methods(["GET", "HEAD", "POST"])
@organization_page("target:update")
def change_target(request: OrganizationRequest, project: str, target: str) -> HttpResponse:
    found = find_target(request, project, target)
    form = NodeForm(request.POST if request.method == "POST" else None, node=found)
    if request.method == "POST" and form.is_valid():
        changed = form.attempt(
            request, lambda: update_node(found, form.changes, granter=request.grant)
        )
        if changed is not None:
            messages.success(request, f"The target {isolated(changed.name)} was changed.")
            return redirect("project", request.organization.slug, found.project.slug)
    heading = f"Change {found.path}"
    return node_form(request, form, heading=heading, button="Save", project=found.project)


@require_http_methods(["GET", "HEAD", "POST"])
@organization_page("target:delete")
def delete_target(request: OrganizationRequest, project: str, target: str) -> HttpResponse:
    return deletion(request, find_target(request, project, target), "target")


@require_http_methods(["GET", "HEAD", "POST"])
@organization_page("environment:create")
def new_environment(request: OrganizationRequest, project: str, target: str) -> HttpResponse:
    parent = find_target(request, project, target)
    form = EnvironmentForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        made = form.attempt(request, lambda: create_environment(parent, **form.given))
        if made is not None:
            messages.success(request, f"The environment {isolated(made.name)} was created.")
            return redirect("target", request.organization.slug, parent.project.slug, parent.slug)
    heading, button = f"New environment of {parent.path}", "Create environment"
    return node_form(
        request, form, heading=heading, button=button, project=parent.project, target=parent
    )


@require_http_methods(["GET", "HEAD", "POST"])
@organization_page("environment:update")
def change_environment(
    request: OrganizationRequest, project: str, target: str, environment: str
) -> HttpResponse:
    found = find_environment(request, project, target, environment)
    form = EnvironmentForm(request.POST if request.method == "POST" else None, node=found)
    parent = found.target
    if request.method == "POST" and form.is_valid():
        changed = form.attempt(
            request, lambda: update_node(found, form.changes, granter=request.grant)
        )
        if changed is not None:
            messages.success(request, f"The environment {isolated(changed.name)} was changed.")
            return redirect("target", request.organization.slug, parent.project.slug, parent.slug)
    heading = f"Change {found.path}"
    return node_form(
        request, form, heading=heading, button="Save", project=parent.project, target=parent
    )


@require_http_methods(["GET", "HEAD", "POST"])
@organization_page("environment:delete")
def delete_environment(
    request: OrganizationRequest, project: str, target: str, environment: str
) -> HttpResponse:
    found = find_environment(request, project, target, environment)
    return deletion(request, found, "environment")

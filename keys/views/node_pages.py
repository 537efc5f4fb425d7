"""The two pages that projects, targets and environments share: the form, and the deletion."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render

from keys import tree
from keys.deletion import delete_node
from keys.forms import NodeForm
from organizations.forms import ConfirmForm
from organizations.labels import isolated
from organizations.membership_access import OrganizationRequest
from organizations.models import Environment, Project, Target


def node_form(
    request: OrganizationRequest,
    form: NodeForm,
    *,
    heading: str,
    button: str,
    project: Project | None = None,
    target: Target | None = None,
) -> HttpResponse:
    """project, target: what the link back goes to."""
    context = {
        "section": "projects",
        "form": form,
        "heading": heading,
        "button": button,
        "project": project,
        "target": target,
    }
    return render(request, "keys/node.html", context, status=422 if form.errors else 200)


def deletion(
    request: OrganizationRequest, node: Project | Target | Environment, what: str
) -> HttpResponse:
    """Ask for the name, then delete the node with all below it."""
    form = ConfirmForm(
        request.POST if request.method == "POST" else None, names=(node.name, node.slug)
    )
    slug = request.organization.slug
    if request.method == "POST" and form.is_valid():
        delete_node(node, granter=request.grant)
        messages.success(
            request, f"The {what} {isolated(node.name)} was deleted with everything below it."
        )
        match node:
            case Project():
                return redirect("projects", slug)
            case Target():
                return redirect("project", slug, node.project.slug)
            case Environment():
                return redirect("target", slug, node.target.project.slug, node.target.slug)
    context = {
        "section": "projects",
        "node": node,
        "what": what,
        "contents": tree.contents(node),
        "form": form,
    }
    return render(request, "keys/delete.html", context, status=422 if form.errors else 200)

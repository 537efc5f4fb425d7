"""Who holds a project's key: given to its programs, or taken in by the server.

Giving it away takes two answers: the key is shown, and switched only once it is pasted back. Who
lost it in between begins again; nothing was lost.
"""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from keys import custody
from keys.errors import RuleError
from keys.forms import GiveKeyForm, ShowKeyForm, TakeKeyForm
from keys.views.finding import find_project
from keys.views.rules import explain
from organizations import passwords
from organizations.labels import isolated
from organizations.membership_access import OrganizationRequest, organization_page, require
from organizations.models import Project


@transaction.non_atomic_requests
@never_cache
@sensitive_post_parameters()
@require_http_methods(["GET", "HEAD", "POST"])
@organization_page("key:rotate")
def switch(request: OrganizationRequest, project: str) -> HttpResponse:
    """Ask for the password, then show the key to give away, or take in the one that is sent.

    Each is a transaction of its own: counts of passwords must not wait for it, nor go with it.
    """
    found = find_project(request, project)
    if found.storage_mode == Project.StorageMode.CLIENT:
        return _to_server(request, found)
    require(request, "key:retrieve")
    if request.POST.get("action") == "give":
        return _to_clients(request, found)
    return _offer(request, found)


def _offer(request: OrganizationRequest, project: Project) -> HttpResponse:
    """Show the key once, with the form in which it is pasted back."""
    form = ShowKeyForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            passwords.confirm(request, form.cleaned_data["password"])
            with transaction.atomic():
                key = custody.offer(project)
        except ValidationError as error:
            form.refuse(request, error)
        except RuleError as refused:
            form.add_error(None, explain(request, refused))
        else:
            # Shown in this answer and kept nowhere: no redirect, no session, no message.
            shown = {"section": "projects", "project": project, "key": key, "form": GiveKeyForm()}
            return render(request, "keys/give_key.html", shown)
    return _page(request, "keys/switch_custody.html", project, form)


def _to_clients(request: OrganizationRequest, project: Project) -> HttpResponse:
    form = GiveKeyForm(request.POST)
    if form.is_valid():
        try:
            passwords.confirm(request, form.cleaned_data["password"])
            custody.to_clients(project, form.cleaned_data["key"])
        except ValidationError as error:
            form.refuse(request, error)
        except RuleError as refused:
            form.add_error("key", explain(request, refused))
        else:
            messages.success(
                request,
                f"The key of {isolated(project.name)} is now held only by your"
                " programs. This server has deleted its copy.",
            )
            return redirect("project", request.organization.slug, project.slug)
    return _page(request, "keys/give_key.html", project, form)


def _to_server(request: OrganizationRequest, project: Project) -> HttpResponse:
    form = TakeKeyForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            passwords.confirm(request, form.cleaned_data["password"])
            custody.to_server(project, form.cleaned_data["key"])
        except ValidationError as error:
            form.refuse(request, error)
        except RuleError as refused:
            form.add_error("key", explain(request, refused))
        else:
            messages.success(request, f"This server now holds the key of {isolated(project.name)}.")
            return redirect("project", request.organization.slug, project.slug)
    return _page(request, "keys/take_key.html", project, form)


def _page(request: OrganizationRequest, template: str, project: Project, form: Any) -> HttpResponse:
    context = {"section": "projects", "project": project, "form": form}
    return render(request, template, context, status=422 if form.errors else 200)

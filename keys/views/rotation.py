"""Rotating a project's key."""

from __future__ import annotations

from django.contrib import messages
from django.db import transaction
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from keys import authors, rotation
from keys.errors import RotationInProgressError, RuleError
from keys.forms import RotationForm
from keys.views.finding import find_project
from keys.views.rules import explain
from organizations import limits
from organizations.membership_access import OrganizationRequest, announce, organization_page
from organizations.models import Project


@transaction.non_atomic_requests
@require_http_methods(["GET", "HEAD", "POST"])
@organization_page("key:rotate")
def rotate(request: OrganizationRequest, project: str) -> HttpResponse:
    """Ask, then rotate the key. That is a transaction of its own: its count must not wait for it,
    or others would wait for the count."""
    found = find_project(request, project)
    given = request.POST if request.method == "POST" else None
    form = RotationForm(given, initial={"history_policy": found.history_policy})
    error, status = "", 422 if form.errors else 200
    if request.method == "POST" and form.is_valid():
        limited = limits.hit("rotate", str(request.organization.pk))
        if limited.allowed:
            error, status = _rotate(request, found, form.cleaned_data["history_policy"]), 409
        else:
            error, status = _too_often(request, limited), 429
        if error:  # what was refused does not count
            limits.take_back("rotate", str(request.organization.pk))
        else:
            return redirect("key_history", request.organization.slug, found.slug)
    return render(
        request,
        "keys/rotate.html",
        {"section": "projects", "project": found, "form": form, "error": error},
        status=status,
    )


def _rotate(request: OrganizationRequest, project: Project, history_policy: str) -> str:
    """Rotate; returns why not, or nothing."""
    try:
        made = rotation.rotate(
            project, history_policy=history_policy or None, author=authors.of_user(request.user)
        )
    except RotationInProgressError:
        return "Someone else is rotating this key. Reload in a moment."
    except RuleError as refused:
        return explain(request, refused)
    messages.success(request, f"The key was rotated; version {made.version} is active.")
    return ""


def _too_often(request: OrganizationRequest, limited: limits.Limited) -> str:
    """Announce that the limit of rotations, the API's and the pages' together, is reached."""
    announce(request, 429, "rate_limited")
    return (
        f"The keys of this organization have already been rotated {limited.limit} times."
        f" Try again in {-(-limited.retry_after // 60)} minutes."
    )

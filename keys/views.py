"""Projects with the history of their keys, and API keys."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db.models import Count
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from keys import abilities, api_keys, rotation
from keys.errors import ClientManagedError, NoActiveKeyError, RotationInProgressError
from keys.forms import ApiKeyForm
from keys.models import ApiKey, KeyVersion
from organizations import limits, ulid
from organizations.access import organization_page, require
from organizations.hierarchy import find_node
from organizations.models import Project
from organizations.signals import access_denied


@require_GET
@organization_page("project:read")
def projects(request: Any) -> HttpResponse:
    found = (
        Project.objects.filter(organization=request.organization)
        .annotate(
            target_count=Count("targets", distinct=True),
            environment_count=Count("targets__environments", distinct=True),
            key_count=Count("key_versions", distinct=True),
        )
        .order_by("name", "id")
    )
    return render(request, "keys/projects.html", {"section": "projects", "projects": found})


def find_project(request: Any, reference: str) -> Project:
    """The project of the page's organization, or 404."""
    projects = Project.objects.filter(organization=request.organization)
    found = find_node(projects, reference.lower())
    if found is None:
        raise Http404("There is no such project.")
    project: Project = found
    return project


def key_versions(project: Project) -> Any:
    """The versions of a project's key, the active one first."""
    return KeyVersion.objects.filter(project=project).defer("wrapped_key", "wrapped_key_check")


@organization_page("key:rotate")
def rotate(request: Any, project: str) -> HttpResponse:
    """Ask, then rotate the key."""
    found = find_project(request, project)
    error, status = "", 409
    if request.method == "POST":
        limited = limits.hit("rotate", str(request.organization.pk))
        if not limited.allowed:
            error, status = _too_often(request, limited), 429
    if request.method == "POST" and not error:
        try:
            made = rotation.rotate(found)
        except (NoActiveKeyError, ClientManagedError) as refused:
            error = str(refused)
        except RotationInProgressError:
            error = "This key is being rotated by somebody else; look again in a moment."
        else:
            messages.success(request, f"The key was rotated; version {made.version} is active.")
            return redirect("key_history", request.organization.slug, found.slug)
    return render(
        request,
        "keys/rotate.html",
        {"section": "projects", "project": found, "error": error},
        status=status if error else 200,
    )


def _too_often(request: Any, limited: limits.Limited) -> str:
    """Announce that the limit of rotations, the API's and the pages' together, is reached."""
    access_denied.send(
        rotate,
        request=request,
        status=429,
        reason="rate_limited",
        organization_id=request.organization.pk,
    )
    return (
        f"The keys of this organization were rotated {limited.limit} times already."
        f" Try again in {-(-limited.retry_after // 60)} minutes."
    )


@require_GET
@organization_page("api-token:read")
def api_key_list(request: Any) -> HttpResponse:
    found = ApiKey.objects.filter(organization=request.organization).select_related("created_by")
    return render(request, "keys/api_keys.html", {"section": "api_keys", "api_keys": found})


@never_cache
@organization_page("api-token:create")
def create_api_key(request: Any) -> HttpResponse:
    preset = {"read-only": abilities.READ_ONLY, "pull": abilities.PULL}.get(
        request.GET.get("preset", ""), ()
    )
    form = ApiKeyForm(
        request.POST or None, granter=request.abilities, initial={"abilities": list(preset)}
    )
    if request.method == "POST" and form.is_valid():
        try:
            issued = api_keys.create(
                request.organization,
                form.cleaned_data["name"],
                form.cleaned_data["abilities"],
                granter=request.abilities,
                expires_at=form.expires_at,
                created_by=request.user,
            )
        except ValidationError as error:
            form.add_error(None, ValidationError(error.messages))
        else:
            # Shown in this answer and kept nowhere: no redirect, no session, no message.
            return render(
                request,
                "keys/token.html",
                {"section": "api_keys", "issued": issued, "is_new": True},
                status=201,
            )
    return render(
        request,
        "keys/create_api_key.html",
        {"section": "api_keys", "form": form},
        status=422 if form.errors else 200,
    )


@never_cache
@organization_page("api-token:read")
def api_key(request: Any, api_key: str) -> HttpResponse:
    """One key: what it may do; rotate or revoke it."""
    key = ulid.parse_or_none(api_key) or ulid.NIL
    found = (
        ApiKey.objects.filter(organization=request.organization, pk=key)
        .select_related("created_by")
        .first()
    )
    if found is None:
        raise Http404("There is no such API key.")
    error = ""
    action = request.POST.get("action")
    if action in ("rotate", "revoke"):
        require(request, "api-token:delete")
    if action and not request.POST.get("sure"):
        error = "Tick the box to confirm."
    elif action == "rotate":
        require(request, "api-token:create")
        try:
            api_keys.refuse_more_than_held(found, granter=request.abilities)
        except ValidationError as refused:
            error = " ".join(refused.messages)
        else:
            issued = api_keys.rotate(found)
            return render(request, "keys/token.html", {"section": "api_keys", "issued": issued})
    elif action == "revoke":
        api_keys.revoke(found)
        messages.success(request, f"The key {found.name} was revoked.")
        return redirect("api_keys", organization=request.organization.slug)
    elif request.method == "POST":
        error = "Choose what to do."
    return render(
        request,
        "keys/api_key.html",
        {"section": "api_keys", "api_key": found, "error": error},
        status=422 if error else 200,
    )

"""What a level held before: listed, restored, deleted, purged. No content is shown."""

from __future__ import annotations

from typing import Any, NamedTuple

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from keys import authors, secret_versions, tree
from keys.errors import ContentRequiredError, RuleError
from keys.forms import PurgeForm
from keys.levels import Level
from keys.models import KeyVersion, SecretVersion
from keys.views.finding import find_level
from keys.views.rules import explain
from organizations.membership_access import OrganizationRequest, organization_page, require
from organizations.numbered_pages import page_of

LARGEST_NUMBER = 2**63 - 1


class Line(NamedTuple):
    version: SecretVersion
    locked: str | None


@require_http_methods(["GET", "HEAD", "POST"])
@organization_page("secret:history")
def history(
    request: OrganizationRequest,
    project: str,
    target: str | None = None,
    environment: str | None = None,
) -> HttpResponse:
    """The versions of a level; purged after its path was typed."""
    level = find_level(request, project, target, environment)
    form = PurgeForm(request.POST if request.method == "POST" else None, level=level)
    if request.method == "POST":
        require(request, "secret:purge")
        if form.is_valid():
            count = secret_versions.purge(level, whole_project=form.cleaned_data["whole_project"])
            gone = "1 version was" if count == 1 else f"{count} versions were"
            messages.success(request, f"{gone} permanently deleted.")
            return redirect(request.path)
    page = page_of(request, secret_versions.of_level(level))
    context = {
        "section": "projects",
        "level": level,
        "project": level.project,
        "own": tree.branch(level),
        "page": page,
        "lines": [Line(found, secret_versions.lock_reason(found, level.project)) for found in page],
        "form": form,
    }
    return render(request, "keys/versions.html", context, status=422 if form.errors else 200)


@require_http_methods(["GET", "HEAD", "POST"])
@organization_page("secret:history")
def version(request: OrganizationRequest, version: int) -> HttpResponse:
    """One version: restore it, or delete it; both after this page has asked."""
    found: Any = secret_versions.find(request.organization, min(version, LARGEST_NUMBER))
    if found is None:
        raise Http404("There is no such version.")
    level, error, action = found.level, "", request.POST.get("action")
    if action in ("restore", "delete"):
        require(request, "secret:restore" if action == "restore" else "secret:purge")
        if not request.POST.get("sure"):
            error = "Tick the box to confirm."
        else:
            error = _restore(request, found) if action == "restore" else _delete(request, found)
            if not error:
                return redirect(address(request, level))
    elif request.method == "POST":
        error = "Choose what to do."
    keys = KeyVersion.objects.filter(project=level.project, is_active=True)
    active = keys.values_list("version", flat=True).first()
    context = {
        "section": "projects",
        "version": found,
        "level": level,
        "project": level.project,
        "own": tree.branch(level),
        "locked": secret_versions.lock_reason(found, level.project),
        "needs_client": found.is_client_encrypted and found.key_version != active,
        "history": address(request, level),
        "error": error,
    }
    return render(request, "keys/version.html", context, status=422 if error else 200)


def address(request: OrganizationRequest, level: Level) -> str:
    """Of the page of a level's versions."""
    slugs = [request.organization.slug, *level.path.split("/")]
    return reverse(f"{level.name}_versions", args=slugs)


def _restore(request: OrganizationRequest, found: SecretVersion) -> str:
    """Restore; returns why not, or nothing."""
    try:
        secret_versions.restore(found, author=authors.of_user(request.user))
    except ContentRequiredError:
        return "Only your own programs can decrypt this version, so one of them has to restore it."
    except RuleError as refused:
        return explain(request, refused)
    messages.success(request, f"{found.path} now holds version {found.number} again.")
    return ""


def _delete(request: OrganizationRequest, found: SecretVersion) -> str:
    try:
        secret_versions.delete(found, force=bool(request.POST.get("force")))
    except RuleError as refused:
        return explain(request, refused)
    messages.success(request, f"Version {found.number} was permanently deleted.")
    return ""

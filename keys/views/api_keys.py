"""API keys: listed, made, changed, rotated, revoked. A token is shown once."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from keys import abilities, api_keys
from keys.forms import ApiKeyForm
from keys.models import ApiKey
from organizations import ulid
from organizations.access import organization_page, require


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

"""API keys: listed, made, changed, rotated, revoked. A token is shown once."""

from __future__ import annotations

from typing import Any, NamedTuple

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods

from keys import abilities, api_keys, narrowing
from keys.forms import ApiKeyForm
from keys.models import ApiKey
from organizations import ulid
from organizations.grants import NotHeldError, Scope
from organizations.labels import isolated
from organizations.membership_access import (
    OrganizationRequest,
    announce,
    organization_page,
    require,
)
from organizations.numbered_pages import page_of


@require_GET
@organization_page("api-token:read")
def api_key_list(request: OrganizationRequest) -> HttpResponse:
    mine = ApiKey.objects.filter(organization=request.organization).order_by("name", "id")
    page = page_of(request, mine)
    return render(request, "keys/api_keys.html", {"section": "api_keys", "page": page})


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@organization_page("api-token:create")
def create_api_key(request: OrganizationRequest) -> HttpResponse:
    presets = {
        "read-only": abilities.READ_ONLY,
        "pull": abilities.PULL,
        "push": abilities.PUSH,
    }
    preset = presets.get(request.GET.get("preset", ""), ())
    asked = _ask(request, initial={"abilities": list(preset)})
    if asked.scopes is not None:
        given = asked.form.cleaned_data
        issued = asked.form.attempt(
            request,
            lambda: api_keys.create(
                request.organization,
                given["name"],
                given["abilities"],
                granter=request.grant,
                expires_at=asked.form.expires_at,
                scopes=asked.scopes or (),
                # Says something about scopes alone.
                inherit_parents=given["inherit_parents"] or not asked.scopes,
                created_by=request.user,
            ),
        )
        if issued is not None:
            # Shown in this answer and kept nowhere: no redirect, no session, no message.
            context = {"section": "api_keys", "issued": issued, "is_new": True}
            return render(request, "keys/token.html", context, status=201)
    return _form(request, asked, None)


@require_http_methods(["GET", "HEAD", "POST"])
@organization_page("api-token:update")
def change_api_key(request: OrganizationRequest, api_key: str) -> HttpResponse:
    """Another name, other abilities, other nodes, another end: of the same token."""
    found = _find(request, api_key)
    asked = _ask(request, found)
    if asked.scopes is not None:
        changes = asked.form.changes(asked.scopes)
        changed = asked.form.attempt(
            request, lambda: api_keys.update(found, changes, granter=request.grant)
        )
        if changed is not None:
            messages.success(request, f"The key {isolated(changed.name)} was changed.")
            return redirect("api_key", request.organization.slug, changed.ulid)
    return _form(request, asked, found)


class Asked(NamedTuple):
    """What a form asks for. scopes: None unless everything fits so far."""

    form: ApiKeyForm
    rows: Any
    scopes: list[Scope] | None = None


def _ask(
    request: OrganizationRequest,
    api_key: ApiKey | None = None,
    initial: dict[str, Any] | None = None,
) -> Asked:
    granter = request.abilities
    kept = narrowing.typed(api_key.scopes) if api_key else []
    if request.method != "POST":
        form = ApiKeyForm(granter=granter, api_key=api_key, initial=initial)
        return Asked(form, narrowing.rows(None, kept))
    if "more" in request.POST:
        sent: dict[str, Any] = {name: request.POST.get(name, "") for name in ("name", "expires_on")}
        sent["abilities"] = request.POST.getlist("abilities")
        sent["inherit_parents"] = "inherit_parents" in request.POST
        form = ApiKeyForm(granter=granter, api_key=api_key, initial=sent)
        return Asked(form, narrowing.more_rows(request.POST))
    form = ApiKeyForm(request.POST, granter=granter, api_key=api_key)
    rows = narrowing.rows(request.POST, kept)
    if not form.is_valid() or (rows.is_bound and not rows.is_valid()):
        return Asked(form, rows)
    if form.is_beyond or (api_key and not rows.is_bound):
        # Not asked about: it stays as narrow as it is.
        kept_scopes = [Scope.parse(scope) for scope in api_key.scopes] if api_key else []
        return Asked(form, rows, kept_scopes)
    held = abilities.effective(form.cleaned_data["abilities"])
    return Asked(form, rows, narrowing.scopes(request.organization, rows, held))


def _form(request: OrganizationRequest, asked: Asked, api_key: ApiKey | None) -> HttpResponse:
    is_wrong = asked.form.errors or (asked.rows.is_bound and not asked.rows.is_valid())
    context = {
        "section": "api_keys",
        "form": asked.form,
        "rows": asked.rows,
        "api_key": api_key,
    }
    return render(request, "keys/api_key_form.html", context, status=422 if is_wrong else 200)


def _find(request: OrganizationRequest, reference: str) -> ApiKey:
    key = ulid.parse_or_none(reference) or ulid.NIL
    mine = ApiKey.objects.filter(organization=request.organization, pk=key)
    found = mine.select_related("created_by").first()
    if found is None:
        raise Http404("There is no such API key.")
    return found


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@organization_page("api-token:read")
def api_key(request: OrganizationRequest, api_key: str) -> HttpResponse:
    """One key: what it may do; rotate or revoke it."""
    action = request.POST.get("action")
    found = _find(request, api_key)
    error = ""
    if action in ("rotate", "revoke"):
        require(request, "api-token:delete")
    if action and not request.POST.get("sure"):
        error = "Tick the box to confirm."
    elif action == "rotate":
        require(request, "api-token:create")
        try:
            issued = api_keys.rotate(found, granter=request.grant, rotated_by=request.user)
        except ValidationError as refused:
            if isinstance(refused, NotHeldError):
                announce(request, 422, "not_held")
            error = " ".join(refused.messages)
        else:
            return render(request, "keys/token.html", {"section": "api_keys", "issued": issued})
    elif action == "revoke":
        api_keys.revoke(found, granter=request.grant)
        messages.success(request, f"The key {isolated(found.name)} was revoked.")
        return redirect("api_keys", organization=request.organization.slug)
    elif request.method == "POST":
        error = "Choose what to do."
    return render(
        request,
        "keys/api_key.html",
        {
            "section": "api_keys",
            "api_key": found,
            "narrowed": narrowing.typed(found.scopes),
            "error": error,
        },
        status=422 if error else 200,
    )

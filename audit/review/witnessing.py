"""Who witnesses an organization's log: what the page Evidence shows of them, and adding one."""

from __future__ import annotations

import uuid
from typing import Any, NamedTuple

from django import forms
from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from audit.evidence import heads, notes, reading, witnesses
from audit.ledger import replica
from audit.models import Witness
from audit.questions import tenant_scope
from organizations import ulid
from organizations.forms import PageForm
from organizations.labels import isolated
from organizations.membership_access import OrganizationRequest, organization_page, require


class Shown(NamedTuple):
    """A witness on the page: the largest checkpoint that it cosigned, and when it did last."""

    witness: Witness
    size: int
    seen_at: Any


class WitnessForm(PageForm):
    vkey = forms.CharField(max_length=300, label="Public key")


def shown(organization: uuid.UUID) -> dict[str, Any]:
    """What the page Evidence shows of witnesses and of `heads`. Within the tenant scope."""
    last = {each.vkey: (size, each.seen_at) for each, size in witnesses.last_seen(organization)}
    found = Witness.objects.filter(organization_id=organization)
    newest = heads.rounds(organization)
    return {
        "witnesses": [Shown(each, *last.get(each.vkey, (0, None))) for each in found],
        "of_heads": witnesses.last_seen(notes.HEADS) if newest else [],
        "round": newest[0] if newest else None,
        "heads": reading.newest(notes.HEADS) if newest else None,
    }


@require_http_methods(["GET", "POST"])
@organization_page("audit:read")
def witnesses_page(request: OrganizationRequest) -> HttpResponse:
    """The witnesses, to add one or to remove one."""
    organization = request.organization
    replica.stay_on_primary()
    form = WitnessForm(request.POST or None)
    page = redirect("witnesses", organization.slug)
    if request.method == "POST":
        require(request, "audit:manage")
        if request.POST.get("remove"):
            key = ulid.parse_or_none(request.POST["remove"])
            mine = Witness.objects.filter(organization=organization)
            found = mine.filter(pk=key).first() if key else None
            if found is None:
                raise Http404("There is no such witness.")
            witnesses.remove(found)
            messages.success(request, f"The witness “{isolated(found.name)}” was removed.")
            return page
        if form.is_valid():
            try:
                made = witnesses.add(organization, form.cleaned_data["vkey"])
            except witnesses.RefusedError as error:
                form.add_error("vkey", str(error))
            else:
                messages.success(request, f"The witness “{isolated(made.name)}” was added.")
                return page
    tenant_scope.enter([organization.pk])
    context = {
        "section": "evidence",
        "form": form,
        "may_manage": "audit:manage" in request.abilities,
        **shown(organization.pk),
    }
    return render(request, "audit/witnesses.html", context, status=422 if form.errors else 200)

"""The page on an organization's evidence: its newest checkpoint, keys to pin and how to check."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from audit.evidence import health, notes, signing
from audit.evidence import reading as proofs
from audit.ledger import replica
from audit.questions import tenant_scope
from audit.review import witnessing
from organizations.membership_access import OrganizationRequest, organization_page


@require_GET
@organization_page("audit:read")
def evidence(request: OrganizationRequest) -> HttpResponse:
    """No entry is read here: a checkpoint is two numbers, and the keys are public."""
    key = request.organization.pk
    # As the API: a replica may be behind the checkpoint that another request was given.
    replica.stay_on_primary()
    tenant_scope.enter([key])
    checkpoint = proofs.newest(key)
    if checkpoint is not None:
        proofs.keep(checkpoint)
    name = signing.origin(key, proofs.fork(key))
    context: dict[str, Any] = {
        "section": "evidence",
        "checkpoint": checkpoint,
        "root": notes.in_base64(checkpoint.root) if checkpoint else "",
        "size": proofs.size(key),
        "origin": name,
        "keys": [(each, notes.vkey(name, each.public)) for each in reversed(proofs.signing_keys())],
        "verified": health.last_verified(),
        "manages_witnesses": "audit:manage" in request.abilities,
        **witnessing.shown(key),
    }
    return render(request, "audit/evidence.html", context)

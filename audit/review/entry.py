"""One entry as a page: what changed, from where, what was done with it and around it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from audit.entry import references
from audit.entry.as_json import as_json
from audit.evidence import reading as evidence
from audit.evidence import witnesses
from audit.ledger import replica
from audit.models import Entry
from audit.policy import ActorType
from audit.questions import name_index, paging, reading
from audit.questions.asking import ask, without_position
from audit.questions.filters import EntryFilter
from audit.review import living, request_tree
from organizations import ulid
from organizations.membership_access import OrganizationRequest, organization_page
from organizations.models import Organization

AROUND = 3
"""Entries shown before and after it in time."""
OF_A_REQUEST = 25


@dataclass(frozen=True)
class Neighbours:
    """Entries next to one in a list, newest first."""

    newer: list[Entry]
    older: list[Entry]


@require_GET
@organization_page("audit:read")
def entry(request: OrganizationRequest, entry: str) -> HttpResponse:
    """One entry whole, and the way to what is related."""
    organization = request.organization
    key = ulid.parse_or_none(entry)
    found = Entry.objects.visible([organization.pk]).filter(pk=key).first()
    if found is None:
        raise Http404("There is no entry with this id.")
    references.fetch([found], [organization.pk])
    together = _of_its_request(found, organization)
    reading.record_view(organization, entry=found)
    asked = ask([organization], without_position(request.GET), reader=request.user.email)
    around = _next_to(found, ask([organization], {}), AROUND)
    others = [*around.newer, *around.older, *(other for other in together if other is not found)]
    references.look_up(others, [organization.pk])
    is_narrowed = asked.is_valid() and bool(set(asked.params) - {"tz"})
    checkpoint = _checkpoint(found)
    context = {
        "section": "activity",
        "zone": asked.zone if "tz" in request.GET and asked.is_valid() else None,
        "entry": found,
        "context": {name: fact for name, fact in found.context.items() if name != "reason"},
        "back": request.GET.urlencode(),
        "carried": f"?{request.GET.urlencode()}" if request.GET else "",
        "in_list": _next_to(found, asked, 1) if is_narrowed else around,
        "is_narrowed": is_narrowed,
        "around": [*around.newer, found, *around.older],
        "whole": _named(_whole(found), organization),
        "is_end": any(before is not None for before, _ in found.recorded_changes.values()),
        "together": len(together),
        "most_of_request": OF_A_REQUEST,
        "tree": request_tree.tree(together) if len(together) > 1 else [],
        "raw": json.dumps(as_json(found), indent=2, ensure_ascii=False, sort_keys=True),
        "checkpoint": checkpoint,
        "seen_by": witnesses.covering(
            found.organization_id, found.seq, found._state.db or "default"
        )
        if found.seq
        else [],
        "vkeys": evidence.vkeys(checkpoint.origin) if checkpoint else [],
        "made_by": _maker_of_its_key(found),
        "actor_page": living.address_of(found, "actor", request),
        "resource_page": living.address_of(found, "resource", request),
        "is_actor_gone": references.is_gone(found, "actor"),
        "is_resource_gone": references.is_gone(found, "resource"),
    }
    return render(request, "audit/entry.html", context)


@require_GET
@organization_page("audit:read")
def proof(request: OrganizationRequest, entry: str) -> HttpResponse:
    """The proof that an entry is in the log, as a file that anybody can check. With `part`: for
    the page of the entry itself, whose view is recorded already."""
    organization = request.organization
    replica.stay_on_primary()
    key = ulid.parse_or_none(entry)
    found = Entry.objects.visible([organization.pk]).filter(pk=key).first()
    checkpoint = _checkpoint(found) if found is not None else None
    if found is None or found.seq is None or checkpoint is None:
        raise Http404("There is no entry with this id, or no proof of it yet.")
    evidence.keep(checkpoint)
    try:
        [leaf] = evidence.leaves(organization.pk, found.seq - 1, found.seq)
    except evidence.MismatchError as error:
        return _mismatch(organization, error)
    reading.record_view(organization, entry=found, is_part="part" in request.GET)
    answer = HttpResponse(
        evidence.proof_of(leaf, checkpoint), content_type="text/plain; charset=utf-8"
    )
    name = f"{organization.slug}-{found.seq}.tlog-proof"
    answer["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer


def _mismatch(organization: Organization, error: evidence.MismatchError) -> HttpResponse:
    """What to answer, and to record, where an entry is not as it was sealed."""
    reading.record_mismatch(organization, error.seq)
    said = f"The proof is refused: {error}. This was recorded; tell whoever runs the service.\n"
    return HttpResponse(said, content_type="text/plain; charset=utf-8", status=500)


def _checkpoint(found: Entry) -> evidence.Checkpoint | None:
    """The checkpoint that covers it, once there is one."""
    if found.seq is None:
        return None
    using = found._state.db or "default"
    return evidence.newest(found.organization_id, using, at_least=found.seq)


def _whole(found: Entry) -> list[tuple[str, Any]]:
    """The recorded values of what came or went, field by field; empty for a change of something
    that was there before and after."""
    pairs = found.recorded_changes
    for there, absent in ((0, 1), (1, 0)):
        if pairs and all(pair[absent] is None for pair in pairs.values()):
            return [(name, pair[there]) for name, pair in pairs.items() if pair[there] is not None]
    return []


def _named(whole: list[tuple[str, Any]], organization: Organization) -> list[tuple[str, Any]]:
    """The fields in words, with what an id stands for in place of the id."""
    ids = {name: key for name, value in whole if (key := _id_in(name, value))}
    names = name_index.present_names(list(ids.values()), [organization.pk]) if ids else {}
    named = {name: names[key] for name, key in ids.items() if key in names}
    return [
        (name.removesuffix("_id") if name in named else name, named.get(name, value))
        for name, value in whole
    ]


def _id_in(name: str, value: Any) -> UUID | None:
    return ulid.parse_or_none(value) if name.endswith("_id") and isinstance(value, str) else None


def _next_to(found: Entry, asked: EntryFilter, number: int) -> Neighbours:
    """Those before and after it in the list that a question makes."""
    assert asked.is_valid()
    return Neighbours(
        paging.page(asked.qs, per_page=number, after=found.ulid).entries,
        paging.page(asked.qs, found.ulid, per_page=number).entries,
    )


def _of_its_request(found: Entry, organization: Organization) -> list[Entry]:
    """The entries of the same request, itself among them."""
    if found.request_id is None:
        return []
    entries = Entry.objects.visible([organization.pk]).of_request(found.request_id)
    others = paging.page(entries, per_page=OF_A_REQUEST).entries
    return [found, *(other for other in others if other.pk != found.pk)]


def _maker_of_its_key(found: Entry) -> str:
    """Who made the API key that acted, while both are there."""
    actor = found.actor if found.actor_type == ActorType.API_KEY else None
    maker = getattr(actor, "created_by", None)
    return str(maker.email) if maker else ""

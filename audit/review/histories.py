"""What happened to one thing and all below it, or what one actor did; also once they are gone."""

from __future__ import annotations

from uuid import UUID

from django.db.models import Q
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from audit import policy
from audit.entry import references
from audit.models import Entry
from audit.policy import ActorType
from audit.questions import counting, name_index, paging, reading, retention_boundary
from audit.questions.asking import ask
from audit.questions.filters import EntryFilter
from audit.questions.periods import Period
from audit.questions.retention_boundary import Boundary
from organizations import ulid
from organizations.membership_access import OrganizationRequest, organization_page
from organizations.models import Organization

ENDS = "delete,purge,leave"
"""Actions after which a thing is no more."""
COUNTS = "counts"
"""The parameter of an actor's page that comes with what is counted."""
CONTAINERS = frozenset(spec.name for spec in policy.RESOURCES if spec.is_path)
"""What things are kept in."""
MOST_LISTED = 50
"""Things below another, or of its name, that its history lists."""
OF_A_KEY = 10
"""Entries about an API key, on the page of what it did."""


@require_GET
@organization_page("audit:read")
def resource_history(request: OrganizationRequest, resource: str) -> HttpResponse:
    """All that happened to a thing: when it was made and by whom, whether it is gone, what was or
    is below it, and each entry, newest first."""
    organization = request.organization
    key = ulid.parse_or_none(resource)
    if key is None:
        raise Http404("The address of a history ends with the id of the resource.")
    asked, page = _page(request, {"resource": ulid.to_text(key)})
    newest, oldest = _ends(asked, page)
    if newest is None or oldest is None:
        raise Http404("The log has no entries about this resource.")
    reading.record_view(organization, asked)
    type, here = newest.resource_type, [organization.pk]
    context = {
        "section": "activity",
        "page": page,
        "entries": page.entries,
        "name": name_index.present_names([key], here).get(key, newest.resource_label),
        "newest": newest,
        "oldest": oldest,
        "ended": _newest(
            _ask(organization, {"resource": resource, "action": ENDS, "result": "success"})
        ),
        "below": name_index.below(key, here, MOST_LISTED) if type in CONTAINERS else [],
        "namesakes": name_index.namesakes(key, type, here, MOST_LISTED),
        "most_listed": MOST_LISTED,
        "boundary": _boundary(organization, key, oldest),
    }
    return render(request, "audit/resource_history.html", context)


@require_GET
@organization_page("audit:read")
def actor_history(request: OrganizationRequest, actor: str) -> HttpResponse:
    """All that a person or an API key did, first and last; of a key also who made it and what it
    may do. From where and what most is counted when asked for, which the page does by itself."""
    organization = request.organization
    key = ulid.parse_or_none(actor)
    if key is None:
        raise Http404("The address of a history ends with the id of the actor.")
    # What somebody did first and last may have been to look at the log.
    asked, page = _page(request, {"actor": ulid.to_text(key), "views": "true"})
    newest, oldest = _ends(asked, page)
    about = _ask(organization, {"resource": ulid.to_text(key), "exclude_action": "view"})
    about_it = paging.page(about.qs, per_page=OF_A_KEY).entries
    name, kind = _who(organization, key, newest, about_it)
    reading.record_view(organization, asked)
    is_key = kind == ActorType.API_KEY
    context = {
        "section": "activity",
        "page": page,
        "entries": page.entries,
        "actor": ulid.to_text(key),
        "name": name,
        "is_key": is_key,
        "newest": newest,
        "oldest": oldest,
        "boundary": _boundary(organization, key, oldest),
        "with_counts": COUNTS in request.GET,
        "about_it": about_it if is_key else [],
        "made": _oldest(about) if is_key else None,
        "abilities": _last_known(organization, resource=actor, field="abilities") if is_key else [],
    }
    if COUNTS in request.GET:
        context["facets"] = counting.facets(asked)
        context["addresses"] = counting.addresses(asked.qs)
    return render(request, "audit/actor_history.html", context)


def _who(
    organization: Organization, key: UUID, newest: Entry | None, about_it: list[Entry]
) -> tuple[str, str]:
    """The present name and the kind of an actor, of a member who has done nothing yet too."""
    now = name_index.present_names([key], [organization.pk]).get(key)
    if newest:
        return now or newest.actor_label, newest.actor_type
    if about_it:
        return now or about_it[0].resource_label, about_it[0].resource_type
    member = organization.memberships.select_related("user").filter(user=key).first()
    if member is None:
        raise Http404("The log has no entries by this actor.")
    return str(member.user.email), ActorType.USER


def _boundary(organization: Organization, key: UUID, oldest: Entry | None) -> Boundary | None:
    """The retention boundary, if what has this id may be older: then its oldest entry here need not
    be its first."""
    found = retention_boundary.below(organization.pk, Period(None, None))
    if found is None:
        return None
    is_kept = oldest is not None and oldest.time < found.before
    return found if is_kept or key < ulid.floor(found.before) else None


def _ask(organization: Organization, params: dict[str, str]) -> EntryFilter:
    """A question of the page's own, which is always valid."""
    asked = ask([organization], params)
    assert asked.is_valid(), asked.errors
    return asked


def _page(request: OrganizationRequest, params: dict[str, str]) -> tuple[EntryFilter, paging.Page]:
    """The question, and the part of its answer that the address asks for."""
    given = request.GET.copy()
    given.pop(COUNTS, None)
    for name, value in params.items():
        given[name] = value
    asked = ask([request.organization], given)
    if not asked.is_valid():
        raise Http404("This history has no such page.")
    page = paging.page_at(asked.qs, asked.form.cleaned_data)
    references.look_up(page.entries, [request.organization.pk])
    return asked, page


def _ends(asked: EntryFilter, page: paging.Page) -> tuple[Entry | None, Entry | None]:
    """The newest entry and the oldest, asked for only where the page does not have them."""
    is_first = page.previous_cursor is None and bool(page.entries)
    is_last = page.next_cursor is None and bool(page.entries)
    return (
        page.entries[0] if is_first else _newest(asked),
        page.entries[-1] if is_last else _oldest(asked),
    )


def _newest(asked: EntryFilter) -> Entry | None:
    return next(iter(paging.page(asked.qs, per_page=1).entries), None)


def _oldest(asked: EntryFilter) -> Entry | None:
    return next(iter(asked.qs.first_entries(Q(), "id", 1)), None)


def _last_known(organization: Organization, resource: str, field: str) -> list[str]:
    """A list that was recorded last: what a key could do before it was revoked, say."""
    found = _newest(_ask(organization, {"resource": resource, "field": field}))
    before, after = found.recorded_changes.get(field, (None, None)) if found else (None, None)
    return [str(item) for item in after or before or []]

"""The log as a page: what was asked, when it happened, and the entries."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET

from audit import policy
from audit.entry import references
from audit.export import pack_requests
from audit.ledger import replica
from audit.questions import answering, bar, counting, paging, reading, retention_boundary
from audit.questions.asking import ask, question_of
from audit.questions.filters import EntryFilter
from audit.retention import holds
from audit.review import chart, chips, count_table, facets, saving, spoken, time_zones, watching
from organizations.membership_access import OrganizationRequest, organization_page

RECENCIES = (
    ("today", "Today"),
    ("yesterday", "Yesterday"),
    ("24h", "Last 24 hours"),
    ("7d", "Last 7 days"),
    ("30d", "Last 30 days"),
    ("90d", "Last 90 days"),
    ("this month", "This month"),
    ("last month", "Last month"),
)

COUNTED_LATER = ("count", "answer", "chart", "facets", "show")
"""Parts of the page that come after the list, besides the menus of the columns."""

COUNTS = "counts"
"""The parameter of a page that comes with its chart and facets at once, for who has no script."""


@require_GET
@organization_page("audit:read")
def activity(request: OrganizationRequest) -> HttpResponse:
    """The log: what was asked, when it happened, and the entries, newest first."""
    organization = request.organization
    given: QueryDict = request.GET.copy()
    if any(not text for texts in request.GET.lists() for text in texts[1]):
        # A form sends its empty fields too; the address to keep has what was asked alone.
        return redirect(f"{request.path}?{_without_blanks(given)}")
    if "tz" not in given and (remembered := time_zones.remembered(request)):
        given["tz"] = remembered
    with_counts = COUNTS in request.GET
    given.pop(COUNTS, None)  # links lead to lists, which come sooner without
    by = given.pop(count_table.BY, [""])[-1]
    asked = ask([organization], given, reader=request.user.email)
    question = question_of(asked)
    is_valid = asked.is_valid()
    shown = list(chips.chips(request.path, given, asked))
    carried = given
    if question is not None:
        # The words stay in the address; what narrows the answer further goes on in parameters.
        given = _in_parameters(given, asked)
    context: dict[str, Any] = {
        "section": "activity",
        "asked": asked,
        "question": question,
        "nothing_asked": question is not None and not question.is_answerable,
        "state_page": spoken.page_of(question, organization),
        "then_query": spoken.query_of(question.then if question else None, given.get("tz", "")),
        "given": given,
        "params": {name: ",".join(texts) for name, texts in asked.params.items()},
        "text": question.text if question else bar.as_text(asked.params),
        "tz": given.get("tz", ""),
        "zones": time_zones.ZONES,
        "carried": f"?{carried.urlencode()}" if carried else "",
        "recencies": RECENCIES,
        "recency_values": [value for value, _ in RECENCIES],
        "actions": policy.ACTIONS,
        "action_names": [action.name for action in policy.ACTIONS],
        "types": policy.RESOURCE_TYPES,
        "results": list(policy.Result),
        "interfaces": list(policy.Interface),
        "chips": shown,
        "elsewhere": _not_in_form(asked),
        "besides_time": _besides_time(asked),
        "span": _span_in_words(asked),
        "narrowed": {name.removeprefix("exclude_") for name in asked.params},
        "ways_to_count": count_table.WAYS,
        "counted_later": ",".join(
            f"#{part}" for part in (*COUNTED_LATER, *(f"facet-{name}" for name in facets.HEADINGS))
        ),
    }
    context |= saving.listed(request, asked)
    if not is_valid:
        return render(request, "audit/activity.html", context, status=422)
    if context["nothing_asked"]:
        return render(request, "audit/activity.html", context)
    page = paging.page_at(asked.qs, asked.form.cleaned_data)
    references.look_up(page.entries, [organization.pk])
    total = counting.total(organization)
    with_counts = with_counts or (question is not None and question.is_count)
    context |= {
        "zone": asked.zone,
        "chips": chips.named(shown, page.entries),
        "page": page,
        "count": _count_of(page, total, bool(shown)),
        "is_narrowed": bool(shown),
        "entries": page.entries,
        "total": total,
        "with_counts": with_counts,
        # Of filters chosen by hand, the head has the number, and the list begins higher.
        "answer": answering.of_page(asked, page),
        "table": count_table.of(request.path, given, asked, by),
        "retention_boundary": retention_boundary.below(organization.pk, asked.period),
        "hold": holds.on(organization),
        "as_of": replica.as_of(),
        "claim": pack_requests.claim(asked),
        "watch": watching.address(
            reverse("new_entries", args=[organization.slug]), given, asked, page, request.user
        ),
    }
    if with_counts:
        context |= _counts(request, given, asked, total)
    reading.record_view(organization, asked)
    answer = render(request, "audit/activity.html", context)
    if "ask" in request.GET and "tz" in request.GET:
        time_zones.remember(answer, request.GET["tz"])
    return answer


@require_GET
@organization_page("audit:read")
def counts(request: OrganizationRequest) -> HttpResponse:
    """The chart and the facets of a question, which the page of activity asks for once its list
    is there: they take longer than the list."""
    organization = request.organization
    given: QueryDict = request.GET.copy()
    asked = ask([organization], given, reader=request.user.email)
    if not asked.is_valid():
        return HttpResponse("This query is not valid.\n", "text/plain", status=422)
    if question_of(asked) is not None:
        given = _in_parameters(given, asked)
    context = {"given": given, "zone": asked.zone}
    context |= _counts(request, given, asked, counting.total(organization))
    reading.record_view(organization, asked, is_part=True)
    return render(request, "audit/counts.html", context)


@require_GET
@organization_page("audit:read")
def facet(request: OrganizationRequest) -> HttpResponse:
    """The values of one facet, to find one among more than its menu shows."""
    organization = request.organization
    given: QueryDict = request.GET.copy()
    name, search = given.pop("of", [""])[-1], given.pop("search", [""])[-1].strip()
    if name not in facets.HEADINGS:
        raise Http404("There is no such facet.")
    asked = ask([organization], given, reader=request.user.email)
    if not asked.is_valid():
        return HttpResponse("This query is not valid.\n", "text/plain", status=422)
    path = reverse("activity", args=[organization.slug])
    context = {
        "section": "activity",
        "facet": facets.facet(path, given, asked, organization, name, search),
        "search": search,
        "list": f"{path}?{given.urlencode()}",
    }
    reading.record_view(organization, asked, is_part=True)
    return render(request, "audit/facet.html", context)


def _counts(
    request: OrganizationRequest, given: QueryDict, asked: EntryFilter, total: int
) -> dict[str, Any]:
    path = reverse("activity", args=[request.organization.slug])
    is_narrowed = chips.is_narrowed(asked)
    # Without a filter, the log's size is the answer.
    count = counting.bounded_count(asked.qs) if is_narrowed else counting.Count(total, True)
    counted = counting.facets(asked)
    return {
        "question": question_of(asked),
        "count": count,
        "answer": answering.of_counts(asked, count, counted),
        "is_narrowed": is_narrowed,
        "total": total,
        "facets": facets.facets(path, given, asked, request.organization, counted),
        "chart": chart.chart(path, given, asked),
    }


def _count_of(page: paging.Page, total: int, is_narrowed: bool) -> counting.Count | None:
    """How many entries there are, where the page shows it."""
    if not is_narrowed:
        return counting.Count(total, True)
    is_whole = page.next_cursor is None and page.previous_cursor is None
    return counting.Count(len(page.entries), True) if is_whole else None


def _in_parameters(given: QueryDict, asked: EntryFilter) -> QueryDict:
    """A question that was asked in words as the parameters that it was understood as."""
    params = QueryDict(mutable=True)
    for name, texts in {**dict(given.lists()), **asked.params}.items():
        if name != "ask":
            params.setlist(name, list(texts))
    return params


def _without_blanks(given: QueryDict) -> str:
    params = QueryDict(mutable=True)
    for name, texts in given.lists():
        if filled := [text for text in texts if text]:
            params.setlist(name, filled)
    return params.urlencode()


IN_FORM = (
    *("when", "since", "until", "actor", "action", "type"),
    *("resource", "q", "result", "interface", "ip", "field"),
)


def _span_in_words(asked: EntryFilter) -> str:
    """What the button says from which the time is chosen."""
    [when] = asked.params.get("when", [""])[-1:]
    if when:
        return dict(RECENCIES).get(when, when)
    return "A period" if {"since", "until"} & asked.params.keys() else "Any time"


def _besides_time(asked: EntryFilter) -> list[tuple[str, str]]:
    """What a form that chooses a time carries along."""
    of_time = ("when", "since", "until", "tz")
    return [(n, text) for n, texts in asked.params.items() if n not in of_time for text in texts]


def _not_in_form(asked: EntryFilter) -> list[tuple[str, str]]:
    """Parts of the question that the form has no control for; it carries them along."""
    return [
        (name, text)
        for name, texts in asked.params.items()
        if name not in IN_FORM
        for text in texts
    ]

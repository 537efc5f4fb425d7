"""The log at a glance: figures of the last days against the days before, each of which is a
question and leads to its entries; what changed in production; and keys that are worth a look."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import urlencode

from django.db.models import Q
from django.http import HttpResponse, QueryDict
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET

from audit.entry import references
from audit.entry.as_json import rfc3339
from audit.evidence import reading as proofs
from audit.questions import counting, name_index, paging, reading
from audit.questions.asking import ask
from audit.questions.filters import EntryFilter
from audit.review import chart, count_table, time_zones
from keys.models import ApiKey, KeyVersion, Secret
from organizations import clock
from organizations.membership_access import OrganizationRequest, organization_page
from organizations.models import Organization, Project
from organizations.roles import Role

SPANS = {7: "Week", 30: "30 days", 90: "90 days"}
IDLE = dt.timedelta(days=28)
"""After this long without use a key is worth a look."""
OLD = dt.timedelta(days=90)
"""As old as this a project's first key is worth a look."""
CHANGES_LISTED = 7


@dataclass(frozen=True)
class Question:
    """A figure of the page. tone: how it is drawn if it is not 0."""

    label: str
    icon: str
    params: dict[str, str]
    tone: str = ""


PRODUCTION = {"action": "changes", "resource": "production"}
QUESTIONS = (
    Question("Entries", "activity", {}),
    Question("Changes in production", "env", PRODUCTION, "warn"),
    Question("Refusals", "refused", {"result": "denied"}, "stop"),
    Question("Failed sign-ins", "failed", {"action": "sign_in", "result": "failed"}, "stop"),
    Question("New addresses", "newaddress", {"action": "new_address"}),
)


_TOO_MANY = f"more than {name_index.MOST} things are called so, or lie below"
"""Why there is no figure: what is asked for by a name is looked up first."""


@dataclass(frozen=True)
class Figure:
    """said: how it was in as many days before."""

    label: str
    icon: str
    value: str
    tone: str
    href: str
    said: str


@dataclass(frozen=True)
class Finding:
    """Something about keys that should be looked at, with the page on which one can."""

    heading: str
    text: str
    icon: str
    href: str
    button: str


@dataclass(frozen=True)
class Step:
    """Of what a new organization does first."""

    heading: str
    text: str
    is_done: bool
    href: str
    button: str


@require_GET
@organization_page("audit:read")
def overview(request: OrganizationRequest) -> HttpResponse:
    organization, path = request.organization, reverse("activity", args=[request.organization.slug])
    asked_for = request.GET.get("days", "")
    days = int(asked_for) if asked_for in map(str, SPANS) else min(SPANS)
    zone = str(time_zones.of(request))
    now = clock.now()
    since, before = now - dt.timedelta(days=days), now - 2 * dt.timedelta(days=days)

    def asking(params: dict[str, str]) -> EntryFilter:
        return ask([organization], {**params, "tz": zone}, reader=request.user.email)

    within = {"since": rfc3339(since)}
    whole = asking({"since": rfc3339(now - dt.timedelta(days=90))})
    production = asking({**PRODUCTION, **within})
    can_name = production.is_valid()
    changed = paging.page(production.qs, per_page=CHANGES_LISTED).entries if can_name else []
    references.look_up(changed, [organization.pk])
    recent = asking(within)
    context = {
        "section": "overview",
        "days": days,
        "spans": SPANS,
        "figures": list(_figures(path, asking, days, rfc3339(since), rfc3339(before))),
        "checkpoint": proofs.newest(organization.pk),
        "chart": chart.chart(path, _query(whole.params), whole),
        "changed": changed,
        "too_many": "" if can_name else _TOO_MANY,
        "all_changed": f"{path}?{urlencode({**PRODUCTION, 'when': f'{days}d'})}",
        "busiest": count_table.of(path, _query(recent.params), recent, "actor"),
        "findings": list(_findings(request)),
        "steps": _steps(request),
    }
    reading.record_view(organization, recent)
    return render(request, "audit/overview.html", context)


def _query(params: dict[str, list[str]]) -> QueryDict:
    query = QueryDict(mutable=True)
    for name, texts in params.items():
        query.setlist(name, texts)
    return query


def _figures(
    path: str, asking: Callable[[dict[str, str]], EntryFilter], days: int, since: str, before: str
) -> Iterator[Figure]:
    for question in QUESTIONS:
        href = f"{path}?{urlencode({**question.params, 'when': f'{days}d'})}"
        asked = asking({**question.params, "since": since})
        if not asked.is_valid():
            yield Figure(question.label, question.icon, "\u2013", "", href, _TOO_MANY)
            continue
        now = counting.bounded_count(asked.qs)
        then = asking({**question.params, "since": before, "until": since})
        yield Figure(
            question.label,
            question.icon,
            str(now),
            question.tone if now.value else "",
            href,
            _against(now, counting.bounded_count(then.qs), days),
        )


def _against(now: counting.Count, then: counting.Count, days: int) -> str:
    span = f"the {days} days before"
    if not (now.is_exact and then.is_exact):
        return f"{then} in {span}"
    if now.value == then.value:
        return f"as many as in {span}" if now.value else f"none in {span} either"
    more = now.value - then.value
    return f"{abs(more):,} {'more' if more > 0 else 'fewer'} than in {span}"


def _findings(request: OrganizationRequest) -> Iterator[Finding]:
    """Only of what the reader may see."""
    slug, now = request.organization.slug, clock.now()
    if "api-token:read" in request.abilities:
        keys = ApiKey.objects.filter(organization=request.organization)
        in_use = keys.filter(Q(expires_at=None) | Q(expires_at__gt=now))
        page = reverse("api_keys", args=[slug])
        endless = in_use.filter(expires_at=None).order_by("created_at")
        if number := endless.count():
            heading = f"{number:,} API key{'s never expire' if number > 1 else ' never expires'}"
            text = f"Oldest: {endless[0].name}, made {endless[0].created_at:%Y-%m-%d}."
            yield Finding(heading, text, "keys", page, "Review")
        unused = Q(last_used_at__lt=now - IDLE) | Q(last_used_at=None, created_at__lt=now - IDLE)
        idle = in_use.filter(unused).order_by("created_at")
        if number := idle.count():
            heading = f"{number:,} API key{'s' * (number > 1)} unused for {IDLE.days} days"
            yield Finding(
                heading, _names([key.name for key in idle[:3]], number), "clock", page, "Review"
            )
    if "project:read" in request.abilities:
        first = KeyVersion.objects.filter(
            organization=request.organization, is_active=True, version=1, created_at__lt=now - OLD
        ).select_related("project")
        first = first.order_by("created_at")
        if number := first.count():
            heading = f"{number:,} project key{'s' * (number > 1)} never rotated in {OLD.days} days"
            text = _names([key.project.name for key in first[:3]], number)
            yield Finding(heading, text, "rotate", reverse("projects", args=[slug]), "Plan")


def _names(names: list[str], number: int) -> str:
    rest = number - len(names)
    return ", ".join(names) + (f" and {rest:,} more" if rest else "") + "."


def _steps(request: OrganizationRequest) -> list[Step]:
    """What is left to do of a beginning, for who may do it; nothing once all of it is done."""
    organization, may = request.organization, request.abilities
    if not {"project:create", "api-token:create", "member:create"} <= set(may):
        return []
    slug = organization.slug
    projects = Project.objects.filter(organization=organization)
    has_secret = Secret.objects.filter(project__organization=organization).exists()
    steps = [
        Step(
            "Create a project",
            "It gets an encryption key of its own. Most begin with the one they deploy most.",
            projects.exists(),
            reverse("new_project", args=[slug]),
            "New project",
        ),
        Step(
            "Push the first file",
            "On your machine: dotenv push my-app .env",
            has_secret,
            reverse("projects", args=[slug]),
            "Projects",
        ),
        Step(
            "Create an API key for CI",
            "Restricted to one project, with an end, so that the log can tell it from people.",
            ApiKey.objects.filter(organization=organization).exists(),
            reverse("create_api_key", args=[slug]),
            "New API key",
        ),
        Step(
            "Invite an auditor",
            "Reads and exports the log, never a secret.",
            _has_auditor(organization),
            f"{reverse('members', args=[slug])}#invite",
            "Invite",
        ),
    ]
    return [] if all(step.is_done for step in steps) else steps


def _has_auditor(organization: Organization) -> bool:
    return organization.memberships.filter(role=Role.AUDITOR).exists()

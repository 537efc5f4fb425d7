"""What the palette (Ctrl-K) finds: pages, projects, people and API keys that the reader may see,
and the question to put to the log."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlencode

from django.db.models import Q
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET

from keys.models import ApiKey
from organizations.membership_access import OrganizationRequest, organization_page
from organizations.models import Project

MOST_OF_A_KIND = 5
LONGEST = 200

PAGES = (
    ("overview", "Overview", "home", "audit:read"),
    ("activity", "Activity", "activity", "audit:read"),
    ("access", "Access", "access", "audit:read"),
    ("evidence", "Evidence", "evidence", "audit:read"),
    ("saved_views", "Saved views", "save", "audit:read"),
    ("projects", "Projects", "projects", "project:read"),
    ("new_project", "New project", "plus", "project:create"),
    ("api_keys", "API keys", "keys", "api-token:read"),
    ("create_api_key", "New API key", "plus", "api-token:create"),
    ("members", "Members", "members", "member:read"),
    ("settings", "Settings", "settings", "organization:read"),
)
"""Route, name, icon, and the ability that opens it."""


@dataclass(frozen=True)
class Found:
    label: str
    more: str
    icon: str
    href: str


@dataclass(frozen=True)
class Group:
    heading: str
    found: list[Found]


@require_GET
@organization_page()
def search(request: OrganizationRequest) -> HttpResponse:
    """A page of its own for who has no script; the palette takes its list."""
    text = request.GET.get("q", "").replace("\0", "").strip()[:LONGEST]
    groups = [group for group in _groups(request, text) if group.found]
    return render(request, "audit/search.html", {"text": text, "groups": groups})


def _groups(request: OrganizationRequest, text: str) -> Iterator[Group]:
    organization, may = request.organization, request.abilities
    yield Group("Pages", list(_pages(request, text)))
    if not text:
        return
    if "project:read" in may:
        yield Group("Projects", list(_projects(request, text)))
    if "member:read" in may:
        yield Group("People", list(_people(request, text)))
    if "api-token:read" in may:
        yield Group("API keys", list(_keys(request, text)))
    if "audit:read" in may:
        asked = f"{reverse('activity', args=[organization.slug])}?{urlencode({'ask': text})}"
        yield Group("The log", [Found(text, "ask the log", "search", asked)])


def _pages(request: OrganizationRequest, text: str) -> Iterator[Found]:
    for route, name, icon, ability in PAGES:
        if ability in request.abilities and text.casefold() in name.casefold():
            yield Found(name, "", icon, reverse(route, args=[request.organization.slug]))


def _projects(request: OrganizationRequest, text: str) -> Iterator[Found]:
    mine = Project.objects.filter(organization=request.organization)
    named = mine.filter(Q(name__icontains=text) | Q(slug__icontains=text)).order_by("name", "id")
    for project in named[:MOST_OF_A_KIND]:
        href = reverse("project", args=[request.organization.slug, project.slug])
        yield Found(project.name, project.slug, "project", href)


def _people(request: OrganizationRequest, text: str) -> Iterator[Found]:
    members = request.organization.memberships.select_related("user")
    named = members.filter(Q(user__name__icontains=text) | Q(user__email__icontains=text))
    for membership in named.order_by("user__email")[:MOST_OF_A_KIND]:
        person = membership.user
        href = reverse("member", args=[request.organization.slug, membership.ulid])
        yield Found(
            person.name or person.email, person.email if person.name else "", "person", href
        )


def _keys(request: OrganizationRequest, text: str) -> Iterator[Found]:
    mine = ApiKey.objects.filter(organization=request.organization)
    for api_key in mine.filter(name__icontains=text).order_by("name", "id")[:MOST_OF_A_KIND]:
        href = reverse("api_key", args=[request.organization.slug, api_key.ulid])
        yield Found(api_key.name, api_key.fingerprint, "keys", href)

"""What the page says of a question in words: where a question of state is answered."""

from __future__ import annotations

from dataclasses import dataclass

from django.http import QueryDict
from django.urls import reverse

from audit.questions import bar
from audit.questions.bar import Question
from organizations.models import Organization


@dataclass(frozen=True)
class StatePage:
    """The page that answers a question of state, or the nearest one. address: empty for none."""

    label: str
    address: str
    why: str


_ROUTES = {
    "members": ("members", "Members"),
    "access": ("access", "Access"),
    "api_keys": ("api_keys", "API keys"),
    "keys": ("projects", "Projects, each with the history of its key"),
    "projects": ("projects", "Projects"),
    "exports": ("saved_views", "Saved views"),
    "integrity": ("evidence", "Evidence"),
}


def page_of(question: Question | None, organization: Organization) -> StatePage | None:
    if question is None or question.page is None:
        return None
    route = _ROUTES.get(question.page.name)
    if route is None:
        return StatePage("", "", question.page.why)
    name, label = route
    project = question.page.about.partition("/")[0]
    if question.page.name == "keys" and organization.projects.filter(slug=project).exists():
        address = reverse("key_history", args=[organization.slug, project])
        return StatePage(f"The key of {project}", address, question.page.why)
    return StatePage(label, reverse(name, args=[organization.slug]), question.page.why)


def query_of(question: Question | None, tz: str) -> str:
    """The query string that asks this question alone, in qualifiers."""
    if question is None:
        return ""
    params = QueryDict(mutable=True)
    params["ask"] = bar.as_text(question.params)
    if tz:
        params["tz"] = tz
    return params.urlencode()

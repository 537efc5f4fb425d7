"""Every route says what it records, and the page that says so is the one in docs/."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.http import HttpRequest, HttpResponse
from django.test import override_settings
from django.urls import include, path
from django.views import View
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from audit import policy
from audit.coverage import declared
from audit.coverage.declared import nothing, records
from audit.coverage.routes import ANY, Route, all_routes, methods_of


def anything(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


class Changes(View):
    def get(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse()

    def delete(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse()


urlpatterns = [
    path("", include("dotenv_cloud.urls")),
    path("new/<str:name>", Changes.as_view()),
]


def test_every_route_of_the_site_is_mapped() -> None:
    assert list(declared.mistakes(all_routes())) == []


def test_the_page_is_up_to_date() -> None:
    call_command("audit_coverage", "--check")


@override_settings(ROOT_URLCONF="tests.test_coverage")
def test_a_new_route_that_nobody_mapped_fails_the_check() -> None:
    with pytest.raises(CommandError, match=r"/new/{name} \(DELETE, GET\) is unmapped"):
        call_command("audit_coverage", "--check")


def test_a_new_method_of_a_mapped_route_fails() -> None:
    mapped = {"/a": {"GET": nothing("a form")}}
    [mistake] = declared.mistakes([Route("/a", ("GET", "POST"))], mapped)
    assert mistake.startswith("POST /a is unmapped")


def test_what_is_mapped_and_gone_fails() -> None:
    mapped = {
        "/a": {"GET": nothing("a form"), "POST": records("create project")},
        "/b": {"GET": nothing("a form")},
    }
    mistakes = list(declared.mistakes([Route("/a", ("GET",))], mapped))
    assert [m.split(" does")[0] for m in mistakes] == ["POST /a", "/b"]
    assert all(mistake.endswith("audit/coverage/declared.py") for mistake in mistakes)


def test_a_view_that_takes_anything_has_to_be_mapped_for_anything() -> None:
    mapped = {"/a": {"GET": nothing("a form")}}
    assert list(declared.mistakes([Route("/a", (ANY,))], mapped))
    mapped = {"/a": {"GET": nothing("a form"), ANY: records("create project")}}
    assert not list(declared.mistakes([Route("/a", (ANY,))], mapped))


@pytest.mark.parametrize(
    ("recorded", "complaint"),
    [
        (records("invent project"), "'invent' is not an action"),
        (records("create spaceship"), "'spaceship' is not a resource type"),
        (nothing(""), "gives no reason"),
    ],
)
def test_words_that_the_policy_does_not_know_fail(recorded: Any, complaint: str) -> None:
    [mistake] = declared.mistakes([Route("/a", ("GET",))], {"/a": {"GET": recorded}})
    assert complaint in mistake


def test_a_page_that_is_out_of_date_fails(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    call_command("audit_coverage", "--page", str(page))
    call_command("audit_coverage", "--check", "--page", str(page))
    page.write_text(page.read_text() + "and more\n")
    with pytest.raises(CommandError, match="out of date"):
        call_command("audit_coverage", "--check", "--page", str(page))


def test_the_page_names_every_model_action_and_route() -> None:
    routes = all_routes()
    page = declared.page(routes)
    for spec in policy.RESOURCES:
        assert f"| {policy.RESOURCE_TYPES[spec.name]} |" in page
    for action in policy.ACTIONS:
        assert f"| `{action.name}` |" in page
    for route in routes:
        assert f"`{route.path}`".replace("|", "\\|") in page


@pytest.mark.parametrize(
    ("view", "methods"),
    [
        (anything, {ANY}),
        (require_GET(anything), {"GET"}),
        (never_cache(require_POST(anything)), {"POST"}),
        (Changes.as_view(), {"GET", "DELETE"}),
        (Changes.as_view(http_method_names=["get", "options"]), {"GET"}),
    ],
)
def test_methods_are_read_from_the_view(view: Any, methods: set[str]) -> None:
    assert methods_of(view) == methods

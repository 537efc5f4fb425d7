"""Saved views: one's own and those of the organization, who may share, and what it leaves."""

from __future__ import annotations

import re
from collections.abc import Callable
from html import unescape

import pytest
from django.test import Client

from audit.models import SavedView
from organizations.models import Organization, User
from tests.factories import MembershipFactory
from tests.web.conftest import Browser, Entries

VIEWS = "/o/acme/activity/views"
DELETIONS = "action=delete&when=7d"

BrowserAs = Callable[[str], Client]


def save(client: Client, name: str = "Deletions", query: str = DELETIONS, **more: str) -> int:
    return client.post(VIEWS, {"name": name, "query": query, **more}).status_code


def listed(client: Client, question: str = "") -> dict[str, str]:
    """The views beside the question bar, by name."""
    body = client.get(f"/o/acme/activity{question}").content.decode()
    nav = body.partition('aria-label="Saved views"')[2].partition("</nav>")[0]
    return {
        unescape(name): unescape(href)
        for href, name in re.findall(r'<li><a href="([^"]+)"[^>]*>([^<]+)</a>', nav)
    }


def test_a_question_is_saved_from_its_page_and_asked_again_by_its_name(
    acme: Organization, browser_as: BrowserAs
) -> None:
    auditor = browser_as("auditor")
    page = auditor.get(f"/o/acme/activity?{DELETIONS}&cursor=01ARZ3NDEKTSV4RRFFQ69G5FAV")
    [link] = re.findall(r'href="([^"]+)">(?:<svg.*?</svg>)?Save this view', page.content.decode())
    form = auditor.get(unescape(link)).content.decode()
    [query] = re.findall(r'name="query" value="([^"]+)"', form)
    answer = auditor.post(VIEWS, {"name": "Deletions", "query": unescape(query)})
    assert answer.headers["Location"] == f"/o/acme/activity?{DELETIONS}"
    assert listed(auditor) == {"Deletions": f"/o/acme/activity?{DELETIONS}"}
    shown = auditor.get(f"/o/acme/activity?{DELETIONS}").content.decode()
    assert "Save this view" not in shown
    assert 'aria-current="page">Deletions' in shown


def test_a_view_of_ones_own_is_nobody_elses(acme: Organization, browser_as: BrowserAs) -> None:
    save(browser_as("auditor"))
    view = SavedView.objects.get()
    another = browser_as("owner")
    assert listed(another) == {}
    assert another.get(f"{VIEWS}/{view.ulid}").status_code == 404
    assert another.post(f"{VIEWS}/{view.ulid}", {"action": "delete"}).status_code == 404
    assert SavedView.objects.exists()


def test_who_may_change_settings_shares_and_others_only_see(
    acme: Organization, browser_as: BrowserAs
) -> None:
    admin, auditor = browser_as("admin"), browser_as("auditor")
    assert save(auditor, is_shared="on") == 403
    assert save(admin, is_shared="on") == 302
    view = SavedView.objects.get()
    assert view.is_shared
    assert listed(auditor) == {"Deletions": f"/o/acme/activity?{DELETIONS}"}
    assert auditor.get(f"{VIEWS}/{view.ulid}").status_code == 403
    assert auditor.post(f"{VIEWS}/{view.ulid}", {"action": "delete"}).status_code == 403
    assert f"{VIEWS}/{view.ulid}" not in auditor.get(VIEWS).content.decode()
    assert browser_as("owner").post(f"{VIEWS}/{view.ulid}", {"name": "Ours"}).status_code == 302
    view.refresh_from_db()
    assert (view.name, view.is_shared) == ("Ours", False)


def test_no_view_is_seen_in_another_organization(
    acme: Organization, other: Organization, owner: User, browser: Browser
) -> None:
    member = MembershipFactory.create(organization=other, role="owner", user=owner)
    client = browser(member.user)
    save(client, is_shared="on")
    view = SavedView.objects.get()
    assert view.name in client.get(VIEWS).content.decode()
    assert view.name not in client.get("/o/other/activity").content.decode()
    assert client.get(f"/o/other/activity/views/{view.ulid}").status_code == 404


def test_each_change_is_entered_without_the_question(
    acme: Organization, browser_as: BrowserAs, entries: Entries
) -> None:
    auditor = browser_as("auditor")
    save(auditor, query="q=hunter2")
    view = SavedView.objects.get()
    auditor.post(f"{VIEWS}/{view.ulid}", {"name": "Passwords"})
    auditor.post(f"{VIEWS}/{view.ulid}", {"action": "delete"})
    made, renamed, deleted = entries(acme, resource_type="saved_view")
    assert [entry.action for entry in (made, renamed, deleted)] == ["create", "update", "delete"]
    assert (made.resource_label, made.interface) == ("Deletions", "web")
    assert renamed.changes == {"name": ["Deletions", "Passwords"]}
    assert "hunter2" not in str([entry.changes for entry in (made, renamed, deleted)])


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("", "Add a filter first"),
        ("action=delet", "Did you mean delete"),
        ("colour=red", "Unknown parameter"),
        ("tz=Europe/Berlin&cursor=01ARZ3NDEKTSV4RRFFQ69G5FAV", "Add a filter first"),
    ],
)
def test_what_is_no_question_is_not_saved(
    query: str, said: str, acme: Organization, browser_as: BrowserAs
) -> None:
    answer = browser_as("auditor").post(VIEWS, {"name": "Odd", "query": query})
    assert answer.status_code == 422
    assert said in unescape(answer.content.decode())
    assert not SavedView.objects.exists()


def test_a_name_is_taken_once_in_whatever_case(acme: Organization, browser_as: BrowserAs) -> None:
    auditor = browser_as("auditor")
    assert save(auditor) == 302
    assert save(auditor, "DELETIONS", "type=secret") == 422
    assert save(auditor, "Secrets", "type=secret") == 302
    secrets = SavedView.objects.get(name="Secrets")
    answer = auditor.post(f"{VIEWS}/{secrets.ulid}", {"name": "deletions"})
    assert answer.status_code == 422
    assert "A view with this name already exists" in answer.content.decode()

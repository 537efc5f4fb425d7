"""New entries while somebody watches the list: which are told, and what asking for them costs."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest
from django.test import Client

from organizations.models import Organization, User
from tests import factories
from tests.web.conftest import Browser, Entries

ACTIVITY = "/o/acme/activity"


@pytest.fixture
def client_of_owner(owner: User, acme: Organization, browser: Browser) -> Client:
    return browser(owner)


def watched(client: Client, question: str = "") -> str:
    """The address at which the page asks for what is new; empty if it does not."""
    body = client.get(ACTIVITY + question).content.decode()
    found = re.search(r'data-new="([^"]+)"', body)
    return html.unescape(found[1]) if found else ""


def new(client: Client, address: str, known: set[str]) -> list[str]:
    return [key for key in client.get(address).json()["entries"] if key not in known]


@pytest.fixture
def known(entries: Entries, acme: Organization) -> Any:
    return lambda: {entry.ulid for entry in entries(acme)}


def test_what_happens_after_the_page_came_is_told_newest_first(
    client_of_owner: Client, acme: Organization, entries: Entries, known: Any
) -> None:
    address = watched(client_of_owner)
    before = known()
    assert new(client_of_owner, address, before) == []
    factories.make_project(acme, "Shop")
    told = new(client_of_owner, address, before)
    made = [entry.ulid for entry in entries(acme) if entry.ulid not in before]
    assert told == made[::-1]


def test_only_what_answers_the_question_of_the_page_is_told(
    client_of_owner: Client, acme: Organization, entries: Entries, known: Any
) -> None:
    address = watched(client_of_owner, "?type=target")
    before = known()
    target = factories.make_target(factories.make_project(acme, "Shop"))
    [told] = new(client_of_owner, address, before)
    [made] = entries(acme, resource_id=target.pk)
    assert told == made.ulid


def test_that_the_watcher_watches_is_entered_once_and_no_news_to_the_watcher(
    client_of_owner: Client, acme: Organization, entries: Entries, known: Any
) -> None:
    before = known()
    address = watched(client_of_owner)
    for _ in range(3):
        assert new(client_of_owner, address, before) == []
    assert len(entries(acme, action="view")) == 1


def test_a_page_to_which_nothing_can_be_added_is_not_watched(
    client_of_owner: Client, acme: Organization, entries: Entries
) -> None:
    assert watched(client_of_owner, "?until=2020-01-01") == ""
    newest = entries(acme)[-1].ulid
    assert watched(client_of_owner, f"?cursor={newest}") == ""
    assert watched(client_of_owner, "?per_page=2") != ""


def test_a_list_of_nothing_is_watched_for_its_first_entry(
    client_of_owner: Client, acme: Organization, entries: Entries
) -> None:
    address = watched(client_of_owner, "?type=target")
    assert new(client_of_owner, address, set()) == []
    target = factories.make_target(factories.make_project(acme, "Shop"))
    [made] = entries(acme, resource_id=target.pk)
    assert new(client_of_owner, address, set()) == [made.ulid]


def test_a_wrong_question_is_refused(client_of_owner: Client) -> None:
    assert client_of_owner.get(f"{ACTIVITY}/new?type=nonsense").status_code == 422

"""New entries while somebody watches: how many are announced, and what asking for them costs."""

from __future__ import annotations

import html
import re
import threading

import pytest
from django.db import connection, transaction
from django.test import Client

from organizations.models import Organization, User
from tests.factories import ProjectFactory, TargetFactory
from tests.web.conftest import Browser, Entries

ACTIVITY = "/o/acme/activity"


@pytest.fixture
def client_of_owner(owner: User, acme: Organization, browser: Browser) -> Client:
    return browser(owner)


def watched(client: Client, question: str = "") -> str:
    """The address at which the page asks for what is new; empty if it does not."""
    body = client.get(ACTIVITY + question).content.decode()
    found = re.search(r'id="watch" hx-get="([^"]+)"', body)
    return html.unescape(found[1]) if found else ""


def new(client: Client, address: str) -> int:
    body = client.get(address).content.decode()
    found = re.search(r'data-news="([0-9]+)">([0-9]+) new entr(?:y|ies)\.<', body)
    if found is None:
        assert body.strip() == "Watching for new entries."
        return 0
    assert found[1] == found[2]
    return int(found[1])


def test_what_happens_after_the_page_is_announced(
    client_of_owner: Client, acme: Organization, entries: Entries
) -> None:
    address = watched(client_of_owner)
    before = len(entries(acme))
    assert new(client_of_owner, address) == 0
    ProjectFactory.create(organization=acme, name="Shop")
    assert new(client_of_owner, address) == len(entries(acme)) - before > 0


def test_a_full_page_announces_only_what_belongs_on_it(
    client_of_owner: Client, acme: Organization
) -> None:
    for number in range(5):
        ProjectFactory.create(organization=acme, name=f"Project {number}")
    address = watched(client_of_owner, "?type=project&per_page=3")
    assert "after=" in address
    assert new(client_of_owner, address) == 0
    ProjectFactory.create(organization=acme, name="One more")
    assert new(client_of_owner, address) == 1


@pytest.mark.django_db(transaction=True)
def test_what_committed_later_than_what_is_shown_is_announced(
    client_of_owner: Client, acme: Organization
) -> None:
    for number in range(4):
        ProjectFactory.create(organization=acme, name=f"Project {number}")
    is_written, may_end = threading.Event(), threading.Event()

    def slow() -> None:
        with transaction.atomic():
            ProjectFactory.create(organization=acme, name="Slow")
            is_written.set()
            may_end.wait(10)
        connection.close()

    writer = threading.Thread(target=slow)
    writer.start()
    assert is_written.wait(10)
    ProjectFactory.create(organization=acme, name="Quick")
    address = watched(client_of_owner, "?type=project&per_page=3")
    assert new(client_of_owner, address) == 0
    may_end.set()
    writer.join()
    assert new(client_of_owner, address) == 1


def test_only_what_matches_the_question_of_the_page_is_announced(
    client_of_owner: Client, acme: Organization
) -> None:
    address = watched(client_of_owner, "?type=target")
    TargetFactory.create(project__organization=acme, project__name="Shop")
    assert new(client_of_owner, address) == 1


def test_a_hundred_or_more_are_not_counted(client_of_owner: Client, acme: Organization) -> None:
    address = watched(client_of_owner, "?type=project")
    for number in range(100):
        ProjectFactory.create(organization=acme, name=f"Project {number}")
    answer = client_of_owner.get(address).content.decode()
    assert 'data-news="100+">100 or more new entries.<' in answer


def test_that_the_watcher_watches_is_entered_once_and_no_news_to_the_watcher(
    client_of_owner: Client, acme: Organization, entries: Entries
) -> None:
    address = watched(client_of_owner)
    for _ in range(3):
        assert new(client_of_owner, address) == 0
    assert len(entries(acme, action="view")) == 1
    # Nor when it is on the page.
    assert new(client_of_owner, watched(client_of_owner)) == 0


def test_a_page_to_which_nothing_can_be_added_is_not_watched(
    client_of_owner: Client, acme: Organization, entries: Entries
) -> None:
    assert watched(client_of_owner, "?until=2020-01-01") == ""
    newest = entries(acme)[-1].ulid
    assert watched(client_of_owner, f"?cursor={newest}") == ""
    assert watched(client_of_owner, "?per_page=2") != ""


def test_a_list_of_nothing_is_watched_for_its_first_entry(
    client_of_owner: Client, acme: Organization
) -> None:
    address = watched(client_of_owner, "?type=target")
    assert new(client_of_owner, address) == 0
    TargetFactory.create(project__organization=acme, project__name="Shop")
    assert new(client_of_owner, address) == 1


@pytest.mark.parametrize("wrong", ["type=nonsense", "shown=x", "shown=-1", "shown=99999"])
def test_a_wrong_question_is_refused(client_of_owner: Client, wrong: str) -> None:
    assert client_of_owner.get(f"{ACTIVITY}/new?{wrong}").status_code == 422

"""The question bar of the review page: what it offers, and what it says."""

from __future__ import annotations

from django.test import Client

from organizations.models import Organization
from tests import factories
from tests.web.conftest import Browser, Entries
from tests.web.test_activity import ACTIVITY, client_of_owner, history, rows

__all__ = ["client_of_owner", "history"]


def test_what_may_follow_is_told_to_who_reads_the_log_and_names_are_entered_once(
    browser: Browser, acme: Organization, history: None, entries: Entries
) -> None:
    auditor = browser(factories.make_member(acme, "auditor").user)
    before = len(entries(acme, action="view"))
    told = auditor.get(f"{ACTIVITY}/complete", {"ask": "who deleted it resource:sh"}).json()
    assert told["start"] == len("who deleted it ")
    assert {"text": "resource:shop", "label": "project"} in told["options"]
    assert len(entries(acme, action="view")) == before + 1
    auditor.get(f"{ACTIVITY}/complete", {"ask": "resource:sho"})
    assert (
        auditor.get(f"{ACTIVITY}/complete", {"ask": "act"}).json()["options"][0]["text"] == "actor:"
    )
    assert len(entries(acme, action="view")) == before + 1


def test_what_was_not_understood_is_said_beside_the_bar_and_the_rest_counts(
    client_of_owner: Client, history: None
) -> None:
    page = client_of_owner.get(ACTIVITY, {"ask": "who rotated -type:secret colour:blue"})
    text = page.content.decode()
    assert "Not understood: colour:blue" in text
    assert 'aria-describedby="not-understood"' in text
    assert 'value="who rotated -type:secret colour:blue"' in text
    assert "action: <strong>rotate</strong>" in text
    assert "not type: <strong>secret</strong>" in text
    assert all("rotated" in row for row in rows(page))

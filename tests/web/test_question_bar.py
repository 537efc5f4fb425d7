"""The question bar of the review page: what it offers, and what it says."""

from __future__ import annotations

import html
import re

from django.test import Client

from organizations.models import Organization
from tests.factories import MembershipFactory
from tests.web.conftest import Browser, Entries
from tests.web.test_activity import ACTIVITY, client_of_owner, history, rows

__all__ = ["client_of_owner", "history"]


def offered(client: Client, text: str) -> list[tuple[str, int]]:
    """What may follow, with where in the text it begins."""
    body = client.get(f"{ACTIVITY}/complete", {"ask": text}).content.decode()
    found = re.findall(r'role="option"[^>]* data-text="([^"]*)" data-start="([0-9]+)"', body)
    return [(html.unescape(text), int(start)) for text, start in found]


def test_suggestions_are_for_readers_of_the_log_and_names_are_entered_once(
    browser: Browser, acme: Organization, history: None, entries: Entries
) -> None:
    auditor = browser(MembershipFactory.create(organization=acme, auditor=True).user)
    before = len(entries(acme, action="view"))
    start = len("who deleted it ")
    assert ("resource:shop", start) in offered(auditor, "who deleted it resource:sh")
    assert len(entries(acme, action="view")) == before + 1
    assert offered(auditor, "resource:sho")
    assert offered(auditor, "act")[0] == ("actor:", 0)
    assert len(entries(acme, action="view")) == before + 1
    assert offered(auditor, "zzz:") == []


def test_what_was_not_understood_is_said_beside_the_bar_and_the_rest_counts(
    client_of_owner: Client, history: None
) -> None:
    page = client_of_owner.get(ACTIVITY, {"ask": "who rotated -type:secret colour:blue"})
    text = page.content.decode()
    assert "<s>colour:blue</s> was left out" in text
    assert 'aria-describedby="not-understood"' in text
    assert 'value="who rotated -type:secret colour:blue"' in text
    assert "<span>action</span> <b>rotate</b>" in text
    assert "<span>not type</span> <b>secret</b>" in text
    assert all("rotated" in row for row in rows(page))

"""The overview: figures that lead to what they count, keys that are worth a look, first steps."""

from __future__ import annotations

import datetime as dt
import html
import re
from collections.abc import Callable

import pytest
import time_machine
from django.test import Client

from audit.questions import name_index
from keys import rotation, secrets
from keys.authors import SYSTEM
from keys.levels import Level
from organizations import clock, hierarchy
from organizations.models import Organization, User
from tests.factories import (
    ApiKeyFactory,
    EnvironmentFactory,
    MembershipFactory,
    ProjectFactory,
    TargetFactory,
)
from tests.web.conftest import Browser
from tests.web.test_accounts import sign_in

OVERVIEW = "/o/acme/overview"
FIGURE = re.compile(
    r'<a class="figure" href="([^"]+)"><span>.*?</svg>([^<]+)</span><b[^>]*>([^<]+)</b>'
    r"<small>([^<]+)</small>"
)


def figures(client: Client, address: str = OVERVIEW) -> dict[str, tuple[str, str, str]]:
    """By label: the figure, where it leads, and what is said of the time before."""
    found = FIGURE.findall(client.get(address).content.decode())
    return {
        label: (value, html.unescape(href), said)
        for href, label, value, said in found
        if label != "Evidence"
    }


def test_each_figure_leads_to_as_many_entries_as_it_says(
    acme: Organization, owner: User, browser: Browser
) -> None:
    target = TargetFactory.create(project=ProjectFactory.create(organization=acme, name="Shop"))
    production = EnvironmentFactory.create(target=target, name="Production")
    hierarchy.update_node(production, {"description": "What customers see"})
    for _ in range(3):
        sign_in(browser(), owner.email, "wrong")
    MembershipFactory.create(organization=acme, role="developer")
    client = browser(owner)
    client.get("/o/acme/activity")
    found = figures(client)
    assert found.keys() == {
        "Entries",
        "Changes in production",
        "Refusals",
        "Failed sign-ins",
        "New addresses",
    }
    assert found["Changes in production"][0] == "2"
    assert found["Failed sign-ins"][0] == "3"
    assert found["Refusals"][0] == "0"
    assert found["Refusals"][2] == "none in the 7 days before either"
    assert found["Failed sign-ins"][2] == "3 more than in the 7 days before"
    for label, (value, href, _) in found.items():
        page = client.get(href).content.decode()
        assert f"<strong>{value}</strong>" in page.partition('id="count"')[2], label


def test_the_period_is_chosen(acme: Organization, owner: User, browser: Browser) -> None:
    client = browser(owner)
    assert "when=30d" in figures(client, f"{OVERVIEW}?days=30")["Entries"][1]
    assert "when=7d" in figures(client, f"{OVERVIEW}?days=none")["Entries"][1]


def test_what_changed_in_production_is_listed_with_its_entries(
    acme: Organization, owner: User, browser: Browser
) -> None:
    target = TargetFactory.create(project=ProjectFactory.create(organization=acme, name="Shop"))
    EnvironmentFactory.create(target=target, name="Production")
    EnvironmentFactory.create(target=target, name="Staging")
    page = browser(owner).get(OVERVIEW).content.decode()
    listed = page.partition('id="production"')[2].partition("</section>")[0]
    [href] = re.findall(r'href="(/o/acme/activity/\w{26})"', listed)
    assert "created environment" in html.unescape(listed)
    assert "production" in browser(owner).get(href).content.decode()


def test_keys_worth_a_look_are_those_of_the_organization(
    acme: Organization, other: Organization, owner: User, browser: Browser
) -> None:
    ApiKeyFactory.create(organization=other, name="theirs")
    page = browser(owner).get(OVERVIEW).content.decode()
    assert "never expire" not in page
    ApiKeyFactory.create(organization=acme, name="forever")
    ApiKeyFactory.create(organization=acme, name="brief", expires_at=clock.now() + dt.timedelta(9))
    shop = ProjectFactory.create(organization=acme, name="Shop")
    kept = ProjectFactory.create(organization=acme, name="Kept")
    rotation.rotate(kept)
    page = browser(owner).get(OVERVIEW).content.decode()
    assert "1 API key never expires" in page
    assert "Oldest: forever" in page
    assert "never rotated" not in page
    with time_machine.travel(clock.now() + dt.timedelta(days=91)):
        page = browser(owner).get(OVERVIEW).content.decode()
        assert "1 project key never rotated in 90 days" in page
        assert f"{shop.name}." in page
        assert "1 API key unused for 28 days" in page  # the other one has expired


def test_more_things_of_that_name_than_can_be_looked_up(
    acme: Organization, owner: User, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(name_index, "MOST", 2)
    project = ProjectFactory.create(organization=acme, name="Shop")
    for name in ("Web", "App", "Worker"):
        target = TargetFactory.create(project=project, name=name)
        EnvironmentFactory.create(target=target, name="Production")
    client = browser(owner)
    assert figures(client)["Changes in production"][0] == "\u2013"
    assert "Cannot be looked up by “production”" in client.get(OVERVIEW).content.decode()


def test_first_steps_are_shown_until_they_are_done(
    acme: Organization, owner: User, browser: Browser, browser_as: Callable[[str], Client]
) -> None:
    client = browser(owner)
    page = client.get(OVERVIEW).content.decode()
    steps = page.partition('class="checklist"')[2].partition("</ol>")[0]
    assert steps.count("<li") == 4
    assert "(done)" not in steps
    project = ProjectFactory.create(organization=acme, name="Shop")
    steps = client.get(OVERVIEW).content.decode().partition('class="checklist"')[2]
    assert steps.partition("</ol>")[0].count("(done)") == 1
    secrets.store(Level(project), "A=1", author=SYSTEM)
    ApiKeyFactory.create(organization=acme, name="ci")
    auditor = browser_as("auditor")
    assert "First steps" not in client.get(OVERVIEW).content.decode()
    assert "First steps" not in auditor.get(OVERVIEW).content.decode()


def test_only_who_may_read_the_log_sees_it(browser_as: Callable[[str], Client]) -> None:
    assert browser_as("auditor").get(OVERVIEW).status_code == 200
    assert browser_as("billing_manager").get(OVERVIEW).status_code in (403, 404)

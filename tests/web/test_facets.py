"""The facets beside the list: several of one chosen, others left out, and what could be added."""

from __future__ import annotations

import html
import re
from urllib.parse import parse_qs, urlsplit

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from audit.context import Origin, acting_from
from audit.policy import Interface
from audit.questions import counting
from organizations import hierarchy
from organizations.models import Organization, User
from tests.factories import ProjectFactory, TargetFactory
from tests.web.conftest import Browser

ACTIVITY = "/o/acme/activity"
ITEM = re.compile(
    r'<li( class="[a-z-]+")?><a href="([^"]+)" data-facet="(\w+)"[^>]*>(.*?)</a>(.*?)</li>'
)


@pytest.fixture
def client_of_owner(owner: User, acme: Organization, browser: Browser) -> Client:
    project = ProjectFactory.create(organization=acme, name="Shop")
    hierarchy.update_node(project, {"description": "Where things are sold"})
    hierarchy.delete_node(TargetFactory.create(project=project, name="Web"))
    return browser(owner)


def facets(client: Client, question: str = "") -> dict[str, tuple[str, str, str]]:
    """By facet and label: how it stands, the address that toggles it, the one that leaves out."""
    return values(client.get(f"{ACTIVITY}/counts{question}").content.decode())


def values(body: str) -> dict[str, tuple[str, str, str]]:
    found = {}
    for state, href, facet, label, rest in ITEM.findall(body):
        said = re.sub(r'<span class="(count|mark[^"]*|act[^"]*)".*?</span>(</span>)?', "", label)
        name = " ".join(re.sub(r"<[^>]+>", "", said).split())
        less = re.search(r'class="less" href="([^"]+)"', rest)
        found[f"{facet} {html.unescape(name)}"] = (
            state.partition('"')[2].rstrip('"'),
            html.unescape(href),
            html.unescape(less[1]) if less else "",
        )
    return found


def asked(href: str) -> dict[str, list[str]]:
    return parse_qs(urlsplit(href).query)


def of(href: str) -> str:
    return f"?{urlsplit(href).query}"


def test_another_value_of_a_facet_can_be_added_and_dropped_again(client_of_owner: Client) -> None:
    first = facets(client_of_owner)["action deleted"][1]
    assert asked(first) == {"action": ["delete"]}
    beside = facets(client_of_owner, of(first))
    assert beside["action deleted"][0] == "chosen"
    both = beside["action updated"][1]
    assert asked(both) == {"action": ["delete,update"]}
    shown = facets(client_of_owner, of(both))
    assert (shown["action deleted"][0], shown["action updated"][0]) == ("chosen", "chosen")
    assert shown["type target"][0] == ""
    assert asked(shown["action deleted"][1]) == {"action": ["update"]}


def test_what_is_left_out_stays_in_sight_and_can_be_taken_back(client_of_owner: Client) -> None:
    without = facets(client_of_owner, "?action=create,delete")["action deleted"][2]
    assert asked(without) == {"action": ["create"], "exclude_action": ["delete"]}
    shown = facets(client_of_owner, of(without))
    state, again, _ = shown["action excluded: deleted"]
    assert state == "left-out"
    assert asked(again) == {"action": ["create"]}


def test_an_actor_asked_for_by_name_is_marked_and_dropped_by_its_facet(
    client_of_owner: Client,
) -> None:
    state, href, _ = facets(client_of_owner, "?actor=olga,system&type=project,target")[
        "actor system"
    ]
    assert state == "chosen"
    assert asked(href) == {"actor": ["olga"], "type": ["project,target"]}


def test_what_facets_cost_does_not_grow_with_what_was_chosen(client_of_owner: Client) -> None:
    def statements(question: str) -> int:
        client_of_owner.get(f"{ACTIVITY}/counts{question}")
        with CaptureQueriesContext(connection) as captured:
            client_of_owner.get(f"{ACTIVITY}/counts{question}")
        return len(captured)

    many = "create,update,delete,read,view,rotate,retrieve,purge,invite,join,leave"
    assert statements("?action=create,view") == statements(f"?action={many}")


@pytest.fixture
def many_addresses(acme: Organization) -> None:
    for number in range(60):
        entry_of(acme, number)


def entry_of(organization: Organization, number: int) -> None:
    """Of an address and by a program of its own."""
    origin = Origin(Interface.API, ip=f"192.0.2.{number}", user_agent=f"tool-{number}/1.0")
    with acting_from(origin):
        ProjectFactory.create(organization=organization, name=f"Project {number}")


def test_a_facet_with_more_values_has_a_page_that_finds_each(
    client_of_owner: Client, many_addresses: None
) -> None:
    body = client_of_owner.get(f"{ACTIVITY}/counts?type=project").content.decode()
    [page] = {html.unescape(href) for href in re.findall(r'href="([^"]*of=ip[^"]*)"', body)}
    assert asked(page) == {"type": ["project"], "of": ["ip"]}
    assert len([name for name in values(body) if name.startswith("ip ")]) == 8
    shown = client_of_owner.get(page).content.decode()
    assert len(values(shown)) == 50
    assert re.search(r"The 50 most frequent of 6\d", shown)
    [(name, found)] = values(
        client_of_owner.get(f"{page}&search=2.0.2.37").content.decode()
    ).items()
    assert name == "ip 192.0.2.37"
    assert asked(found[1]) == {"type": ["project"], "ip": ["192.0.2.37"]}
    assert (
        "Nothing has this in its name"
        in client_of_owner.get(f"{page}&search=nowhere").content.decode()
    )
    assert client_of_owner.get(f"{ACTIVITY}/facet?of=colour").status_code == 404
    assert client_of_owner.get(f"{ACTIVITY}/facet?of=ip&when=never").status_code == 422


def test_the_page_of_a_facet_counts_what_its_menu_counts(
    client_of_owner: Client, many_addresses: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting, "MOST_COUNTED", 40)

    def figures(address: str) -> dict[str, str]:
        body = client_of_owner.get(address).content.decode()
        assert "ounted of the newest 40, back to" in body
        return dict(re.findall(r'data-facet="action".*?<bdi>(.*?)</bdi>.*?"count">(.*?)<', body))

    menu = figures(f"{ACTIVITY}/counts")
    assert menu
    assert figures(f"{ACTIVITY}/facet?of=action") == menu
    chosen = next(iter(facets(client_of_owner).values()))[1]
    assert figures(f"{ACTIVITY}/facet{of(chosen)}&of=action") == figures(
        f"{ACTIVITY}/counts{of(chosen)}"
    )


def test_a_severity_can_be_chosen_and_finds_what_it_counted(client_of_owner: Client) -> None:
    found = facets(client_of_owner, "?type=target")
    assert {name for name in found if name.startswith("severity ")} == {
        "severity info",
        "severity warning",
    }
    shown = client_of_owner.get(f"{ACTIVITY}{of(found['severity warning'][1])}").content.decode()
    assert asked(found["severity warning"][1]) == {"type": ["target"], "severity": ["warning"]}
    listed = re.findall(r'<span class="sentence">(.*?)</span>', shown, re.DOTALL)
    assert len(listed) == 1
    assert "deleted" in listed[0]

"""An entry in words and among others; what happened to a resource, also after deletion; what an
actor did, and from where.
"""

from __future__ import annotations

import html
import re
from typing import Any

import pytest
from django.test import Client

from keys import rotation, secrets
from keys.authors import SYSTEM
from keys.levels import Level
from organizations import hierarchy, members
from organizations.models import Organization, Project, User
from tests.factories import (
    ApiKeyFactory,
    EnvironmentFactory,
    MembershipFactory,
    ProjectFactory,
    SecretFactory,
    TargetFactory,
)
from tests.web.conftest import ADDRESS, Browser, Entries


@pytest.fixture
def client_of_owner(owner: User, acme: Organization, browser: Browser) -> Client:
    return browser(owner)


@pytest.fixture
def shop(acme: Organization) -> Project:
    return ProjectFactory.create(organization=acme, name="Shop")


def text(answer: Any) -> str:
    """What a person reads of a page."""
    assert answer.status_code == 200
    main = answer.content.decode().partition('id="content">')[2].partition("</main>")[0]
    whole = re.sub(r"</?(wbr|bdi)>", "", main)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", whole)).split())


def entry_page(client: Client, entry: Any, **params: str) -> str:
    return text(client.get(f"/o/acme/activity/{entry.ulid}", params))


def test_an_entry_is_a_sentence_and_its_changes_a_difference(
    client_of_owner: Client, acme: Organization, shop: Project, entries: Entries
) -> None:
    description = "The shop, its checkout and the API behind them"
    hierarchy.update_node(shop, {"description": description})
    hierarchy.update_node(shop, {"description": description.replace("API", "public API")})
    last = entries(acme)[-1]
    page = client_of_owner.get(f"/o/acme/activity/{last.ulid}").content.decode()
    assert "system updated project <strong>shop</strong>" in page
    assert "<ins>public </ins>" in page
    assert "its checkout and the " in page


def test_an_entry_says_what_the_same_request_did_and_what_is_next_to_it(
    client_of_owner: Client, acme: Organization, shop: Project, entries: Entries
) -> None:
    path = "/o/acme/projects/shop/keys/rotate"
    client_of_owner.post(path, {"history_policy": "keep", "sure": "yes"})
    rotation_of_it = [entry for entry in entries(acme) if entry.action == "rotate"][-1]
    page = entry_page(client_of_owner, rotation_of_it)
    together = page.partition("From the same request")[2].partition("Entries before and after")[0]
    assert "retired version 1 of the key of shop" in together
    assert "rotated the key of shop to version 2" in together
    around = page.partition("Entries before and after")[2].partition("Related entries")[0]
    assert "rotated the key of shop to version 2" in around
    assert "created the key of shop , version 1" in around.replace("shop,", "shop ,")


def test_what_was_deleted_is_shown_as_what_it_was_and_what_went_with_it_below(
    client_of_owner: Client, acme: Organization, shop: Project, entries: Entries
) -> None:
    target = TargetFactory.create(project=shop, name="Web")
    production = EnvironmentFactory.create(target=target, name="Production")
    for number in range(6):
        secrets.store(Level(shop, target, production), f"A={number}", author=SYSTEM)
    answer = client_of_owner.post(
        "/o/acme/projects/shop/targets/web/environments/production/delete",
        {"confirm": "Production"},
    )
    assert answer.status_code == 302
    deleted = [e for e in entries(acme) if (e.action, e.resource_type) == ("delete", "environment")]
    body = client_of_owner.get(f"/o/acme/activity/{deleted[-1].ulid}").content.decode()
    was = dict(re.findall(r"<dt>([^<]*)</dt><dd><span[^>]*>([^<]*)</span></dd></div>", body))
    assert (was["name"], was["target"]) == ("Production", "shop/web")
    assert was["description"] == "none"
    tree = body.partition('<ul class="tree">')[2].partition("</section>")[0]
    assert tree.count('class="leaf"') == 7  # the environment, its secret, five versions before
    assert "2 more like this" in tree
    above, _, below = tree.partition("deleted the secret of")
    assert "deleted environment" in above
    assert below.count("deleted version") == 5
    assert 'aria-current="true"' in above


def test_previous_and_next_are_those_of_the_list(
    client_of_owner: Client, acme: Organization, shop: Project, entries: Entries
) -> None:
    for number in range(3):
        rotation.rotate(shop)
        hierarchy.update_node(shop, {"description": f"After rotation {number}"})
    rotations = [
        entry
        for entry in entries(acme)
        if (entry.action, entry.resource_type) == ("rotate", "key_version")
    ]
    address = f"/o/acme/activity/{rotations[1].ulid}"
    page = client_of_owner.get(address, {"action": "rotate", "type": "key_version"})
    carried = "?action=rotate&amp;type=key_version"
    for way, neighbour in (("prev", rotations[2]), ("next", rotations[0])):
        link = f'rel="{way}" href="/o/acme/activity/{neighbour.ulid}{carried}"'
        assert link in page.content.decode()


def test_json_of_the_page_is_that_of_the_api(
    client_of_owner: Client, acme: Organization, shop: Project, entries: Entries
) -> None:
    import json

    last = entries(acme)[-1]
    page = client_of_owner.get(f"/o/acme/activity/{last.ulid}").content.decode()
    found = re.search(r'<pre id="raw"[^>]*>(.*?)</pre>', page, re.DOTALL)
    assert found
    shown = json.loads(html.unescape(found[1]))
    token = ApiKeyFactory.create(organization=acme, abilities=["audit:read"]).token
    answer = client_of_owner.get(
        f"/api/v1/organizations/acme/audit/entries/{last.ulid}",
        headers={"authorization": f"Bearer {token}"},
    ).json()
    answered = answer["data"].get("attributes", answer["data"])
    assert shown.items() <= {**answered, **shown}.items()
    assert shown["id"] == last.ulid
    assert {name: answered[name] for name in ("action", "changes", "time")} == {
        name: shown[name] for name in ("action", "changes", "time")
    }


def test_a_thing_s_history_outlives_it(
    client_of_owner: Client, acme: Organization, shop: Project
) -> None:
    target = TargetFactory.create(project=shop, name="Web")
    environment = EnvironmentFactory.create(target=target, name="Production")
    keys = shop.ulid, target.ulid, environment.ulid
    hierarchy.delete_node(environment)
    page = text(client_of_owner.get(f"/o/acme/history/resource/{keys[1]}"))
    assert page.startswith("Activity History of shop/web target Include everything below it")
    assert "Below it, now or earlier shop/web/production environment" in page
    gone = text(client_of_owner.get(f"/o/acme/history/resource/{keys[2]}"))
    assert "History of shop/web/production environment no longer exists" in gone
    assert "deleted environment shop/web/production" in gone
    assert (
        "no longer exists"
        not in text(client_of_owner.get(f"/o/acme/history/resource/{keys[0]}"))[:60]
    )
    assert "Others with this name" not in gone


def test_the_history_of_a_resource_links_its_secret_and_others_of_its_name(
    client_of_owner: Client, acme: Organization, shop: Project
) -> None:
    target = TargetFactory.create(project=shop, name="Web")
    former = EnvironmentFactory.create(target=target, name="Production")
    former_key = former.ulid
    hierarchy.delete_node(former)
    environment = EnvironmentFactory.create(target=target, name="Production")
    secret = SecretFactory.create(level=Level(shop, target, environment))
    page = client_of_owner.get(f"/o/acme/history/resource/{environment.ulid}")
    assert "Below it, now or earlier shop/web/production secret" in text(page)
    assert "Others with this name, now or earlier shop/web/production environment" in text(page)
    assert f"/o/acme/history/resource/{secret.ulid}" in page.content.decode()
    assert f"/o/acme/history/resource/{former_key}" in page.content.decode()
    of_secret = text(client_of_owner.get(f"/o/acme/history/resource/{secret.ulid}"))
    assert "Below it" not in of_secret
    assert "Others with this name" not in of_secret


def test_a_key_s_history_says_who_made_it_what_it_could_do_and_from_where_it_came(
    client_of_owner: Client, acme: Organization, shop: Project
) -> None:
    form = {"name": "ci", "abilities": ["project:read", "audit:read"]}
    answer = client_of_owner.post("/o/acme/api-keys/new", form)
    found = re.search(r"dotenv_[0-9A-Z]{26}_\w+", answer.content.decode())
    assert found
    used_from = "198.51.100.77"
    used = Client(REMOTE_ADDR=used_from).get(
        "/api/v1/organizations/acme/audit/entries", headers={"authorization": f"Bearer {found[0]}"}
    )
    assert used.status_code == 200
    api_key = acme.api_keys.get(name="ci")  # type: ignore[attr-defined]
    address = f"/o/acme/history/actor/{api_key.ulid}"
    page = text(client_of_owner.get(address))
    assert page.startswith("Activity What ci did API key")
    assert "owner@example.org (user) created API key ci" in page
    assert "audit:read, project:read" in page or "project:read, audit:read" in page
    assert "Show IP addresses and most frequent actions" in page
    counted = text(client_of_owner.get(address, {"counts": "1"}))
    assert re.search(rf"Most frequent actions .* IP addresses Address .*{used_from}", counted)
    client_of_owner.post(f"/o/acme/api-keys/{api_key.ulid}", {"action": "revoke", "sure": "yes"})
    assert not acme.api_keys.filter(pk=api_key.pk).exists()  # type: ignore[attr-defined]
    assert "deleted API key ci" in text(client_of_owner.get(address))
    assert ADDRESS in text(client_of_owner.get(f"/o/acme/history/resource/{api_key.ulid}"))


def test_a_person_s_history_is_shown_after_they_left(
    client_of_owner: Client, acme: Organization, browser: Browser
) -> None:
    member = MembershipFactory.create(
        organization=acme, role="admin", user__email="jane@example.org"
    )
    browser(member.user).get("/o/acme/activity")
    members.remove(member)
    page = text(client_of_owner.get(f"/o/acme/history/actor/{member.user.ulid}"))
    assert page.startswith("Activity What jane@example.org did")
    assert "viewed the log of acme" in page


def test_a_member_who_did_nothing_yet_has_a_history(
    client_of_owner: Client, acme: Organization
) -> None:
    idle = MembershipFactory.create(
        organization=acme, role="developer", user__email="idle@example.org"
    )
    page = client_of_owner.get(f"/o/acme/members/{idle.ulid}")
    address = f"/o/acme/history/actor/{idle.user.ulid}"
    assert address in page.content.decode()
    assert text(client_of_owner.get(address)).startswith("Activity What idle@example.org did")


@pytest.mark.parametrize("kind", ["resource", "actor"])
def test_nothing_is_shown_of_another_organization(
    kind: str, client_of_owner: Client, acme: Organization, other: Organization
) -> None:
    theirs = ProjectFactory.create(organization=other, name="Theirs")
    stranger = other.memberships.get(role="owner").user
    key = theirs.ulid if kind == "resource" else stranger.ulid
    for name in (key, "01ARZ3NDEKTSV4RRFFQ69G5FAV", "no-ulid", "%00"):
        assert client_of_owner.get(f"/o/acme/history/{kind}/{name}").status_code == 404


def test_the_history_of_a_key_says_who_began_each_version(
    client_of_owner: Client, shop: Project
) -> None:
    client_of_owner.post(
        "/o/acme/projects/shop/keys/rotate", {"history_policy": "keep", "sure": "yes"}
    )
    page = text(client_of_owner.get("/o/acme/projects/shop/keys"))
    second, _, first = page.partition("Activity of this resource")[0].partition(" rotated ")
    assert "owner@example.org" in second
    assert "system" in first


def test_histories_show_times_in_the_zone_of_the_list(
    client_of_owner: Client, owner: User, shop: Project
) -> None:
    asked = client_of_owner.get("/o/acme/activity", {"ask": "shop", "tz": "Asia/Kolkata"})
    assert asked.status_code == 200
    for path in (f"resource/{shop.ulid}", f"actor/{owner.ulid}"):
        page = client_of_owner.get(f"/o/acme/history/{path}").content.decode()
        assert "Times are in Asia/Kolkata" in page
        named = client_of_owner.get(f"/o/acme/history/{path}", {"tz": "Europe/Athens"})
        assert "Times are in Europe/Athens" in named.content.decode()

"""The palette's page: it finds what the reader may see, of the organization alone."""

from __future__ import annotations

import html
import re
from collections.abc import Callable

from django.test import Client

from organizations.models import Organization, User
from tests.factories import ApiKeyFactory, MembershipFactory, ProjectFactory
from tests.web.conftest import Browser

SEARCH = "/o/acme/search"


def found(client: Client, text: str) -> dict[str, str]:
    """By label: where it leads."""
    body = client.get(SEARCH, {"q": text}).content.decode().partition('id="found"')[2]
    links = re.findall(r'<li><a href="([^"]+)">.*?<bdi>(.*?)</bdi>', body)
    return {
        html.unescape(label).strip("\u2068\u2069"): html.unescape(href) for href, label in links
    }


def test_projects_people_keys_and_pages_are_found_by_part_of_their_names(
    acme: Organization, owner: User, browser: Browser
) -> None:
    ProjectFactory.create(organization=acme, name="Storefront")
    api_key = ApiKeyFactory.create(organization=acme, name="store runner").api_key
    MembershipFactory.create(organization=acme, user__email="s@acme.example", user__name="Astor B")
    client = browser(owner)
    hits = found(client, "STOR")
    assert hits.pop("STOR") == "/o/acme/activity?ask=STOR"
    assert hits.keys() == {"Storefront", "store runner", "Astor B"}
    assert hits["Storefront"] == "/o/acme/projects/storefront"
    assert hits["store runner"] == f"/o/acme/api-keys/{api_key.ulid}"
    for address in hits.values():
        assert client.get(address).status_code == 200
    assert found(client, "evid")["Evidence"] == "/o/acme/evidence"


def test_nothing_of_another_organization_is_found(
    acme: Organization, other: Organization, owner: User, browser: Browser
) -> None:
    ProjectFactory.create(organization=other, name="Hidden project")
    ApiKeyFactory.create(organization=other, name="hidden key")
    client = browser(owner)
    assert found(client, "hidden") == {"hidden": "/o/acme/activity?ask=hidden"}
    assert found(client, "stranger") == {"stranger": "/o/acme/activity?ask=stranger"}


def test_only_what_the_role_may_see_is_found(
    acme: Organization, browser_as: Callable[[str], Client]
) -> None:
    ProjectFactory.create(organization=acme, name="Shop")
    client = browser_as("billing_manager")
    assert found(client, "") == {"Settings": "/o/acme/settings"}
    assert found(client, "shop") == {}


def test_every_page_that_is_offered_opens(
    acme: Organization, browser_as: Callable[[str], Client]
) -> None:
    for role in ("owner", "admin", "developer", "auditor", "billing_manager"):
        client = browser_as(role)
        for label, address in found(client, "").items():
            assert client.get(address).status_code == 200, (role, label)

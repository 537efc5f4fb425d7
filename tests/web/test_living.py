"""From an entry to the resource as it is now: a link for those who may open it, or marked as
gone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from django.urls import reverse
from guardian.shortcuts import remove_perm

from keys import authors, secrets
from keys.levels import Level
from organizations import members
from organizations.models import Organization, User
from tests.factories import (
    ApiKeyFactory,
    EnvironmentFactory,
    MembershipFactory,
    OrganizationFactory,
    ProjectFactory,
    TargetFactory,
    UserFactory,
)
from tests.web.conftest import Browser, Entries

AS_IT_IS_NOW = "as it is now"
GONE = "(no longer here)"


def page_of(client: Client, organization: Organization, entry: Any) -> str:
    answer = client.get(f"/o/{organization.slug}/activity/{entry.ulid}")
    assert answer.status_code == 200
    return answer.content.decode()


def test_the_thing_of_an_entry_is_linked(
    acme: Organization, owner: User, browser: Browser, entries: Entries
) -> None:
    project = ProjectFactory.create(organization=acme, name="Shop")
    target = TargetFactory.create(project=project, name="Web")
    environment = EnvironmentFactory.create(target=target, name="Live")
    level = Level(project, target, environment)
    secret = secrets.store(level, "A=1", author=authors.SYSTEM).secret
    secrets.store(Level(project, target, environment), "A=2", author=authors.SYSTEM)
    key = ApiKeyFactory.create(organization=acme).api_key
    member = MembershipFactory.create(organization=acme, auditor=True)
    version = secret.project.secretversions.get()
    addresses = {
        "organization": "/o/acme/settings",
        "project": "/o/acme/projects/shop",
        "target": "/o/acme/projects/shop/targets/web",
        "environment": "/o/acme/projects/shop/targets/web",
        "secret": "/o/acme/projects/shop/targets/web",
        "secret_version": f"/o/acme/versions/{version.number}",
        "key_version": "/o/acme/projects/shop/keys",
        "api_key": f"/o/acme/api-keys/{key.ulid}",
        "membership": f"/o/acme/members/{member.ulid}",
    }
    client = browser(owner)
    for kind, address in addresses.items():
        page = page_of(client, acme, entries(acme, resource_type=kind)[-1])
        assert f'<a class="living" href="{address}">' in page, kind
        assert client.get(address).status_code == 200


def test_the_person_of_an_entry_is_linked_while_a_member(
    acme: Organization, owner: User, browser: Browser, entries: Entries
) -> None:
    client = browser(owner)
    membership = MembershipFactory.create(organization=acme, auditor=True)
    browser(membership.user).get("/o/acme/activity")
    entry = entries(acme, actor_id=membership.user_id)[-1]
    assert f'href="/o/acme/members/{membership.ulid}"' in page_of(client, acme, entry)
    members.remove(membership)
    page = page_of(client, acme, entry)
    assert f'href="/o/acme/members/{membership.ulid}"' not in page
    assert GONE in page
    assert membership.user.email in page


def test_what_is_gone_is_shown_by_its_label(
    acme: Organization, owner: User, browser: Browser, entries: Entries
) -> None:
    key = ApiKeyFactory.create(organization=acme, name="ci-deploy").api_key
    client = browser(owner)
    assert 'class="thing gone"' not in client.get("/o/acme/activity").content.decode()
    key.delete()
    page = page_of(client, acme, entries(acme, resource_type="api_key", action="create")[0])
    assert "ci-deploy" in page
    assert GONE in page
    assert AS_IT_IS_NOW not in page
    listed = client.get("/o/acme/activity?type=api_key").content.decode()
    assert listed.count('<a class="thing gone" title="No longer here"') == 2


def test_nothing_is_linked_that_the_reader_may_not_open(
    acme: Organization, browser: Browser, entries: Entries
) -> None:
    ProjectFactory.create(organization=acme, name="Shop")
    auditor = MembershipFactory.create(organization=acme, auditor=True).user
    entry = entries(acme, resource_type="project")[0]
    assert AS_IT_IS_NOW in page_of(browser(auditor), acme, entry)
    remove_perm("project:read", auditor, acme)
    page = page_of(browser(auditor), acme, entry)
    assert AS_IT_IS_NOW not in page
    assert GONE not in page


def test_a_person_is_gone_for_the_organization_they_left_alone(
    acme: Organization, other: Organization, owner: User, browser: Browser, entries: Entries
) -> None:
    user = UserFactory.create(email="both@example.org")
    leaving = MembershipFactory.create(organization=acme, user=user)
    MembershipFactory.create(organization=other, user=user)
    members.remove(leaving)
    page = page_of(browser(owner), acme, entries(acme, resource_id=user.pk)[-1])
    assert GONE in page
    assert AS_IT_IS_NOW not in page
    stranger = other.memberships.get(role="owner").user
    page = page_of(browser(stranger), other, entries(other, resource_id=user.pk)[-1])
    assert AS_IT_IS_NOW in page


@pytest.mark.django_db(transaction=True)
def test_the_admin_links_to_its_own_pages(
    browser: Browser, entries: Callable[..., list[Any]]
) -> None:
    acme = OrganizationFactory.create(name="Acme")
    project = ProjectFactory.create(organization=acme, name="Shop")
    key = ApiKeyFactory.create(organization=acme, name="ci-deploy").api_key
    officer = UserFactory.create(email="officer@example.org", is_staff=True)
    MembershipFactory.create(organization=acme, user=officer, auditor=True)
    client = browser(officer)

    def page(kind: str) -> str:
        with transaction.atomic():
            entry = entries(acme, resource_type=kind)[0]
        return client.get(reverse("admin:audit_entry_change", args=[entry.ulid])).content.decode()

    address = reverse("admin:organizations_project_change", args=[project.pk])
    assert f'<a href="{address}">As it is now</a>' in page("project")
    assert client.get(address).status_code == 200
    key.delete()
    assert "As it is now" not in page("api_key")
    assert GONE in page("api_key")
    listed = client.get(reverse("admin:audit_entry_changelist"), {"type": "api_key,project"})
    assert listed.content.decode().count('<a class="gone"') == 2

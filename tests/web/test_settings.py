"""Organizations are made, changed and deleted through pages."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from django.test import Client

from organizations import permissions
from organizations.models import Organization, User
from tests.factories import MembershipFactory, ProjectFactory, UserFactory
from tests.web.conftest import ADDRESS, Browser, Entries

BrowserAs = Callable[[str], Client]
SETTINGS = "/o/acme/settings"
AS_IT_IS = {"name": "Acme", "slug": "acme", "member_key_retrieve": "on"}


def test_settings_are_changed_and_the_entry_names_them(
    acme: Organization, owner: User, browser: Browser, entries: Entries
) -> None:
    client = browser(owner)
    given = {**AS_IT_IS, "name": "Acme Ltd", "slug": "acme-ltd", "history_retention_days": "90"}
    answer = client.post(SETTINGS, given, follow=True)
    assert answer.redirect_chain == [("/o/acme-ltd/settings", 302)]
    page = answer.content.decode()
    for text in ("The settings were saved.", "Settings of Acme Ltd", 'value="90"'):
        assert text in page
    [entry] = entries(acme, action="update", resource_type="organization")
    assert (entry.actor_id, entry.ip) == (owner.pk, ADDRESS)
    assert entry.changes == {
        "name": ["Acme", "Acme Ltd"],
        "slug": ["acme", "acme-ltd"],
        "history_retention_days": [None, 90],
    }


def test_a_switch_keeps_members_from_keys_at_once(
    acme: Organization, owner: User, browser: Browser, entries: Entries
) -> None:
    member = MembershipFactory.create(organization=acme, role="member").user
    assert "key:retrieve" in permissions.abilities_of(member, acme)
    browser(owner).post(SETTINGS, {"name": "Acme", "slug": "acme"})
    assert "key:retrieve" not in permissions.abilities_of(member, acme)
    [entry] = entries(acme, action="update", resource_type="organization")
    assert entry.changes == {"member_key_retrieve": [True, False]}
    assert [e.resource_label for e in entries(acme, action="revoke")] == [member.email]


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("slug", "ab", "Use at least 3 characters."),
        ("slug", "admin", "is reserved"),
        ("slug", "other", "is already in use"),
        ("name", "", "This field is required."),
        ("history_retention_days", "-1", "greater than or equal to 1"),
    ],
)
def test_settings_that_do_not_fit_are_refused_by_field(
    field: str,
    value: str,
    message: str,
    acme: Organization,
    other: Organization,
    owner: User,
    browser: Browser,
) -> None:
    answer = browser(owner).post(SETTINGS, {**AS_IT_IS, field: value})
    page = answer.content.decode()
    assert answer.status_code == 422
    assert message in page
    assert f'id="id_{field}_error"' in page
    assert "Settings of Acme" in page
    acme.refresh_from_db()
    assert (acme.name, acme.slug) == ("Acme", "acme")


def test_an_auditor_reads_the_settings_and_changes_none(
    acme: Organization, browser_as: BrowserAs, entries: Entries
) -> None:
    client = browser_as("auditor")
    page = client.get(SETTINGS).content.decode()
    assert "may retrieve keys" in page
    assert not re.search("<button[^>]*>Save", page)
    assert "settings/delete" not in page
    assert client.post(SETTINGS, AS_IT_IS).status_code == 403
    [refused] = entries(acme, action="access", result="denied")
    assert refused.reason == "insufficient_permissions"


def test_an_organization_is_deleted_after_its_name_was_typed_and_its_log_stays(
    acme: Organization, owner: User, browser: Browser, entries: Entries
) -> None:
    ProjectFactory.create(organization=acme)
    client = browser(owner)
    assert client.post(f"{SETTINGS}/delete", {"confirm": "acme ltd"}).status_code == 422
    assert Organization.objects.filter(pk=acme.pk).exists()
    page = client.post(f"{SETTINGS}/delete", {"confirm": "Acme"}, follow=True).content.decode()
    assert "Acme was deleted with everything it owned." in page
    assert not Organization.objects.filter(pk=acme.pk).exists()
    gone = {entry.resource_type for entry in entries(acme, action="delete")}
    assert {"organization", "project", "key_version", "membership"} <= gone


def test_anybody_signed_in_makes_an_organization_and_owns_it(
    browser: Browser, entries: Entries
) -> None:
    person = UserFactory.create(email="new@example.org")
    client = browser(person)
    assert "/organizations/new" in client.get("/organizations").content.decode()
    answer = client.post("/organizations/new", {"name": "Fresh start"}, follow=True)
    assert "Fresh start was created. You are its owner." in answer.content.decode()
    made = Organization.objects.get(slug="fresh-start")
    assert made.memberships.get().role == "owner"
    [entry] = entries(made, action="create", resource_type="organization")
    assert entry.actor_id == person.pk
    taken = client.post("/organizations/new", {"name": "Again", "slug": "fresh-start"})
    assert 'id="id_slug_error"' in taken.content.decode()

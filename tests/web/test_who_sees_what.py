"""Pages open to the abilities they ask for, and to nobody else; every refusal is entered."""

from __future__ import annotations

import re
from collections.abc import Callable
from html import unescape

import pytest
from django.template.loader import render_to_string
from django.test import Client

from audit.models import Entry
from keys.levels import Level
from keys.models import SecretVersion
from organizations import roles
from organizations.models import Organization, User
from organizations.roles import Role
from tests.factories import (
    PASSWORD,
    ApiKeyFactory,
    EnvironmentFactory,
    OrganizationFactory,
    ProjectFactory,
    SecretFactory,
    UserFactory,
)
from tests.web.conftest import ADDRESS, AGENT, Browser, Entries

PAGES = {
    "activity": {"audit:read"},
    "activity/complete": {"audit:read"},
    "activity/new": {"audit:read"},
    "activity/views": {"audit:read"},
    "activity/export": {"audit:export"},
    "projects": {"project:read"},
    "new-project": {"project:create"},
    "projects/my-app": {"project:read"},
    "projects/my-app/change": {"project:update"},
    "projects/my-app/delete": {"project:delete"},
    "projects/my-app/new-target": {"target:create"},
    "projects/my-app/targets/backend": {"target:read"},
    "projects/my-app/targets/backend/change": {"target:update"},
    "projects/my-app/targets/backend/delete": {"target:delete"},
    "projects/my-app/targets/backend/new-environment": {"environment:create"},
    "projects/my-app/targets/backend/environments/production/change": {"environment:update"},
    "projects/my-app/targets/backend/environments/production/delete": {"environment:delete"},
    "projects/my-app/keys": {"key:retrieve", "audit:read"},
    "projects/my-app/keys/rotate": {"key:rotate"},
    "projects/my-app/custody": {"key:rotate"},
    "projects/my-app/versions": {"secret:history"},
    "projects/my-app/targets/backend/versions": {"secret:history"},
    "projects/my-app/targets/backend/environments/production/versions": {"secret:history"},
    "members": {"member:read"},
    "settings": {"organization:read"},
    "settings/delete": {"organization:delete"},
    "api-keys": {"api-token:read"},
    "api-keys/new": {"api-token:create"},
}

BrowserAs = Callable[[str], Client]


@pytest.mark.parametrize("role", Role.values)
@pytest.mark.parametrize("page", PAGES)
def test_a_page_opens_to_who_holds_its_ability(
    page: str, role: str, acme: Organization, browser_as: BrowserAs, entries: Entries
) -> None:
    project = ProjectFactory.create(organization=acme)
    EnvironmentFactory.create(target__project=project)
    answer = browser_as(role).get(f"/o/acme/{page}")
    if roles.permissions_of(role) & PAGES[page]:
        assert answer.status_code == 200
        return
    assert answer.status_code == 403
    [refusal] = entries(acme, action="access")
    assert (refusal.result, refusal.reason) == ("denied", "insufficient_permissions")
    assert (refusal.ip, refusal.user_agent, refusal.interface) == (ADDRESS, AGENT, "web")


@pytest.mark.parametrize("role", Role.values)
def test_navigation_names_only_pages_that_open(
    role: str, acme: Organization, browser_as: BrowserAs
) -> None:
    page = browser_as(role).get("/o/acme/", follow=True).content.decode()
    for name in ("activity", "projects", "members", "api-keys", "settings"):
        opens = bool(roles.permissions_of(role) & PAGES[name])
        assert (f'href="/o/acme/{name}"' in page) is opens


@pytest.mark.parametrize("page", ["", *PAGES, "activity/01JCZ0N5XW8QK3V4T6Y7B9D2FG"])
def test_another_organization_is_not_found_like_one_that_does_not_exist(
    page: str, acme: Organization, other: Organization, owner: User, browser: Browser
) -> None:
    ProjectFactory.create(organization=other)
    client = browser(owner)
    hidden, missing = client.get(f"/o/other/{page}"), client.get(f"/o/nowhere/{page}")
    assert hidden.status_code == missing.status_code == 404
    assert _without_csrf_token(hidden.content) == _without_csrf_token(missing.content)


def _without_csrf_token(page: bytes) -> bytes:
    """Django masks the token anew in each answer."""
    stripped, count = re.subn(rb'name="csrfmiddlewaretoken" value="[^"]+"', b"", page)
    assert count == 1
    return stripped


def test_a_stranger_s_visit_is_entered_with_the_platform_not_with_the_organization(
    acme: Organization, other: Organization, owner: User, browser: Browser, entries: Entries
) -> None:
    browser(owner).get("/o/other/activity")
    assert not entries(other, action="access")
    [refusal] = entries(None, action="access")
    assert (refusal.reason, refusal.actor_id) == ("not_found", owner.pk)
    assert refusal.context["named"] == {"organization": "other"}


def test_things_of_another_organization_are_not_found_in_one_s_own(
    acme: Organization, other: Organization, owner: User, browser: Browser, entries: Entries
) -> None:
    theirs = Level(ProjectFactory.create(organization=other, name="Theirs"))
    for plaintext in (b"A=1", b"A=2"):
        SecretFactory.create(level=theirs, plaintext=plaintext)
    EnvironmentFactory.create(target__project=theirs.project)
    version = SecretVersion.objects.get()
    key = ApiKeyFactory.create(organization=other).api_key
    member = other.memberships.get()
    entry = entries(other)[0]
    client = browser(owner)
    for path in (
        *(
            f"projects/theirs{rest}"
            for rest in ("", "/change", "/delete", "/new-target", "/custody", "/versions")
        ),
        "projects/theirs/keys",
        "projects/theirs/keys/rotate",
        *(
            f"projects/theirs/targets/backend{rest}"
            for rest in ("", "/change", "/delete", "/new-environment", "/versions")
        ),
        *(
            f"projects/theirs/targets/backend/environments/production{rest}"
            for rest in ("/change", "/delete", "/versions")
        ),
        f"versions/{version.number}",
        f"api-keys/{key.ulid}/change",
        f"api-keys/{key.ulid}",
        f"members/{member.ulid}",
        f"activity/{entry.ulid}",
    ):
        assert client.get(f"/o/acme/{path}").status_code == 404, path


@pytest.mark.parametrize("status", ["suspended", "locked", "cancelled"])
def test_an_organization_that_is_not_active_is_looked_at_and_not_changed(
    status: str, acme: Organization, owner: User, browser: Browser, entries: Entries
) -> None:
    ProjectFactory.create(organization=acme)
    acme.status = status
    acme.save()
    client = browser(owner)
    page = client.get("/o/acme/projects/my-app").content.decode()
    assert f"Acme is {status}: you can view it, but nothing in it can be changed." in page
    for path, given in (
        ("new-project", {"name": "More", "secret_format": "env"}),
        ("projects/my-app/delete", {"confirm": "my-app"}),
        ("projects/my-app/custody", {"password": PASSWORD}),
        ("members", {"email": "new@example.org", "role": "member"}),
        ("api-keys/new", {"name": "new", "abilities": ["project:read"]}),
        ("settings", {"name": "Other", "slug": "acme"}),
    ):
        answer = client.post(f"/o/acme/{path}", given)
        assert answer.status_code == 403
        assert f"Acme is {status}: nothing in it can be changed." in unescape(
            answer.content.decode()
        )
    assert [project.slug for project in acme.projects.all()] == ["my-app"]
    refused = entries(acme, action="access", result="denied")
    assert {entry.reason for entry in refused} == {"organization_inactive"}


def test_nobody_s_browser_is_sent_to_sign_in(acme: Organization, browser: Browser) -> None:
    for page in PAGES:
        answer = browser().get(f"/o/acme/{page}")
        assert answer.status_code == 302
        assert answer.headers["Location"].startswith("/sign-in?next=/o/acme/")


def test_an_inactive_member_loses_every_page(
    acme: Organization, owner: User, browser: Browser
) -> None:
    client = browser(owner)
    owner.is_active = False
    owner.save()
    assert client.get("/o/acme/activity").status_code == 302


def test_being_superuser_opens_no_organization(acme: Organization, browser: Browser) -> None:
    root = User.objects.create_superuser("root@example.org", "a long password")
    assert browser(root).get("/o/acme/activity").status_code == 404


def test_an_organization_is_found_by_id_in_any_case_and_led_to_its_name(
    acme: Organization, owner: User, browser: Browser
) -> None:
    answer = browser(owner).get(f"/o/{acme.ulid.lower()}/activity?action=create")
    assert answer.status_code == 302
    assert answer.headers["Location"] == "/o/acme/activity?action=create"


def test_home_leads_to_the_only_organization_or_to_the_choice(
    acme: Organization, owner: User, browser: Browser
) -> None:
    client = browser(owner)
    assert client.get("/", follow=True).redirect_chain[-1][0] == "/o/acme/activity"
    OrganizationFactory.create(name="Second", owner=owner)
    choice = client.get("/", follow=True).content.decode()
    assert 'href="/o/acme/"' in choice
    assert 'href="/o/second/"' in choice


def test_home_tells_who_belongs_nowhere(db: None, browser: Browser) -> None:
    answer = browser(UserFactory.create()).get("/", follow=True)
    assert "You do not belong to an organization yet" in answer.content.decode()


def test_a_denied_request_is_described_with_its_path(
    acme: Organization,
    owner: User,
    browser: Browser,
    browser_as: Callable[[str], Client],
    entries: Entries,
) -> None:
    developer = browser_as("developer")
    assert developer.get("/o/acme/activity").status_code == 403
    page = browser(owner).get("/o/acme/activity?result=denied").content.decode()
    assert "was denied <bdi><strong>GET /<wbr>o/<wbr>acme/<wbr>activity</strong>" in page
    assert "denied: insufficient permissions" in page
    refused = entries(acme, action="access")[0]
    page = browser(owner).get(f"/o/acme/activity/{refused.ulid}").content.decode()
    assert '<dt>In the URL</dt><dd>organization <span class="mono">acme</span></dd>' in page


def test_a_failure_does_not_read_as_if_it_had_happened(
    acme: Organization, owner: User, browser: Browser, entries: Entries
) -> None:
    browser().post("/sign-in", {"username": owner.email, "password": "a wrong one"})
    [failed] = entries(acme, action="sign_in", result="failed")
    for address in ("activity?result=failed", f"activity/{failed.ulid}"):
        page = browser(owner).get(f"/o/acme/{address}").content.decode()
        assert re.search(r"tried to sign in user (<bdi>)?<(strong|a)[^>]*>owner@example.org", page)
        assert "signed in user" not in page


@pytest.mark.parametrize(("repeats", "words"), [(1, "1 time more"), (1199, "1,199 times more")])
def test_repeats_are_put_into_words(repeats: int, words: str) -> None:
    entry = Entry(result="success", context={"repeats": repeats})
    badge = render_to_string("audit/_result.html", {"entry": entry})
    assert f'title="{words} in the same minute">× {repeats + 1:,}<' in badge


def test_nothing_found_has_no_headings_of_nothing(
    acme: Organization, owner: User, browser: Browser
) -> None:
    page = browser(owner).get("/o/acme/activity?ip=192.0.2.99").content.decode()
    assert "No entries match." in page
    assert "data-facet" not in page.partition('id="entries"')[2]

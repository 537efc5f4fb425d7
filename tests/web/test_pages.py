"""What holds for every page: nothing inline, a strict policy, few queries, pages for failures."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from audit.questions import saved_views
from keys import rotation
from keys.levels import Level
from keys.models import SecretVersion
from organizations import members
from organizations.grants import EVERYTHING
from organizations.models import Organization, User
from tests.factories import (
    ApiKeyFactory,
    EnvironmentFactory,
    MembershipFactory,
    OrganizationFactory,
    ProjectFactory,
    SecretFactory,
)
from tests.web.conftest import Browser, Entries

INLINE = re.compile(
    r"<style|<script(?![^>]*\ssrc=)|\sstyle=|\son[a-z]+=|javascript:", re.IGNORECASE
)


@pytest.fixture
def pages(acme: Organization, owner: User, entries: Entries) -> list[str]:
    """The address of every page, with something on each."""
    environment = EnvironmentFactory.create(target__project__organization=acme)
    level = Level(environment.target.project, environment.target, environment)
    for plaintext in (b"A=1", b"A=2"):
        SecretFactory.create(level=level, plaintext=plaintext)
    version = SecretVersion.objects.get()
    member = MembershipFactory.create(organization=acme, role="developer")
    key = ApiKeyFactory.create(organization=acme).api_key
    view = saved_views.save(acme, owner, "Deletions", "action=delete", is_shared=True)
    invited = members.invite(
        acme, "new@example.org", "member", invited_by=owner, granter=EVERYTHING
    )
    return [
        "/o/acme/activity",
        "/o/acme/activity?action=delet",
        "/o/acme/activity?counts=1",
        "/o/acme/activity/views?action=delete",
        f"/o/acme/activity/views/{view.ulid}",
        f"/o/acme/activity/{entries(acme)[0].ulid}",
        "/o/acme/projects",
        "/o/acme/new-project",
        *(
            f"/o/acme/projects/my-app{rest}"
            for rest in (
                "",
                "/change",
                "/delete",
                "/new-target",
                "/keys",
                "/keys/rotate",
                "/custody",
                "/versions",
            )
        ),
        *(
            f"/o/acme/projects/my-app/targets/backend{rest}"
            for rest in ("", "/change", "/delete", "/new-environment")
        ),
        *(
            f"/o/acme/projects/my-app/targets/backend/environments/{environment.slug}{rest}"
            for rest in ("/change", "/delete")
        ),
        f"/o/acme/versions/{version.number}",
        "/o/acme/members",
        f"/o/acme/members/{member.ulid}",
        "/o/acme/api-keys",
        "/o/acme/api-keys/new",
        f"/o/acme/api-keys/{key.ulid}/change",
        f"/o/acme/api-keys/{key.ulid}",
        "/o/acme/settings",
        "/o/acme/settings/delete",
        "/organizations",
        "/organizations/new",
        "/profile",
        "/password",
        "/password/reset",
        "/password/reset/sent",
        "/password/reset/done",
        "/password/reset/MQ/nonsense",
        f"/invitations/{invited.token}",
        "/invitations/nonsense",
        "/o/nowhere/activity",
        "/nothing/here",
    ]


def test_no_page_needs_anything_inline(pages: list[str], owner: User, browser: Browser) -> None:
    for client in (browser(owner), browser()):
        for address in [*pages, "/sign-in"]:
            page = client.get(address, follow=True).content.decode()
            assert "<h1>" in page, address
            assert not INLINE.search(page), address


def test_every_answer_carries_a_strict_policy(
    pages: list[str], owner: User, browser: Browser
) -> None:
    client = browser(owner)
    for address in pages:
        answer = client.get(address)
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_every_form_that_changes_something_carries_a_token(
    pages: list[str], owner: User, browser: Browser
) -> None:
    client = browser(owner)
    for address in pages:
        page = client.get(address).content.decode()
        posts = len(re.findall(r'<form[^>]*method="post"', page))
        assert posts == page.count('name="csrfmiddlewaretoken"'), address


def test_every_control_has_a_label(pages: list[str], owner: User, browser: Browser) -> None:
    client = browser(owner)
    for address in pages:
        page = client.get(address, follow=True).content.decode()
        labelled = set(re.findall(r'<label[^>]*for="([^"]+)"', page))
        controls = re.findall(r"<(?:input|select|textarea)\b[^>]*>", page)
        for control in controls:
            if 'type="hidden"' in control or " hidden " in control or " aria-label=" in control:
                continue
            [key] = re.findall(r'\sid="([^"]+)"', control)
            assert key in labelled, (address, control)


def more(acme: Organization) -> None:
    """More of everything that a page lists."""
    for number in range(5):
        ProjectFactory.create(organization=acme, name=f"Project {number}")
        MembershipFactory.create(organization=acme, role="developer")
        ApiKeyFactory.create(organization=acme, name=f"key {number}")
        members.invite(
            acme, f"more{number}@example.org", "member", invited_by=None, granter=EVERYTHING
        )


def queries(client: Client, address: str) -> int:
    with CaptureQueriesContext(connection) as captured:
        assert client.get(address).status_code == 200
    # The test's own transaction makes savepoints of the request's.
    return len([query for query in captured if "SAVEPOINT" not in query["sql"]])


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        # A log shorter than a page is looked through beyond its last month too: one query more.
        # The last but one of each list of entries looks up which things of it are still there. The
        # fourth of each page of an organization asks guardian what the reader may do there, and the
        # last where else they belong, for the switch beside the page.
        ("/o/acme/activity", 16),
        ("/o/acme/activity?q=my", 17),
        ("/o/acme/projects", 7),
        ("/o/acme/projects/my-app", 11),
        ("/o/acme/projects/my-app/keys", 22),
        # Members' groups, and the groups that may do something here.
        ("/o/acme/members", 10),
        ("/o/acme/api-keys", 7),
        ("/profile", 5),
    ],
)
def test_a_longer_list_takes_no_more_queries(
    address: str, expected: int, acme: Organization, owner: User, browser: Browser
) -> None:
    ProjectFactory.create(organization=acme)
    ApiKeyFactory.create(organization=acme)
    client = browser(owner)
    queries(client, address)
    assert queries(client, address) == expected
    more(acme)
    OrganizationFactory.create(name="Another", owner=owner)
    assert queries(client, address) == expected


@pytest.mark.parametrize(
    ("length", "expected"),
    [
        # What does not fill a page is looked for beyond the last month too. A reading by a plan
        # that is kept takes a switch on and one off; on the page of an entry there are two. A list
        # looks up in one query what of it is still there; the page of an entry reads the actor, the
        # resource, what those around it are called, what ids stand for, and for the links the
        # actor's membership and the resource's project. The history
        # of a key also asks what its project is called now, and what was called so before.
        (5, {"activity": 16, "activity/{entry}": 22, "projects/my-app/keys": 22}),
        (60, {"activity": 15, "activity/{entry}": 22, "projects/my-app/keys": 17}),
    ],
)
def test_the_queries_of_a_page_of_the_log_are_this_many_whatever_its_length(
    length: int,
    expected: dict[str, int],
    acme: Organization,
    owner: User,
    browser: Browser,
    entries: Entries,
) -> None:
    project = ProjectFactory.create(organization=acme)
    for _ in range(length - 1):
        rotation.rotate(project)
    client, last = browser(owner), entries(acme)[-1].ulid
    found = {}
    for page in expected:
        address = f"/o/acme/{page.format(entry=last)}"
        queries(client, address)  # the first look leaves an entry, those of the same minute none
        found[page] = queries(client, address)
    assert found == expected


def test_an_error_page_does_not_show_the_cause(
    acme: Organization, owner: User, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object, **kwargs: object) -> Iterator[str]:
        raise RuntimeError("the cause")

    monkeypatch.setattr("audit.questions.paging.page_at", fail)
    client = browser(owner)
    client.raise_request_exception = False
    answer = client.get("/o/acme/activity")
    assert answer.status_code == 500
    assert "Something went wrong" in answer.content.decode()
    assert "the cause" not in answer.content.decode()
    assert not INLINE.search(answer.content.decode())


def test_nothing_is_shown_when_reading_cannot_be_entered(
    acme: Organization, owner: User, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise RuntimeError("the log is full")

    monkeypatch.setattr("audit.questions.reading.record_in_each_once_a_minute", fail)
    client = browser(owner)
    client.raise_request_exception = False
    answer = client.get("/o/acme/activity")
    assert answer.status_code == 500
    assert "created organization" not in answer.content.decode()


def test_a_refusal_says_what_is_missing(
    acme: Organization, browser_as: Callable[[str], Client]
) -> None:
    answer = browser_as("developer").get("/o/acme/activity")
    page = answer.content.decode()
    assert "This needs audit:read" in page
    assert "This attempt was recorded" in page

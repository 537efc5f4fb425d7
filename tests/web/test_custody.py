"""The custody of a project's key is switched through pages: the key shown once, never lost."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from django.test import Client
from pytest_django.fixtures import Settings

from dotenv_cloud.environment import Limit
from keys import secrets
from keys.levels import Level
from keys.models import KeyVersion, Secret
from organizations.models import Organization, Project, User
from tests.factories import PASSWORD, ProjectFactory, SecretFactory
from tests.web.conftest import Browser, Entries

BrowserAs = Callable[[str], Client]
CUSTODY = "/o/acme/projects/my-app/custody"
SHOWN = re.compile(r'<code class="token">([^<]+)</code>')


@pytest.fixture
def project(acme: Organization) -> Project:
    """A project with a secret."""
    project = ProjectFactory.create(organization=acme)
    SecretFactory.create(level=Level(project))
    return project


def show(client: Client) -> str:
    answer = client.post(CUSTODY, {"password": PASSWORD})
    assert answer.status_code == 200
    assert "no-store" in answer.headers["Cache-Control"]
    [key] = SHOWN.findall(answer.content.decode())
    return str(key)


def give(client: Client, key: str, password: str = PASSWORD) -> str:
    given = {"action": "give", "key": key, "password": password}
    return client.post(CUSTODY, given, follow=True).content.decode()


def test_a_key_is_shown_once_and_given_away_when_it_was_kept(
    project: Project, owner: User, browser: Browser, entries: Entries
) -> None:
    client = browser(owner)
    before = bytes(Secret.objects.get().content)
    key = show(client)
    project.refresh_from_db()
    assert project.storage_mode == "server"

    page = give(client, key)
    assert "The key of My app is now held only by your programs" in page
    assert "this server cannot read the secrets" in page
    version = KeyVersion.objects.get()
    assert (version.managed, version.wrapped_key) == ("client", None)
    assert bytes(Secret.objects.get().content) == before
    found = entries(project.organization)
    assert [e.action for e in found if e.action in ("retrieve", "switch_custody")] == [
        "retrieve",
        "switch_custody",
        "switch_custody",
    ]
    everywhere = page + str([vars(entry) for entry in found]) + str(dict(client.session))
    assert key not in everywhere


def test_a_key_that_was_not_kept_is_not_given_away(
    project: Project, owner: User, browser: Browser, entries: Entries
) -> None:
    client = browser(owner)
    key = show(client)
    page = give(client, f"{key[:-1]}!")
    assert "This is not the project&#x27;s key. Nothing was changed." in page
    assert 'id="id_key_error"' in page
    assert key not in page
    assert KeyVersion.objects.get().managed == "server"
    [refused] = entries(project.organization, action="access", result="denied")
    assert refused.reason == "key_proof_mismatch"
    # Nothing is lost: it is shown again, and the reveal entered again.
    assert show(client) == key
    assert len(entries(project.organization, action="retrieve")) == 2


def test_without_the_password_no_key_is_shown_and_none_given_away(
    project: Project, owner: User, browser: Browser, entries: Entries
) -> None:
    client = browser(owner)
    answer = client.post(CUSTODY, {"password": "wrong"})
    page = answer.content.decode()
    assert answer.status_code == 422
    assert "This is not your password." in page
    assert not SHOWN.search(page)
    assert "This is not your password." in give(client, "whatever", "wrong")
    assert KeyVersion.objects.get().managed == "server"
    assert not entries(project.organization, action="retrieve")
    refused = entries(project.organization, action="access", result="denied")
    assert {entry.reason for entry in refused} == {"wrong_password"}


def test_wrong_passwords_are_limited_with_those_at_signing_in(
    project: Project, owner: User, browser: Browser, entries: Entries, settings: Settings
) -> None:
    settings.RATE_LIMITS = settings.RATE_LIMITS | {"sign_in_account": Limit(2, 900)}
    client = browser(owner)
    for _ in range(2):
        client.post(CUSTODY, {"password": "wrong"})
    page = client.post(CUSTODY, {"password": PASSWORD}).content.decode()
    assert "Too many wrong passwords. Try again in 15 minutes." in page
    reasons = {entry.reason for entry in entries(project.organization, action="access")}
    assert reasons == {"wrong_password", "rate_limited"}


def test_a_key_of_32_bytes_is_not_even_shown(
    project: Project,
    owner: User,
    browser: Browser,
    entries: Entries,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("keys.custody.master_key.unwrap", lambda version: "k" * 32)
    page = browser(owner).post(CUSTODY, {"password": PASSWORD}).content.decode()
    assert "Rotate it first." in page
    assert "k" * 32 not in page
    assert not entries(project.organization, action="retrieve")


def test_a_key_comes_back_to_the_server_only_if_it_is_the_right_one(
    project: Project, owner: User, browser: Browser, entries: Entries
) -> None:
    client = browser(owner)
    key = show(client)
    give(client, key)
    assert "Hand the key of My app to this server?" in client.get(CUSTODY).content.decode()
    for wrong, why in (
        ("another key that is long enough", "This is not the project&#x27;s key."),
        (f"{key}x", "but does not decrypt my-app"),
        ("short", "Use at least 16 bytes."),
    ):
        answer = client.post(CUSTODY, {"key": wrong, "password": PASSWORD})
        page = answer.content.decode()
        assert answer.status_code == 422
        assert why in page
        assert 'id="id_key_error"' in page
        assert wrong not in page
    answer = client.post(CUSTODY, {"key": f" {key}\n", "password": PASSWORD}, follow=True)
    assert "This server now holds the key of My app." in answer.content.decode()
    level = Level(Project.objects.get())
    [opened] = secrets.decrypt([level])
    assert opened.plaintext == b"A=1"
    assert key not in str([vars(entry) for entry in entries(project.organization)])


@pytest.mark.parametrize("role", ["developer", "member", "auditor", "api_user"])
def test_only_who_rotates_keys_switches_custody(
    role: str, project: Project, browser_as: BrowserAs, entries: Entries
) -> None:
    client = browser_as(role)
    assert CUSTODY not in client.get("/o/acme/projects/my-app").content.decode()
    assert client.post(CUSTODY, {"password": PASSWORD}).status_code == 403
    assert not entries(project.organization, action="retrieve")


def test_a_client_managed_key_is_rotated_by_its_clients(
    acme: Organization, owner: User, browser: Browser
) -> None:
    ProjectFactory.create(organization=acme, client_managed=True)
    client = browser(owner)
    page = client.get("/o/acme/projects/my-app/keys/rotate").content.decode()
    assert "dotenv key rotate my-app" in page
    assert not re.search("<button[^>]*>Rotate", page)
    answer = client.post("/o/acme/projects/my-app/keys/rotate", {"history_policy": "keep"})
    assert answer.status_code == 409
    assert KeyVersion.objects.count() == 1

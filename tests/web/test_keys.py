"""Key history, rotation and API keys through pages."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable

import pytest
from django.test import Client
from pytest_django.fixtures import Settings

from dotenv_cloud.environment import Limit
from keys import abilities, api_keys, reencryption
from keys.errors import RotationInProgressError
from keys.levels import Level
from keys.models import ApiKey, KeyVersion
from organizations import clock
from organizations.models import Organization, User
from tests.factories import ApiKeyFactory, ProjectFactory, SecretFactory
from tests.web.conftest import ADDRESS, Browser, Entries

BrowserAs = Callable[[str], Client]

TOKEN = re.compile(r"dotenv_[0-9A-Z]{26}_[0-9A-Za-z]{40}")


# -- Keys of projects


def test_the_history_of_a_key_is_there_by_every_name_of_its_project(
    acme: Organization, owner: User, browser: Browser
) -> None:
    project = ProjectFactory.create(organization=acme)
    client = browser(owner)
    client.post("/o/acme/projects/my-app/keys/rotate")
    project.slug = "new-app"
    project.save()
    # Another one has the name now, and what happened to its key is not told as this one's.
    ProjectFactory.create(organization=acme, name="My app")
    page = client.get("/o/acme/projects/new-app/keys").content.decode()
    assert "rotated the key of" in page
    assert "version 2" in page
    other = client.get("/o/acme/projects/my-app/keys").content.decode()
    assert "rotated the key of" not in other
    # Where nobody else has it, a former name leads on.
    project.slug = "newest-app"
    project.save()
    answer = client.get("/o/acme/projects/new-app/keys")
    assert (answer.status_code, answer["Location"]) == (302, "/o/acme/projects/newest-app/keys")
    assert client.get("/o/acme/projects/no-app/keys").status_code == 404


def test_rotations_of_an_organization_are_limited_and_the_refusal_entered(
    acme: Organization, owner: User, browser: Browser, entries: Entries, settings: Settings
) -> None:
    settings.RATE_LIMITS = settings.RATE_LIMITS | {"rotate": Limit(2, 3600)}
    project = ProjectFactory.create(organization=acme)
    client = browser(owner)
    statuses = [client.post("/o/acme/projects/my-app/keys/rotate").status_code for _ in range(3)]
    assert statuses == [302, 302, 429]
    answer = client.post("/o/acme/projects/my-app/keys/rotate")
    assert "have already been rotated 2 times. Try again in 60 minutes." in answer.content.decode()
    assert KeyVersion.objects.filter(project=project).count() == 3
    [entry] = entries(acme, action="access", result="denied")
    assert (entry.reason, entry.actor_id) == ("rate_limited", owner.pk)
    # The API counts the same rotations.
    token = ApiKeyFactory.create(organization=acme).token
    refused = client.post(
        "/api/v1/acme/my-app/encryption-key/rotate", headers={"authorization": f"Bearer {token}"}
    )
    assert refused.status_code == 429


def test_rotating_asks_first_and_leaves_the_old_version_in_the_history(
    acme: Organization, owner: User, browser: Browser, entries: Entries
) -> None:
    project = ProjectFactory.create(organization=acme)
    client = browser(owner)
    assert (
        "Rotate the key of My app?"
        in client.get("/o/acme/projects/my-app/keys/rotate").content.decode()
    )
    assert KeyVersion.objects.filter(project=project).count() == 1

    page = client.post("/o/acme/projects/my-app/keys/rotate", follow=True).content.decode()
    assert "The key was rotated; version 2 is active." in page
    states = KeyVersion.objects.filter(project=project).values_list("version", "is_active")
    assert list(states) == [(2, True), (1, False)]
    [entry] = entries(acme, action="rotate")
    assert (entry.resource_label, entry.ip) == ("my-app/encryption-key/2", ADDRESS)


def test_the_history_shows_entries_to_who_reads_the_log_alone(
    acme: Organization, browser_as: BrowserAs, entries: Entries
) -> None:
    ProjectFactory.create(organization=acme)
    assert "Activity of the key" not in (
        browser_as("developer").get("/o/acme/projects/my-app/keys").content.decode()
    )
    page = browser_as("auditor").get("/o/acme/projects/my-app/keys").content.decode()
    assert "Activity of the key" in page
    assert "created the key of" in page
    assert "Rotate the key" not in page
    assert len(entries(acme, action="view")) == 1


def test_a_rotation_beside_another_one_is_refused_and_can_be_tried_again(
    acme: Organization, owner: User, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = ProjectFactory.create(organization=acme)
    client = browser(owner)

    def be_busy(*args: object, **kwargs: object) -> None:
        raise RotationInProgressError("The key of my-app is being rotated.")

    with monkeypatch.context() as patched:
        patched.setattr("keys.rotation.rotate", be_busy)
        answer = client.post("/o/acme/projects/my-app/keys/rotate")
    assert answer.status_code == 409
    assert "Someone else is rotating this key" in answer.content.decode()
    assert client.post("/o/acme/projects/my-app/keys/rotate").status_code == 302
    assert KeyVersion.objects.filter(project=project).count() == 2


def test_rotating_with_another_policy_shows_how_far_re_encryption_is(
    acme: Organization, owner: User, browser: Browser, entries: Entries
) -> None:
    level = Level(ProjectFactory.create(organization=acme))
    for text in (b"A=1", b"A=2", b"A=3"):
        SecretFactory.create(level=level, plaintext=text)
    client = browser(owner)
    client.post("/o/acme/projects/my-app/keys/rotate", {"history_policy": "re_encrypt"})
    [entry] = entries(acme, action="rotate", resource_type="key_version")
    assert (entry.context["history_policy"], entry.context["count"]) == ("re_encrypt", 1)
    for address in ("/o/acme/projects/my-app/keys", "/o/acme/projects/my-app"):
        assert "0 of 3 versions" in client.get(address).content.decode()
    reencryption.run(level.project)
    assert "of 3 versions" not in client.get("/o/acme/projects/my-app").content.decode()


def test_no_page_holds_a_key_or_what_wraps_it(
    acme: Organization, owner: User, browser: Browser
) -> None:
    ProjectFactory.create(organization=acme)
    version = KeyVersion.objects.get()
    page = browser(owner).get("/o/acme/projects/my-app/keys").content
    assert version.wrapped_key is not None
    assert bytes(version.wrapped_key).hex().encode() not in page
    assert bytes(version.key_check_salt).hex().encode() not in page


# -- API keys


def test_a_new_token_is_shown_once_and_kept_nowhere(
    acme: Organization, owner: User, browser: Browser, entries: Entries
) -> None:
    client = browser(owner)
    answer = client.post(
        "/o/acme/api-keys/new", {"name": "deploy", "abilities": ["project:read", "key:retrieve"]}
    )
    assert answer.status_code == 201
    assert "no-store" in answer.headers["Cache-Control"]
    [token] = TOKEN.findall(answer.content.decode())
    key = api_keys.recognize(token)
    assert key is not None
    assert (key.name, key.created_by) == ("deploy", owner)
    assert set(key.abilities) == {"project:read", "key:retrieve"}

    elsewhere = [
        client.get(path).content.decode()
        for path in ("/o/acme/api-keys", f"/o/acme/api-keys/{key.ulid}", "/o/acme/activity")
    ]
    kept = str(dict(client.session)) + str([vars(entry) for entry in entries(acme)])
    for text in (*elsewhere, kept):
        assert token not in text
    [entry] = entries(acme, action="create", resource_type="api_key")
    assert (entry.actor_id, entry.ip) == (owner.pk, ADDRESS)


@pytest.mark.parametrize(
    ("preset", "ticked"),
    [("read-only", abilities.READ_ONLY), ("pull", abilities.PULL), ("push", abilities.PUSH)],
)
def test_a_preset_ticks_its_abilities(
    preset: str, ticked: tuple[str, ...], acme: Organization, owner: User, browser: Browser
) -> None:
    page = browser(owner).get(f"/o/acme/api-keys/new?preset={preset}").content.decode()
    found = re.findall(r'<input[^>]*value="([^"]+)"[^>]* checked', page)
    assert set(found) == set(ticked)


def test_nobody_makes_a_key_that_may_do_more_than_they(
    acme: Organization, browser_as: BrowserAs
) -> None:
    client = browser_as("admin")
    assert 'value="audit:manage"' not in client.get("/o/acme/api-keys/new").content.decode()
    for ability in ("audit:manage", "*"):
        answer = client.post("/o/acme/api-keys/new", {"name": "more", "abilities": [ability]})
        assert answer.status_code == 422
    assert not ApiKey.objects.exists()


def test_a_key_may_expire_and_not_in_the_past(
    acme: Organization, owner: User, browser: Browser
) -> None:
    client = browser(owner)
    today = clock.now().date()
    values = {"name": "short", "abilities": ["project:read"]}
    past = {**values, "expires_on": today - dt.timedelta(days=1)}
    answer = client.post("/o/acme/api-keys/new", past)
    assert "Choose a time in the future." in answer.content.decode()
    client.post("/o/acme/api-keys/new", {**values, "expires_on": today})
    expires = ApiKey.objects.get().expires_at
    assert expires == dt.datetime.combine(today, dt.time(23, 59, 59), tzinfo=dt.UTC)


def test_rotating_a_key_kills_its_token_and_shows_the_next_once(
    acme: Organization, owner: User, browser: Browser
) -> None:
    key, old = ApiKeyFactory.create(organization=acme, abilities=["project:read"])
    answer = browser(owner).post(
        f"/o/acme/api-keys/{key.ulid}", {"action": "rotate", "sure": "yes"}
    )
    [token] = TOKEN.findall(answer.content.decode())
    assert api_keys.recognize(old) is None
    assert api_keys.recognize(token) == key


def test_who_holds_less_than_a_key_cannot_rotate_it_for_its_token(
    acme: Organization, browser_as: BrowserAs
) -> None:
    key, old = ApiKeyFactory.create(organization=acme, abilities=["audit:export"])
    answer = browser_as("admin").post(
        f"/o/acme/api-keys/{key.ulid}", {"action": "rotate", "sure": "yes"}
    )
    assert answer.status_code == 422
    assert not TOKEN.search(answer.content.decode())
    assert api_keys.recognize(old) == key


def test_a_revoked_key_is_gone(
    acme: Organization, owner: User, browser: Browser, entries: Entries
) -> None:
    key, token = ApiKeyFactory.create(organization=acme)
    answer = browser(owner).post(
        f"/o/acme/api-keys/{key.ulid}", {"action": "revoke", "sure": "yes"}, follow=True
    )
    assert "The key ci was revoked." in answer.content.decode()
    assert api_keys.recognize(token) is None
    [entry] = entries(acme, action="delete", resource_type="api_key")
    assert entry.resource_label == "ci"


def test_an_auditor_sees_keys_and_changes_none(acme: Organization, browser_as: BrowserAs) -> None:
    key, token = ApiKeyFactory.create(organization=acme)
    client = browser_as("auditor")
    page = client.get(f"/o/acme/api-keys/{key.ulid}").content.decode()
    assert "Revoke" not in page
    for action in ("rotate", "revoke"):
        answer = client.post(f"/o/acme/api-keys/{key.ulid}", {"action": action, "sure": "yes"})
        assert answer.status_code == 403
    assert api_keys.recognize(token) == key


def test_revoking_and_rotating_ask_for_confirmation(
    acme: Organization, owner: User, browser: Browser
) -> None:
    key, token = ApiKeyFactory.create(organization=acme)
    for action in ("rotate", "revoke"):
        answer = browser(owner).post(f"/o/acme/api-keys/{key.ulid}", {"action": action})
        assert answer.status_code == 422
        assert "Tick the box to confirm." in answer.content.decode()
    assert api_keys.recognize(token) == key

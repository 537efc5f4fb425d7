"""What levels held before, on pages: listed, restored, deleted and purged, never shown."""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import Callable

import pytest
import time_machine
from django.test import Client

from keys import authors, blobs, crypto, custody, rotation, secrets
from keys.client_keys import ClientKey
from keys.levels import Level
from keys.models import Secret, SecretVersion
from keys.rotation import Encrypted
from organizations import clock
from organizations.models import Organization, Project, User
from tests.factories import LevelFactory, ProjectFactory, SecretFactory
from tests.web.conftest import ADDRESS, Browser, Entries

BrowserAs = Callable[[str], Client]
HISTORY = "/o/acme/projects/my-app/targets/backend/environments/production/versions"
PATH = "my-app/backend/production"


@pytest.fixture
def level(acme: Organization) -> Level:
    """A level that was written twice, so that it has one version."""
    level = LevelFactory.create(project__organization=acme)
    SecretFactory.create(level=level, plaintext=b"A=first")
    SecretFactory.create(level=level, plaintext=b"A=second and longer")
    return level


def page_of(version: SecretVersion) -> str:
    return f"/o/acme/versions/{version.number}"


def held(level: Level) -> bytes | None:
    [opened] = secrets.decrypt([level])
    return opened.plaintext


def test_versions_are_listed_without_their_content_and_no_entry_is_needed(
    level: Level, owner: User, browser: Browser, entries: Entries
) -> None:
    [version] = SecretVersion.objects.all()
    client = browser(owner)
    project_page = client.get("/o/acme/projects/my-app").content.decode()
    assert f'href="{HISTORY}"' in project_page
    for address in (HISTORY, page_of(version)):
        page = client.get(address).content.decode()
        for text in ("overwritten", "the system", f"{version.size_bytes}\xa0bytes", "version 1"):
            assert text in page
        assert base64.b64encode(bytes(version.content)).decode() not in page
    assert not entries(level.project.organization, action="read")


def test_each_level_has_its_own_history(level: Level, owner: User, browser: Browser) -> None:
    client = browser(owner)
    for address in ("/o/acme/projects/my-app", "/o/acme/projects/my-app/targets/backend"):
        page = client.get(f"{address}/versions").content.decode()
        assert "There are no versions yet." in page


def test_a_version_is_restored_and_what_was_there_is_kept(
    level: Level, owner: User, browser: Browser, entries: Entries
) -> None:
    [version] = SecretVersion.objects.all()
    client = browser(owner)
    answer = client.post(page_of(version), {"action": "restore"})
    assert (answer.status_code, held(level)) == (422, b"A=second and longer")
    assert "Tick the box to confirm." in answer.content.decode()
    page = client.post(
        page_of(version), {"action": "restore", "sure": "yes"}, follow=True
    ).content.decode()
    assert f"{PATH} now holds version {version.number} again." in page
    assert "Olga Owner" in page  # who wrote what replaced the version that came of it
    assert held(level) == b"A=first"
    assert SecretVersion.objects.count() == 2
    [entry] = entries(level.project.organization, action="restore", resource_type="secret")
    assert (entry.resource_label, entry.actor_id, entry.ip) == (PATH, owner.pk, ADDRESS)
    assert entry.context["version"] == version.number


def test_a_version_under_an_older_key_of_the_server_is_restored_too(
    level: Level, owner: User, browser: Browser
) -> None:
    [version] = SecretVersion.objects.all()
    rotation.rotate(level.project)
    browser(owner).post(page_of(version), {"action": "restore", "sure": "yes"})
    assert held(level) == b"A=first"
    assert Secret.objects.get().key_version == 2


def test_what_only_clients_can_open_is_left_to_them(
    level: Level, owner: User, browser: Browser
) -> None:
    [version] = SecretVersion.objects.all()
    custody.to_clients(level.project, custody.offer(level.project))
    client = browser(owner)
    # Under the key that is still the active one, it is a copy.
    assert client.post(page_of(version), {"action": "restore", "sure": "yes"}).status_code == 302
    assert SecretVersion.objects.count() == 2

    key, salt = "the next key of the clients, not the server's", crypto.generate_salt()
    blob = crypto.encrypt(crypto.derive_data_key(key, salt), b"A=first")
    rotation.rotate_client_key(
        Project.objects.get(),
        [Encrypted(Secret.objects.get().ulid, blobs.to_text(blob))],
        ClientKey(crypto.prove(key, salt), salt, crypto.ITERATIONS),
    )
    assert (
        f"dotenv secret restore {version.number}" in client.get(page_of(version)).content.decode()
    )
    answer = client.post(page_of(version), {"action": "restore", "sure": "yes"})
    assert answer.status_code == 422
    assert "Only your own programs can decrypt this version" in answer.content.decode()
    assert bytes(Secret.objects.get().content) == blob


def test_a_locked_version_stays_listed_and_closed(
    level: Level, owner: User, browser: Browser, entries: Entries
) -> None:
    [version] = SecretVersion.objects.all()
    Organization.objects.update(history_retention_days=30)
    client = browser(owner)
    with time_machine.travel(clock.now() + dt.timedelta(days=31)):
        client.force_login(owner)
        assert "locked" in client.get(HISTORY).content.decode()
        page = client.get(page_of(version)).content.decode()
        assert "older than the 30 days that history stays readable" in page
        assert "<h2>Restore" not in page
        answer = client.post(page_of(version), {"action": "restore", "sure": "yes"})
        assert answer.status_code == 422
    assert held(level) == b"A=second and longer"
    [refused] = entries(level.project.organization, action="access", result="denied")
    assert refused.reason == "version_locked"


def test_a_version_is_deleted_and_the_last_of_an_empty_level_only_knowingly(
    level: Level, owner: User, browser: Browser, entries: Entries
) -> None:
    [version] = SecretVersion.objects.all()
    secrets.delete(level, author=authors.SYSTEM)
    client = browser(owner)
    assert client.post(page_of(version), {"action": "delete", "sure": "yes"}).status_code == 302
    [last] = SecretVersion.objects.all()
    answer = client.post(page_of(last), {"action": "delete", "sure": "yes"})
    assert answer.status_code == 422
    page = answer.content.decode()
    assert f"is the last copy of {PATH}" in page
    assert '<input type="hidden" name="force" value="yes">' in page
    client.post(page_of(last), {"action": "delete", "sure": "yes", "force": "yes"})
    assert not SecretVersion.objects.exists()
    assert len(entries(level.project.organization, action="purge")) == 2


def test_versions_are_purged_after_the_path_was_typed(
    level: Level, owner: User, browser: Browser
) -> None:
    SecretFactory.create(level=Level(level.project), plaintext=b"A=1")
    SecretFactory.create(level=Level(level.project), plaintext=b"A=2")
    client = browser(owner)
    answer = client.post(HISTORY, {"confirm": "my-app"})
    assert answer.status_code == 422
    assert 'id="id_confirm_error"' in answer.content.decode()
    page = client.post(HISTORY, {"confirm": PATH, "whole_project": "on"}, follow=True)
    assert "1 version was permanently deleted." in page.content.decode()
    assert SecretVersion.objects.count() == 1  # the project's own level kept its version
    assert held(level) == b"A=second and longer"


def test_a_project_s_page_purges_all_of_its_levels(
    level: Level, owner: User, browser: Browser
) -> None:
    SecretFactory.create(level=Level(level.project), plaintext=b"A=1")
    SecretFactory.create(level=Level(level.project), plaintext=b"A=2")
    client, address = browser(owner), "/o/acme/projects/my-app/versions"
    page = client.post(address, {"confirm": "my-app", "whole_project": "on"}, follow=True)
    assert "2 versions were permanently deleted." in page.content.decode()
    assert not SecretVersion.objects.exists()


def test_an_auditor_reads_the_history_and_changes_nothing(
    level: Level, browser_as: BrowserAs
) -> None:
    [version] = SecretVersion.objects.all()
    client = browser_as("auditor")
    for address in (HISTORY, page_of(version)):
        page = client.get(address).content.decode()
        for text in ("Purge", "<h2>Restore", "<h2>Delete"):
            assert text not in page
    assert client.post(HISTORY, {"confirm": PATH}).status_code == 403
    for action in ("restore", "delete"):
        answer = client.post(page_of(version), {"action": action, "sure": "yes"})
        assert answer.status_code == 403
    assert SecretVersion.objects.get() == version


def test_a_version_of_another_organization_is_not_found(
    other: Organization, acme: Organization, owner: User, browser: Browser
) -> None:
    theirs = Level(ProjectFactory.create(organization=other))
    SecretFactory.create(level=theirs, plaintext=b"A=1")
    SecretFactory.create(level=theirs, plaintext=b"A=2")
    client = browser(owner)
    for number in (SecretVersion.objects.get().number, 2**70):
        assert client.get(f"/o/acme/versions/{number}").status_code == 404

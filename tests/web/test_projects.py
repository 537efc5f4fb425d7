"""Projects, targets and environments are made, changed and deleted through pages."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
from django.test import Client

from keys import blobs, tree
from keys.levels import Level
from keys.models import KeyVersion, Secret
from keys.views import finding, levels
from organizations.models import Environment, Organization, Project, Target, User
from tests.factories import EnvironmentFactory, ProjectFactory, SecretFactory, TargetFactory
from tests.web.conftest import ADDRESS, Browser, Entries

BrowserAs = Callable[[str], Client]
PROJECT = "/o/acme/projects/my-app"
TARGET = f"{PROJECT}/targets/backend"
ENVIRONMENT = f"{TARGET}/environments/production"

SETTINGS = {"name": "My app", "slug": "my-app", "secret_versioning": "on", "history_policy": "keep"}


@pytest.fixture
def production(acme: Organization) -> Environment:
    return EnvironmentFactory.create(target__project__organization=acme, status="production")


# -- Projects


def test_a_new_project_has_a_key_and_a_page_of_its_own(
    acme: Organization, owner: User, browser: Browser, entries: Entries
) -> None:
    given = {"name": "Web shop", "description": "Sells.", "secret_format": "env"}
    answer = browser(owner).post("/o/acme/new-project", given, follow=True)
    page = answer.content.decode()
    assert answer.redirect_chain == [("/o/acme/projects/web-shop", 302)]
    assert "The project Web shop was created, with its own key." in page
    assert "Sells." in page
    assert KeyVersion.objects.get().project == Project.objects.get(slug="web-shop")
    [entry] = entries(acme, action="create", resource_type="project")
    assert (entry.resource_label, entry.actor_id, entry.ip) == ("web-shop", owner.pk, ADDRESS)


def test_what_is_refused_stands_beside_its_field_and_nothing_typed_is_lost(
    acme: Organization, owner: User, browser: Browser
) -> None:
    ProjectFactory.create(organization=acme)
    given = {"name": "Other", "slug": "my-app", "description": "Long text", "secret_format": "json"}
    answer = browser(owner).post("/o/acme/new-project", given)
    page = answer.content.decode()
    assert answer.status_code == 422
    assert 'id="id_slug_error"' in page
    assert "The slug “my-app” is already in use. Choose another." in page
    [slug] = re.findall(r'<input[^>]*name="slug"[^>]*>', page)
    for attribute in ('aria-invalid="true"', 'aria-describedby="', " autofocus"):
        assert attribute in slug
    assert page.count(" autofocus") == 1
    assert 'value="Other"' in page
    assert "Long text" in page
    assert '<option value="json" selected>' in page


def test_a_project_may_be_called_new(acme: Organization, owner: User, browser: Browser) -> None:
    client = browser(owner)
    client.post("/o/acme/new-project", {"name": "New", "secret_format": "env"})
    assert client.get("/o/acme/projects/new").status_code == 200


def test_a_project_s_page_shows_levels_and_sizes_and_no_content(
    production: Environment, owner: User, browser: Browser
) -> None:
    project = production.target.project
    SecretFactory.create(
        level=Level(project, production.target, production), plaintext=b"PASSWORD=hunter2"
    )
    page = browser(owner).get(PROJECT).content.decode()
    for text in ("Backend", "Production", "1 level with a secret", "This server has the key."):
        assert text in page
    size = Secret.objects.get().size_bytes
    assert f"{size}\xa0bytes, key version 1" in page
    assert "hunter2" not in page
    assert blobs.to_text(bytes(Secret.objects.get().content)) not in page


def test_a_target_with_many_environments_shows_some_and_has_a_page_for_all(
    acme: Organization, owner: User, browser: Browser
) -> None:
    target = TargetFactory.create(project__organization=acme)
    for number in range(tree.SHOWN_OF_TARGET + 3):
        EnvironmentFactory.create(target=target, name=f"Stage {number:02}")
    client = browser(owner)
    page = client.get(PROJECT).content.decode()
    assert "Stage 09" in page
    assert "Stage 10" not in page
    assert "3 more environments of Backend" in page
    assert "Stage 12" in client.get(TARGET).content.decode()


def test_settings_of_a_project_are_changed_in_one_entry_that_names_them(
    acme: Organization, owner: User, browser: Browser, entries: Entries
) -> None:
    ProjectFactory.create(organization=acme)
    client = browser(owner)
    given = {**SETTINGS, "history_policy": "re_encrypt", "history_retention_days": "30"}
    answer = client.post(f"{PROJECT}/change", given, follow=True)
    assert "The project My app was changed." in answer.content.decode()
    project = Project.objects.get()
    assert (project.history_policy, project.history_retention_days) == ("re_encrypt", 30)
    [entry] = entries(acme, action="update", resource_type="project")
    assert entry.changes == {
        "history_policy": ["keep", "re_encrypt"],
        "history_retention_days": [None, 30],
    }
    # The page as it is, saved again, changes nothing.
    client.post(f"{PROJECT}/change", given)
    assert len(entries(acme, action="update", resource_type="project")) == 1


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("slug", "My App", "Use lower-case letters, digits and single hyphens"),
        ("slug", "secrets", "is reserved"),
        ("slug", "", "This field is required."),
        ("name", "", "This field is required."),
        ("name", "x" * 101, "at most 100 characters"),
        ("history_policy", "forget", "Select a valid choice."),
        ("history_retention_days", "0", "greater than or equal to 1"),
        ("history_retention_days", "99999999999", "less than or equal to 36500"),
        ("description", "a\x00b", "Null characters are not allowed."),
    ],
)
def test_settings_that_do_not_fit_are_refused_by_field(
    field: str, value: str, message: str, acme: Organization, owner: User, browser: Browser
) -> None:
    ProjectFactory.create(organization=acme)
    answer = browser(owner).post(f"{PROJECT}/change", {**SETTINGS, field: value})
    assert answer.status_code == 422
    page = answer.content.decode()
    assert message in page
    assert f'id="id_{field}_error"' in page
    assert Project.objects.get().slug == "my-app"


def test_a_project_is_deleted_with_all_below_after_its_name_was_typed(
    production: Environment, owner: User, browser: Browser, entries: Entries
) -> None:
    project = production.target.project
    SecretFactory.create(level=Level(project))
    client = browser(owner)
    page = client.get(f"{PROJECT}/delete").content.decode()
    for text in ("1 target<", "1 environment<", "1 secret<", "0 earlier versions"):
        assert text in page
    for typed in ("", "my app", "Other"):
        answer = client.post(f"{PROJECT}/delete", {"confirm": typed})
        assert answer.status_code == 422
        assert 'id="id_confirm_error"' in answer.content.decode()
    assert Project.objects.exists()

    answer = client.post(f"{PROJECT}/delete", {"confirm": "My app"}, follow=True)
    assert "The project My app was deleted with everything below it." in answer.content.decode()
    assert not Project.objects.exists()
    gone = {entry.resource_label for entry in entries(project.organization, action="delete")}
    assert {"my-app", "my-app/backend", "my-app/backend/production"} <= gone


# -- Targets and environments


def test_a_target_and_an_environment_are_made_changed_and_deleted(
    acme: Organization, owner: User, browser: Browser, entries: Entries
) -> None:
    ProjectFactory.create(organization=acme)
    client = browser(owner)
    client.post(f"{PROJECT}/new-target", {"name": "Backend"})
    client.post(f"{TARGET}/new-environment", {"name": "Production", "status": "production"})
    environment = Environment.objects.get()
    assert (environment.path, environment.is_production) == ("my-app/backend/production", True)

    client.post(f"{ENVIRONMENT}/change", {"name": "Live", "slug": "live", "status": "production"})
    client.post(f"{TARGET}/change", {"name": "API", "slug": "api", "description": "All of it"})
    environment.refresh_from_db()
    assert (environment.name, environment.is_production) == ("Live", False)
    assert environment.path == "my-app/api/live"

    moved = f"{PROJECT}/targets/api"
    client.post(f"{moved}/environments/live/delete", {"confirm": "live"})
    assert not Environment.objects.exists()
    client.post(f"{moved}/delete", {"confirm": "API"})
    assert not Target.objects.exists()
    found = [
        (entry.action, entry.resource_label)
        for kind in ("target", "environment")
        for entry in entries(acme, resource_type=kind)
    ]
    assert found == [
        ("create", "my-app/backend"),
        ("update", "my-app/api"),
        ("delete", "my-app/api"),
        ("create", "my-app/backend/production"),
        ("update", "my-app/backend/live"),
        ("delete", "my-app/api/live"),
    ]


def test_a_stage_of_one_s_own_is_a_word(
    production: Environment, owner: User, browser: Browser
) -> None:
    given = {"name": "QA", "status": "Quality!"}
    answer = browser(owner).post(f"{TARGET}/new-environment", given)
    assert "Use lower-case letters, digits and single hyphens." in answer.content.decode()
    given["status"] = "quality"
    assert browser(owner).post(f"{TARGET}/new-environment", given).status_code == 302


def test_a_developer_makes_and_changes_but_deletes_nothing(
    production: Environment, browser_as: BrowserAs, entries: Entries
) -> None:
    client = browser_as("developer")
    page = client.get(PROJECT).content.decode()
    assert "New target" in page
    assert "Delete" not in page
    for path in (PROJECT, TARGET, ENVIRONMENT):
        assert client.post(f"{path}/delete", {"confirm": "my-app"}).status_code == 403
    refused = entries(production.organization, action="access", result="denied")
    assert {entry.reason for entry in refused} == {"insufficient_permissions"}
    assert len(refused) == 3
    assert Project.objects.exists()


def test_what_is_not_there_is_not_found(
    production: Environment, owner: User, browser: Browser
) -> None:
    client = browser(owner)
    for path in (
        "/o/acme/projects/other",
        f"{PROJECT}/targets/other",
        f"{TARGET}/environments/other/change",
        f"{PROJECT}/targets/production/environments/backend/delete",
    ):
        assert client.get(path).status_code == 404, path


def test_a_level_that_was_deleted_meanwhile_says_so(
    production: Environment, owner: User, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = finding.find_environment

    def find_and_lose(*args: Any) -> Environment:
        environment = found(*args)
        Environment.objects.filter(pk=environment.pk).delete()
        return environment

    monkeypatch.setattr(levels, "find_environment", find_and_lose)
    given = {"name": "Live", "slug": "live", "status": "production"}
    answer = browser(owner).post(f"{ENVIRONMENT}/change", given)
    assert answer.status_code == 422
    assert "Someone else has just deleted it." in answer.content.decode()


def test_more_levels_take_no_more_queries(
    production: Environment,
    owner: User,
    browser: Browser,
    django_assert_num_queries: Callable[[int], AbstractContextManager[object]],
) -> None:
    client, project = browser(owner), production.target.project
    client.get(PROJECT)
    with django_assert_num_queries(17):
        client.get(PROJECT)
    for number in range(5):
        target = TargetFactory.create(project=project, name=f"Target {number}")
        environment = EnvironmentFactory.create(target=target)
        SecretFactory.create(level=Level(project, target, environment))
    with django_assert_num_queries(17):
        client.get(PROJECT)

"""API keys are narrowed to places and changed through pages."""

from __future__ import annotations

import datetime as dt
import re
import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import OperationalError, connections, transaction
from django.test import Client

from keys import abilities, api_keys
from keys.models import ApiKey
from organizations import grants
from organizations.grants import Scope
from organizations.models import Environment, Organization, User
from tests.factories import ApiKeyFactory, EnvironmentFactory
from tests.web.conftest import Browser, Entries

BrowserAs = Callable[[str], Client]
NEW = "/o/acme/api-keys/new"
PATH = "my-app/backend/production"


@pytest.fixture
def production(acme: Organization) -> Environment:
    return EnvironmentFactory.create(target__project__organization=acme)


def filled(*rows: tuple[str, str], **fields: Any) -> dict[str, Any]:
    """The form with these rows of ability and path, and a blank one."""
    given = {
        "name": "deploy",
        "abilities": ["secret:read", "key:retrieve", "project:read"],
        "inherit_parents": "on",
        "narrow-TOTAL_FORMS": len(rows) + 1,
        "narrow-INITIAL_FORMS": 0,
        **fields,
    }
    for number, (ability, path) in enumerate(rows):
        given |= {f"narrow-{number}-ability": ability, f"narrow-{number}-path": path}
    return given


def narrowed(key: ApiKey) -> list[tuple[str, int]]:
    """Which abilities are narrowed, and how deep."""
    scopes = [Scope.parse(stored) for stored in key.scopes]
    return [(scope.permission, scope.depth) for scope in scopes]


def test_abilities_are_narrowed_to_places_one_by_one_or_a_family_at_once(
    production: Environment, owner: User, browser: Browser
) -> None:
    rows = (("secret:*", PATH), ("key:retrieve", "my-app"))
    answer = browser(owner).post(NEW, filled(*rows))
    assert answer.status_code == 201
    key = ApiKey.objects.get()
    assert narrowed(key) == [("secret:read", 3), ("key:retrieve", 1)]
    assert key.inherit_parents
    page = browser(owner).get(f"/o/acme/api-keys/{key.ulid}").content.decode()
    assert f"secret:read: {PATH}" in page
    assert "key:retrieve: my-app<" in page


@pytest.mark.parametrize(
    ("row", "field", "message"),
    [
        (("secret:read", "other"), "path", "There is no project “other”."),
        (("secret:read", "my-app/front"), "path", "There is no target “front”."),
        (
            ("secret:read", f"{PATH}/more"),
            "path",
            "Name at most a project, a target and an environment.",
        ),
        (("secret:read", ""), "path", "Name the project, or a level of it."),
        (("", "my-app"), "ability", "Choose an ability to restrict."),
        (("secret:write", "my-app"), "ability", "secret:write is not selected."),
        (("project:read", PATH), "path", "project:read is restricted with project."),
        (("project:create", "my-app"), "ability", "Select a valid choice."),
    ],
)
def test_a_row_that_does_not_fit_says_so_and_nothing_typed_is_lost(
    row: tuple[str, str],
    field: str,
    message: str,
    production: Environment,
    owner: User,
    browser: Browser,
) -> None:
    answer = browser(owner).post(NEW, filled(("key:retrieve", "my-app"), row))
    page = answer.content.decode()
    assert answer.status_code == 422
    assert message in page
    assert f'id="id_narrow-1-{field}_error"' in page
    assert 'value="deploy"' in page
    assert f'value="{row[1]}"' in page or not row[1]
    assert not ApiKey.objects.exists()


def test_more_rows_come_without_losing_what_was_typed(
    production: Environment, owner: User, browser: Browser
) -> None:
    answer = browser(owner).post(NEW, filled(("secret:read", PATH), more="rows"))
    page = answer.content.decode()
    assert answer.status_code == 200
    assert 'name="narrow-TOTAL_FORMS" value="4"' in page
    assert f'value="{PATH}"' in page
    assert '<option value="secret:read" selected>' in page
    ticked = set(re.findall(r'name="abilities" value="([^"]+)"[^>]* checked', page))
    assert ticked == {"secret:read", "key:retrieve", "project:read"}
    assert not ApiKey.objects.exists()


def test_a_key_is_changed_and_its_token_stays(
    production: Environment, owner: User, browser: Browser, entries: Entries
) -> None:
    acme = production.organization
    key, token = ApiKeyFactory.create(organization=acme, abilities=["secret:read", "key:retrieve"])
    address = f"/o/acme/api-keys/{key.ulid}/change"
    client = browser(owner)
    page = client.get(address).content.decode()
    ticked = re.findall(r'name="abilities" value="([^"]+)"[^>]* checked', page)
    assert set(ticked) == {"secret:read", "key:retrieve"}

    tomorrow = dt.date.today() + dt.timedelta(days=1)
    given = filled(("secret:read", PATH), abilities=["secret:read"], expires_on=tomorrow)
    answer = client.post(address, given, follow=True)
    assert "The key deploy was changed." in answer.content.decode()
    changed = api_keys.recognize(token)
    assert changed is not None
    assert (changed.name, changed.abilities) == ("deploy", ["secret:read"])
    assert narrowed(changed) == [("secret:read", 3)]
    [entry] = entries(acme, action="update", resource_type="api_key")
    assert set(entry.changes) == {"name", "abilities", "scopes", "expires_at"}

    # As the page shows it, saved again, nothing changes.
    page = client.get(address).content.decode()
    assert f'value="{PATH}"' in page
    given["narrow-INITIAL_FORMS"] = 1
    client.post(address, given)
    assert len(entries(acme, action="update", resource_type="api_key")) == 1


def test_saving_a_form_without_rows_leaves_a_key_as_narrow_as_it_is(
    production: Environment, owner: User, browser: Browser
) -> None:
    client = browser(owner)
    client.post(NEW, filled(("secret:read", PATH)))
    key = ApiKey.objects.get()
    given = {"name": "other", "abilities": key.abilities, "inherit_parents": "on"}
    assert client.post(f"/o/acme/api-keys/{key.ulid}/change", given).status_code == 302
    key.refresh_from_db()
    assert (key.name, narrowed(key)) == ("other", [("secret:read", 3)])


def test_of_a_key_that_may_do_more_than_one_s_role_the_name_alone_changes(
    acme: Organization, browser_as: BrowserAs
) -> None:
    key, _ = ApiKeyFactory.create(organization=acme, abilities=["audit:export"])
    client = browser_as("admin")
    page = client.get(f"/o/acme/api-keys/{key.ulid}/change").content.decode()
    assert "This key may do more than you may, so you can only change its name." in page
    assert "checkbox" not in page
    client.post(
        f"/o/acme/api-keys/{key.ulid}/change", {"name": "mine", "abilities": ["project:read"]}
    )
    key.refresh_from_db()
    assert (key.name, key.abilities) == ("mine", ["audit:export"])


def test_asking_for_more_than_one_holds_is_refused_and_entered(
    acme: Organization, browser_as: BrowserAs, entries: Entries
) -> None:
    answer = browser_as("admin").post(NEW, filled(abilities=["audit:manage"]))
    assert answer.status_code == 422
    assert (
        "You cannot grant abilities that you do not have: audit:manage." in answer.content.decode()
    )
    [refused] = entries(acme, action="access", result="denied")
    assert refused.reason == "not_held"


def test_a_wildcard_key_is_an_owner_s_to_make(
    acme: Organization, owner: User, browser: Browser, browser_as: BrowserAs
) -> None:
    assert browser(owner).post(NEW, filled(abilities=["*"])).status_code == 201
    assert 'value="*"' not in browser_as("admin").get(NEW).content.decode()
    key = ApiKey.objects.get()
    assert abilities.effective(key.abilities) >= {"secret:purge"}


def test_a_node_that_is_gone_is_shown_by_its_id(
    production: Environment, owner: User, browser: Browser
) -> None:
    client = browser(owner)
    client.post(NEW, filled(("secret:read", PATH)))
    gone = production.ulid
    production.delete()
    key = ApiKey.objects.get()
    page = client.get(f"/o/acme/api-keys/{key.ulid}").content.decode()
    assert f"secret:read: my-app/backend/{gone}" in page


def test_only_who_may_change_keys_gets_the_form(acme: Organization, browser_as: BrowserAs) -> None:
    key, _ = ApiKeyFactory.create(organization=acme)
    client = browser_as("auditor")
    assert "/change" not in client.get(f"/o/acme/api-keys/{key.ulid}").content.decode()
    assert client.get(f"/o/acme/api-keys/{key.ulid}/change").status_code == 403


@pytest.mark.django_db(transaction=True)
def test_a_key_is_not_widened_between_the_question_who_may_rotate_it_and_the_rotation(
    acme: Organization, owner: User, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = ApiKeyFactory.create(organization=acme, abilities=["secret:read"]).api_key
    refuse = grants.refuse_more_than_held
    outcome: list[Any] = []

    def widen() -> None:
        try:
            with transaction.atomic():
                outcome.append(ApiKey.objects.select_for_update(nowait=True).get(pk=key.pk))
        except OperationalError as error:
            outcome.append(error)
        finally:
            connections.close_all()

    def refuse_and_widen(*given: Any, **more: Any) -> None:
        refuse(*given, **more)
        thread = threading.Thread(target=widen)
        thread.start()
        thread.join(20)

    monkeypatch.setattr(api_keys, "refuse_more_than_held", refuse_and_widen)
    page = f"/o/acme/api-keys/{key.ulid}"
    answer = browser(owner).post(page, {"action": "rotate", "sure": "on"})
    assert answer.status_code == 200
    [locked_out] = outcome
    assert isinstance(locked_out, OperationalError)

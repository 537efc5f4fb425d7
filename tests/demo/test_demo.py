"""The demo makes a history to query, through the functions that pages and API use."""

from __future__ import annotations

import datetime as dt
import json
import stat
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import transaction

from audit.models import Entry
from audit.questions.querysets import EntryQuerySet
from dotenv_cloud.demo.stage import Plan
from keys import api_keys
from organizations import clock, permissions, roles
from organizations.models import Environment, Organization, Project, User
from tests.conftest import Databases, empty


@pytest.fixture(scope="module")
def demo(
    django_db_setup: None,
    django_db_blocker: Any,
    databases: Databases,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, Any]]:
    """What demo.json says, after the command has run."""
    directory = tmp_path_factory.mktemp("data")
    with django_db_blocker.unblock(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(settings, "DATA_DIR", directory)
        said = StringIO()
        call_command("demo", stdout=said)
        path = directory / "demo.json"
        yield {**json.loads(path.read_text()), "path": path, "said": said.getvalue()}
        with psycopg.connect(databases.superuser, autocommit=True) as connection:
            empty(connection)


@pytest.fixture
def entries(demo: dict[str, Any]) -> Iterator[EntryQuerySet]:
    """The entries of Acme."""
    with transaction.atomic():
        yield Entry.objects.visible([Organization.objects.get(slug="acme").pk])


def test_it_says_in_one_line_what_it_made(demo: dict[str, Any]) -> None:
    assert demo["said"].startswith("Created Acme and Northwind Labs: ")
    assert demo["said"].count("\n") == 1


def test_a_second_run_does_nothing(demo: dict[str, Any], entries: EntryQuerySet) -> None:
    before, written = entries.count(), Path(demo["path"]).read_text()
    said = StringIO()
    call_command("demo", stdout=said)
    assert "nothing was created" in said.getvalue()
    assert entries.count() == before
    assert Path(demo["path"]).read_text() == written


def test_the_credentials_are_for_their_user_alone(demo: dict[str, Any]) -> None:
    assert stat.S_IMODE(Path(demo["path"]).stat().st_mode) == 0o600


def test_everybody_introduced_can_sign_in_and_holds_their_role(demo: dict[str, Any]) -> None:
    acme = Organization.objects.get(slug=demo["organization"])
    held = {}
    for account in demo["accounts"]:
        user = User.objects.get(email=account["email"])
        assert user.check_password(account["password"])
        held[account["role"]] = permissions.abilities_of(user, acme)
    assert held == {
        "Owner": roles.PERMISSIONS[roles.Role.OWNER],
        "Developer": roles.PERMISSIONS[roles.Role.DEVELOPER],
        "Auditor": roles.PERMISSIONS[roles.Role.AUDITOR],
        "Compliance officer": roles.PERMISSIONS[roles.Role.AUDITOR],
    }


def test_only_the_compliance_officer_may_enter_admin(demo: dict[str, Any]) -> None:
    staff = {user.email for user in User.objects.filter(is_staff=True)}
    [officer] = [a["email"] for a in demo["accounts"] if a["role"] == "Compliance officer"]
    assert staff == {officer}


def test_nobody_else_has_a_password(demo: dict[str, Any]) -> None:
    introduced = {account["email"] for account in demo["accounts"]}
    for user in User.objects.exclude(email__in=introduced):
        assert not user.has_usable_password()


def test_the_api_key_has_full_access(demo: dict[str, Any]) -> None:
    api_key = api_keys.recognize(demo["api_key"])
    assert api_key is not None
    assert api_key.abilities == ["*"]
    assert api_key.organization.slug == demo["organization"]


def test_history_spans_ninety_days_and_is_never_in_the_future(entries: EntryQuerySet) -> None:
    times = [entry.time for entry in entries.order_by("-id")]
    assert 1_200 < len(times) < 3_000
    assert dt.timedelta(days=89) < times[0] - times[-1] < dt.timedelta(days=91)
    assert times[0] <= clock.now()


def test_everything_is_sealed_in_the_order_of_time(entries: EntryQuerySet) -> None:
    numbered = list(entries.order_by("seq").values_list("seq", "id"))
    assert [seq for seq, _ in numbered] == list(range(1, len(numbered) + 1))
    assert [key for _, key in numbered] == sorted(key for _, key in numbered)


def test_one_can_ask_who_deleted_the_production_environment(entries: EntryQuerySet) -> None:
    [deletion] = entries.filter(
        action="delete",
        resource_type="environment",
        resource_label="storefront/backend/production",
    )
    assert deletion.actor_label == "jane@acme.example"
    assert deletion.time.weekday() == 1
    assert clock.now() - deletion.time < dt.timedelta(days=8)
    assert deletion.recorded_changes["is_production"] == (True, None)
    # It was made again since, as another row.
    made_again = Environment.objects.get(
        target__project__slug="storefront", target__slug="backend", slug="production"
    )
    assert made_again.pk != deletion.resource_id


def test_much_changed_last_tuesday(entries: EntryQuerySet) -> None:
    today = clock.now().replace(hour=0, minute=0, second=0, microsecond=0)
    tuesday = today - dt.timedelta(days=(today.weekday() - 2) % 7 + 1)
    that_day = {e.action for e in entries if e.time.date() == tuesday.date()}
    assert {"delete", "create", "rotate", "update", "revoke", "view", "export"} <= that_day


def test_a_deleted_project_leaves_an_entry_for_each_of_its_parts(entries: EntryQuerySet) -> None:
    gone = entries.filter(action="delete", resource_label__startswith="legacy-intranet")
    assert sorted(gone.values_list("resource_type", flat=True)) == [
        "environment",
        "key_version",
        "project",
        "target",
    ]


def test_all_kinds_of_actors_interfaces_and_results_occur(entries: EntryQuerySet) -> None:
    def seen(column: str) -> set[str]:
        return set(entries.values_list(column, flat=True))

    assert seen("actor_type") == {"user", "api_key", "anonymous", "system"}
    assert seen("interface") == {"web", "api", "cli", "admin", "command"}
    assert seen("result") == {"success", "failed", "denied"}


def test_the_neighbour_is_another_organization(demo: dict[str, Any]) -> None:
    northwind = Organization.objects.get(slug="northwind-labs")
    acme = Organization.objects.get(slug="acme")
    assert not set(acme.members.all()) & set(northwind.members.all())
    with transaction.atomic():
        assert Entry.objects.visible([northwind.pk]).count() > 50


def test_the_readmes_own_project_is_left_to_the_reader(demo: dict[str, Any]) -> None:
    assert not Project.objects.filter(slug="my-app").exists()


def test_the_plan_is_the_same_each_time() -> None:
    from dotenv_cloud.demo import everyday
    from dotenv_cloud.demo.acme import Acme
    from dotenv_cloud.demo.northwind import Northwind

    def planned() -> list[dt.datetime]:
        plan = Plan(dt.datetime(2026, 11, 23, 12, tzinfo=dt.UTC))
        acme = Acme("", {})
        acme.plan(plan)
        everyday.plan_days(plan, acme)
        Northwind().plan(plan)
        return [moment for moment, _ in plan.scenes]

    assert planned() == planned()


@pytest.mark.parametrize("day", range(7))
def test_last_tuesday_is_never_today(day: int) -> None:
    plan = Plan(dt.datetime(2026, 11, 23 + day, 12, tzinfo=dt.UTC))
    tuesday = plan.today - dt.timedelta(days=plan.days_since_last(weekday=1))
    assert tuesday.weekday() == 1
    assert dt.timedelta(0) < plan.today - tuesday <= dt.timedelta(days=7)

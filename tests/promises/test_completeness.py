"""Promise 1: no change to an audited row commits without its entry, whichever way it was made."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any
from unittest.mock import Mock

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.contrib import admin
from django.contrib.admin.actions import delete_selected
from django.contrib.auth.models import Group, Permission
from django.core.management import call_command
from django.db import DatabaseError, connection, transaction
from django.db.models import F, OuterRef, Subquery, Value
from django.db.models.functions import Concat
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, RequestFactory
from django.test.utils import isolate_apps
from django.urls import path
from guardian.shortcuts import assign_perm, remove_perm

from audit import context
from audit.capture.events import record
from audit.context import Actor, Origin
from audit.ledger import sealing
from audit.policy import ActorType, Interface
from keys.models import ApiKey, KeyVersion
from organizations import members, ulid
from organizations.models import Environment, Organization, Project, Target, User
from organizations.signals import Verb, act
from tests.factories import (
    ApiKeyFactory,
    EnvironmentFactory,
    MembershipFactory,
    OrganizationFactory,
    ProjectFactory,
    TargetFactory,
)
from tests.promises.conftest import Recorded

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "sealer"])
New = Callable[[], list[Recorded]]


def new_project(organization: Organization, slug: str = "app", **fields: Any) -> Project:
    return Project(organization=organization, name=slug.title(), slug=slug, **fields)


def raw(sql: str, *parameters: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)


@pytest.fixture
def project(organization: Organization) -> Project:
    project = new_project(organization)
    project.save()
    return project


@pytest.fixture
def after(project: Project, entries: Callable[..., list[Recorded]]) -> New:
    """The entries since the project was made."""
    before = len(entries())
    return lambda: entries(before)


def test_saving_a_new_row_records_its_recorded_fields(
    organization: Organization, new_entries: New
) -> None:
    new_project(organization, metadata={"owner": "not recorded"}).save()
    [entry] = new_entries()
    assert (entry.action, entry.type, entry.label) == ("create", "project", "app")
    assert entry.changes["name"] == [None, "App"]
    assert "metadata" not in entry.changes


def test_create_is_recorded(organization: Organization, new_entries: New) -> None:
    Project.objects.create(organization=organization, name="App", slug="app")
    assert [entry.action for entry in new_entries()] == ["create"]


def test_saving_a_changed_row_records_before_and_after(project: Project, after: New) -> None:
    project.name, project.metadata = "Other", {"a": 1}
    project.save()
    [entry] = after()
    assert entry.action == "update"
    # A field that is not recorded is named, without its values.
    assert entry.changes == {"name": ["App", "Other"], "metadata": None}


def test_saving_an_unchanged_row_records_nothing(project: Project, after: New) -> None:
    project.save()
    assert after() == []


def test_the_value_before_is_the_databases_not_the_instances(project: Project, after: New) -> None:
    stale = Project.objects.get(pk=project.pk)
    Project.objects.filter(pk=project.pk).update(name="Changed meanwhile")
    stale.description = "mine"
    stale.save()
    assert after()[-1].changes == {
        "name": ["Changed meanwhile", "App"],
        "description": ["", "mine"],
    }


def test_an_expression_is_recorded_by_its_result(project: Project, after: New) -> None:
    project.name = Concat(F("name"), Value("!"))  # type: ignore[assignment]
    project.save()
    assert after()[0].changes == {"name": ["App", "App!"]}


def test_a_change_between_load_and_save_is_seen(project: Project, after: New) -> None:
    """The row is locked and read by the statement that writes it, so no race lies between."""
    mine, is_waiting = Project.objects.get(pk=project.pk), threading.Event()

    def save_mine() -> None:
        mine.name = "mine"
        is_waiting.set()
        mine.save(update_fields=["name"])
        connection.close()

    thread = threading.Thread(target=save_mine)
    with transaction.atomic():
        Project.objects.filter(pk=project.pk).update(name="theirs")
        thread.start()
        is_waiting.wait(5)
        time.sleep(0.2)
    thread.join()
    assert [entry.changes for entry in after()] == [
        {"name": ["App", "theirs"]},
        {"name": ["theirs", "mine"]},
    ]


def test_a_row_that_no_longer_fits_when_its_turn_comes_is_left_alone(
    project: Project, after: New
) -> None:
    is_waiting, changed = threading.Event(), []

    def rename_those_called_app() -> None:
        is_waiting.set()
        changed.append(Project.objects.filter(name="App").update(name="mine"))
        connection.close()

    thread = threading.Thread(target=rename_those_called_app)
    with transaction.atomic():
        Project.objects.filter(pk=project.pk).update(name="theirs")
        thread.start()
        is_waiting.wait(5)
        time.sleep(0.2)
    thread.join()
    assert changed == [0]
    assert [entry.changes for entry in after()] == [{"name": ["App", "theirs"]}]


def test_a_partly_loaded_row_is_recorded_whole_enough(project: Project, after: New) -> None:
    part = Project.objects.only("name").get(pk=project.pk)
    part.name = "Other"
    part.save()
    part.delete()
    updated, deleted = after()
    assert updated.changes == {"name": ["App", "Other"]}
    assert deleted.changes["secret_format"] == ["env", None]


def test_deleting_records_what_was_there(project: Project, after: New) -> None:
    project.name = "never saved"
    project.delete()
    [entry] = after()
    assert (entry.action, entry.label) == ("delete", "app")
    assert entry.changes["name"] == ["App", None]


def test_bulk_create_records_each_row_with_at_most_one_more_statement(
    organization: Organization, new_entries: New, django_assert_max_num_queries: Any
) -> None:
    rows = [new_project(organization, f"app-{n}") for n in range(20)]
    with transaction.atomic(), django_assert_max_num_queries(2):
        Project.objects.bulk_create(rows)
    assert {entry.label for entry in new_entries()} == {f"app-{n}" for n in range(20)}


def test_bulk_create_that_ignores_conflicts_records_only_what_it_inserted(
    project: Project, after: New
) -> None:
    rows = [new_project(project.organization, slug) for slug in ("app", "second")]
    Project.objects.bulk_create(rows, ignore_conflicts=True)
    assert [entry.label for entry in after()] == ["second"]


def test_bulk_create_that_updates_conflicts_records_which_rows_it_made_and_which_it_changed(
    project: Project, after: New
) -> None:
    rows = [new_project(project.organization, slug) for slug in ("app", "second")]
    rows[0].name = "Renamed"
    Project.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["organization", "slug"],
        update_fields=["name"],
    )
    found = {(entry.action, entry.label): entry.changes["name"] for entry in after()}
    assert found == {
        ("update", "app"): ["App", "Renamed"],
        ("create", "second"): [None, "Second"],
    }


def test_bulk_update_is_recorded(project: Project, after: New) -> None:
    project.name = "Bulk"
    Project.objects.bulk_update([project], ["name"])
    assert after()[0].changes == {"name": ["App", "Bulk"]}


def test_queryset_update_records_each_row_with_at_most_one_more_statement(
    project: Project, after: New, django_assert_max_num_queries: Any
) -> None:
    new_project(project.organization, "second").save()
    with transaction.atomic(), django_assert_max_num_queries(2):
        changed = Project.objects.filter(organization__slug="acme").update(description="x")
    assert changed == 2
    found = [entry for entry in after() if entry.action == "update"]
    assert {entry.label: entry.changes for entry in found} == {
        "app": {"description": ["", "x"]},
        "second": {"description": ["", "x"]},
    }


def test_a_save_costs_at_most_one_more_statement(
    project: Project, django_assert_max_num_queries: Any
) -> None:
    project.name = "Other"
    with transaction.atomic(), django_assert_max_num_queries(2):
        project.save()


def test_an_update_of_nothing_records_nothing(project: Project, after: New) -> None:
    assert Project.objects.filter(name="nobody").update(name="x") == 0
    assert Project.objects.none().update(name="x") == 0
    assert after() == []


def test_joins_subqueries_and_slices_record_the_rows_they_reach(
    project: Project, after: New
) -> None:
    for slug in ("second", "third"):
        TargetFactory.create(project=Project.objects.create(
            organization=project.organization, name=slug, slug=slug))  # fmt: skip
    before = len(after())
    newest = Project.objects.order_by("-id")[:1]
    Project.objects.filter(pk__in=newest.values("pk")).update(description="newest")
    named_after = Project.objects.filter(pk=OuterRef("project_id")).values("name")[:1]
    Target.objects.filter(project__name__in=["second", "third"]).update(
        description=Subquery(named_after)
    )
    Target.objects.filter(project__name="second").delete()
    Project.objects.filter(targets__name="Backend").exclude(slug="app").delete()
    found = [(entry.action, entry.label, entry.changes.get("description")) for entry in after()]
    assert sorted(found[before:]) == [
        ("delete", "second/backend", ["second", None]),
        ("delete", "third", ["newest", None]),
        ("delete", "third/backend", ["third", None]),
        ("update", "second/backend", ["", "second"]),
        ("update", "third", ["", "newest"]),
        ("update", "third/backend", ["", "third"]),
    ]


def test_a_reference_set_to_null_is_recorded(organization: Organization, new_entries: New) -> None:
    creator = MembershipFactory.create(organization=organization).user
    ApiKeyFactory.create(organization=organization, created_by=creator)
    creator.delete()
    [entry] = [each for each in new_entries() if (each.action, each.type) == ("update", "api_key")]
    assert entry.label == "ci"
    assert entry.changes == {"created_by_id": None}


def test_a_deleted_person_is_recorded_with_memberships_and_permissions(
    organization: Organization, new_entries: New
) -> None:
    user = MembershipFactory.create(organization=organization, role="billing_manager").user
    user.groups.add(Group.objects.create(name="reviewers"))
    before = len(new_entries())
    user.delete()
    found = new_entries()[before:]
    assert {entry.label for entry in found} == {user.email}
    # The person, and the groups, to the organization just left and to the platform's own log.
    assert [(entry.action, entry.type) for entry in found if entry.action == "delete"] == [
        ("delete", "membership"),
        ("delete", "user"),
        ("delete", "user"),
    ]
    assert sorted(name for e in found if e.action == "revoke" for name in e.changes) == [
        "groups",
        "groups",
        "permissions",
    ]


@pytest.mark.parametrize("is_sealed", [False, True])
def test_the_end_of_an_account_is_entered_where_the_person_was_known(
    organization: Organization, entries: Callable[..., list[Recorded]], is_sealed: bool
) -> None:
    stranger = OrganizationFactory.create(name="Stranger")
    member = MembershipFactory.create(organization=organization, user__email="then@example.org")
    user, key = member.user, member.user.pk
    members.remove(member)
    user.email = "since@example.org"
    user.save()
    if is_sealed:
        sealing.seal()
    user.delete()
    wanted = {"action": "delete", "resource_type": "user", "resource_id": key}
    [found] = entries(**wanted, organization_id=organization.pk)
    # Its log has the address that it knew, not what became of it since.
    assert (found.label, found.changes) == ("then@example.org", {})
    [platform] = entries(**wanted, organization_id=ulid.NIL)
    assert platform.label == "since@example.org"
    assert platform.changes["email"] == ["since@example.org", None]
    assert entries(**wanted, organization_id=stranger.pk) == []


def test_queryset_delete_and_cascade_record_every_row(project: Project, after: New) -> None:
    target = TargetFactory.create(project=project)
    EnvironmentFactory.create(target=target, name="Production")
    EnvironmentFactory.create(target=target, name="Staging")
    Project.objects.filter(pk=project.pk).delete()
    deleted = [(entry.type, entry.label) for entry in after() if entry.action == "delete"]
    assert sorted(deleted) == [
        ("environment", "app/backend/production"),
        ("environment", "app/backend/staging"),
        ("project", "app"),
        ("target", "app/backend"),
    ]


def test_raw_delete_of_a_queryset_is_recorded(project: Project, after: New) -> None:
    Project.objects.filter(pk=project.pk)._raw_delete("default")
    assert [entry.action for entry in after()] == ["delete"]


def test_get_or_create_and_update_or_create_are_recorded(project: Project, after: New) -> None:
    organization = project.organization
    Project.objects.get_or_create(organization=organization, slug="app")
    Project.objects.get_or_create(organization=organization, slug="new", defaults={"name": "New"})
    Project.objects.update_or_create(
        organization=organization, slug="new", defaults={"name": "Newer"}
    )
    assert [(entry.action, entry.changes["name"]) for entry in after()] == [
        ("create", [None, "New"]),
        ("update", ["New", "Newer"]),
    ]


def test_writes_by_a_proxy_are_recorded_as_the_models_own(project: Project, after: New) -> None:
    with isolate_apps("organizations"):

        class Archived(Project):
            class Meta:
                proxy = True
                app_label = "organizations"

        archived = Archived.objects.get(pk=project.pk)
        archived.name = "Saved"
        archived.save()
        Archived.objects.update(name="Updated")
        Archived.objects.filter(pk=project.pk)._raw_delete("default")  # type: ignore[attr-defined]
    assert [(entry.action, entry.type, entry.label) for entry in after()] == [
        ("update", "project", "app"),
        ("update", "project", "app"),
        ("delete", "project", "app"),
    ]


def test_many_to_many_links_are_recorded_on_their_owner(
    organization: Organization, new_entries: New
) -> None:
    user = organization.memberships.get().user
    first, second = Group.objects.create(name="first"), Group.objects.create(name="second")
    user.groups.add(first, second)
    user.groups.set([second])
    user.groups.clear()
    assert [(entry.action, entry.type, entry.changes) for entry in new_entries()] == [
        ("grant", "user", {"groups": [[], ["first", "second"]]}),
        ("revoke", "user", {"groups": [["first"], []]}),
        ("revoke", "user", {"groups": [["second"], []]}),
    ]


def test_a_deleted_group_is_recorded_to_those_who_were_in_it(
    organization: Organization, new_entries: New
) -> None:
    group = Group.objects.create(name="reviewers")
    members = [MembershipFactory.create(organization=organization).user for _ in range(2)]
    group.user_set.set(members)
    before = len(new_entries())
    group.delete()
    found = sorted((entry.label, entry.action, entry.changes) for entry in new_entries()[before:])
    assert found == [(user.email, "revoke", {"groups": [["reviewers"], []]}) for user in members]


def test_links_are_never_updated(organization: Organization) -> None:
    link = User.groups.through
    organization.memberships.get().user.groups.add(Group.objects.create(name="first"))
    with pytest.raises(DatabaseError, match="a link of user .* never changes"):
        link.objects.update(group_id=Group.objects.create(name="second").pk)


def test_permissions_given_past_the_roles_are_recorded(
    organization: Organization, new_entries: New
) -> None:
    user = MembershipFactory.create(organization=organization, role="billing_manager").user
    before = len(new_entries())
    assign_perm("audit:read", user, organization)
    remove_perm("audit:read", user, organization)
    user.user_permissions.add(Permission.objects.get(codename="add_session"))
    assert [(entry.action, entry.changes) for entry in new_entries()[before:]] == [
        ("grant", {"permissions": [[], ["audit:read"]]}),
        ("revoke", {"permissions": [["audit:read"], []]}),
        ("grant", {"user_permissions": [[], ["add_session"]]}),
    ]


def test_raw_sql_without_a_reason_is_refused(project: Project, after: New) -> None:
    for statement in (
        "UPDATE organizations_project SET name = 'raw' WHERE id = %s",
        "DELETE FROM organizations_project WHERE id = %s",
    ):
        with pytest.raises(DatabaseError, match="does not say who acts"):
            raw(statement, project.pk)
    with pytest.raises(DatabaseError, match="does not say who acts"):
        raw(
            "INSERT INTO organizations_target (id, created_at, updated_at, name, slug, description,"
            " organization_id, project_id) VALUES (gen_random_uuid(), now(), now(), 'x', 'x', '',"
            " %s, %s)",
            project.organization_id,
            project.pk,
        )
    project.refresh_from_db()
    assert project.name == "App"
    assert after() == []


def test_raw_sql_with_a_reason_is_recorded_by_the_database(project: Project, after: New) -> None:
    with transaction.atomic():
        raw("SET LOCAL audit.reason = 'ticket 7'")
        raw(
            "UPDATE organizations_project SET name = 'raw', metadata = '{}' WHERE id = %s",
            project.pk,
        )
    [entry] = after()
    assert (entry.action, entry.actor_type, entry.interface) == ("update", "database", "database")
    assert entry.actor == connection.settings_dict["USER"]
    assert entry.changes == {"name": ["App", "raw"]}
    assert entry.context["reason"] == "ticket 7"


def test_the_database_records_values_as_the_application_does(project: Project, after: New) -> None:
    target = TargetFactory.create(project=project)
    raw_slug = "DELETE FROM organizations_target WHERE id = %s"
    with transaction.atomic():
        raw("SET LOCAL audit.reason = 'tidy'")
        raw(raw_slug, target.pk)
    created, deleted = after()
    assert created.label == deleted.label == "app/backend"
    assert {name: pair[1] for name, pair in created.changes.items()} == {
        name: pair[0] for name, pair in deleted.changes.items()
    }


def test_a_raw_change_cannot_hide_behind_an_entry_of_the_same_row(project: Project) -> None:
    with pytest.raises(DatabaseError, match="does not say who acts"), transaction.atomic():
        project.name = "recorded"
        project.save()
        raw("UPDATE organizations_project SET name = 'hidden' WHERE id = %s", project.pk)
    with pytest.raises(DatabaseError, match="does not say who acts"), transaction.atomic():
        project.name = "recorded"
        project.save()
        raw("DELETE FROM organizations_project WHERE id = %s", project.pk)


def test_an_entry_of_another_transaction_does_not_count(project: Project) -> None:
    project.name = "recorded"
    project.save()
    with pytest.raises(DatabaseError, match="does not say who acts"):
        raw("UPDATE organizations_project SET name = 'later' WHERE id = %s", project.pk)


def test_nested_transactions_keep_what_is_kept(project: Project, after: New) -> None:
    with transaction.atomic():
        Project.objects.filter(pk=project.pk).update(name="outer")
        with pytest.raises(RuntimeError), transaction.atomic():
            Project.objects.filter(pk=project.pk).update(name="inner")
            raise RuntimeError
        with transaction.atomic():
            Project.objects.filter(pk=project.pk).update(description="kept")
    assert [entry.changes for entry in after()] == [
        {"name": ["App", "outer"]},
        {"description": ["", "kept"]},
    ]


def test_a_rolled_back_change_leaves_no_entry(project: Project, after: New) -> None:
    with pytest.raises(RuntimeError), transaction.atomic():
        project.delete()
        raise RuntimeError
    assert after() == []
    assert Project.objects.filter(slug="app").exists()


def test_a_change_that_fails_leaves_no_entry(project: Project, after: New) -> None:
    with pytest.raises(DatabaseError):
        new_project(project.organization, "app").save()
    assert after() == []


def test_if_the_entry_cannot_be_written_the_change_fails(
    project: Project, superuser_connection: Any
) -> None:
    superuser_connection.execute(
        "ALTER TABLE audit_inbox ADD CONSTRAINT disk_is_full CHECK (false) NOT VALID"
    )
    try:
        project.name = "unrecorded"
        with pytest.raises(DatabaseError):
            project.save()
    finally:
        superuser_connection.execute("ALTER TABLE audit_inbox DROP CONSTRAINT disk_is_full")
    project.refresh_from_db()
    assert project.name == "App"


def test_two_threads_keep_their_actors_apart(organization: Organization, new_entries: New) -> None:
    both_inside = threading.Barrier(2)

    def work(name: str) -> None:
        with context.acting_as(Actor(ActorType.SYSTEM, None, name)):
            both_inside.wait(5)
            for n in range(10):
                new_project(organization, f"{name}-{n}").save()
        connection.close()

    threads = [threading.Thread(target=work, args=(name,)) for name in ("left", "right")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = new_entries()
    assert len(found) == 20
    assert all(entry.label.startswith(entry.actor) for entry in found)


def test_async_code_keeps_its_actor(organization: Organization, new_entries: New) -> None:
    async def work(name: str) -> None:
        with context.acting_as(Actor(ActorType.SYSTEM, None, name)):
            await asyncio.sleep(0)
            await new_project(organization, name).asave()
            await sync_to_async(new_project(organization, f"{name}-2").save)()

    async def both() -> None:
        await asyncio.gather(work("left"), work("right"))

    async_to_sync(both)()
    assert {(entry.actor, entry.label) for entry in new_entries()} == {
        ("left", "left"),
        ("left", "left-2"),
        ("right", "right"),
        ("right", "right-2"),
    }


async def make_a_project(request: HttpRequest) -> HttpResponse:
    organization = await Organization.objects.aget(slug="acme")
    await Project.objects.acreate(organization=organization, name="App", slug="app")
    return HttpResponse(status=201)


urlpatterns = [path("make", transaction.non_atomic_requests(make_a_project))]


@pytest.mark.urls(__name__)
def test_an_async_view_acts_for_who_is_signed_in(
    organization: Organization, new_entries: New
) -> None:
    user = organization.memberships.get().user
    client = AsyncClient()
    client.force_login(user)
    before = len(new_entries())
    response = async_to_sync(client.get)("/make", headers={"User-Agent": "async/1"})
    assert response.status_code == 201
    [entry] = new_entries()[before:]
    assert (entry.actor_type, entry.actor, entry.interface) == ("user", user.email, "web")
    assert context.actor() == context.SYSTEM


def test_an_action_of_the_admin_is_recorded_as_such(
    project: Project, after: New, rf: RequestFactory
) -> None:
    """Ours changes nothing, but a site that registers a model writably is recorded like any."""
    user = project.organization.memberships.get().user
    user.has_perms = user.has_perm = lambda *args: True  # type: ignore[method-assign, assignment]
    TargetFactory.create(project=project)
    before = len(after())
    site = admin.AdminSite()
    for model in (Project, Target, KeyVersion):
        site.register(model)
    request = rf.post("/admin/", {"post": "yes"})
    request.user = user
    request._messages = Mock()  # type: ignore[attr-defined]
    with context.acting_from(Origin(Interface.ADMIN), Actor(ActorType.USER, user.pk, user.email)):
        delete_selected(site._registry[Project], request, Project.objects.filter(pk=project.pk))
    found = after()[before:]
    assert {(entry.action, entry.type) for entry in found} == {
        ("delete", "project"),
        ("delete", "target"),
    }
    assert {(entry.interface, entry.actor) for entry in found} == {("admin", user.email)}


def test_a_management_command_is_the_system(organization: Organization, new_entries: New) -> None:
    with context.command(["manage.py", "rewrap_keys", "--password", "secret"]):
        new_project(organization).save()
    [entry] = new_entries()
    assert (entry.actor_type, entry.interface) == ("system", "command")
    assert entry.context == {"command": "rewrap_keys"}


def test_without_any_context_the_system_acted(organization: Organization, new_entries: New) -> None:
    new_project(organization).save()
    assert (new_entries()[0].actor_type, new_entries()[0].actor) == ("system", "system")


def test_silent_fields_leave_no_entry_and_pass_the_guard(
    organization: Organization, new_entries: New
) -> None:
    ApiKeyFactory.create(organization=organization)
    before = len(new_entries())
    used = {"last_used_at": "2026-01-01T00:00:00Z", "last_used_ip": "203.0.113.9"}
    ApiKey.objects.update(seen_from=["203.0.113.9"], **used)
    User.objects.update(last_login="2026-01-01T00:00:00Z")
    assert new_entries()[before:] == []


def test_an_act_names_what_was_done(project: Project, after: New) -> None:
    key = ApiKeyFactory.create(organization=project.organization).api_key
    with act(Verb.ROTATE, key_version=9):
        key.token_hash = b"x" * 32
        key.save()
    entry = after()[-1]
    assert entry.action == "rotate"
    assert entry.context == {"key_version": 9}
    assert entry.changes == {"token_hash": None}


def test_an_unknown_verb_or_fact_is_an_error() -> None:
    with pytest.raises(ValueError, match="'repaint' is not a valid Verb"), act("repaint"):  # type: ignore[arg-type]
        pass
    with pytest.raises(ValueError, match="an entry of 'rotate' cannot carry password"):  # noqa: SIM117
        with act(Verb.ROTATE, password="not in the policy"):
            pass
    # What any event may say, an act may not: the triggers would leave it out.
    with pytest.raises(ValueError, match="an entry of 'rotate' cannot carry reason"):  # noqa: SIM117
        with act(Verb.ROTATE, reason="because"):
            pass
    with pytest.raises(ValueError, match="an entry of 'view' cannot carry colour"):
        record(
            "view",
            resource_type="audit_log",
            resource_label="all",
            organization_id=ulid.NIL,
            colour="red",
        )


@pytest.mark.parametrize(
    ("action", "kind", "complaint"),
    [("sing_in", "user", "is not an action of"), ("view", "projct", "is not a resource type of")],
)
def test_an_unknown_action_or_type_is_an_error(action: str, kind: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        record(action, resource_type=kind, resource_label="all", organization_id=ulid.NIL)


def test_each_type_is_called_by_its_path(organization: Organization, new_entries: New) -> None:
    project = ProjectFactory.create(organization=organization)
    environment = EnvironmentFactory.create(target__project=project)
    Environment.objects.filter(pk=environment.pk).update(slug="prod")
    Target.objects.filter(project=project).update(slug="api")
    Environment.objects.filter(pk=environment.pk).update(name="Prod")
    assert [entry.label for entry in new_entries()] == [
        "my-app",
        "my-app/encryption-key/1",
        "my-app/backend",
        "my-app/backend/production",
        "my-app/backend/prod",
        "my-app/api",
        "my-app/api/prod",
    ]


def test_a_persons_change_is_recorded_to_each_organization_of_theirs(
    organization: Organization, entries: Callable[..., list[Recorded]]
) -> None:
    user = organization.memberships.get().user
    second = OrganizationFactory.create(name="Second", owner=user)
    before = len(entries())
    user.name = "Ada"
    user.save()
    found = entries(before)
    assert len(found) == 2
    assert len(entries(organization_id=second.pk, action="update")) == 1


def test_deleting_an_organization_leaves_its_history_whole(
    organization: Organization, entries: Callable[..., list[Recorded]]
) -> None:
    ProjectFactory.create(organization=organization)
    kept = organization.pk
    organization.delete()
    found = entries(organization_id=kept)
    assert found[0].action == "create"
    deleted = [entry.type for entry in found if entry.action == "delete"]
    assert deleted.count("organization") == 1
    assert {"project", "key_version", "membership"} <= set(deleted)


def test_every_audited_table_has_its_triggers() -> None:
    """Those that enter what each operation does to it, and those that refuse the rest."""
    from audit import policy

    for spec in policy.AUDITED:
        table = spec.model_class()._meta.db_table
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT tgname FROM pg_trigger WHERE tgrelid = %s::regclass AND NOT tgisinternal"
                " AND tgenabled = 'O'",
                [table],
            )
            names = {name for (name,) in cursor.fetchall()}
        entering = {"audit_insert", "audit_delete"}
        if isinstance(spec, policy.Resource):
            entering.add("audit_update")
        assert names >= entering | {"audit_stays", "audit_no_truncate"}, table


def test_rewrapping_under_another_master_key_is_recorded(
    organization: Organization, new_entries: New, settings: Any
) -> None:
    ProjectFactory.create(organization=organization)
    before = len(new_entries())
    settings.MASTER_KEYS = {**settings.MASTER_KEYS, 2: b"2" * 32}
    settings.MASTER_KEY_CURRENT = 2
    call_command("rewrap_keys", verbosity=0)
    [entry] = new_entries()[before:]
    assert entry.action == "rewrap"
    assert entry.changes == {"master_key_version": [1, 2], "wrapped_key": None}

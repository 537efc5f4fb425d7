"""The admin is read-only: staff see their own organizations, and nobody changes anything."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from guardian.shortcuts import assign_perm

from audit.evidence.notes import WitnessKey
from audit.models import Entry, Witness
from audit.questions import saved_views, tenant_scope
from keys import access_tokens, rotation, secrets
from keys.authors import SYSTEM
from keys.levels import Level
from keys.models import AccessToken, ApiKey, KeyVersion, Secret, SecretVersion
from organizations import members
from organizations.grants import EVERYTHING
from organizations.models import Invitation, Organization, Project, User
from tests.factories import (
    PASSWORD,
    ApiKeyFactory,
    EnvironmentFactory,
    MembershipFactory,
    OrganizationFactory,
    ProjectFactory,
    TargetFactory,
    UserFactory,
)

pytestmark = pytest.mark.django_db(transaction=True)

MODELS = sorted(admin.site._registry, key=lambda model: model._meta.label)


@dataclass
class World:
    """Two organizations alike; the officer reads one of them."""

    ours: Organization
    theirs: Organization
    officer: User
    client: Client
    secrets: list[str]


def make_contents(organization: Organization, name: str) -> list[str]:
    """Rows of every kind; returns what must never be shown."""
    project = ProjectFactory.create(organization=organization, name=f"{name} project")
    target = TargetFactory.create(project=project, name=f"{name} target")
    environment = EnvironmentFactory.create(target=target, name=f"{name} env")
    level = Level(project, target, environment)
    plaintext = f"TOKEN=the value of {name}"
    secrets.store(level, plaintext, author=SYSTEM)
    secrets.store(level, plaintext, author=SYSTEM)
    rotation.rotate(project)
    issued = ApiKeyFactory.create(organization=organization, name=f"{name}-key")
    owner = organization.memberships.get(role="owner").user
    invited = members.invite(
        organization,
        f"{name.lower()}-guest@example.org",
        "member",
        invited_by=owner,
        granter=EVERYTHING,
    )
    laptop = access_tokens.create(owner, f"{name} laptop")
    vkey = WitnessKey(f"{name}-witness", b"w" * 32).vkey
    Witness.objects.create(organization=organization, name=f"{name}-witness", vkey=vkey)
    saved_views.save(organization, owner, f"{name} view", "action=delete", is_shared=False)
    assign_perm("audit:read", Group.objects.create(name=f"{name} operators"), organization)
    hidden = [bytes(issued.api_key.token_hash), bytes(invited.invitation.token_hash)]
    hidden.append(bytes(laptop.access_token.token_hash))
    hidden += [bytes(row.content) for row in Secret.objects.filter(project=project)]
    hidden += [bytes(row.content) for row in SecretVersion.objects.filter(project=project)]
    for version in KeyVersion.objects.filter(project=project):
        assert version.wrapped_key is not None
        hidden += [bytes(version.wrapped_key), bytes(version.key_check_salt)]
    shown_once = [issued.token, laptop.token, invited.token]
    spelled = [*(str(h) for h in hidden), *(h.hex() for h in hidden)]
    return [*shown_once, owner.password, plaintext, *spelled]


@pytest.fixture
def world() -> Iterator[World]:
    ours = OrganizationFactory.create(name="Ours", owner__email="boss@ours.example")
    theirs = OrganizationFactory.create(name="Theirs", owner__email="boss@theirs.example")
    officer = UserFactory.create(email="officer@ours.example", is_staff=True)
    MembershipFactory.create(organization=ours, auditor=True, user=officer)
    hidden = make_contents(ours, "Our") + make_contents(theirs, "Their")
    client = Client()
    client.force_login(officer)
    yield World(ours, theirs, officer, client, hidden)


def changelist(model: Any) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")


def change(model: Any, key: object) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_change", args=[key])


def list_on(page: Any) -> Any:
    """The list that a page of the admin shows."""
    return page.context_data["cl"]


def rows_of(model: Any, organization: Organization) -> list[Any]:
    with transaction.atomic():
        tenant_scope.enter(tenant_scope.EVERYTHING)
        if model is Entry:
            return list(Entry.objects.filter(organization_id=organization.pk))
        registered: Any = admin.site._registry[model]
        return list(model.objects.filter(registered.within([organization.pk])))


def test_every_audited_model_and_the_log_are_there() -> None:
    from audit import policy

    shown = set(MODELS)
    assert Entry in shown
    assert {spec.model_class() for spec in policy.RESOURCES} <= shown


def key_of(row: Any) -> Any:
    """How an address names it."""
    return row.ulid if isinstance(row, Entry) else row.pk


def test_the_officer_reads_lists_and_rows_of_their_own_organization(world: World) -> None:
    for model in MODELS:
        assert world.client.get(changelist(model)).status_code == 200, model
        rows = rows_of(model, world.ours)
        assert rows, model
        for row in rows[:3]:
            assert world.client.get(change(model, key_of(row))).status_code == 200, model


def test_rows_of_another_organization_do_not_exist(world: World) -> None:
    for model in MODELS:
        own = {row.pk for row in rows_of(model, world.ours)}
        others = [row for row in rows_of(model, world.theirs) if row.pk not in own]
        assert others, model
        for row in others[:3]:
            assert world.client.get(change(model, key_of(row))).status_code == 404, model
        page = world.client.get(changelist(model)).content.decode()
        for name in ("Their", "theirs", "boss@theirs.example", "their-guest"):
            assert name not in page, model


def test_nothing_is_added_changed_or_deleted(world: World) -> None:
    before = {model: rows_of(model, world.ours) for model in MODELS}
    for model, rows in before.items():
        key = key_of(rows[0])
        paths = [changelist(model), change(model, key)]
        paths += [f"{changelist(model)}{rest}" for rest in ("add/", f"{key}/delete/", f"{key}/")]
        for path in paths:
            for method in ("post", "put", "patch", "delete"):
                assert getattr(world.client, method)(path).status_code in (403, 404, 405), path
        selected = {"action": "delete_selected", "_selected_action": str(key)}
        assert world.client.post(changelist(model), selected).status_code == 403, model
    for model, rows in before.items():
        assert {row.pk for row in rows} <= {row.pk for row in rows_of(model, world.ours)}, model


def test_the_stocks_other_pages_are_gone(world: World) -> None:
    for model in MODELS:
        for path in ("add/", "x/delete/", "x/history/"):
            assert world.client.get(f"{changelist(model)}{path}").status_code == 404, model


def test_no_secret_and_no_hash_is_shown(world: World) -> None:
    for model in MODELS:
        pages = [changelist(model)]
        for row in rows_of(model, world.ours):
            pages.append(change(model, key_of(row)))
        for path in pages:
            page = world.client.get(path).content.decode()
            for secret in world.secrets:
                assert secret not in page


def test_secret_columns_are_in_no_admin() -> None:
    hidden = {
        "token_hash",
        "wrapped_key",
        "wrapped_key_check",
        "key_check_salt",
        "content",
        "password",
        "metadata",
    }
    for model_admin in admin.site._registry.values():
        assert not hidden & {*(model_admin.fields or ()), *model_admin.list_display}


def test_what_is_kept_out_of_the_pages_cannot_be_asked_by_either(world: World) -> None:
    members.add(world.theirs, world.officer, "member")
    for model, asked in (
        (User, "password__startswith=md5"),
        (User, f"organizations={world.theirs.pk}"),
        (User, f"organizations__in={world.theirs.pk}"),
        (User, f"memberships__organization={world.theirs.pk}"),
        (User, "is_staff__exact=%00"),
        (Invitation, "token_hash__isnull=0"),
        (Project, "metadata__has_key=password"),
        (AccessToken, "token_hash__isnull=0"),
        (ApiKey, "token_hash__isnull=0"),
        (KeyVersion, "wrapped_key__isnull=0"),
    ):
        assert world.client.get(f"{changelist(model)}?{asked}").status_code == 400, asked


def test_the_filters_at_the_side_work(world: World) -> None:
    for model in MODELS:
        shown = list_on(world.client.get(changelist(model)))
        for each in shown.filter_specs:
            for choice in each.choices(shown):
                path = f"{changelist(model)}{choice['query_string']}"
                assert world.client.get(path).status_code == 200, path


def test_an_entry_shows_what_changed(world: World) -> None:
    with transaction.atomic():
        [entry] = Entry.objects.visible([world.ours.pk]).filter(
            action="create", resource_type="environment"
        )
    page = world.client.get(change(Entry, entry.ulid)).content.decode()
    assert "our-project/our-target/our-env" in page
    assert "is_production" in page
    assert entry.ulid in page


def test_the_log_is_asked_by_the_same_parameters_as_everywhere(world: World) -> None:
    page = world.client.get(changelist(Entry), {"action": "rotate", "type": "key_version"})
    shown = [entry.action for entry in list_on(page).result_list]
    assert shown == ["rotate"]
    page = world.client.get(changelist(Entry), {"q": "our-target"})
    types = {entry.resource_type for entry in list_on(page).result_list}
    assert types == {"target", "environment", "secret", "secret_version"}


def test_a_question_that_cannot_be_read_is_not_answered_with_everything(world: World) -> None:
    response = world.client.get(changelist(Entry), {"action": "no-such"})
    assert response.status_code == 302
    assert response["Location"].endswith("?e=1")


def test_asking_for_another_organization_shows_nothing(world: World) -> None:
    page = world.client.get(changelist(Entry), {"organization": world.theirs.slug})
    assert list(list_on(page).result_list) == []


def test_the_log_is_paged_by_id(world: World) -> None:
    first = list_on(world.client.get(changelist(Entry), {"per_page": "3"}))
    assert len(first.result_list) == 3
    second = list_on(world.client.get(changelist(Entry) + first.older))
    assert second.result_list[0].pk < first.result_list[-1].pk
    back = list_on(world.client.get(changelist(Entry) + second.newer))
    assert {e.pk for e in first.result_list} == {e.pk for e in back.result_list}


def test_reading_the_log_here_is_recorded_as_done_here(world: World) -> None:
    world.client.get(changelist(Entry), {"action": "rotate"})
    with transaction.atomic():
        [view] = Entry.objects.visible([world.ours.pk]).filter(action="view")
    assert view.actor_id == world.officer.pk
    assert view.interface == "admin"
    assert view.context["filters"] == "action=rotate"


def test_a_list_takes_the_same_number_of_queries_whatever_its_length(world: World) -> None:
    def queries(model: Any) -> int:
        world.client.get(changelist(model))  # content types, the view's entry of this minute
        with CaptureQueriesContext(connection) as captured:
            world.client.get(changelist(model))
        return len(captured)

    def more(numbers: range) -> None:
        for number in numbers:
            make_contents(world.ours, f"More{number}")
            MembershipFactory.create(organization=world.ours)

    # Entries that do not fill a page are looked for beyond the last month too: one query more.
    more(range(5))
    few = {model: queries(model) for model in MODELS}
    more(range(5, 10))
    assert {model: queries(model) for model in MODELS} == few
    # Two of them set how its entries are counted, and set it back.
    assert max(few.values()) <= 18


def test_signing_in_uses_the_sites_own_page(world: World) -> None:
    response = Client().get(reverse("admin:index"))
    assert response.status_code == 302
    assert response["Location"].startswith(reverse("sign_in"))


def test_people_who_are_not_staff_stay_out(world: World) -> None:
    client = Client()
    client.force_login(User.objects.get(email="boss@ours.example"))
    assert client.get(reverse("admin:index")).status_code == 403
    assert client.get(changelist(Entry)).status_code == 403


def test_a_superuser_sees_no_more_than_their_memberships(world: World) -> None:
    root = User.objects.create_superuser("root@example.org", PASSWORD)
    client = Client()
    client.force_login(root)
    for model in MODELS:
        assert client.get(changelist(model)).status_code == 403
    assert "changelist" not in client.get(reverse("admin:index")).content.decode()
    project = Project.objects.filter(organization=world.ours).get()
    assert client.get(change(Project, project.pk)).status_code == 403
    assert client.post(change(Project, project.pk), {"name": "Mine"}).status_code == 403


def test_staff_without_the_right_to_read_the_log_see_nothing(world: World) -> None:
    developer = UserFactory.create(is_staff=True)
    MembershipFactory.create(organization=world.ours, role="developer", user=developer)
    client = Client()
    client.force_login(developer)
    for model in MODELS:
        assert client.get(changelist(model)).status_code == 403
    api_key = ApiKey.objects.filter(organization=world.ours).get()
    assert client.get(change(ApiKey, api_key.pk)).status_code == 403

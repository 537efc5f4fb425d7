"""Reading the log leaves entries too, and who may read it follows the permission alone."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.http import QueryDict

from audit import context
from audit.context import Actor
from audit.models import Entry
from audit.policy import ActorType
from audit.questions import reading
from audit.questions.filters import EntryFilter
from organizations import permissions, roles
from organizations.models import Organization, User
from tests.factories import MembershipFactory, OrganizationFactory, UserFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def owner() -> User:
    return UserFactory.create()


@pytest.fixture
def acme(owner: User) -> Organization:
    return OrganizationFactory.create(name="Acme", owner=owner)


def entered(organization: Organization, action: str) -> list[Entry]:
    entries = Entry.objects.visible([organization.pk])  # type: ignore[attr-defined]
    return list(entries.filter(action=action).order_by("id"))


@pytest.mark.parametrize("role", roles.Role.values)
def test_every_role_with_audit_read_may_read(acme: Organization, role: str) -> None:
    OrganizationFactory.create(name="Elsewhere")
    person = MembershipFactory.create(organization=acme, role=role).user
    may = "audit:read" in roles.permissions_of(role)
    assert list(permissions.organizations_with(person, "audit:read")) == ([acme] if may else [])


def test_superusers_and_people_who_left_read_nothing(acme: Organization, owner: User) -> None:
    root = User.objects.create_superuser("root@example.org", "a long password")
    assert list(permissions.organizations_with(root, "audit:read")) == []
    owner.is_active = False
    owner.save()
    assert list(permissions.organizations_with(owner, "audit:read")) == []


def test_a_view_is_entered_with_its_question(acme: Organization, owner: User) -> None:
    with context.acting_as(Actor(ActorType.USER, owner.pk, owner.email)):
        reading.record_view(acme, QueryDict("type=environment&action=delete&cursor=&per_page=10"))
    [entry] = entered(acme, "view")
    assert entry.resource_type == "audit_log"
    assert entry.resource_label == acme.slug
    assert entry.actor_id == owner.pk
    assert entry.context == {"filters": "action=delete&type=environment"}


def test_a_view_again_within_the_minute_is_counted_only(acme: Organization) -> None:
    for _ in range(3):
        reading.record_view(acme, {"action": "delete"})
    reading.record_view(acme, {"action": "create"})
    assert [entry.context["filters"] for entry in entered(acme, "view")] == [
        "action=delete",
        "action=create",
    ]


def test_a_view_of_many_logs_is_entered_in_each_by_one_statement(
    acme: Organization, owner: User, django_assert_num_queries: Any
) -> None:
    other, unread = (
        OrganizationFactory.create(name=name, owner=owner) for name in ("Other", "Unread")
    )
    for _ in range(2):
        with django_assert_num_queries(1):
            reading.record_views([acme, other], {"action": "delete"})
    reading.record_view(other, {"action": "delete"})
    for organization in (acme, other):
        [entry] = entered(organization, "view")
        assert entry.resource_label == organization.slug
        assert entry.context == {"filters": "action=delete"}
    assert entered(unread, "view") == []
    with connection.cursor() as cursor:
        cursor.execute("SELECT repeats FROM audit_repeat ORDER BY repeats")
        assert cursor.fetchall() == [(1,), (2,)]


def test_a_view_of_no_log_enters_nothing(acme: Organization) -> None:
    reading.record_views([], {"action": "delete"})
    assert entered(acme, "view") == []


def test_a_view_of_one_entry_names_it(acme: Organization) -> None:
    [created] = entered(acme, "create")
    reading.record_view(acme, entry=created)
    [entry] = entered(acme, "view")
    assert entry.context == {"entry": created.ulid}


def test_every_export_is_entered(acme: Organization) -> None:
    question = EntryFilter({"actor": "owner", "format": "csv"}, Entry.objects.none())
    for _ in range(2):
        reading.record_export(acme, question, "csv")
    exports = entered(acme, "export")
    assert [entry.context for entry in exports] == [{"filters": "actor=owner", "format": "csv"}] * 2


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"q": "a secret that somebody pasted"}, "q=%2A"),
        ({"actor": "dotenv_01ARZ3NDEKTSV4RRFFQ69G5FAV_s3cretS3cret"}, "actor=[redacted]"),
        ({"no_such": "s3cret", "action": "create"}, "action=create"),
        ({"resource": "x" * 200, "actor": ["y" * 200] * 30}, None),
        (None, ""),
    ],
)
def test_the_description_of_a_question_has_no_free_text(asked: Any, expected: str | None) -> None:
    description = reading.describe(asked)
    assert expected is None or description == expected
    assert len(description) <= reading.LONGEST_DESCRIPTION

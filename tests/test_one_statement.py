"""The statement that writes a row carries the words of its entry, prepared when it is about one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models import F, Value
from django.db.models.functions import Concat, Upper
from django.test.utils import CaptureQueriesContext

from audit.models import Entry
from organizations.models import Environment, Organization, Target, User
from tests.factories import ApiKeyFactory, OrganizationFactory, TargetFactory, UserFactory

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def target() -> Target:
    return TargetFactory.create()


def new(target: Target, number: int = 1, **fields: Any) -> Environment:
    return Environment(
        target=target,
        organization_id=target.organization_id,
        name=f"Environment {number}",
        slug=f"environment-{number}",
        **fields,
    )


def entries(organization_id: Any, action: str, resource_type: str = "environment") -> list[Entry]:
    with transaction.atomic():
        return list(
            Entry.objects.visible([organization_id])
            .filter(action=action, resource_type=resource_type)
            .order_by("id")
        )


def test_each_kind_of_write_is_one_statement(target: Target) -> None:
    row = new(target)
    writes: list[Callable[[], object]] = [
        row.save,
        lambda: Environment.objects.filter(pk=row.pk).update(name="Another"),
        # Nothing lies below it that would have to go first.
        ApiKeyFactory.create(organization=target.organization).api_key.delete,
        lambda: Environment.objects.bulk_create([new(target, n) for n in range(50, 70)]),
        lambda: Environment.objects.filter(target=target).update(description="Changed"),
    ]
    for write in writes:
        with CaptureQueriesContext(connection) as queries:
            write()
        [only] = [q["sql"] for q in queries if q["sql"] not in ("BEGIN", "COMMIT")]
        assert "audit_act" in only
    assert len(entries(target.organization_id, "create")) == 21
    assert len(entries(target.organization_id, "update")) == 22


def prepared() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement FROM pg_prepared_statements")
        return [statement for (statement,) in cursor.fetchall()]


def test_statements_about_one_row_are_prepared(target: Target) -> None:
    for number in range(3):
        new(target, number).save()
    made = [text for text in prepared() if 'INSERT INTO "organizations_environment"' in text]
    assert len(made) == 1


def test_preparing_can_be_switched_off_for_a_pooler(target: Target) -> None:
    connection.close()
    connection.settings_dict["OPTIONS"]["prepare_threshold"] = None
    try:
        new(target).save()
        assert prepared() == []
    finally:
        del connection.settings_dict["OPTIONS"]["prepare_threshold"]
        connection.close()
    assert len(entries(target.organization_id, "create")) == 1


def test_it_works_after_a_rollback_has_dropped_prepared_statements(target: Target) -> None:
    new(target, 1).save()
    with pytest.raises(RuntimeError), transaction.atomic():
        new(target, 2).save()
        raise RuntimeError
    new(target, 3).save()
    labels = [entry.resource_label for entry in entries(target.organization_id, "create")]
    assert [label.rsplit("/")[-1] for label in labels] == ["environment-1", "environment-3"]


def test_expressions_are_recorded_as_what_they_came_to(target: Target) -> None:
    row = new(target)
    row.save()
    row.name = Upper(Value("loud"))  # type: ignore[assignment]
    row.save()
    Environment.objects.filter(pk=row.pk).update(description=Concat(F("slug"), Value("!")))
    changes = [entry.recorded_changes for entry in entries(target.organization_id, "update")]
    assert changes == [
        {"name": ("Environment 1", "LOUD")},
        {"description": ("", "environment-1!")},
    ]


def test_a_save_that_changes_nothing_leaves_no_entry(target: Target) -> None:
    row = new(target)
    row.save()
    row.save()
    assert entries(target.organization_id, "update") == []


def test_values_that_a_row_gets_from_the_database_come_back() -> None:
    numbers = [UserFactory.create().number for _ in range(2)]
    assert numbers[1] == numbers[0] + 1
    made = User.objects.bulk_create([User(email=f"bulk{n}@example.org") for n in range(3)])
    assert [user.email for user in made] == [
        User.objects.get(number=user.number).email for user in made
    ]


def test_a_persons_entry_goes_to_each_of_their_organizations() -> None:
    user = UserFactory.create(email="both@example.org")
    both = [OrganizationFactory.create(name=name, owner=user) for name in ("First", "Second")]
    user.name = "New name"
    user.save()
    for organization in both:
        [entry] = entries(organization.pk, "update", "user")
        assert entry.recorded_changes == {"name": ("", "New name")}


def test_values_that_are_not_recorded_are_named_only(target: Target) -> None:
    user = UserFactory.create(email="private@example.org")
    organization: Organization = OrganizationFactory.create(owner=user)
    user.set_password("another long password")
    user.save()
    [entry] = entries(organization.pk, "update", "user")
    assert entry.changes == {"password": None}

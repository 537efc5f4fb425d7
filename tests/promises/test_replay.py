"""Replaying the entries' changes gives the rows as they are, whatever happened to them."""

from __future__ import annotations

import datetime as dt
import os
import uuid
from contextlib import suppress
from typing import Any

import psycopg
import pytest
from django.db import connection, transaction
from django.db.models import F, QuerySet, Value
from django.db.models.functions import Concat
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit import policy
from audit.ledger import sealing
from keys import api_keys, rotation, tokens
from keys.models import ApiKey, KeyVersion
from organizations import clock, members, ulid
from organizations.grants import EVERYTHING, Scope
from organizations.models import Environment, Membership, Organization, Project, Target
from tests.factories import (
    ApiKeyFactory,
    EnvironmentFactory,
    MembershipFactory,
    OrganizationFactory,
    ProjectFactory,
)

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "sealer"])

REPLAYED = (Organization, Membership, Project, Target, Environment, KeyVersion, ApiKey)
NAMES = st.sampled_from(["a", "b", "zwölf", "it's", '"quoted"', "", "100%", "{}", "\\", "%s"])
ENDS = {"delete"} | {
    named.verb.value
    for resource in policy.RESOURCES
    for named in resource.verbs
    if named.operation is policy.Operation.DELETE
}
"""The actions that a row ends with: `leave` is a membership's."""
RARELY = st.integers(0, 4).map(lambda n: n == 4)
STEP = st.tuples(
    st.sampled_from(
        [
            "create",
            "bulk_create",
            "save",
            "update",
            "update_by_expression",
            "update_or_create",
            "bulk_update",
            "rotate",
            "child",
            "rename_child",
            "bulk_create_children",
            "issue",
            "narrow",
            "rotate_key",
            "use",
            "revoke",
            "join",
            "change_role",
            "leave",
            "rename",
            "by_hand",
            "delete",
            "delete_many",
        ]
    ),
    st.integers(0, 3),
    NAMES,
    RARELY,
)
"""What is done, to which row, with which name, and whether it is undone to a savepoint."""
TRANSACTIONS = st.lists(
    st.tuples(st.lists(STEP, min_size=1, max_size=6), RARELY), min_size=1, max_size=6
)
"""Steps, and whether the whole is rolled back."""


def recordable(value: Any) -> Any:
    """A value as an entry holds it."""
    if isinstance(value, uuid.UUID):
        return ulid.to_text(value)
    if isinstance(value, dt.datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return value


class Undone(Exception):
    pass


def do(organization: Organization, step: str, which: int, name: str) -> None:
    """One step; nothing when there is nothing that it could be done to."""
    if step in ("create", "bulk_create", "save", "update", "rotate", "delete", "by_hand"):
        do_to_project(organization, step, which, name)
    elif step in ("issue", "narrow", "rotate_key", "use", "revoke"):
        do_to_api_key(organization, step, which, name)
    elif step in ("join", "change_role", "leave", "rename"):
        do_to_organization(organization, step, which, name)
    else:
        do_to_many(organization, step, which, name)


def pick(rows: QuerySet[Any], which: int) -> Any:
    found = list(rows.order_by("id"))
    return found[which % len(found)] if found else None


def do_to_project(organization: Organization, step: str, which: int, name: str) -> None:
    project = pick(organization.projects.all(), which)
    match step:
        case "create":
            ProjectFactory.create(organization=organization, name=name or "x")
        case "bulk_create":
            Project.objects.bulk_create(
                Project(organization=organization, name=name, slug=f"b-{ulid.new().hex[-20:]}-{n}")
                for n in range(which)
            )
        case "save" if project:
            project.name, project.secret_versioning = name, not project.secret_versioning
            project.metadata = {"n": which}
            project.save()
        case "update":
            organization.projects.update(description=name)
        case "rotate" if project and project.key_versions.exists():
            rotation.rotate(project)
        case "by_hand" if project:
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL audit.reason = 'a test'")
                for description in (f"{name}!", name):
                    cursor.execute(
                        "UPDATE organizations_project SET description = %s WHERE id = %s",
                        [description, project.pk],
                    )
                cursor.execute("SET LOCAL audit.reason = ''")
        case "delete" if project:
            project.delete()


def do_to_many(organization: Organization, step: str, which: int, name: str) -> None:
    projects = organization.projects.order_by("id")
    project = pick(projects, which)
    match step:
        case "update_by_expression":
            projects.filter(pk__in=projects[:2]).update(
                description=Concat(F("name"), Value(name)),
                secret_versioning=~F("secret_versioning"),
            )
        case "update_or_create":
            Project.objects.update_or_create(
                organization=organization, slug=f"u-{which}", defaults={"name": name}
            )
        case "bulk_update":
            every = list(projects)
            for number, each in enumerate(every):
                each.name = f"{name}{number}"
            Project.objects.bulk_update(every, ["name"], batch_size=2)
        case "child" if project:
            EnvironmentFactory.create(
                target__project=project, target__name=name or "t", name=name or "e"
            )
        case "bulk_create_children" if project:
            Target.objects.bulk_create(
                [
                    Target(organization=organization, project=project, name=name, slug=f"t-{n}")
                    for n in range(which)
                ],
                ignore_conflicts=True,
            )
        case "rename_child":
            Target.objects.filter(project=project).update(name=name, description=name)
        case "delete_many":
            projects.filter(name=name).delete()


def do_to_api_key(organization: Organization, step: str, which: int, name: str) -> None:
    key = pick(organization.api_keys.all(), which)
    match step:
        case "issue":
            ApiKeyFactory.create(
                organization=organization,
                abilities=["project:read", "key:rotate"],
                name=name or "k",
            )
        case "narrow" if key:
            nodes = organization.projects.order_by("id")[:which]
            key.scopes = [Scope("project:read", node.pk).stored() for node in nodes]
            key.abilities, key.expires_at = ["project:read"], clock.now()
            key.save()
        case "rotate_key" if key:
            api_keys.rotate(key, granter=EVERYTHING)
        case "use" if key:
            tokens.note_use(key, "203.0.113.9")
        case "revoke" if key:
            api_keys.revoke(key, granter=EVERYTHING)


def do_to_organization(organization: Organization, step: str, which: int, name: str) -> None:
    member = pick(organization.memberships.exclude(role="owner"), which)
    match step:
        case "join":
            MembershipFactory.create(
                organization=organization, role=("admin", "auditor", "member", "api_user")[which]
            )
        case "change_role" if member:
            role = ("admin", "auditor", "member", "api_user")[which]
            members.change_role(member, role, granter=EVERYTHING)
        case "leave" if member:
            members.remove(member)
        case "rename":
            Organization.objects.filter(pk=organization.pk).update(name=name)


def replay(connection: psycopg.Connection[Any], organization: Organization) -> dict[Any, Any]:
    """The rows, from nothing but the entries, each of which continues the one before it.

    In the order of their ids: of two transactions that overlap, the one that began first has the
    lower numbers, even for the row that it changed last.
    """
    rows: dict[Any, dict[str, Any]] = {}
    for action, type_name, key, changes in connection.execute(
        "SELECT action, resource_type, resource_id, changes FROM audit_entry"
        " WHERE organization_id = %s AND resource_type = ANY(%s) ORDER BY id",
        [organization.pk, [policy.for_model(model).name for model in REPLAYED]],  # type: ignore[union-attr]
    ):
        row = rows.setdefault((type_name, key), {})
        for name, pair in changes.items():
            if pair is not None:
                assert row.get(name) == pair[0]
                row[name] = pair[1]
        if action in ENDS:
            ended = rows.pop((type_name, key))
            assert not any(value is not None for value in ended.values())
    return rows


def actual(organization: Organization) -> dict[Any, Any]:
    rows: dict[Any, Any] = {}
    for model in REPLAYED:
        spec = policy.for_model(model)
        assert isinstance(spec, policy.Resource)
        for row in model._base_manager.filter(**{spec.organization: organization.pk}):
            values = {name: recordable(getattr(row, name)) for name in spec.recorded}
            rows[spec.name, row.pk] = {k: v for k, v in values.items() if v is not None}
    return rows


@settings(
    max_examples=40 if os.environ.get("CI") else 20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(transactions=TRANSACTIONS, sealed_midway=st.booleans())
def test_replaying_the_entries_gives_the_rows(
    owner_connection: psycopg.Connection[Any], transactions: list[Any], sealed_midway: bool
) -> None:
    organization = OrganizationFactory.create()
    EnvironmentFactory.create(target__project__organization=organization)
    ApiKeyFactory.create(organization=organization)
    MembershipFactory.create(organization=organization)
    for number, (steps, is_rolled_back) in enumerate(transactions):
        with suppress(Undone), transaction.atomic():
            for step, which, name, is_undone in steps:
                with suppress(Undone), transaction.atomic():
                    do(organization, step, which, name)
                    if is_undone:
                        raise Undone
            if is_rolled_back:
                raise Undone
        if sealed_midway and number == len(transactions) // 2:
            sealing.seal()
    for _ in range(2):
        replayed = replay(owner_connection, organization)
        rows = {
            key: {k: v for k, v in row.items() if v is not None} for key, row in replayed.items()
        }
        assert rows == actual(organization)
        sealing.seal()
    assert_gapless(owner_connection)


def assert_gapless(connection: psycopg.Connection[Any]) -> None:
    for column, of in (
        ("seq", "organization_id"),
        ("resource_seq", "organization_id, resource_type, resource_id"),
        ("actor_seq", "organization_id, actor_type, actor_id"),
    ):
        [(broken,)] = connection.execute(
            f"SELECT count(*) FROM (SELECT FROM audit_ledger GROUP BY {of} HAVING"
            f" count(*) <> max({column}) OR count(DISTINCT {column}) <> count(*)"
            f" OR min({column}) <> 1) AS broken"
        ).fetchall()
        assert broken == 0, column

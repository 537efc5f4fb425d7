"""Replaying the entries' changes gives the rows as they are, whatever happened to them."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any

import psycopg
import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit import policy, sealing
from keys import rotation
from keys.models import KeyVersion
from organizations import ulid
from organizations.models import Environment, Organization, Project, Target
from tests import factories

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "sealer"])

REPLAYED = (Project, Target, Environment, KeyVersion)
NAMES = st.sampled_from(["a", "b", "zwölf", "it's", '"quoted"', "", "100%", "{}", "\\"])
STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "create",
                "bulk_create",
                "save",
                "update",
                "bulk_update",
                "rotate",
                "child",
                "rename_child",
                "delete",
                "delete_many",
            ]
        ),
        st.integers(0, 3),
        NAMES,
        st.booleans(),
    ),
    max_size=12,
)


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
    projects = list(Project.objects.filter(organization=organization).order_by("id"))
    project = projects[which % len(projects)] if projects else None
    match step:
        case "create":
            factories.make_project(organization, name or "x")
        case "bulk_create":
            Project.objects.bulk_create(
                [
                    Project(
                        organization=organization, name=name, slug=f"b-{ulid.new().hex[-20:]}-{n}"
                    )
                    for n in range(which)
                ]
            )
        case "delete_many":
            Project.objects.filter(organization=organization, name=name).delete()
        case "update":
            Project.objects.filter(organization=organization).update(description=name)
        case "bulk_update":
            for each in projects:
                each.name = name
            Project.objects.bulk_update(projects, ["name"])
        case "save" if project:
            project.name, project.secret_versioning = name, not project.secret_versioning
            project.save()
        case "rotate" if project and project.key_versions.exists():
            rotation.rotate(project)
        case "child" if project:
            factories.make_environment(factories.make_target(project, name or "t"), name or "e")
        case "rename_child":
            Target.objects.filter(project=project).update(name=name, description=name)
        case "delete" if project:
            project.delete()


def replay(connection: psycopg.Connection[Any], organization: Organization) -> dict[Any, Any]:
    """The rows, from nothing but the entries."""
    rows: dict[Any, dict[str, Any]] = {}
    for action, type_name, key, changes in connection.execute(
        "SELECT action, resource_type, resource_id, changes FROM audit_entry"
        " WHERE organization_id = %s AND resource_type = ANY(%s) ORDER BY seq NULLS LAST, id",
        [organization.pk, [policy.for_model(model).name for model in REPLAYED]],  # type: ignore[union-attr]
    ):
        if action == "delete":
            del rows[type_name, key]
        row = rows.setdefault((type_name, key), {}) if action != "delete" else {}
        for name, pair in changes.items():
            if pair is not None:
                assert row.get(name) == pair[0] or action == "delete"
                row[name] = pair[1]
    return rows


def actual(organization: Organization) -> dict[Any, Any]:
    rows: dict[Any, Any] = {}
    for model in REPLAYED:
        spec = policy.for_model(model)
        assert isinstance(spec, policy.Resource)
        for row in model._base_manager.filter(organization=organization):
            values = {name: recordable(getattr(row, name)) for name in spec.recorded}
            rows[spec.name, row.pk] = {k: v for k, v in values.items() if v is not None}
    return rows


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=STEPS, sealed_midway=st.booleans())
def test_replaying_the_entries_gives_the_rows(
    owner_connection: psycopg.Connection[Any], steps: list[Any], sealed_midway: bool
) -> None:
    organization = factories.make_organization()
    for number, (step, which, name, is_undone) in enumerate(steps):
        try:
            with transaction.atomic():
                do(organization, step, which, name)
                if is_undone:
                    raise Undone
        except Undone:
            pass
        if sealed_midway and number == len(steps) // 2:
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
        [broken] = connection.execute(
            f"SELECT count(*) FROM (SELECT FROM audit_ledger GROUP BY {of} HAVING"
            f" count(*) <> max({column}) OR count(DISTINCT {column}) <> count(*)"
            f" OR min({column}) <> 1) AS broken"
        ).fetchone()
        assert broken == 0, column

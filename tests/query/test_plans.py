"""The first page reads fifty entries, not the log: index scans on both sides of the view, in order.

As the application's role, behind row-level security, on a ledger of several partitions.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from django.db import connection, transaction
from django.db.models import QuerySet
from django.test.utils import CaptureQueriesContext

from audit.models import Entry
from audit.questions import counting, paging
from audit.questions.filters import MOST_STREAMS, EntryFilter
from benchmarks.plans import explain, recorded
from organizations import ulid
from organizations.models import Organization as OrganizationModel
from tests.conftest import Databases, empty
from tests.query import seeding
from tests.query.seeding import Organization, Row

_NOW = dt.datetime.now(dt.UTC)
NOW = _NOW if _NOW.day > 15 else _NOW - dt.timedelta(days=15)
"""In the second half of a month: with a newest month of few entries, a page looks into one more."""
PAGE = 50
# Rows that a page may look at: those of the page, one ahead of each part of the log, what the
# filter drops in between (the rarest value asked for below is one in two hundred), and the inbox
# once more, if the newest month does not fill the page.
MOST_READ = 2_500 + 2_000

LARGE, SMALL = Organization(uuid.uuid4(), 1, projects=20), Organization(uuid.uuid4(), 2)
RETIRED = Organization(LARGE.key, 3)
"""People and things of the large organization that nothing was heard of for four months."""
RETIRED.resources = [("target", uuid.uuid4(), f"retired/t{n}") for n in range(20)]
RETIRED.actors = [("user", uuid.uuid4(), f"retired{n}@example.org") for n in range(3)]


@pytest.fixture(scope="module")
def ledger(databases: Databases, django_db_setup: None) -> Iterator[list[Row]]:
    """20,000 entries of five months in the ledger, 2,000 of the last hours in the inbox."""
    since, lately = NOW - dt.timedelta(days=150), NOW - dt.timedelta(hours=4)
    rows = LARGE.rows(16_000, since, lately)
    with psycopg.connect(databases.owner, autocommit=True) as owner:
        others = SMALL.rows(4_000, since, lately)
        retired = RETIRED.rows(1_000, since, since + dt.timedelta(days=15))
        seeding.seal(owner, sorted([*rows, *others, *retired], key=lambda row: row.id))
        seeding.receive(owner, LARGE.rows(1_500, lately, NOW))
        seeding.receive(owner, SMALL.rows(500, lately, NOW))
        owner.execute("VACUUM ANALYZE")
        assert owner.execute(
            "SELECT count(*) > 5 FROM pg_inherits WHERE inhparent = 'audit_ledger'::regclass"
        ).fetchone() == (True,)
    yield rows
    with psycopg.connect(databases.superuser, autocommit=True) as superuser:
        empty(superuser)


@dataclass(frozen=True)
class Plan:
    """What PostgreSQL did for a query."""

    nodes: list[dict[str, Any]]

    @classmethod
    def of(cls, queryset: QuerySet[Entry], cursor: str | None = None) -> Plan:
        """Of a page, with everything that is set for it."""
        with recorded(connection) as statements:
            assert paging.page(queryset, cursor, PAGE).entries
        nodes: list[dict[str, Any]] = []
        for statement in statements:
            if "audit_entry" in statement.sql:
                nodes += _walk(explain(connection, statement, "BUFFERS")["Plan"])
            else:
                with connection.cursor() as execute:
                    execute.execute(statement.sql, statement.values)
        return cls(nodes)

    @property
    def scans(self) -> list[dict[str, Any]]:
        return [node for node in self.nodes if "Relation Name" in node]

    @property
    def sequential(self) -> list[str]:
        """Tables read from end to end that have rows to read."""
        return [
            node["Relation Name"]
            for node in self.scans
            if node["Node Type"] == "Seq Scan" and _read(node)
        ]

    @property
    def rows_read(self) -> int:
        return sum(map(_read, self.scans))

    @property
    def rows_sorted(self) -> int:
        sorts = [node for node in self.nodes if "Sort" in node["Node Type"]]
        return sum(int(below["Actual Rows"]) for node in sorts for below in node["Plans"])


def _walk(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for below in node.get("Plans", []):
        yield from _walk(below)


def _read(node: dict[str, Any]) -> int:
    rows = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
    return int(rows * node["Actual Loops"])


def asked_of(organization: Organization, data: dict[str, str]) -> EntryFilter:
    entries = Entry.objects.visible([organization.key])  # type: ignore[attr-defined]
    question = EntryFilter(data, entries, organizations=[OrganizationModel(pk=organization.key)])
    assert question.is_valid(), question.errors
    return question


def first_page(organization: Organization, data: dict[str, str]) -> QuerySet[Entry]:
    found: QuerySet[Entry] = asked_of(organization, data).qs
    return found


QUESTIONS: list[dict[str, str]] = [
    {},
    {"actor": "jane@example.org"},
    {"actor": "jane"},  # two people
    {"actor": "ci-deploy"},
    {"actor": "system"},
    {"actor_type": "api_key"},
    {"action": "delete"},
    {"action": "create,delete"},
    {"type": "environment"},
    {"type": "key"},
    {"type": "invitation"},
    {"type": "project,target"},
    {"resource": "app-1"},
    {"result": "denied"},
    {"result": "failed"},
    {"ip": "203.0.113.7"},
    {"ip": "10.0.0.0/8"},
    {"interface": "cli"},
    {"interface": "admin"},
    {"q": "production"},
    {"since": "30d"},
    {"until": "30d"},
    {"when": "last month"},
    {"exclude_action": "retrieve"},
    {"exclude_actor": "jane"},
    {"actor": "jane@example.org", "action": "delete"},
    {"actor": "ci-deploy", "type": "environment"},
    {"action": "delete", "type": "environment", "q": "production"},
]


@pytest.mark.django_db
@pytest.mark.parametrize("organization", [LARGE, SMALL], ids=["large", "small"])
@pytest.mark.parametrize("data", QUESTIONS, ids=str)
def test_the_first_page_is_read_by_index_and_never_sorted_whole(
    ledger: list[Row], organization: Organization, data: dict[str, str]
) -> None:
    plan = Plan.of(first_page(organization, data))
    # For what is rare, reading the inbox from end to end can be as cheap as its index; it is small.
    assert plan.sequential in ([], ["audit_inbox"])
    assert plan.rows_read < MOST_READ
    assert plan.rows_sorted <= MOST_STREAMS * (PAGE + 1), "a page of each key"


@pytest.mark.django_db
@pytest.mark.parametrize(
    "data",
    [
        {},
        {"action": "delete"},
        {"actor": "jane@example.org"},
        {"type": "environment"},
        {"interface": "cli"},
        {"ip": "10.0.0.0/8"},
        {"q": "production"},
    ],
    ids=str,
)
def test_both_sides_of_the_view_are_merged_in_the_order_of_an_index(
    ledger: list[Row], data: dict[str, str]
) -> None:
    plan = Plan.of(first_page(LARGE, data))
    assert plan.rows_sorted == 0
    assert "Merge Append" in {node["Node Type"] for node in plan.nodes}
    scans = {node["Relation Name"]: node["Node Type"] for node in plan.scans if _read(node)}
    assert "audit_inbox" in scans
    # The months before are not even planned for.
    assert 2 <= len(scans) <= 3
    assert set(scans.values()) <= {"Index Scan", "Index Only Scan"}


@pytest.mark.django_db
def test_all_of_one_resource_is_read_by_its_index(ledger: list[Row]) -> None:
    row = next(row for row in ledger if row.resource_type == "environment")
    assert row.resource_id is not None
    data = {"resource": ulid.to_text(row.resource_id)}
    for question in (data, data | {"action": "update"}):
        plan = Plan.of(first_page(LARGE, question))
        ledger_rows = sum(
            _read(node) for node in plan.scans if node["Relation Name"] != "audit_inbox"
        )
        of_it = sum(other.resource_id == row.resource_id for other in ledger)
        assert plan.sequential in ([], ["audit_inbox"])
        assert 0 < ledger_rows <= of_it


@pytest.mark.django_db
@pytest.mark.parametrize(
    "data",
    [
        {"resource": "retired"},
        {"actor": "retired"},
        {"q": "retired"},
        {"resource": "retired", "action": "create,update"},
        {"actor": "retired", "type": "target"},
    ],
    ids=str,
)
def test_several_keys_that_were_quiet_for_long_are_read_by_their_indexes(
    ledger: list[Row], data: dict[str, str]
) -> None:
    """Read from its end, the log would show their first entry after 15,000 others."""
    plan = Plan.of(first_page(LARGE, data))
    unsealed = 2_000
    assert plan.rows_read < unsealed + 1_000
    assert plan.sequential in ([], ["audit_inbox"])


@pytest.mark.django_db
def test_counting_begins_where_the_entries_begin(ledger: list[Row]) -> None:
    question = asked_of(LARGE, {"resource": "retired"})
    asked = question.qs
    newest = paging.page(asked, per_page=1).entries[0]
    newer = sum(row.id > newest.id for row in ledger)
    assert newer > 10_000
    with CaptureQueriesContext(connection) as queries:
        count = counting.bounded_count(asked, limit=500)
        facets = counting.facets(question)
        bars = counting.histogram(asked, None, None, dt.UTC)
    assert count.value == 500
    assert facets.counted == sum(bar.count for bar in bars) > 900
    with connection.cursor() as cursor:
        for query in queries:
            if "audit_entry" in query["sql"] and "stream" not in query["sql"]:
                cursor.execute("EXPLAIN (ANALYZE, FORMAT JSON) " + query["sql"])
                [[plan]] = cursor.fetchone()
                assert Plan(list(_walk(plan["Plan"]))).rows_read < 6_000


@pytest.mark.django_db
def test_a_request_is_looked_for_around_its_time_only(ledger: list[Row]) -> None:
    row = next(row for row in ledger if row.request_id)
    assert row.request_id is not None
    plan = Plan.of(first_page(LARGE, {"request": ulid.to_text(row.request_id)}))
    assert plan.rows_read < 100
    assert {node["Relation Name"] for node in plan.scans} <= {
        "audit_inbox",
        f"audit_ledger_{ulid.time_of(row.id):%Y_%m}",
    } or len(plan.scans) <= 3  # an hour that lies in two months


@pytest.mark.django_db
def test_a_window_of_time_leaves_the_other_months_alone(ledger: list[Row]) -> None:
    plan = Plan.of(first_page(LARGE, {"when": "last month"}))
    assert len({node["Relation Name"] for node in plan.scans}) == 2


@pytest.mark.django_db
def test_a_later_page_costs_what_the_first_costs(ledger: list[Row]) -> None:
    middle = sorted(row.id for row in ledger)[len(ledger) // 2]
    entries = Entry.objects.visible([LARGE.key])  # type: ignore[attr-defined]
    plan = Plan.of(entries, ulid.to_text(middle))
    assert plan.sequential == []
    assert plan.rows_read < 200


@pytest.mark.django_db
@pytest.mark.parametrize("organization", [LARGE, SMALL], ids=["large", "small"])
def test_a_field_that_changes_often_is_read_no_further_than_the_page(
    ledger: list[Row], organization: Organization
) -> None:
    """The planner knows nothing of `changes`, and would sort all that may have changed it."""
    with transaction.atomic():
        entries = list(Entry.objects.visible([organization.key]).order_by("id"))
    changes = Counter(field for entry in entries for field in entry.changes)
    [(field, count)] = changes.most_common(1)
    assert count > 1_000
    plan = Plan.of(first_page(organization, {"field": field}), entries[len(entries) // 2].ulid)
    assert plan.rows_read < 700
    assert plan.rows_sorted < 200

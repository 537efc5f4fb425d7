"""Changed fields are found wherever they are, sealed or not, and looked for nowhere else."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from django.db import connection, transaction

from audit.export import formats
from audit.ledger import sealing
from audit.models import Entry
from audit.questions import field_index, paging, querysets
from audit.questions.filters import EntryFilter
from organizations import ulid
from organizations.models import Organization
from tests.conftest import Connection
from tests.factories import OrganizationFactory
from tests.query import seeding

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "owner", "sealer"])

SINCE, UNTIL = (dt.datetime(2026, 3, day, tzinfo=dt.UTC) for day in (1, 9))
ENTRIES = 600


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch, owner_connection: Connection) -> Iterator[None]:
    """Blocks of four entries, of which ten are read at a time, and up to three ranges of them."""
    monkeypatch.setattr(field_index, "MOST", 10)
    monkeypatch.setattr(field_index, "MOST_RANGES", 3)
    [(move,)] = owner_connection.execute(
        "SELECT pg_get_functiondef('audit_move'::regproc)"
    ).fetchall()
    smaller = move.replace(f"seq / {sealing.FIELD_BLOCK}", "seq / 4")
    assert smaller != move
    owner_connection.execute(smaller)
    yield
    owner_connection.execute(move)


@pytest.fixture
def acme() -> Organization:
    return OrganizationFactory.create(name="Acme")


def changed(
    connection: Connection, organization: Organization, field: str, every: int, n: int = ENTRIES
) -> list[str]:
    """Receive entries of which each so-many-th changed `field`, the others another one, in random
    order of transactions; returns the ids of those, newest first."""
    made = seeding.Organization(organization.pk, every).rows(n, SINCE, UNTIL)
    rows = [
        replace(row, changes={field if number % every == every // 2 else "other": [1, 2]})
        for number, row in enumerate(sorted(made, key=lambda row: row.id))
    ]
    for part in (rows[1::2], rows[::2]):  # so that the blocks' ids overlap
        seeding.receive(connection, part)
    return [ulid.to_text(row.id) for row in reversed(rows) if field in row.changes]


def pages(organization: Organization, params: dict[str, str]) -> list[str]:
    """The ids of all pages of five, one after the other."""
    found: list[str] = []
    cursor = None
    while True:
        with transaction.atomic():
            asked = EntryFilter(params, Entry.objects.visible([organization.pk]))
            page = paging.page(asked.qs, cursor, 5, order=asked.order)
        found += [entry.ulid for entry in page.entries]
        cursor = page.next_cursor
        if cursor is None:
            return found


def exported(organization: Organization, params: dict[str, str]) -> list[str]:
    with transaction.atomic():
        asked = EntryFilter(params, Entry.objects.visible([organization.pk]))
        asked.is_valid()
        entries = asked.qs
    lines = "".join(formats.written("ndjson", entries)).splitlines()
    return [json.loads(line)["id"] for line in lines]


@pytest.mark.parametrize("every", [2, 7, 20, 50, 600])
@pytest.mark.parametrize("rounds", [1, 6])
@pytest.mark.parametrize("is_sealed", [True, False])
def test_pages_hold_every_change_of_a_field_newest_first(
    every: int,
    rounds: int,
    is_sealed: bool,
    acme: Organization,
    owner_connection: Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(querysets, "MOST_ROUNDS", rounds)
    expected = changed(owner_connection, acme, "description", every)
    assert expected
    if is_sealed:
        while sealing.seal(batch=100).is_behind:
            pass
    assert pages(acme, {"field": "description"}) == expected
    assert pages(acme, {"field": "description", "order": "oldest"}) == expected[::-1]
    assert pages(acme, {"became": "description:2"}) == expected
    assert pages(acme, {"became": "description:2", "order": "oldest"}) == expected[::-1]
    assert exported(acme, {"field": "description"}) == expected[::-1]
    assert exported(acme, {"became": "description:2"}) == expected[::-1]
    if rounds == 6:  # else looking ends before three are found, which is said
        few = pages(acme, {"field": "description", "order": "oldest", "limit": "3"})
        assert few == expected[::-1][:3]


def test_a_field_is_found_with_whatever_else_is_asked(
    acme: Organization, owner_connection: Connection
) -> None:
    changed(owner_connection, acme, "rare", 3)
    sealing.seal()
    with transaction.atomic():
        entries = list(Entry.objects.visible([acme.pk]).order_by("-id"))
    actions = sorted({entry.action for entry in entries if "rare" in entry.changes})
    for action in (*actions, ",".join(actions[:2])):
        expected = [
            entry.ulid
            for entry in entries
            if "rare" in entry.changes and entry.action in action.split(",")
        ]
        assert pages(acme, {"field": "rare", "action": action}) == expected
    either = [entry.ulid for entry in entries if {"rare", "other"} & entry.changes.keys()]
    assert pages(acme, {"field": "rare,other"}) == either


def test_what_is_sealed_between_the_notes_and_the_entries_is_found(
    acme: Organization, owner_connection: Connection
) -> None:
    expected = changed(owner_connection, acme, "rare", 50)
    with transaction.atomic():
        asked = EntryFilter({"field": "rare"}, Entry.objects.visible([acme.pk]))
        found = asked.qs  # has read the notes: nothing is sealed
        sealing.seal()
        assert [entry.ulid for entry in found.order_by("-id")] == expected


def test_a_field_that_never_changed_reads_no_entry_that_is_sealed(
    acme: Organization, owner_connection: Connection
) -> None:
    changed(owner_connection, acme, "rare", 50)
    sealing.seal()
    owner_connection.execute("VACUUM ANALYZE audit_ledger")
    with transaction.atomic():
        asked = EntryFilter({"field": "never"}, Entry.objects.visible([acme.pk]))
        plan = asked.qs.explain(analyze=True, costs=False, timing=False)
    assert "audit_ledger" not in plan


def test_the_notes_of_another_organization_are_not_ours(
    acme: Organization, owner_connection: Connection
) -> None:
    other = OrganizationFactory.create(name="Other")
    changed(owner_connection, other, "rare", 50)
    sealing.seal()
    with transaction.atomic():
        Entry.objects.visible([acme.pk])
        assert field_index.of_fields(other.pk, ["rare"], "default").edge is None
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM audit_field WHERE field = 'rare'")
            assert cursor.fetchone() == (0,)


def test_a_field_of_the_longest_name_holds_up_no_sealing(
    acme: Organization, owner_connection: Connection
) -> None:
    [row] = seeding.Organization(acme.pk, 1).rows(1, SINCE, UNTIL)
    seeding.receive(owner_connection, [replace(row, changes={"f" * 5000: [1, 2]})])
    sealing.seal()
    assert owner_connection.execute("SELECT count(*) FROM audit_inbox").fetchone() == (0,)


def test_neighbouring_blocks_are_one_range() -> None:
    notes = [(uuid.UUID(int=n * 10), uuid.UUID(int=n * 10 + 3), n) for n in (9, 8, 7, 5, 3, 1)]
    assert [(a.int, b.int) for a, b in field_index._joined([], notes)] == [
        (10, 13), (30, 33), (50, 53), (70, 93),
    ]  # fmt: skip
    assert field_index._few(notes) == notes[:5]


def test_ranges_that_meet_are_one() -> None:
    def ids(*numbers: int) -> Any:
        return tuple(uuid.UUID(int=number) for number in numbers)

    joined = field_index._joined([ids(7, 9), ids(1, 3), ids(3, 5), ids(8, 8)])
    assert joined == [ids(1, 5), ids(7, 9)]

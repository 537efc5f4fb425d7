"""An export holds every entry asked for, once, in order, as canonical JSON or harmless CSV."""

from __future__ import annotations

import csv as csv_reader
import datetime as dt
import io
import json
import re
import uuid
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models import QuerySet
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.entry import as_json, bulk_json
from audit.export import formats
from audit.models import Entry
from audit.questions.filters import EntryFilter
from organizations import ulid
from organizations.labels import isolated
from tests.query import seeding
from tests.query.conftest import NOW, Log
from tests.query.seeding import Organization, Row

Ask = Callable[..., EntryFilter]


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "FIRST_CHUNK", 7)
    monkeypatch.setattr(formats, "CHUNK", 400)


def test_ndjson_holds_every_entry_once_oldest_first(entries: QuerySet[Entry], log: Log) -> None:
    exported = "".join(formats.written("ndjson", entries)).splitlines()
    keys = [ulid.parse(json.loads(line)["id"]) for line in exported]
    assert keys == sorted(row.id for row in log.rows)


def test_a_line_is_the_canonical_form_of_what_the_api_answers(entries: QuerySet[Entry]) -> None:
    by_id = {entry.ulid: entry for entry in entries}
    for line in "".join(formats.written("ndjson", entries)).splitlines():
        attributes = as_json.as_json(by_id[json.loads(line)["id"]])
        assert line == as_json.canonical_line(attributes)
        assert json.loads(line) == attributes


def test_an_entry_as_json_tells_all_of_it(ask: Ask, log: Log) -> None:
    row = next(
        row
        for row in log.sealed
        if "updated_by" in row.changes and row.actor_id and row.ip and row.resource_id
    )
    question = ask()
    assert question.is_valid()
    assert row.actor_id and row.resource_id and row.request_id
    entry = question.qs.get(id=row.id)
    [field] = [name for name, pair in row.changes.items() if pair]
    assert as_json.as_json(entry) == {
        "id": ulid.to_text(row.id),
        "time": f"{ulid.time_of(row.id):%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z",
        "organization": ulid.to_text(row.organization_id),
        "actor": {
            "type": row.actor_type,
            "id": ulid.to_text(row.actor_id),
            "label": row.actor_label,
        },
        "action": "update",
        "action_label": "updated",
        "severity": "info",
        "resource": {
            "type": row.resource_type,
            "id": ulid.to_text(row.resource_id),
            "label": row.resource_label,
        },
        "result": "success",
        "reason": "",
        "ip": row.ip,
        "user_agent": row.user_agent,
        "request_id": ulid.to_text(row.request_id),
        "interface": row.interface,
        "changes": {field: ["älter", 'new "name"\n']},
        "changed_fields": ["updated_by"],
        "context": {},
        "seq": entry.seq,
        "resource_seq": entry.resource_seq,
        "actor_seq": entry.actor_seq,
    }
    assert entry.seq is not None


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20)
ids = st.uuids() | st.none()
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | texts,
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=4,
)
names = st.from_regex(r"[a-z_]{1,10}", fullmatch=True)


@given(
    st.builds(
        Row,
        id=st.integers(0, 253_402_300_799_999).map(lambda ms: uuid.UUID(int=ms << 80 | 12345)),
        organization_id=st.uuids(),
        actor_id=ids,
        resource_id=ids,
        request_id=ids,
        ip=st.none() | st.ip_addresses().map(str),
        actor_type=texts,
        actor_label=texts,
        action=st.sampled_from(["create", "delete", "unknown ünë"]),
        resource_type=texts,
        resource_label=texts,
        result=st.sampled_from(["success", "denied", "odd"]),
        interface=texts,
        user_agent=texts,
        changes=st.dictionaries(names, st.none() | st.tuples(values, values).map(list)),
        context=st.dictionaries(names | st.just("reason"), values),
    ),
    st.none() | st.integers(1, 2**53 - 1),
)
def test_the_quick_way_to_a_line_is_the_slow_way(row: Row, seq: int | None) -> None:
    entry = Entry(**vars(row), seq=seq, resource_seq=seq, actor_seq=seq)
    [line] = bulk_json.canonical([as_read(entry)])
    assert line == as_json.canonical_line(as_json.as_json(entry))
    assert line.isprintable() or "\n" not in line


def as_read(entry: Entry) -> bulk_json.Row:
    """What `bulk_json.read` would give for it."""
    texts = (_text(name, getattr(entry, name)) for name in bulk_json.Row._fields)
    return bulk_json.Row._make(texts)


def _text(column: str, value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, uuid.UUID):
        return value.hex
    return json.dumps(value) if column in ("changes", "context") else str(value)


def test_an_export_filters_as_the_page_does(ask: Ask) -> None:
    question = ask(action="delete", type="environment")
    assert question.is_valid()
    exported = "".join(formats.written("ndjson", question.qs)).splitlines()
    assert sorted(json.loads(line)["id"] for line in exported) == sorted(
        entry.ulid for entry in question.qs
    )


def test_an_export_of_nothing_is_empty(ask: Ask) -> None:
    question = ask(actor="nobody")
    assert question.is_valid()
    assert "".join(formats.written("ndjson", question.qs)) == ""
    assert "".join(formats.written("csv", question.qs)) == ",".join(bulk_json.CELLS) + "\r\n"


@pytest.mark.django_db(transaction=True)
def test_an_export_runs_after_the_request_and_ends_at_what_was_there(
    owner_connection: Any,
) -> None:
    organization = Organization(uuid.uuid4(), seed=5)
    rows = organization.rows(900, NOW - dt.timedelta(days=3), NOW)
    seeding.receive(owner_connection, rows)
    with transaction.atomic():
        entries = Entry.objects.visible([organization.key])  # type: ignore[attr-defined]
    assert not connection.in_atomic_block
    exported: list[str] = []
    for part in formats.written("ndjson", entries):
        assert not connection.in_atomic_block, "no transaction is held while a reader reads"
        exported += part.splitlines()
        seeding.receive(owner_connection, organization.rows(2, NOW, NOW + dt.timedelta(minutes=1)))
    assert [ulid.parse(json.loads(line)["id"]) for line in exported] == sorted(r.id for r in rows)


def test_csv_has_a_header_and_every_entry(entries: QuerySet[Entry], log: Log) -> None:
    table = list(
        csv_reader.DictReader(io.StringIO("".join(formats.written("csv", entries)), newline=""))
    )
    assert tuple(table[0]) == bulk_json.CELLS
    assert [ulid.parse(row["id"]) for row in table] == sorted(row.id for row in log.rows)
    changed = [row for row in table if row["changes"]]
    assert all(json.loads(row["changes"]) for row in changed)
    assert {row["changed_fields"] for row in changed} == {"", "updated_by"}


def test_csv_says_what_the_api_answers(entries: QuerySet[Entry]) -> None:
    table = csv_reader.DictReader(io.StringIO("".join(formats.written("csv", entries)), newline=""))
    for row, entry in zip(table, entries.order_by("id"), strict=True):
        said = as_json.as_json(entry)
        for part in ("actor", "resource"):
            said |= {f"{part}_{name}": value for name, value in said[part].items()}
        said["actor_name"] = ""  # nobody of these is there
        for name in ("changed_fields", "erased"):
            said[name] = " ".join(said.get(name, []))
        for name in ("changes", "context"):
            said[name] = as_json.canonical_line(said[name]) if said[name] else ""
        assert row == {
            name: "" if said[name] is None else str(said[name]) for name in bulk_json.CELLS
        }


FORMULAS = ["=", "+", "-", "@", "\t", "\r", "\n", '"=', "'=", " +", " \t@", "＝", "'\"＠"]


@pytest.mark.parametrize("start", FORMULAS)
def test_no_cell_is_a_formula(log: Log, db: None, owner_connection: Any, start: str) -> None:
    organization = Organization(uuid.uuid4(), seed=6)
    evil = f"{start}HYPERLINK(A1)"
    organization.actors = [("user", uuid.uuid4(), evil)]
    organization.resources = [("project", uuid.uuid4(), evil)]
    rows = organization.rows(3, NOW - dt.timedelta(days=3), NOW)
    seeding.receive(owner_connection, rows)
    entries = Entry.objects.visible([organization.key])  # type: ignore[attr-defined]
    text = "".join(formats.written("csv", entries))
    for row in csv_reader.DictReader(io.StringIO(text, newline="")):
        assert row["actor_label"] == f"'{evil}"
        assert not any(cell.startswith(tuple("=+-@\t\r")) for cell in row.values())


@cache
def documented_undoing() -> re.Pattern[str]:
    """The expression of docs/review.md."""
    page = (Path(__file__).parents[2] / "docs" / "review.md").read_text()
    [expression] = re.findall(r're\.compile\(r"(.+)"\)', page)
    return re.compile(expression.replace('\\"', '"'))


@settings(deadline=None)
@given(st.text(st.sampled_from("=+-@＝＠'\" \t\r\na1"), max_size=6) | st.text(max_size=8))
def test_what_was_made_harmless_can_be_undone(text: str) -> None:
    text = bulk_json._DRIVING.sub("", text)
    shown = isolated(text)
    cell = bulk_json._harmless(text)
    formula = documented_undoing()
    assert cell in (shown, f"'{shown}")
    assert (formula.sub("", cell, count=1) if formula.match(cell) else cell) == shown

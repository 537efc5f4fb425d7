"""Merging: months become quarters and years, and the log stays what it was at every moment."""

from __future__ import annotations

import datetime as dt
import io
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.management import call_command
from django.db import DatabaseError, connections

from audit.ledger import merging, partitions, sealing
from audit.ledger.partitions import Lock
from organizations import ulid
from tests.conftest import Connection
from tests.query import seeding

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "owner", "sealer"])

YEAR = 1999
MERGED = f"audit_ledger_{YEAR}"


def moment(month: int, day: int, year: int = YEAR) -> dt.datetime:
    return dt.datetime(year, month, day, tzinfo=dt.UTC)


def rows_of(since: dt.datetime, until: dt.datetime) -> list[seeding.Row]:
    organizations = [seeding.Organization(uuid.uuid4(), seed) for seed in range(3)]
    rows = [row for each in organizations for row in each.rows(100, since, until)]
    return sorted(rows, key=lambda row: row.id)


@pytest.fixture
def old_year(owner_connection: Connection, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Months of a year long over; the partitions of other tests are left alone."""
    seeding.seal(owner_connection, rows_of(moment(2, 3), moment(6, 20)))
    every = merging._spans
    monkeypatch.setattr(
        merging, "_spans", lambda using: (s for s in every(using) if s.name.startswith(str(YEAR)))
    )
    yield
    for name in (*tables(owner_connection), *left_beside(owner_connection)):
        owner_connection.execute(f"DROP TABLE {name}")


def tables(connection: Connection) -> list[str]:
    found = connection.execute(
        "SELECT inhrelid::regclass::text FROM pg_inherits"
        " WHERE inhparent = 'audit_ledger'::regclass AND inhrelid::regclass::text LIKE %s"
        " ORDER BY 1",
        [f"audit_ledger_{YEAR}%"],
    )
    return [name for (name,) in found]


def left_beside(connection: Connection) -> list[str]:
    found = connection.execute("SELECT relname FROM pg_class WHERE relname ~ '^audit_merging_'"
                               " AND relkind = 'r'")  # fmt: skip
    return [name for (name,) in found]


def contents(connection: Connection) -> object:
    return connection.execute(
        "SELECT count(*), md5(string_agg(e::text, '' ORDER BY id)) FROM audit_entry AS e"
    ).fetchone()


def merge() -> dict[str, int]:
    """The entries of each partition that was made."""
    return {merged.span.merged.table: merged.entries for merged in merging.merge()}


def test_the_months_of_a_year_become_one_that_says_the_same(
    old_year: None, owner_connection: Connection
) -> None:
    before = contents(owner_connection)
    assert len(tables(owner_connection)) == 5
    said = io.StringIO()
    call_command("audit_pack", "--merge", stdout=said)
    assert f"{MERGED}: merged 300 entries of 5 partitions" in said.getvalue()
    assert tables(owner_connection) == [MERGED]
    assert left_beside(owner_connection) == []
    assert contents(owner_connection) == before
    assert merge() == {}


def test_a_year_is_as_append_only_and_as_indexed_as_its_months_were(
    old_year: None, owner_connection: Connection
) -> None:
    merge()
    for statement in (
        f"DELETE FROM {MERGED}",
        f"UPDATE {MERGED} SET action = 'x'",
        f"TRUNCATE {MERGED}",
    ):
        with pytest.raises(DatabaseError, match="entries are never changed"):
            connections["owner"].cursor().execute(statement)
    attached = owner_connection.execute(
        "SELECT count(*) FROM pg_index i JOIN pg_inherits h ON h.inhrelid = i.indexrelid"
        " WHERE i.indrelid = %s::regclass AND i.indisvalid",
        [MERGED],
    ).fetchone()
    every = owner_connection.execute(
        "SELECT count(*) FROM pg_index WHERE indrelid = 'audit_ledger'::regclass"
    ).fetchone()
    own = owner_connection.execute(
        "SELECT count(*) FROM pg_index WHERE indrelid = %s::regclass", [MERGED]
    ).fetchone()
    assert attached == every == own


def test_late_entries_find_the_year_and_no_month_of_it_is_made_again(
    old_year: None, owner_connection: Connection
) -> None:
    merge()
    # As the owner: the sealer makes none so long ago.
    owner_connection.execute("SELECT audit_ensure_partitions(%s, now())", [moment(1, 1)])
    seeding.receive(owner_connection, rows_of(moment(3, 3), moment(3, 4)))
    sealing.seal()
    assert tables(owner_connection) == [MERGED]
    assert owner_connection.execute(f"SELECT count(*) FROM {MERGED}").fetchone() == (600,)


@pytest.mark.parametrize(
    "step", ["merging._digest", "partitions.swap", "merging._check", "partitions._exchange"]
)
def test_what_breaks_off_leaves_the_log_whole_and_is_done_by_the_next(
    step: str, old_year: None, owner_connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, its_months = contents(owner_connection), tables(owner_connection)

    def fail(*args: Any, **kwargs: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(f"audit.ledger.{step}", fail)
        with pytest.raises(KeyboardInterrupt):
            merge()
    assert contents(owner_connection) == before
    assert tables(owner_connection) == its_months
    assert merge() == {MERGED: 300}
    assert contents(owner_connection) == before
    assert left_beside(owner_connection) == []


def test_what_breaks_off_within_the_last_step_is_undone(
    old_year: None, owner_connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, its_months = contents(owner_connection), tables(owner_connection)
    exchange = partitions._exchange

    def exchange_and_fail(*args: Any) -> None:
        exchange(*args)
        raise KeyboardInterrupt

    monkeypatch.setattr(partitions, "_exchange", exchange_and_fail)
    with pytest.raises(KeyboardInterrupt):
        merge()
    assert (contents(owner_connection), tables(owner_connection)) == (before, its_months)


def test_an_entry_that_came_meanwhile_is_not_lost(
    old_year: None, owner_connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = merging._digest

    def compare_and_receive(tables: tuple[str, ...], using: str) -> tuple[int, ...]:
        found = digest(tables, using)
        if len(tables) > 1:
            seeding.receive(owner_connection, rows_of(moment(3, 3), moment(3, 4)))
            sealing.seal()
        return found

    monkeypatch.setattr(merging, "_digest", compare_and_receive)
    with pytest.raises(
        partitions.LedgerIsBusyError, match="received entries while it was being copied"
    ):
        merge()
    assert owner_connection.execute("SELECT count(*) FROM audit_ledger").fetchone() == (600,)
    monkeypatch.setattr(merging, "_digest", digest)
    assert merge() == {MERGED: 600}


def test_a_copy_that_differs_takes_no_place(
    old_year: None, owner_connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(owner_connection)
    copy = merging._copy

    def copy_wrongly(span: merging.Span, using: str) -> None:
        copy(span, using)
        owner_connection.execute(
            f"UPDATE {span.beside} SET actor_label = 'x'"
            f" WHERE id = (SELECT id FROM {span.beside} LIMIT 1)"
        )

    monkeypatch.setattr(merging, "_copy", copy_wrongly)
    with pytest.raises(partitions.LedgerIsBusyError):
        merge()
    assert contents(owner_connection) == before
    assert len(tables(owner_connection)) == 5


def test_a_span_with_entries_still_to_come_is_left(
    old_year: None, owner_connection: Connection
) -> None:
    seeding.receive(owner_connection, rows_of(moment(3, 3), moment(3, 4)))
    assert merge() == {}


def test_a_span_with_entries_in_the_default_partition_is_left(
    old_year: None, owner_connection: Connection
) -> None:
    seeding.receive(owner_connection, rows_of(moment(9, 3), moment(9, 4)))
    sealing.seal()
    assert merge() == {}


def test_a_span_of_which_retention_removed_a_month_is_left(
    old_year: None, owner_connection: Connection
) -> None:
    owner_connection.execute(
        "INSERT INTO audit_archive (manifest, name, first_id, past_id, entries, kept, held,"
        " detached) VALUES (%s, 'x', %s, %s, 1, 0, '{}', 'x')",
        ["0" * 64, ulid.floor(moment(2, 1)), ulid.floor(moment(3, 1))],
    )
    assert merge() == {}


def test_who_reads_the_ledger_all_the_time_is_waited_for_and_then_left_alone(
    old_year: None,
    owner_connection: Connection,
    superuser_connection: Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(partitions, "PATIENCE", 0)
    with superuser_connection.transaction():
        superuser_connection.execute("SELECT FROM audit_ledger LIMIT 1")
        with pytest.raises(partitions.LedgerIsBusyError, match="being read without a pause"):
            merge()
    assert len(tables(owner_connection)) == 5
    assert merge() == {MERGED: 300}


def test_merging_and_retention_exclude_each_other(
    old_year: None, superuser_connection: Connection
) -> None:
    superuser_connection.execute("SELECT pg_advisory_lock(%s)", [Lock.RETENTION])
    with pytest.raises(partitions.LedgerIsBusyError, match="retention is running"):
        merge()
    superuser_connection.execute("SELECT pg_advisory_unlock(%s)", [Lock.RETENTION])


def test_quarters_are_merged_while_their_year_lasts_and_years_when_they_are_over() -> None:
    starts = [moment(11, 1, 2024), moment(3, 1, 2026)]
    names = [name for name, _, _ in merging._calendar(moment(11, 23, 2026), starts)]
    assert names == ["2024", "2025", "2026_q1", "2026_q2", "2026_q3"]
    spans = [(since, until) for _, since, until in merging._calendar(moment(11, 23, 2026), starts)]
    assert spans[0] == (moment(1, 1, 2024), moment(1, 1, 2025))
    assert spans[-1] == (moment(7, 1, 2026), moment(10, 1, 2026))
    assert all(until == since for (_, until), (since, _) in zip(spans, spans[1:], strict=False))

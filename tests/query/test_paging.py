"""Pages by id: every entry once, newest first, one query each, wherever one is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.test.utils import CaptureQueriesContext

from audit.models import Entry
from audit.questions import counting, paging, querysets
from audit.questions.filters import EntryFilter
from organizations import ulid
from tests.query.conftest import Log


def everything(log: Log) -> list[Any]:
    return sorted((row.id for row in log.rows), reverse=True)


def test_going_on_shows_every_entry_once_newest_first(entries: QuerySet[Entry], log: Log) -> None:
    seen = []
    page = paging.page(entries, per_page=200)
    assert page.previous_cursor is None
    while True:
        seen += [entry.id for entry in page.entries]
        if page.next_cursor is None:
            break
        page = paging.page(entries, page.next_cursor, 200)
    assert seen == everything(log)


def test_going_back_shows_the_page_one_came_from(entries: QuerySet[Entry]) -> None:
    first = paging.page(entries, per_page=20)
    second = paging.page(entries, first.next_cursor, 20)
    third = paging.page(entries, second.next_cursor, 20)
    assert paging.page(entries, after=third.previous_cursor, per_page=20) == second
    again = paging.page(entries, after=second.previous_cursor, per_page=20)
    assert again.entries == first.entries
    assert again.previous_cursor is None
    assert again.next_cursor == first.next_cursor


def test_beyond_the_oldest_entry_there_is_a_way_back(entries: QuerySet[Entry], log: Log) -> None:
    oldest = everything(log)[-1]
    beyond = paging.page(entries, ulid.to_text(oldest), 20)
    assert beyond.entries == []
    assert beyond.next_cursor is None
    back = paging.page(entries, after=beyond.previous_cursor, per_page=20)
    assert back.entries[-1].id == oldest


def test_beyond_the_newest_entry_there_is_a_way_back(entries: QuerySet[Entry], log: Log) -> None:
    newest = everything(log)[0]
    beyond = paging.page(entries, after=ulid.to_text(newest), per_page=20)
    assert beyond.entries == []
    assert beyond.previous_cursor is None
    assert paging.page(entries, beyond.next_cursor, 20).entries[0].id == newest


@pytest.mark.parametrize("per_page", [1, 50, 200])
def test_a_page_is_one_query_or_two_whatever_its_length(
    ask: Callable[..., EntryFilter],
    django_assert_num_queries: Any,
    django_assert_max_num_queries: Any,
    per_page: int,
) -> None:
    """Two if the newest month does not fill it."""
    question = ask(actor="jane@example.org", type="environment", per_page=str(per_page))
    # The name is looked up among names and among people's own, and what it is called now.
    with django_assert_num_queries(3):
        assert question.is_valid()
    size = question.qs.count()
    with django_assert_max_num_queries(2):
        page = paging.page_at(question.qs, question.form.cleaned_data)
        assert len(page.entries) == min(per_page, size) > 0
        assert all(str(entry) and entry.severity for entry in page.entries)


@pytest.mark.parametrize("per_page", [1, 50, 200])
def test_a_page_of_several_things_is_one_query_or_two_each_with_two_settings(
    ask: Callable[..., EntryFilter], django_assert_max_num_queries: Any, per_page: int
) -> None:
    question = ask(resource="app-1", per_page=str(per_page))
    assert question.is_valid()
    with django_assert_max_num_queries(6):
        page = paging.page_at(question.qs, question.form.cleaned_data)
        assert len(page.entries) == per_page


def test_validated_parameters_choose_the_page(
    ask: Callable[..., EntryFilter], entries: QuerySet[Entry]
) -> None:
    first = paging.page(entries, per_page=10)
    for name in ("cursor", "before"):
        question = ask(**{name: str(first.next_cursor).lower(), "per_page": "10"})
        assert question.is_valid()
        page = paging.page_at(question.qs, question.form.cleaned_data)
        assert page == paging.page(entries, first.next_cursor, 10)
    question = ask(after=page.previous_cursor, per_page="10")
    assert question.is_valid()
    assert paging.page_at(question.qs, question.form.cleaned_data).entries == first.entries


def test_no_page_holds_more_than_two_hundred(entries: QuerySet[Entry]) -> None:
    assert len(paging.page(entries, per_page=10_000).entries) == 200


def test_a_cursor_that_is_not_an_id_is_refused(entries: QuerySet[Entry]) -> None:
    with pytest.raises(ValidationError, match="26 letters and digits"):
        paging.page(entries, "17")


def test_the_extreme_ids_are_cursors_too(entries: QuerySet[Entry], log: Log) -> None:
    least, greatest = "0" * 26, "7" + "Z" * 25
    assert paging.page(entries, least).entries == []
    assert paging.page(entries, after=greatest).entries == []
    assert paging.page(entries, greatest).entries[0].id == everything(log)[0]
    assert paging.page(entries, after=least).entries[-1].id == everything(log)[-1]


def test_the_sql_of_a_page_sorts_by_id_alone(entries: QuerySet[Entry]) -> None:
    from django.db import connection

    with CaptureQueriesContext(connection) as queries:
        paging.page(entries)
    [query] = queries
    assert query["sql"].endswith('ORDER BY "audit_entry"."id" DESC LIMIT 51')


@pytest.mark.parametrize("order", paging.ORDERS)
def test_where_nearly_all_is_left_out_pages_look_at_so_many_and_say_so(
    ask: Callable[..., EntryFilter], log: Log, order: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(querysets, "MOST_LOOKED_AT", 200)
    monkeypatch.setattr(querysets, "FEW_LOOKED_AT", 20)
    expected = sorted(
        (row.id for row in log.shown if row.result == "failed"), reverse=order == paging.NEWEST
    )
    asked = ask(exclude_result="success,denied", order=order)
    assert asked.is_valid()
    assert not counting.bounded_count(asked.qs).is_exact
    seen, notes, cursor = [], [], None
    while True:
        page = paging.page(asked.qs, cursor, 100, order=order)
        seen += [entry.id for entry in page.entries]
        notes.append(page.note)
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == expected
    assert len(notes) > 5
    assert all("only a part of the log was searched" in note for note in notes[:-1])

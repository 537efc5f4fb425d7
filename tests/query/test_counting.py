"""Counts, bars and facets agree with the entries that they count, or say that they stopped."""

from __future__ import annotations

import datetime as dt
import zoneinfo
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from django.db.models import QuerySet
from hypothesis import given
from hypothesis import strategies as st

from audit.models import Entry
from audit.questions import counting, querysets
from audit.questions.counting import Count
from audit.questions.filters import EntryFilter
from organizations import ulid
from tests.query.conftest import NOW, ORGANIZATION, OTHER_KEY, Log
from tests.query.seeding import Row

Ask = Callable[..., EntryFilter]


def asked(question: EntryFilter) -> QuerySet[Entry]:
    assert question.is_valid(), question.errors
    found: QuerySet[Entry] = question.qs
    return found


# -- How many


def test_a_count_is_exact_up_to_its_limit(entries: QuerySet[Entry], log: Log) -> None:
    size = len(log.rows)
    assert counting.bounded_count(entries, 1000) == Count(1000, is_exact=False)
    assert counting.bounded_count(entries, limit=size) == Count(size, is_exact=True)
    assert counting.bounded_count(entries, limit=size - 1) == Count(size - 1, is_exact=False)
    assert str(counting.bounded_count(entries, 1000)) == "1,000+"
    assert str(Count(999, is_exact=True)) == "999"


def test_nothing_is_counted_as_nothing(ask: Ask) -> None:
    question = ask(actor="nobody")
    nothing = asked(question)
    assert counting.bounded_count(nothing) == Count(0, is_exact=True)
    assert counting.histogram(nothing, None, None, dt.UTC) == []
    assert counting.facets(question) == {name: [] for name in counting.FACETS}
    for by in counting.BY:
        assert counting.counts(question, by).rows == []


def test_the_total_is_what_is_sealed_and_what_is_not(entries: Any, log: Log) -> None:
    assert counting.total(ORGANIZATION) == counting.total(ORGANIZATION.pk) == len(log.rows)


def test_the_total_of_another_organization_is_behind_the_tenant_scope(entries: Any) -> None:
    assert counting.total(OTHER_KEY) == 0


# -- When


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "Asia/Kathmandu"])
@pytest.mark.parametrize("when", ["", "last month", "2026-10-20..2026-10-30", "24h", "3h", "2026"])
def test_bars_hold_the_entries_of_their_time(ask: Ask, log: Log, zone: str, when: str) -> None:
    question = ask(when=when, tz=zone, exclude_action="retrieve")
    question.now = NOW
    queryset = asked(question)
    since, until = question.period
    buckets = counting.histogram(queryset, since, until or NOW, zoneinfo.ZoneInfo(zone))
    times = [ulid.time_of(key) for key in queryset.values_list("id", flat=True)]
    assert 0 < len(buckets) <= counting.MOST_BUCKETS
    assert all(bucket.is_exact for bucket in buckets)
    assert [bucket.count for bucket in buckets] == [
        sum(bucket.start <= time < bucket.end for time in times) for bucket in buckets
    ]
    assert sum(bucket.count for bucket in buckets) == len(times) > 0
    assert all(one.end == next_one.start for one, next_one in pairwise(buckets))


def test_bars_of_days_start_at_the_readers_midnight(entries: QuerySet[Entry]) -> None:
    zone = zoneinfo.ZoneInfo("Europe/Berlin")
    since = dt.datetime(2026, 10, 1, 12, tzinfo=dt.UTC)
    buckets = counting.histogram(entries, since, NOW, zone)
    starts = [bucket.start.astimezone(zone) for bucket in buckets]
    assert {(start.hour, start.minute) for start in starts} == {(0, 0)}
    assert [start.date() for start in starts] == [
        dt.date(2026, 10, 1) + dt.timedelta(days=n) for n in range(len(starts))
    ]


def test_where_counting_stopped_bars_say_so(
    entries: QuerySet[Entry], log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting, "MOST_COUNTED", 1000)
    buckets = counting.histogram(entries, NOW - dt.timedelta(days=90), NOW, dt.UTC)
    exact = [bucket for bucket in buckets if bucket.is_exact]
    assert 0 < len(exact) < len(buckets)
    assert buckets[-len(exact) :] == exact, "the newest are exact"
    times = [ulid.time_of(row.id) for row in log.rows]
    for bucket in buckets:
        count = sum(bucket.start <= time < bucket.end for time in times)
        assert bucket.count == count if bucket.is_exact else bucket.count <= count


def test_an_open_start_begins_where_counting_would_stop(
    entries: QuerySet[Entry], log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = sorted((ulid.time_of(row.id) for row in log.rows), reverse=True)
    assert counting.histogram(entries, None, NOW, dt.UTC)[0].start <= times[-1]
    monkeypatch.setattr(counting, "MOST_COUNTED", 1000)
    buckets = counting.histogram(entries, None, NOW, dt.UTC)
    assert buckets[0].start <= times[1000] < buckets[0].end
    assert all(bucket.is_exact for bucket in buckets[1:])
    assert sum(bucket.count for bucket in buckets) >= 1000


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "Etc/GMT+12"])
@pytest.mark.parametrize("when", ["0001-01-01..", "..9999-12-30", "0001-01-02..9999-12-30"])
def test_years_in_which_nothing_can_have_happened_are_left_out(
    ask: Ask, log: Log, zone: str, when: str
) -> None:
    question = ask(when=when, tz=zone)
    buckets = counting.histogram(asked(question), *question.period, zoneinfo.ZoneInfo(zone))
    assert 0 < len(buckets) <= counting.MOST_BUCKETS
    assert sum(bucket.count for bucket in buckets) > 0


instants = st.datetimes(dt.datetime(2001, 1, 1), dt.datetime(2040, 1, 1), timezones=st.just(dt.UTC))
zones = st.sampled_from(
    ["UTC", "Europe/Berlin", "America/Sao_Paulo", "Australia/Lord_Howe", "Pacific/Apia"]
).map(zoneinfo.ZoneInfo)


@given(
    instants,
    st.timedeltas(dt.timedelta(milliseconds=1), dt.timedelta(days=4000)),
    zones,
)
def test_borders_cover_the_whole_time_in_order(
    since: dt.datetime, length: dt.timedelta, tz: zoneinfo.ZoneInfo
) -> None:
    edges = counting._edges(since, since + length, tz)
    assert edges[0] <= since
    assert edges[-2] < since + length <= edges[-1]
    assert all(one < following for one, following in pairwise(edges))
    assert len(edges) - 1 <= counting.MOST_BUCKETS


# -- Of what


BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")


def actor_of(row: Row) -> str:
    return ulid.to_text(row.actor_id) if row.actor_id else row.actor_type


VALUES: dict[str, Callable[[Row], str]] = {
    "actor": actor_of,
    "resource": lambda row: (
        ulid.to_text(row.resource_id) if row.resource_id else row.resource_label
    ),
    "action": lambda row: row.action,
    "type": lambda row: row.resource_type,
    "result": lambda row: row.result,
    "severity": lambda row: Entry(action=row.action, result=row.result).severity,
    "interface": lambda row: row.interface,
    "ip": lambda row: row.ip or "",
    "user_agent": lambda row: row.user_agent,
    "day": lambda row: f"{ulid.time_of(row.id).astimezone(BERLIN):%F}",
    "hour": lambda row: f"{ulid.time_of(row.id).astimezone(BERLIN):%F %H}:00",
}


def test_facets_count_each_value(ask: Ask, log: Log) -> None:
    question = ask(type="environment")
    assert question.is_valid()
    facets = counting.facets(question)
    rows = [row for row in log.rows if row.resource_type == "environment"]
    for name in counting.FACETS:
        counted = {value.value: value.count for value in facets[name]}
        assert counted == Counter(VALUES[name](row) for row in rows), name
        assert facets.groups[name] == len(counted)
    assert [(value.value, value.label) for value in facets["type"]] == [
        ("environment", "environment")
    ]
    assert (facets.is_exact, facets.said) == (True, "")
    assert facets.counted == len(rows)
    counts = [value.count for value in facets["actor"]]
    assert counts == sorted(counts, reverse=True)


def test_a_facet_chosen_as_a_filter_finds_what_it_counted(ask: Ask, log: Log) -> None:
    question = ask()
    assert question.is_valid()
    facets = counting.facets(question)
    assert {value.label for value in facets["actor"]} >= {"jane@example.org (user)", "system"}
    for name, values in facets.items():
        for value in values:
            if value.params:
                assert asked(ask(**value.params)).count() == value.count, (name, value)


def test_facets_are_of_the_newest_entries_and_say_so(
    ask: Ask, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting, "MOST_COUNTED", 100)
    question = ask()
    assert question.is_valid()
    facets = counting.facets(question)
    newest = sorted(log.shown, key=lambda row: row.id)[-100:]
    assert not facets.is_exact
    assert facets.counted == 100
    assert facets.said.startswith("of the newest 100, back to")
    assert facets.extent.since == ulid.time_of(newest[0].id)
    told = {value.value: value.count for value in facets["action"]}
    assert told == Counter(row.action for row in newest)


@pytest.mark.parametrize("by", VALUES)
def test_counts_are_those_of_reading_every_entry(ask: Ask, log: Log, by: str) -> None:
    question = ask(exclude_action="retrieve", tz="Europe/Berlin")
    rows = [row for row in log.shown if row.action != "retrieve"]
    assert question.is_valid()
    found = counting.counts(question, by, limit=1000)
    expected = Counter(VALUES[by](row) for row in rows)
    counted = {row.value: row.count for row in found.rows}
    assert len(counted) == min(len(expected), 1000)
    assert counted.items() <= expected.items()
    assert found.groups == len(expected)
    assert found.extent.is_exact
    assert found.extent.counted == len(rows)
    for row in found.rows[:20]:
        if row.params:
            given = {"exclude_action": "retrieve", "tz": "Europe/Berlin", **row.params}
            assert asked(ask(**given)).count() == row.count, row
    few = counting.counts(question, by, limit=3, at_least=2)
    frequent = [count for _, count in expected.most_common() if count >= 2]
    assert sorted((row.count for row in few.rows), reverse=True) == frequent[:3]
    assert few.groups == len(frequent)
    assert few.rows == [] or max(row.share for row in few.rows) == 1


def test_counts_can_be_searched(ask: Ask, log: Log) -> None:
    question = ask()
    assert question.is_valid()
    found = counting.counts(question, "actor", search="JANE")
    assert {row.label for row in found.rows} == {
        "jane@example.org (user)",
        "Mary.Jane@example.org (user)",
    }
    assert found.groups == 2


def test_what_was_not_counted_is_said(ask: Ask, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "MOST_BROKEN_DOWN", 500)
    question = ask()
    assert question.is_valid()
    found = counting.counts(question, "result")
    newest = sorted(log.shown, key=lambda row: row.id)[-500:]
    assert {row.value: row.count for row in found.rows} == Counter(row.result for row in newest)
    assert (found.extent.counted, found.extent.is_exact) == (500, False)
    assert found.extent.since == ulid.time_of(newest[0].id)
    monkeypatch.setattr(counting, "MOST_BROKEN_DOWN", len(log.shown))
    assert counting.counts(question, "result").extent.is_exact


def test_where_no_index_answers_counting_ends_where_looking_did(
    ask: Ask, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(querysets, "MOST_LOOKED_AT", 1000)
    question = ask(user_agent="curl")
    queryset = asked(question)
    found = counting.counts(question, "actor")
    looked_at = sorted(log.shown, key=lambda row: row.id)[-1000:]
    fitting = [row for row in looked_at if "curl" in row.user_agent]
    assert not found.extent.is_exact
    assert found.extent.counted == len(fitting)
    assert counting.bounded_count(queryset) == Count(len(fitting), is_exact=False)
    assert counting.facets(question).counted == len(fitting)
    buckets = counting.histogram(queryset, None, NOW, dt.UTC)
    assert sum(bucket.count for bucket in buckets) == len(fitting)
    assert not buckets[0].is_exact

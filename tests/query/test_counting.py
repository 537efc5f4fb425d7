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
from audit.questions import counting
from audit.questions.counting import Count
from audit.questions.filters import EntryFilter
from organizations import ulid
from tests.query.conftest import NOW, ORGANIZATION, OTHER_KEY, Log

Ask = Callable[..., EntryFilter]


def asked(question: EntryFilter) -> QuerySet[Entry]:
    assert question.is_valid(), question.errors
    found: QuerySet[Entry] = question.qs
    return found


# -- How many


def test_a_count_is_exact_up_to_its_limit(entries: QuerySet[Entry], log: Log) -> None:
    size = len(log.rows)
    assert counting.bounded_count(entries) == Count(1000, is_exact=False)
    assert counting.bounded_count(entries, limit=size) == Count(size, is_exact=True)
    assert counting.bounded_count(entries, limit=size - 1) == Count(size - 1, is_exact=False)
    assert str(counting.bounded_count(entries)) == "1,000+"
    assert str(Count(999, is_exact=True)) == "999"


def test_nothing_is_counted_as_nothing(ask: Ask) -> None:
    nothing = asked(ask(actor="nobody"))
    assert counting.bounded_count(nothing) == Count(0, is_exact=True)
    assert counting.histogram(nothing, None, None, dt.UTC) == []
    assert counting.facets(nothing) == {"actor": [], "action": [], "type": []}


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
    monkeypatch.setattr(counting, "MOST_IN_HISTOGRAM", 1000)
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
    monkeypatch.setattr(counting, "MOST_IN_HISTOGRAM", 1000)
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


def test_facets_count_each_value(ask: Ask, log: Log) -> None:
    facets = counting.facets(asked(ask(type="environment")))
    rows = [row for row in log.rows if row.resource_type == "environment"]
    assert {value.value: value.count for value in facets["action"]} == Counter(
        row.action for row in rows
    )
    assert {value.value: value.count for value in facets["actor"]} == Counter(
        ulid.to_text(row.actor_id) if row.actor_id else row.actor_type for row in rows
    )
    assert [(value.value, value.label) for value in facets["type"]] == [
        ("environment", "environment")
    ]
    assert facets.is_exact
    assert facets.counted == len(rows)
    counts = [value.count for value in facets["actor"]]
    assert counts == sorted(counts, reverse=True)


def test_a_facet_chosen_as_a_filter_finds_what_it_counted(
    ask: Ask, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting, "MOST_IN_FACETS", len(log.rows) + 1)
    facets = counting.facets(asked(ask()))
    assert {value.label for value in facets["actor"]} >= {"jane@example.org (user)", "system"}
    for name, values in facets.items():
        for value in values:
            quoted = f'"{value.value}"' if "," in value.value else value.value
            assert asked(ask(**{name: quoted})).count() == value.count, (name, value)


def test_facets_are_of_the_newest_entries_and_say_so(
    entries: QuerySet[Entry], log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting, "MOST_IN_FACETS", 100)
    facets = counting.facets(entries)
    assert not facets.is_exact
    assert facets.counted == 100

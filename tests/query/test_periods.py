"""Words for time mean the same instants to everybody who reads them in the same time zone."""

from __future__ import annotations

import contextlib
import datetime as dt
import zoneinfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from audit.entry.as_json import rfc3339
from audit.questions import periods
from audit.questions.bar import describe_period
from audit.questions.periods import Period, UnknownPeriodError, resolve

BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")
NOW = dt.datetime(2026, 11, 23, 12, 30, 15, 123456, tzinfo=dt.UTC)  # a Monday, 13:30 in Berlin

zones = st.sampled_from(
    [
        "UTC",
        "Europe/Berlin",
        "America/New_York",
        "America/Sao_Paulo",  # changed its clocks at midnight
        "Asia/Beirut",
        "Asia/Kathmandu",  # +05:45
        "Australia/Lord_Howe",  # changes by half an hour
        "Pacific/Apia",  # left out a whole day in 2011
        "America/Havana",
        "Africa/Casablanca",
        "Antarctica/Troll",  # changes by two hours
    ]
).map(zoneinfo.ZoneInfo)
moments = st.datetimes(dt.datetime(2005, 1, 10), dt.datetime(2035, 1, 1), timezones=st.just(dt.UTC))
WORDS = [
    "today",
    "yesterday",
    "monday",
    "sunday",
    "last tuesday",
    "this week",
    "last week",
    "this month",
    "last month",
    "this year",
    "last year",
    "7d",
    "24h",
    "30m",
    "2w",
    "last 7 days",
    "last hour",
    "past week",
    "3 days ago",
    "an hour ago",
    "november",
    "17 november",
]


def instants(text: str, tz: dt.tzinfo = BERLIN) -> tuple[str | None, str | None]:
    period = resolve(text, NOW, tz)
    since, until = (
        None if moment is None else f"{moment.astimezone(tz):%Y-%m-%d %H:%M:%S}"
        for moment in period
    )
    return since, until


@pytest.mark.parametrize(
    ("text", "since", "until"),
    [
        ("today", "2026-11-23 00:00:00", "2026-11-24 00:00:00"),
        ("Yesterday", "2026-11-22 00:00:00", "2026-11-23 00:00:00"),
        ("monday", "2026-11-23 00:00:00", "2026-11-24 00:00:00"),
        ("last monday", "2026-11-16 00:00:00", "2026-11-17 00:00:00"),
        ("tuesday", "2026-11-17 00:00:00", "2026-11-18 00:00:00"),
        ("last  Tuesday", "2026-11-17 00:00:00", "2026-11-18 00:00:00"),
        ("this week", "2026-11-23 00:00:00", "2026-11-30 00:00:00"),
        ("last week", "2026-11-16 00:00:00", "2026-11-23 00:00:00"),
        ("this month", "2026-11-01 00:00:00", "2026-12-01 00:00:00"),
        ("last month", "2026-10-01 00:00:00", "2026-11-01 00:00:00"),
        ("last year", "2025-01-01 00:00:00", "2026-01-01 00:00:00"),
        ("7d", "2026-11-16 13:30:15", "2026-11-23 13:30:15"),
        ("past 2 hours", "2026-11-23 11:30:15", "2026-11-23 13:30:15"),
        ("2026-02", "2026-02-01 00:00:00", "2026-03-01 00:00:00"),
        ("last day", "2026-11-22 13:30:15", "2026-11-23 13:30:15"),
        ("past week", "2026-11-16 13:30:15", "2026-11-23 13:30:15"),
        ("3 days ago", "2026-11-20 00:00:00", "2026-11-21 00:00:00"),
        ("a week ago", "2026-11-16 00:00:00", "2026-11-17 00:00:00"),
        ("2 hours ago", "2026-11-23 11:30:15", "2026-11-23 11:31:15"),
        ("november", "2026-11-01 00:00:00", "2026-12-01 00:00:00"),
        ("december", "2025-12-01 00:00:00", "2026-01-01 00:00:00"),
        ("November 2025", "2025-11-01 00:00:00", "2025-12-01 00:00:00"),
        ("17 november", "2026-11-17 00:00:00", "2026-11-18 00:00:00"),
        ("november 24", "2025-11-24 00:00:00", "2025-11-25 00:00:00"),
        ("24 november 2024", "2024-11-24 00:00:00", "2024-11-25 00:00:00"),
        ("the 22nd", "2026-11-22 00:00:00", "2026-11-23 00:00:00"),
        ("24th", "2026-10-24 00:00:00", "2026-10-25 00:00:00"),
        ("the 31st", "2026-10-31 00:00:00", "2026-11-01 00:00:00"),
        ("the first week of november", "2026-11-01 00:00:00", "2026-11-08 00:00:00"),
        ("last week of october", "2026-10-25 00:00:00", "2026-11-01 00:00:00"),
        ("first day of the month", "2026-11-01 00:00:00", "2026-11-02 00:00:00"),
        ("last day of October", "2026-10-31 00:00:00", "2026-11-01 00:00:00"),
        ("end of october", "2026-10-21 00:00:00", "2026-11-01 00:00:00"),
        ("mid-october", "2026-10-11 00:00:00", "2026-10-21 00:00:00"),
        ("beginning of this month", "2026-11-01 00:00:00", "2026-11-11 00:00:00"),
        ("week of 12 november", "2026-11-09 00:00:00", "2026-11-16 00:00:00"),
        ("H1 2026", "2026-01-01 00:00:00", "2026-07-01 00:00:00"),
        ("11/24/2024", "2024-11-24 00:00:00", "2024-11-25 00:00:00"),
        ("24/11/2024", "2024-11-24 00:00:00", "2024-11-25 00:00:00"),
        ("2024-02-29", "2024-02-29 00:00:00", "2024-03-01 00:00:00"),
        ("2026-11-01T14:30", "2026-11-01 14:30:00", "2026-11-01 14:31:00"),
        ("2026-11-01T14:30:15Z", "2026-11-01 15:30:15", "2026-11-01 15:30:16"),
        ("2026-11-01 14:30:00-05:00", "2026-11-01 20:30:00", "2026-11-01 20:30:01"),
        ("2026-11-01..2026-11-07", "2026-11-01 00:00:00", "2026-11-08 00:00:00"),
        ("2026-11-01T08:00..2026-11-01T09:00", "2026-11-01 08:00:00", "2026-11-01 09:00:00"),
        ("last month..yesterday", "2026-10-01 00:00:00", "2026-11-23 00:00:00"),
        ("7d..", "2026-11-16 13:30:15", None),
        ("..2026-11-07", None, "2026-11-08 00:00:00"),
        ("..7d", None, "2026-11-16 13:30:15"),
    ],
)
def test_words_become_exact_instants(text: str, since: str | None, until: str | None) -> None:
    assert instants(text) == (since, until)


def test_a_day_is_the_readers_day() -> None:
    assert resolve("today", NOW, zoneinfo.ZoneInfo("Pacific/Auckland")).since == dt.datetime(
        2026, 11, 23, 11, tzinfo=dt.UTC
    )


def test_a_day_of_a_clock_change_has_25_hours() -> None:
    since, until = resolve("2026-10-25", NOW, BERLIN)
    assert since is not None
    assert until is not None
    assert until - since == dt.timedelta(hours=25)


def test_until_a_day_includes_the_day_and_until_a_time_of_day_ends_there() -> None:
    assert periods.resolve_until("yesterday", NOW, dt.UTC) == dt.datetime(
        2026, 11, 23, tzinfo=dt.UTC
    )
    assert periods.resolve_until("2026-11-22T10:00", NOW, dt.UTC) == dt.datetime(
        2026, 11, 22, 10, tzinfo=dt.UTC
    )


@pytest.mark.parametrize(
    "text",
    ["", "..", "soon", "2026-02-30", "2026-13", "2026-11-01T25:00", "0000-01-01",
     "last", "next week", "1e3d", "-7d", "2026-11-01T10:00+99:00", "²d"],
)  # fmt: skip
def test_what_is_not_understood_is_named_with_examples(text: str) -> None:
    with pytest.raises(UnknownPeriodError) as error:
        resolve(text, NOW, BERLIN)
    assert repr(text.strip()) in str(error.value) or repr(text) in str(error.value)
    assert "last tuesday" in str(error.value)


def test_a_range_that_ends_before_it_starts_is_refused() -> None:
    with pytest.raises(UnknownPeriodError, match="swap the two ends"):
        resolve("2026-11-07..2026-11-01", NOW, BERLIN)


def test_an_unknown_time_zone_is_refused() -> None:
    for name in ("Mars/Olympus", "../etc/passwd", "", "Europe"):
        with pytest.raises(ValueError, match="IANA"):
            periods.time_zone(name)


@given(moments, zones)
@example(dt.datetime(2018, 11, 4, 12, tzinfo=dt.UTC), zoneinfo.ZoneInfo("America/Sao_Paulo"))
@example(dt.datetime(2011, 12, 31, 12, tzinfo=dt.UTC), zoneinfo.ZoneInfo("Pacific/Apia"))
def test_today_holds_exactly_the_instants_of_the_local_day(
    now: dt.datetime, tz: zoneinfo.ZoneInfo
) -> None:
    since, until = resolve("today", now, tz)
    assert since is not None
    assert until is not None
    today = now.astimezone(tz).date()
    assert since <= now < until
    assert since.astimezone(tz).date() == today
    second = dt.timedelta(seconds=1)
    assert (until - second).astimezone(tz).date() == today
    assert (since - second).astimezone(tz).date() < today
    assert until.astimezone(tz).date() > today


@given(moments, zones, st.sampled_from(WORDS))
def test_every_word_names_a_period_that_does_not_end_before_it_starts(
    now: dt.datetime, tz: zoneinfo.ZoneInfo, text: str
) -> None:
    since, until = resolve(text, now, tz)
    assert since is not None
    assert until is not None
    assert since.tzinfo is until.tzinfo is dt.UTC
    assert since <= until
    assert since.microsecond % 1000 == 0
    assert since <= now


@given(moments, zones)
def test_neighbouring_periods_meet(now: dt.datetime, tz: zoneinfo.ZoneInfo) -> None:
    for unit in ("week", "month", "year"):
        assert resolve(f"last {unit}", now, tz).until == resolve(f"this {unit}", now, tz).since
    assert resolve("yesterday", now, tz).until == resolve("today", now, tz).since
    day = now.astimezone(tz).date()
    assert resolve(day.isoformat(), now, tz) == resolve("today", now, tz)


@given(moments, zones)
def test_an_instant_written_in_iso_is_that_instant(now: dt.datetime, tz: zoneinfo.ZoneInfo) -> None:
    moment = now.replace(microsecond=now.microsecond // 1000 * 1000)
    for text in (moment.isoformat(), moment.astimezone(tz).isoformat()):
        if len(text.partition("+")[2]) <= 5:  # no zone of before 1900 with seconds
            assert periods.resolve_since(text, now, dt.UTC) == moment


@given(st.text(max_size=30), moments, zones)
def test_any_other_text_is_refused_and_never_crashes(
    text: str, now: dt.datetime, tz: zoneinfo.ZoneInfo
) -> None:
    with contextlib.suppress(UnknownPeriodError):
        assert isinstance(resolve(text, now, tz), Period)


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "Pacific/Kiritimati", "America/Adak"])
@pytest.mark.parametrize("year", ["0001", "9999"])
@pytest.mark.parametrize(
    "rest", ["", "-01", "-12", "-01-01", "-12-31", "-01-01T00:00", "-12-31T23"]
)
def test_the_first_and_the_last_year_can_be_asked_for_and_shown(
    zone: str, year: str, rest: str
) -> None:
    tz = periods.time_zone(zone)
    period = resolve(f"{year}{rest}", NOW, tz)
    assert period.since is not None
    assert period.until is not None
    assert period.since <= period.until
    text = describe_period(period, tz)
    assert rfc3339(period.since)[:4] in ("0001", "0002", "9998", "9999")
    assert zone in text


def test_an_instant_may_have_nine_fractional_digits() -> None:
    assert resolve("2026-11-01T10:00:00.123456789Z", NOW, BERLIN) == resolve(
        "2026-11-01T10:00:00.123Z", NOW, BERLIN
    )


def test_a_time_zone_may_be_written_in_any_case() -> None:
    assert periods.time_zone("europe/berlin") == periods.time_zone("EUROPE/BERLIN") == BERLIN

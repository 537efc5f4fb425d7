"""Words for time, resolved to exact instants in the asker's time zone.

The one place that reads `yesterday`, `last tuesday`, `7d` or `2026-11-01..2026-11-07`. A day is
the asker's local day, however many hours the clock change gives it.
"""

from __future__ import annotations

import datetime as dt
import re
import zoneinfo
from collections.abc import Callable, Collection
from functools import cache
from typing import NamedTuple

EXAMPLES = (
    "today, yesterday, tuesday, last tuesday, this week, last month, 7d, 24h, 3 days ago,"
    " 2026-11-01, 2026-11-01T14:30, 2026-11-01..2026-11-07"
)
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_DAY = dt.timedelta(days=1)
_MILLISECOND = dt.timedelta(milliseconds=1)
_EARLIEST = dt.datetime(1, 1, 2, tzinfo=dt.UTC)
_LATEST = dt.datetime(9999, 12, 30, tzinfo=dt.UTC)
"""The first and the last instant that every time zone can write. What lies beyond is taken for
these: there are no entries."""


class Period(NamedTuple):
    """From `since` (inclusive) to `until` (exclusive), aware instants; None is an open end."""

    since: dt.datetime | None
    until: dt.datetime | None


class Closed(NamedTuple):
    """A period with both ends. `is_instant`: the text names a moment, and `since` is it."""

    since: dt.datetime
    until: dt.datetime
    is_instant: bool = False


class UnknownPeriodError(ValueError):
    """The text is no period; the message says so and gives examples."""


def time_zone(name: str) -> zoneinfo.ZoneInfo:
    """The time zone called `name`, in any case. Raises ValueError."""
    try:
        return zoneinfo.ZoneInfo(_zone_names().get(name.lower(), name))
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(
            f"{name!r} is not a time zone. Use an IANA name such as Europe/Berlin or UTC."
        ) from None


@cache
def _zone_names() -> dict[str, str]:
    """The name of each time zone, by its lower case."""
    return {name.lower(): name for name in zoneinfo.available_timezones()}


TIMES = ("since", "until", "when")
"""The parameters of a question that name a time."""


def read(parameter: str, text: str, now: dt.datetime, tz: dt.tzinfo) -> Period:
    """The period that `text` names as one of TIMES. Raises UnknownPeriodError."""
    if parameter == "since":
        return Period(resolve_since(text, now, tz), None)
    if parameter == "until":
        return Period(None, resolve_until(text, now, tz))
    return resolve(text, now, tz)


def common(periods: Collection[Period]) -> Period:
    """The time that lies in all of them. It ends before it begins where there is none."""
    return Period(
        max((period.since for period in periods if period.since), default=None),
        min((period.until for period in periods if period.until), default=None),
    )


def resolve(text: str, now: dt.datetime, tz: dt.tzinfo) -> Period:
    """The period that `text` names, seen at `now` in `tz`. Raises UnknownPeriodError."""
    before, dots, after = text.strip().partition("..")
    if not dots:
        period = _closed(text, now, tz)
        return Period(period.since, period.until)
    if not before.strip() and not after.strip():
        raise _unknown(text)
    since = resolve_since(before, now, tz) if before.strip() else None
    until = resolve_until(after, now, tz) if after.strip() else None
    if since is not None and until is not None and until < since:
        raise UnknownPeriodError(f"{text!r} ends before it starts; swap the two ends.")
    return Period(since, until)


def resolve_since(text: str, now: dt.datetime, tz: dt.tzinfo) -> dt.datetime:
    """The instant at which `text` starts. Raises UnknownPeriodError."""
    return _closed(text, now, tz).since


def resolve_until(text: str, now: dt.datetime, tz: dt.tzinfo) -> dt.datetime:
    """The instant before which "until `text`" ends: the end of a day or week, the very instant
    of a time of day, `7d` ago. Raises UnknownPeriodError."""
    period = _closed(text, now, tz)
    return period.since if period.is_instant else period.until


def _closed(text: str, now: dt.datetime, tz: dt.tzinfo) -> Closed:
    words = " ".join(text.lower().split())
    local = (now - dt.timedelta(microseconds=now.microsecond % 1000)).astimezone(tz)
    try:
        for read in _READERS:
            found = read(words, local)
            if found is not None:
                return found
    except (ValueError, OverflowError):
        # No such date, or beyond the years that can be written.
        raise _unknown(text) from None
    raise _unknown(text)


def _unknown(text: str) -> UnknownPeriodError:
    return UnknownPeriodError(f"{text!r} is not a recognized time. Try {EXAMPLES}.")


# -- Readers: each knows one way of writing, and answers None to any other


def _read_day(words: str, now: dt.datetime) -> Closed | None:
    today = now.date()
    if words == "now":
        return Closed(_utc(now), _utc(now), is_instant=True)
    if words == "today":
        return _days(today, today + _DAY, now)
    if words == "yesterday":
        return _days(today - _DAY, today, now)
    if words in ("day before yesterday", "the day before yesterday"):
        return _days(today - 2 * _DAY, today - _DAY, now)
    name = words.removeprefix("last ")
    if name not in _WEEKDAYS:
        return None
    # "tuesday" may be today, "last tuesday" is over.
    latest = today - _DAY if words.startswith("last ") else today
    day = latest - _DAY * ((latest.weekday() - _WEEKDAYS.index(name)) % 7)
    return _days(day, day + _DAY, now)


def _read_span(words: str, now: dt.datetime) -> Closed | None:
    which, _, unit = words.partition(" ")
    if which not in ("this", "last") or unit not in ("week", "month", "year"):
        return None
    today = now.date()
    first = {
        "week": today - _DAY * today.weekday(),
        "month": today.replace(day=1),
        "year": today.replace(month=1, day=1),
    }[unit]
    if which == "last":
        last = first - _DAY
        before = {
            "week": first - _DAY * 7,
            "month": last.replace(day=1),
            "year": last.replace(month=1, day=1),
        }[unit]
        return _days(before, first, now)
    return _days(first, _after(first, unit), now)


_DURATION = re.compile(
    r"(?:(?:last|past) )?(\d{1,5}) ?"
    r"(?:(m|minutes?|mins?)|(h|hours?|hrs?)|(d|days?)|(w|weeks?))"
)


def _read_duration(words: str, now: dt.datetime) -> Closed | None:
    """The last so many minutes, hours, days or weeks, until now."""
    # The last week is that of the calendar, the past week are seven days.
    one = re.fullmatch(r"(?:(?:last|past) (minute|hour|day)|past (week))", words)
    match = _DURATION.fullmatch(f"1 {one[1] or one[2]}" if one else words)
    if match is None:
        return None
    number, minutes, hours, days, weeks = match.groups()
    count = int(number)
    end = _utc(now)
    if minutes or hours:
        since = end - dt.timedelta(minutes=count) * (60 if hours else 1)
    else:
        # The same time of day, also across a clock change.
        naive = now.replace(tzinfo=None) - _DAY * count * (7 if weeks else 1)
        since = _utc(naive.replace(tzinfo=now.tzinfo))
    return Closed(since, end, is_instant=True)


_AGO = re.compile(r"(\d{1,5}|an?|one) (minute|hour|day|week)s? ago")


def _read_ago(words: str, now: dt.datetime) -> Closed | None:
    """The day that was so many days or weeks ago; the very instant, for minutes and hours."""
    match = _AGO.fullmatch(words)
    if match is None:
        return None
    number, unit = match.groups()
    count = int(number) if number.isdigit() else 1
    if unit in ("day", "week"):
        day = now.date() - _DAY * count * (7 if unit == "week" else 1)
        return _days(day, day + _DAY, now)
    moment = _utc(now) - dt.timedelta(minutes=count) * (60 if unit == "hour" else 1)
    return Closed(moment, moment + dt.timedelta(minutes=1), is_instant=True)


_MONTHS = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
_SHORT = tuple(name[:3] for name in _MONTHS)
_MONTH = re.compile(
    rf"(?:(\d{{1,2}}) )?({'|'.join(f'{name[:3]}(?:{name[3:]})?' for name in _MONTHS)}|sept)"
    r"(?: (\d{1,2}))?(?: (\d{4}))?"
)


def _read_month(words: str, now: dt.datetime) -> Closed | None:
    """november, november 2025, 17 november, november 17 2025; without a year the latest."""
    match = _MONTH.fullmatch(words)
    if match is None or (match[1] and match[3]):
        return None
    if match[2] not in _MONTHS and not (match[1] or match[3] or match[4]):
        return None  # by itself, Jan is a person
    day, month = match[1] or match[3], _SHORT.index(match[2][:3]) + 1
    year = int(match[4] or now.year)
    first = dt.date(year, month, int(day or 1))
    if not match[4] and first > now.date():
        first = first.replace(year=year - 1)
    return _days(first, _after(first, "day" if day else "month"), now)


_DATE = re.compile(r"(\d{4})(?:-(\d{2})(?:-(\d{2}))?)?")


def _read_date(words: str, now: dt.datetime) -> Closed | None:
    """2026, 2026-11 or 2026-11-01."""
    match = _DATE.fullmatch(words)
    if match is None:
        return None
    year, month, day = match.groups()
    first = dt.date(int(year), int(month or 1), int(day or 1))
    return _days(first, _after(first, "day" if day else "month" if month else "year"), now)


_DATETIME = re.compile(
    r"(\d{4}-\d{2}-\d{2})[t ](\d{2})(:\d{2})?(:\d{2})?([.,]\d{1,9})?(z|[+-]\d{2}:?\d{2})?"
)


def _read_datetime(words: str, now: dt.datetime) -> Closed | None:
    """ISO 8601, to the hour, minute, second or fraction; in the asker's zone unless it names one.

    As a period it lasts as long as what was left out: 14:30 is a minute.
    """
    match = _DATETIME.fullmatch(words)
    if match is None:
        return None
    date, hour, minute, second, fraction, zone = match.groups()
    if (second and not minute) or (fraction and not second):
        return None
    text = f"{date}t{hour}{minute or ':00'}{second or ':00'}".upper()
    moment = dt.datetime.fromisoformat(text)
    if fraction:
        moment += dt.timedelta(milliseconds=int(fraction[1:].ljust(9, "0")) // 1_000_000)
    offset = dt.datetime.fromisoformat(text + zone.upper()).tzinfo if zone else now.tzinfo
    since = _utc(moment.replace(tzinfo=offset))
    length = (
        _MILLISECOND
        if fraction
        else dt.timedelta(seconds=1)
        if second
        else dt.timedelta(minutes=1)
        if minute
        else dt.timedelta(hours=1)
    )
    return Closed(since, since + length, is_instant=True)


_READERS: tuple[Callable[[str, dt.datetime], Closed | None], ...] = (
    _read_day,
    _read_span,
    _read_duration,
    _read_ago,
    _read_month,
    _read_date,
    _read_datetime,
)


# -- Calendar


def _after(first: dt.date, unit: str) -> dt.date:
    """The first day after the day, week, month or year that starts with `first`; the last day that
    can be written, when there is none."""
    try:
        return _following(first, unit)
    except (ValueError, OverflowError):
        return dt.date.max


def _following(first: dt.date, unit: str) -> dt.date:
    if unit == "day":
        return first + _DAY
    if unit == "week":
        return first + _DAY * 7
    if unit == "month":
        return (first + _DAY * 31).replace(day=1)
    return first.replace(year=first.year + 1)


def _days(first: dt.date, after: dt.date, now: dt.datetime) -> Closed:
    """From the start of day `first` to the start of day `after`, in the zone of `now`."""
    return Closed(start_of_day(first, now.tzinfo), start_of_day(after, now.tzinfo))


def start_of_day(day: dt.date, tz: dt.tzinfo | None) -> dt.datetime:
    """The instant at which `day` starts in `tz`."""
    # A midnight that a clock change skips is, with fold=0, the instant of the change itself; of
    # two midnights, fold=0 is the first. Both are when the day starts.
    return _utc(dt.datetime.combine(day, dt.time(), tzinfo=tz))


def _utc(moment: dt.datetime) -> dt.datetime:
    try:
        return min(max(moment.astimezone(dt.UTC), _EARLIEST), _LATEST)
    except OverflowError:
        return _EARLIEST if moment.year == 1 else _LATEST

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
    "today, yesterday, tuesday, last tuesday, this week, last month, Q3 2026, 7d, 24h, 3 days ago,"
    " yesterday 14:00, 2026-11-01, 2026-11-01T14:30, 2026-11-01..2026-11-07"
)
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
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
    until = resolve_until(after, now, tz, since) if after.strip() else None
    if since is not None and until is not None and until < since:
        raise UnknownPeriodError(f"{text!r} ends before it starts; swap the two ends.")
    return Period(since, until)


def resolve_since(text: str, now: dt.datetime, tz: dt.tzinfo) -> dt.datetime:
    """The instant at which `text` starts. Raises UnknownPeriodError."""
    return _closed(text, now, tz).since


def resolve_until(
    text: str, now: dt.datetime, tz: dt.tzinfo, since: dt.datetime | None = None
) -> dt.datetime:
    """The instant before which "until `text`" ends: the end of a day or week, the very instant
    of a time of day, `7d` ago. Raises UnknownPeriodError.

    A day or month without a year is this year's, though it may lie ahead: nobody who asks until
    December in November means last year's. since: where the time begins; it ends after that.
    """
    words = _plain(text)
    ends = []
    if _is_without_year(words):
        year = now.astimezone(tz).year
        ends = [f"{words} {year}", f"{words} {year + 1}"]
    for words_of_year in ends:
        try:
            period = _closed(words_of_year, now, tz)
        except UnknownPeriodError:
            break
        if since is None or period.until > since:
            return period.until
    period = _closed(text, now, tz)
    return period.since if period.is_instant else period.until


def is_one_day(text: str, now: dt.datetime, tz: dt.tzinfo) -> bool:
    """Whether `text` names a single day, of which there may be an hour. Raises
    UnknownPeriodError."""
    if ".." in text:
        return False
    period = _closed(text, now, tz)
    length = period.until - period.since
    return not period.is_instant and dt.timedelta(hours=20) < length < dt.timedelta(hours=28)


def _closed(text: str, now: dt.datetime, tz: dt.tzinfo) -> Closed:
    words = _plain(text)
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


# -- Words

_NUMBERS = {
    "one": "1",
    "two": "2",
    "three": "3",
    "four": "4",
    "five": "5",
    "six": "6",
    "seven": "7",
    "eight": "8",
    "nine": "9",
    "ten": "10",
    "eleven": "11",
    "twelve": "12",
    "thirteen": "13",
    "fourteen": "14",
    "fifteen": "15",
    "twenty": "20",
    "thirty": "30",
    "sixty": "60",
    "ninety": "90",
}
_FIRST = {"first": "1", "second": "2", "third": "3", "fourth": "4"}
_DAY_ALONE = re.compile(r"(?:the )?(\d{1,2})(?:st|nd|rd|th)")
_ORDINAL = re.compile(r"\b(\d{1,2})(?:st|nd|rd|th)\b")
_OF = re.compile(r"\b(\d{1,2}|q[1-4]|quarter) of (?=[a-z0-9])")


def _plain(text: str) -> str:
    """`text` as the readers below take it: in lower case, numbers in digits, `1 october` for
    "the 1st of October", `last` for "the previous"."""
    words = " ".join(text.lower().replace(",", " ").split())
    if alone := _DAY_ALONE.fullmatch(words):
        return f"day {alone[1]}"
    if not words or words[0].isdigit() and words.replace("-", "").isdigit():
        return words
    words = re.sub(r"^(?:the|in the|during the) (?=\D|\d{1,2}(?:st|nd|rd|th)\b)", "", words)
    words = _OF.sub(r"\1 ", _ORDINAL.sub(r"\1", words))
    words = words.replace("fortnight", "2 weeks")
    words = re.sub(r"^a couple of|^(?<=last )couple of", "2", words)
    parts = [_NUMBERS.get(word, word) for word in words.split(" ")]
    if parts[0] in ("current", "previous"):
        parts[0] = {"current": "this", "previous": "last"}[parts[0]]
    if len(parts) > 1 and parts[0] in _FIRST and parts[1] == "quarter":
        parts[:2] = [f"q{_FIRST[parts[0]]}"]
    return " ".join(parts)


_CLOCK = re.compile(
    r"(?P<hour>\d{1,2})(?:[:.](?P<minute>\d{2})(?::(?P<second>\d{2}))?)?"
    r" ?(?P<half>[ap])?(?(half)\.?m\.?|(?: ?(?P<clock>o'clock|h|hrs?|hours))?)"
)


class Clock(NamedTuple):
    """A time of day in seconds after midnight, and for how long it lasts as it was written: an
    hour, a minute or a second. `is_sure`: it is nothing but a time of day, as 9 is not."""

    at: int
    lasts: int
    is_sure: bool


def read_clock(text: str, half: str = "") -> Clock | None:
    """The time of day that `text` is: 14:30, 2pm, 2:30 pm, noon. half: `a` or `p`, of a number
    that does not say whether it is before noon."""
    words = " ".join(text.lower().split())
    if words in ("noon", "midday", "midnight"):
        return Clock(0 if words == "midnight" else 43200, 60, True)
    match = _CLOCK.fullmatch(words)
    if match is None:
        return None
    hour, minute, second = (int(match[name] or 0) for name in ("hour", "minute", "second"))
    said = match["half"] or half
    is_sure = bool(match["minute"] or match["half"] or match["clock"] == "o'clock")
    if said:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if said == "p" else 0)
    if hour > 24 or minute > 59 or second > 59 or (hour == 24 and (minute or second)):
        return None
    lasts = 1 if match["second"] else 60 if match["minute"] else 3600
    return Clock(hour * 3600 + minute * 60 + second, lasts, is_sure)


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
    if name not in WEEKDAYS:
        return None
    # "tuesday" may be today, "last tuesday" is over.
    latest = today - _DAY if words.startswith("last ") else today
    day = latest - _DAY * ((latest.weekday() - WEEKDAYS.index(name)) % 7)
    return _days(day, day + _DAY, now)


def _read_span(words: str, now: dt.datetime) -> Closed | None:
    which, _, unit = words.partition(" ")
    if words in ("year to date", "ytd"):
        which, unit = "this", "year"
    elif words in ("month to date", "mtd"):
        which, unit = "this", "month"
    if which not in ("this", "last") or unit not in ("week", "month", "quarter", "year"):
        return None
    first = _first_of(unit, now.date())
    if which == "last":
        return _days(_first_of(unit, first - _DAY), first, now)
    return _days(first, _after(first, unit), now)


def _first_of(unit: str, day: dt.date) -> dt.date:
    """The first day of the week, month, quarter or year of `day`."""
    if unit == "week":
        return day - _DAY * day.weekday()
    if unit == "quarter":
        return day.replace(month=(day.month - 1) // 3 * 3 + 1, day=1)
    return day.replace(day=1) if unit == "month" else day.replace(month=1, day=1)


_PART = re.compile(
    r"(?P<which>first|1st|second|third|fourth|last|final) (?P<unit>day|week) (?:of|in) (?P<of>.+)"
    r"|(?P<side>beginning|start|middle|end) of (?P<of2>.+)"
    r"|(?P<side2>early|mid|late)[ -](?P<of3>.+)"
    r"|week (?:of|starting|beginning) (?P<day>.+)"
)
_WHICH = {"first": 0, "1st": 0, "second": 1, "third": 2, "fourth": 3}
_THIRDS = {"beginning": 0, "start": 0, "early": 0, "middle": 1, "mid": 1, "end": 2, "late": 2}


def _read_part(words: str, now: dt.datetime) -> Closed | None:
    """first week of november, last day of the month, end of october, early 2026, week of 9
    november. A beginning, a middle and an end are thirds."""
    match = _PART.fullmatch(words)
    if match is None:
        return None
    if match["day"]:
        found = next((each for read in _DAYS_OF if (each := read(match["day"], now))), None)
        if found is None:
            return None
        first = _first_of("week", found.since.astimezone(now.tzinfo).date())
        return _days(first, first + _DAY * 7, now)
    whole = re.sub("^(?:the|this) ", "", match["of"] or match["of2"] or match["of3"])
    whole = f"this {whole}" if whole in ("week", "month", "quarter", "year") else whole
    readers = (_read_span, _read_month, _read_numbered, _read_date)
    found = next((each for read in readers if (each := read(whole, now)) is not None), None)
    if found is None:
        return None
    start, after = (end.astimezone(now.tzinfo).date() for end in (found.since, found.until))
    if match["unit"]:
        length = _DAY * (7 if match["unit"] == "week" else 1)
        if match["which"] in ("last", "final"):
            return _days(max(start, after - length), after, now)
        first = start + length * _WHICH[match["which"]]
        return _days(first, min(first + length, after), now) if first < after else None
    third, number = (after - start) // 3, _THIRDS[match["side"] or match["side2"]]
    if third < _DAY:
        return None
    start += third * number
    return _days(start, after if number == 2 else start + third, now)


def _read_day_alone(words: str, now: dt.datetime) -> Closed | None:
    """the 24th: the latest"""
    match = re.fullmatch(r"day (\d{1,2})", words)
    if match is None:
        return None
    first = now.date().replace(day=1)
    for _ in range(3):
        try:
            day = first.replace(day=int(match[1]))
        except ValueError:
            day = dt.date.max
        if day <= now.date():
            return _days(day, day + _DAY, now)
        first = (first - _DAY).replace(day=1)
    return None


_QUARTER = re.compile(r"q([1-4])(?: ?(\d{4}))?|(\d{4})[- ]?q([1-4])")
_WEEK = re.compile(r"(?:calendar )?week (\d{1,2})(?: (\d{4}))?|(\d{4})-?w(\d{2})")


def _read_numbered(words: str, now: dt.datetime) -> Closed | None:
    """Q3, Q3 2026, 2026-Q3, H1, week 47, 2026-W47; without a year the latest that has begun."""
    if match := re.fullmatch(r"h([12])(?: (\d{4}))?", words):
        year = int(match[2] or now.year)
        first = dt.date(year, int(match[1]) * 6 - 5, 1)
        if not match[2] and first > now.date():
            first = first.replace(year=year - 1)
        return _days(first, _after(_after(first, "quarter"), "quarter"), now)
    if match := _QUARTER.fullmatch(words):
        month = int(match[1] or match[4]) * 3 - 2
        year = int(match[2] or match[3] or now.year)
        first = dt.date(year, month, 1)
        if not (match[2] or match[3]) and first > now.date():
            first = first.replace(year=year - 1)
        return _days(first, _after(first, "quarter"), now)
    if match := _WEEK.fullmatch(words):
        number, year = int(match[1] or match[4]), int(match[2] or match[3] or now.year)
        first = dt.date.fromisocalendar(year, number, 1)
        if not (match[2] or match[3]) and first > now.date():
            first = dt.date.fromisocalendar(year - 1, number, 1)
        return _days(first, first + _DAY * 7, now)
    return None


def _read_weekend(words: str, now: dt.datetime) -> Closed | None:
    """The latest weekend that has begun; the last one is over."""
    if words not in ("weekend", "this weekend", "last weekend", "past weekend"):
        return None
    latest = now.date() - _DAY * ((now.weekday() - 5) % 7)
    if words == "last weekend" and now.date() - latest < _DAY * 2:
        latest -= _DAY * 7
    return _days(latest, latest + _DAY * 2, now)


_PARTS_OF_DAY = {"morning": (6, 12), "afternoon": (12, 18), "evening": (18, 24), "night": (22, 30)}
"""From and to which hour; a night ends on the next day."""


def _read_part_of_day(words: str, now: dt.datetime) -> Closed | None:
    """this morning, yesterday evening, last night, tuesday afternoon"""
    day, _, part = words.replace("tonight", "today night").rpartition(" ")
    if part not in _PARTS_OF_DAY or not day:
        return None
    if day == "last":
        day = "yesterday"
    found = _read_day("today" if day == "this" else day, now) or _read_month(day, now)
    found = found or _read_date(day, now)
    if found is None:
        return None
    first = found.since.astimezone(now.tzinfo).date()
    start, end = _PARTS_OF_DAY[part]
    return Closed(_at(first, start * 3600, now), _at(first, end * 3600, now))


def _read_time_of_day(words: str, now: dt.datetime) -> Closed | None:
    """yesterday 14:00, last tuesday at 2:30 pm, 3 november noon: for as long as was left out."""
    match = re.fullmatch(r"(.+?)(?: at| around| about)? (\S+|\S+ [ap]\.?m\.?)", words)
    if match is None:
        return None
    clock = read_clock(match[2])
    if clock is None or not clock.is_sure:
        return None
    found = next(
        (each for read in _DAYS_OF if (each := read(match[1], now)) is not None),
        None,
    )
    if found is None or found.is_instant or found.until - found.since > dt.timedelta(hours=28):
        return None
    since = _at(found.since.astimezone(now.tzinfo).date(), clock.at, now)
    return Closed(since, since + dt.timedelta(seconds=clock.lasts), is_instant=True)


def _at(day: dt.date, seconds: int, now: dt.datetime) -> dt.datetime:
    """The instant at which clocks show so many seconds after midnight on `day`."""
    naive = dt.datetime.combine(day, dt.time()) + dt.timedelta(seconds=seconds)
    return _utc(naive.replace(tzinfo=now.tzinfo))


_DURATION = re.compile(
    r"(?:(?:last|past) )?(\d{1,5}) ?"
    r"(?:(m|minutes?|mins?)|(h|hours?|hrs?)|(d|days?)|(w|weeks?)|(months?)|(quarters?)|(y|years?))"
)


def _read_duration(words: str, now: dt.datetime) -> Closed | None:
    """The last so many minutes, hours, days, weeks, months or years, until now."""
    # The last week is that of the calendar, the past week are seven days.
    one = re.fullmatch(r"(?:(?:last|past) (minute|hour|day)|past (week|month|quarter|year))", words)
    match = _DURATION.fullmatch(f"1 {one[1] or one[2]}" if one else words)
    if match is None:
        return None
    number, minutes, hours, days, weeks, months, quarters, _ = match.groups()
    count = int(number)
    end = _utc(now)
    if minutes or hours:
        since = end - dt.timedelta(minutes=count) * (60 if hours else 1)
        return Closed(since, end, is_instant=True)
    # The same time of day, also across a clock change.
    naive = now.replace(tzinfo=None)
    if days or weeks:
        naive -= _DAY * count * (7 if weeks else 1)
    else:
        day = _months_before(naive.date(), count * (1 if months else 3 if quarters else 12))
        naive = dt.datetime.combine(day, naive.time())
    return Closed(_utc(naive.replace(tzinfo=now.tzinfo)), end, is_instant=True)


def _months_before(day: dt.date, months: int) -> dt.date:
    """The same day of the month so many months earlier, or the last one of that month."""
    year, month = divmod(day.year * 12 + day.month - 1 - months, 12)
    first = dt.date(year, month + 1, 1)
    return min(first + _DAY * (day.day - 1), _after(first, "month") - _DAY)


_AGO = re.compile(r"(\d{1,5}|an?|one) (minute|hour|day|week|month|year)s? ago")


def _read_ago(words: str, now: dt.datetime) -> Closed | None:
    """The day that was so many days or weeks ago; the very instant, for minutes and hours."""
    match = _AGO.fullmatch(words)
    if match is None:
        return None
    number, unit = match.groups()
    count = int(number) if number.isdigit() else 1
    if unit in ("minute", "hour"):
        moment = _utc(now) - dt.timedelta(minutes=count) * (60 if unit == "hour" else 1)
        return Closed(moment, moment + dt.timedelta(minutes=1), is_instant=True)
    if unit in ("month", "year"):
        day = _months_before(now.date(), count * (12 if unit == "year" else 1))
    else:
        day = now.date() - _DAY * count * (7 if unit == "week" else 1)
    return _days(day, day + _DAY, now)


MONTHS = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
_SHORT = tuple(name[:3] for name in MONTHS)
_MONTH = re.compile(
    rf"(?:(\d{{1,2}}) )?({'|'.join(f'{name[:3]}(?:{name[3:]})?' for name in MONTHS)}|sept)"
    r"(?: (\d{1,2}))?(?: (\d{4}))?"
)


def _is_without_year(words: str) -> bool:
    """Whether `words` are a month, or a day of one, of no year."""
    match = _MONTH.fullmatch(words)
    return bool(match and not match[4] and not (match[1] and match[3]))


def _read_month(words: str, now: dt.datetime) -> Closed | None:
    """november, november 2025, 17 november, november 17 2025; without a year the latest."""
    words = re.sub(_WEEKDAY_OF, "", words)
    match = _MONTH.fullmatch(words)
    if match is None or (match[1] and match[3]):
        return None
    if match[2] not in MONTHS and not (match[1] or match[3] or match[4]):
        return None  # by itself, Jan is a person
    day, month = match[1] or match[3], _SHORT.index(match[2][:3]) + 1
    year = int(match[4] or now.year)
    first = dt.date(year, month, int(day or 1))
    if not match[4] and first > now.date():
        first = first.replace(year=year - 1)
    return _days(first, _after(first, "day" if day else "month"), now)


_WEEKDAY_OF = rf"^(?:{'|'.join(WEEKDAYS)}) (?=.*\d)"
_DAYS_OF_MONTH = re.compile(
    r"(?P<first>\d{1,2}) ?(?:-|–|to) ?(?P<last>\d{1,2}) (?P<month>[a-z]{3,9})(?: (?P<year>\d{4}))?"
    r"|(?P<month2>[a-z]{3,9}) (?P<first2>\d{1,2}) ?(?:-|–|to) ?(?P<last2>\d{1,2})"
    r"(?: (?P<year2>\d{4}))?"
)


def _read_days_of_month(words: str, now: dt.datetime) -> Closed | None:
    """3-5 november, october 1-15 2026: both days included."""
    match = _DAYS_OF_MONTH.fullmatch(words)
    if match is None:
        return None
    month, first, last = (match[name] or match[f"{name}2"] for name in ("month", "first", "last"))
    year = match["year"] or match["year2"]
    begins = _read_month(f"{first} {month}{f' {year}' if year else ''}", now)
    if begins is None:
        return None
    start = begins.since.astimezone(now.tzinfo).date()
    end = start.replace(day=int(last)) + _DAY
    return _days(start, end, now) if end > start else None


_DATE = re.compile(r"(\d{4})(?:-(\d{2})(?:-(\d{2}))?)?")
_DOTTED = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})?")
_SLASHED = re.compile(r"(\d{4})/(\d{1,2})/(\d{1,2})")
_EITHER_WAY = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4})")


def _read_date(words: str, now: dt.datetime) -> Closed | None:
    """2026, 2026-11, 2026-11-01, 2026/11/01, 24.11.2026, 24/11/2026 and 11/24/2026, which can be
    but one day; 24.11. is the latest."""
    if match := _DOTTED.fullmatch(words):
        that_day = dt.date(int(match[3] or now.year), int(match[2]), int(match[1]))
        if not match[3] and that_day > now.date():
            that_day = that_day.replace(year=that_day.year - 1)
        return _days(that_day, that_day + _DAY, now)
    if match := _EITHER_WAY.fullmatch(words):
        one, other = int(match[1]), int(match[2])
        if one <= 12 and other <= 12 and one != other:
            return None  # 1/11/2026 reads differently from place to place
        that_day = dt.date(int(match[3]), min(one, other), max(one, other))
        return _days(that_day, that_day + _DAY, now)
    match = _DATE.fullmatch(words) or _SLASHED.fullmatch(words)
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
    _read_day_alone,
    _read_part,
    _read_span,
    _read_numbered,
    _read_weekend,
    _read_duration,
    _read_ago,
    _read_month,
    _read_days_of_month,
    _read_date,
    _read_datetime,
    _read_part_of_day,
    _read_time_of_day,
)
_DAYS_OF = (_read_day, _read_month, _read_date, _read_ago)
"""Those that read single days, which may have a time of day."""


# -- Calendar


def _after(first: dt.date, unit: str) -> dt.date:
    """The first day after the day, week, month, quarter or year that starts with `first`; the last
    day that can be written, when there is none."""
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
    if unit == "quarter":
        return (first + _DAY * 93).replace(day=1)
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

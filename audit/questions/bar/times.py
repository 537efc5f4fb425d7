"""Finding times in a sentence: periods, times of day, hours and days that come again.

What a time means is known to `audit.questions.periods`; here it is found, wherever it stands, and
put together: a day and an hour of it, two ends of a range.
"""

from __future__ import annotations

import datetime as dt
import re

from audit.questions import periods
from audit.questions.bar.sentence import Mark, Sentence
from audit.questions.bar.tokens import DASHES, word_set
from audit.questions.bar.vocabulary import DEEDS

LONGEST = 6
"""Words, such as "tuesday 3 november 2026 at noon"."""

STARTS = {"since": False, "after": True, "from": False, "starting": False, "beyond": True}
ENDS = {"until": False, "till": False, "before": True, "to": False, "through": False, "by": False}
"""Words that begin or end a time, and whether they leave out the day that follows."""

_DURING = word_set(
    """
    in on during within over at for of from throughout as around
    """
)
_BEGINS = re.compile(
    r"\d|today|yesterday|tonight|now|noon|midnight|mon|tue|wed|thu|fri|sat|sun|last|past|this|day|"
    r"previous|current|the|jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|q[1-4]|week|quarter|"
    r"first|second|third|fourth|a|an|one|two|three|four|five|six|seven|eight|nine|ten|eleven|"
    r"twelve|fourteen|thirty|ninety|sixty|year|month|ytd|mtd|early|calendar|mid|late|beginning|"
    r"start|middle|end|final|h[12]$"
)
_SHORT_MONTHS = word_set("jan feb mar apr jun jul aug sep sept oct nov dec")
_LONG = {month[:3]: month for month in periods.MONTHS} | {"sept": "september"}
_DOUBTFUL = frozenset({"may", "march", "second", "now", "first"})
"""By themselves these are as likely something else."""


def find(sentence: Sentence) -> None:
    """Mark every time of the sentence."""
    _find_recurring(sentence)
    place = 0
    while place < len(sentence):
        place += _take_at(sentence, place) or 1
    _find_clocks(sentence)
    _combine(sentence)


# -- What comes again: hours of any day, days of any week


_OFFICE = ("office hours", "business hours", "working hours", "work hours")
_RECURRING: dict[str, tuple[str, str]] = {
    form: meant
    for meant, forms in (
        (
            ("exclude_hours", "office"),
            [
                *(
                    f"{lead} {hours}"
                    for lead in ("outside", "outside of", "out of", "not during", "not in")
                    for hours in _OFFICE
                ),
                *("after hours", "out of hours", "off hours", "after-hours", "off-hours"),
            ],
        ),
        (
            ("hours", "office"),
            [
                *_OFFICE,
                *(f"{lead} {hours}" for lead in ("during", "in", "within") for hours in _OFFICE),
            ],
        ),
        (
            ("hours", "22:00-06:00"),
            [
                *("at night", "overnight", "nightly", "at night time", "at nighttime", "nights"),
                *("in the night", "during the night", "nighttime", "at nights"),
            ],
        ),
        (("hours", "06:00-12:00"), ["in the morning", "mornings", "in the mornings"]),
        (("hours", "12:00-18:00"), ["in the afternoon", "afternoons"]),
        (("hours", "18:00-24:00"), ["in the evening", "evenings", "in the evenings"]),
        (("days", "weekend"), ["on weekends", "on the weekends", "weekends", "at weekends"]),
        (
            ("days", "weekday"),
            [
                *("weekday", "on weekdays", "weekdays", "workdays", "on workdays"),
                "on working days",
            ],
        ),
        *(
            (("days", day[:3]), [f"on {day}s", f"{day}s", f"every {day}", f"each {day}"])
            for day in periods.WEEKDAYS
        ),
    )
    for form in forms
}
"""What comes again, and the parameter that asks for it."""


def _find_recurring(sentence: Sentence) -> None:
    for place in range(len(sentence)):
        before = sentence.word(place - 1)
        is_any = before not in ("last", "this", "the", "past", "that", "next", "previous", "a")
        if sentence.word(place) == "weekend" and is_any and sentence.word(place + 1):
            sentence.mark(place, place + 1, "days", ["weekend"])  # weekend sign-ins
    place = 0
    while place < len(sentence):
        for length in (4, 3, 2, 1):
            phrase = sentence.phrase(place, length)
            if phrase in _RECURRING:
                parameter, value = _RECURRING[phrase]
                mark = sentence.mark(
                    place, place + length, parameter.removeprefix("exclude_"), [value]
                )
                mark.excluded = parameter.startswith("exclude_")
                place += length - 1
                break
        place += 1
    _join_days(sentence)


def _join_days(sentence: Sentence) -> None:
    """mondays and fridays: one mark of several days."""
    marks = sentence.of("days")
    for first, second in zip(marks, marks[1:], strict=False):
        if second.start - first.end <= 1 and not second.excluded:
            second.value = [*first.value, *second.value]
            second.start = first.start
            sentence.marks.remove(first)


# -- Periods


def _take_at(sentence: Sentence, place: int) -> int:
    """Mark the time that begins here; returns of how many words it is made."""
    if not sentence.is_free(place) or not sentence.word(place):
        return 0
    word = sentence.word(place)
    is_part_of_verb = f"{sentence.word(place - 1)} {word}" in DEEDS
    if word in ("in", "on", "off") and is_part_of_verb and sentence.word(place - 2) != "the":
        return 0  # signed in yesterday
    if word in ("between", "from", "since") and (taken := _take_range(sentence, place)):
        return taken
    if taken := _take_age(sentence, place) or _strike_nearness(sentence, place):
        return taken
    lead = next((n for n in (3, 2) if sentence.phrase(place, n) in _LEADS), 0)
    if lead:
        return _take_end(sentence, place, lead)
    if word in STARTS or word in ("until", "till", "before"):
        return _take_end(sentence, place)
    start = _after_small_words(sentence, place + 1) if word in _DURING else place
    if word == "as" and sentence.word(place + 1) == "of":
        start = _after_small_words(sentence, place + 2)
    if sentence.word(start + 1) == "and" and (taken := _take_two_days(sentence, place, start)):
        return taken
    length, text = length_of(sentence, "when", start)
    if not length or text == "now":
        return 0
    if word in ("in", "during") and length == 1 and text in _LONG:
        text = _LONG[text]
    # Alone, a number is rather part of a name than a year, and these are no months.
    is_doubtful = (
        text.isdigit() or text in _DOUBTFUL or "." in text and not re.search(r"\.\d{4}|\.$", text)
    )
    if is_doubtful and not _is_year(sentence, place, text):
        return 0
    end = start + length
    if _is_distance(sentence, text, end) and word not in _DURING:
        return 0
    if taken := _take_until(sentence, place, end, text):
        return taken
    end += sentence.word(end) == "'s" and sentence.is_free(end)  # yesterday's
    sentence.mark(place, end, "time", ("when", text))
    return end - place


_LEADS = {
    **dict.fromkeys(("prior to", "earlier than"), "before"),
    **dict.fromkeys(("up to", "up until", "no later than", "not later than"), "until"),
    **dict.fromkeys(("later than",), "after"),
    **dict.fromkeys(("not before", "no earlier than", "not earlier than"), "since"),
}
"""Words that begin or end a time together, and the one that they stand for."""


def _take_end(sentence: Sentence, place: int, lead: int = 1) -> int:
    """since monday, before november, from yesterday on, no later than friday"""
    word = _LEADS[sentence.phrase(place, lead)] if lead > 1 else sentence.word(place)
    name = "since" if word in STARTS else "until"
    start = _after_small_words(sentence, place + lead)
    length, text = length_of(sentence, name, start)
    if not length or (word == "from" and text in _DOUBTFUL):
        return 0
    if word == "from":
        # Changes from yesterday are yesterday's; from yesterday on, they go on.
        if sentence.word(start + length) not in ("on", "onwards", "onward"):
            sentence.mark(place, start + length, "time", ("when", text))
            return start + length - place
        length += 1
    written = beyond(sentence, name, text, (STARTS | ENDS)[word])
    sentence.mark(place, start + length, "time", (name, written))
    return start + length - place


def _is_year(sentence: Sentence, place: int, text: str) -> bool:
    """of 2026; or apart from other words: key rotations, 2026. In anything, it is."""
    if sentence.word(place) in ("in", "during", "throughout"):
        return True
    if not re.fullmatch(r"(?:19|20)\d{2}", text):
        return False
    if sentence.word(place) in ("of", "for", "from"):
        return True
    is_apart = place == 0 or sentence.tokens[place - 1].ends
    return is_apart and not sentence.log.known([text])


def _take_until(sentence: Sentence, place: int, joint: int, text: str) -> int:
    """2 november to 9 november; 2026-11-01 - 2026-11-15"""
    if sentence.word(joint) not in ("to", "until", "till", "through", *DASHES):
        return 0
    if not sentence.is_free(joint):
        return 0
    end = _after_small_words(sentence, joint + 1)
    last, until = length_of(sentence, "until", end)
    if not last or sentence.resolve("when", until) is None:
        with_clock = re.fullmatch(r"(.+) \d{1,2}:\d{2}", text)
        last, clock = _clock_at(sentence, end)
        if with_clock is None or clock is None:
            return 0
        # 2026-11-24 11:40 to 11:45
        until = f"{with_clock[1]} {_hour(clock.at)}"
    sentence.mark(place, joint, "time", ("since", text))
    sentence.mark(joint, end + last, "time", ("until", until))
    return end + last - place


def _is_distance(sentence: Sentence, text: str, end: int) -> bool:
    """5 minutes, before something happened"""
    is_length = re.search(r"\b(?:minutes?|hours?|days?|weeks?|months?)$", text) is not None
    return is_length and sentence.word(end) in ("before", "after")


def _after_small_words(sentence: Sentence, place: int) -> int:
    while sentence.word(place) in ("the", "about", "around", "of") and sentence.is_free(place):
        place += 1
    return place


def length_of(sentence: Sentence, name: str, place: int) -> tuple[int, str]:
    """How many of the words from `place` on together are a time, and its text."""
    if not _BEGINS.match(sentence.word(place)):
        return 0, ""
    for length in range(LONGEST, 0, -1):
        words = [sentence.word(place + n) for n in range(length)]
        if not all(words) or not all(sentence.is_free(place + n) for n in range(length)):
            continue
        if any(sentence.tokens[place + n].is_excluded for n in range(length)):
            continue
        text = " ".join(words)
        if length == 1 and text in _SHORT_MONTHS and sentence.word(place - 1) in ("in", "during"):
            return 1, _LONG[text]
        if sentence.resolve(name, text) is not None and not _would_end_in_clock(words):
            return length, text
    return 0, ""


def _would_end_in_clock(words: list[str]) -> bool:
    """Whether the last word is rather the hour that follows: last tuesday 12 (to 1 pm)."""
    return (
        len(words) > 1
        and words[-1].isdigit()
        and words[-1] in ("12",)
        and words[-2] in periods.WEEKDAYS
    )


def _take_range(sentence: Sentence, place: int) -> int:
    """between tuesday and thursday; from 2026-11-01 to 2026-11-07"""
    joints = {
        "between": ("and", "to", "-", "through"),
        "from": ("to", "until", "till", "through", "-"),
        "since": ("to", "until", "till", "through"),
    }[sentence.word(place)]
    start = _after_small_words(sentence, place + 1)
    if days := _take_days(sentence, place, start, joints):
        return days
    first, since = length_of(sentence, "since", start)
    if first and re.search(r"[a-z].*\d ?- ?\d{1,2}( |$)", since):
        # between October 1-15
        sentence.mark(place, start + first, "time", ("when", since))
        return start + first - place
    joint = start + first
    if not first or sentence.word(joint) not in joints:
        return 0
    end = _after_small_words(sentence, joint + 1)
    last, until = length_of(sentence, "until", end)
    if not last:
        return 0
    sentence.mark(place, joint, "time", ("since", since))
    begins = sentence.resolve("since", since)
    if begins and begins.since:
        ends = periods.resolve_until(until, sentence.now, sentence.zone, begins.since)
        read_alone = sentence.resolve("until", until)
        if read_alone and read_alone.until != ends:
            until = _written(sentence, ends)
    sentence.mark(joint, end + last, "time", ("until", until))
    return end + last - place


_DAY = re.compile(r"(\d{1,2})(?:st|nd|rd|th)?")


def _take_days(sentence: Sentence, place: int, start: int, joints: tuple[str, ...]) -> int:
    """between 3 and 5 november, from the 3rd to the 5th of november 2026"""
    first = _DAY.fullmatch(sentence.word(start))
    if first is None or sentence.word(start + 1) not in joints:
        return 0
    after = _after_small_words(sentence, start + 2)
    last = _DAY.fullmatch(sentence.word(after))
    month = _after_small_words(sentence, after + 1)
    if last is None:
        return 0
    for length in (2, 1):
        rest = [sentence.word(month + n) for n in range(length)]
        text = f"{first[1]}-{last[1]} {' '.join(rest)}"
        if all(rest) and sentence.resolve("when", text):
            sentence.mark(place, month + length, "time", ("when", text))
            return month + length - place
    return 0


def _take_two_days(sentence: Sentence, place: int, start: int) -> int:
    """on 24 and 25 november: one after the other"""
    first, last = (_DAY.fullmatch(sentence.word(n)) for n in (start, start + 2))
    if first is None or last is None or int(last[1]) != int(first[1]) + 1:
        return 0
    return _take_days(sentence, place, start, ("and",))


_AGES = re.compile(
    r"(?P<older>older than|more than|longer than|longer ago than|over)|"
    r"(?P<newer>newer than|less than|younger than|not older than|within|in under)"
)


def _take_age(sentence: Sentence, place: int) -> int:
    """older than 90 days; less than 2 hours ago"""
    phrase = sentence.phrase(place, 2) or sentence.word(place)
    match = _AGES.fullmatch(phrase) or _AGES.fullmatch(sentence.word(place))
    if match is None:
        return 0
    start = place + match[0].count(" ") + 1
    length, text = length_of(sentence, "since", start)
    if not length:
        return 0
    is_age = match[0] in ("older than", "newer than", "younger than", "not older than")
    if not is_age and not text.endswith("ago"):
        return 0
    period = sentence.resolve("when", text)
    if period is None or period.since is None:
        return 0
    name = "until" if match["older"] else "since"
    sentence.mark(place, start + length, "time", (name, _written(sentence, period.since)))
    return start + length - place


def _strike_nearness(sentence: Sentence, place: int) -> int:
    """within 5 minutes of 11:42: not the last five minutes"""
    if sentence.word(place) not in ("within", "in", "about", "around"):
        return 0
    length, text = length_of(sentence, "when", place + 1)
    end = place + 1 + length
    if not length or sentence.word(end) != "of" or not text[:1].isdigit():
        return 0
    if not re.search(r"\b(?:minutes?|hours?|days?|weeks?)$", text):
        return 0
    sentence.strike(place, end + 1, "Say from when to when, such as between 11:40 and 11:45.")
    return end + 1 - place


def beyond(sentence: Sentence, name: str, text: str, is_beyond: bool) -> str:
    """`text` as `since` and `until` read it; before or after a day means without that day."""
    if not is_beyond:
        return text
    if name == "until":
        return _written(sentence, periods.resolve_since(text, sentence.now, sentence.zone))
    return _written(sentence, periods.resolve_until(text, sentence.now, sentence.zone))


def _written(sentence: Sentence, moment: dt.datetime) -> str:
    return moment.astimezone(sentence.zone).isoformat(timespec="milliseconds")


# -- Times of day


def _clock_at(sentence: Sentence, place: int, half: str = "") -> tuple[int, periods.Clock | None]:
    """The time of day that begins here, and of how many words it is."""
    if not sentence.is_free(place):
        return 0, None
    for length in (2, 1):
        phrase = sentence.phrase(place, length)
        if phrase and (clock := periods.read_clock(phrase, half)) is not None:
            return length, clock
    return 0, None


_SPAN = re.compile(r"(.+?)(?:-|–)(.+)")


def _find_clocks(sentence: Sentence) -> None:
    """Mark hours: between 2 and 4 pm, after 6pm, at 11:42, 14:00-16:00."""
    place = 0
    while place < len(sentence):
        place += _take_hours(sentence, place) or 1


def _take_hours(sentence: Sentence, place: int) -> int:
    word = sentence.word(place)
    if not word or not sentence.is_free(place):
        return 0
    if word in ("between", "from") and (taken := _take_clock_range(sentence, place)):
        return taken
    if word in ("after", "since", "before", "until", "till"):
        length, clock = _clock_at(sentence, place + 1)
        if clock and clock.is_sure:
            span = (clock.at, 86400) if word in ("after", "since") else (0, clock.at)
            if sentence.word(place + 1) == "midnight" and word == "after":
                span = (0, 21600)  # until the night is over
            sentence.mark(place, place + 1 + length, "clock", span)
            return length + 1
        return 0
    start = place + 1 if word in ("at", "around", "about", "on") else place
    if taken := _take_written_span(sentence, start):
        sentence.marks[-1].start = place
        return taken + start - place
    length, clock = _clock_at(sentence, start)
    if clock and (clock.is_sure and not sentence.word(start).isdigit() or length == 2):
        if not clock.is_sure:
            return 0
        sentence.mark(place, start + length, "clock", (clock.at, clock.at + clock.lasts))
        return start + length - place
    return 0


def _take_clock_range(sentence: Sentence, place: int) -> int:
    joints = ("and", "to", "-") if sentence.word(place) == "between" else ("to", "until", "till")
    first, begins = _clock_at(sentence, place + 1)
    joint = place + 1 + first
    if begins is None or sentence.word(joint) not in joints:
        return _take_written_span(sentence, place + 1, before=1)
    last, ends = _clock_at(sentence, joint + 1)
    if ends is None:
        return 0
    end = joint + 1 + last
    span = _span(sentence.phrase(place + 1, first), sentence.phrase(joint + 1, last))
    if span is None:
        return 0
    sentence.mark(place, end, "clock", span)
    return end - place


def _take_written_span(sentence: Sentence, place: int, before: int = 0) -> int:
    """14:00-16:00, 2-4 pm"""
    if not sentence.is_free(place):
        return 0
    for length in (2, 1):
        match = _SPAN.fullmatch(sentence.phrase(place, length))
        span = _span(match[1].strip(), match[2].strip()) if match else None
        if span is not None:
            sentence.mark(place - before, place + length, "clock", span)
            return length + before
    return 0


def _span(first: str, last: str) -> tuple[int, int] | None:
    """From and to which second of the day; "12 and 1 pm" is from noon on."""
    ends = periods.read_clock(last)
    begins = periods.read_clock(first)
    if (
        begins is None
        or ends is None
        or not (begins.is_sure or ends.is_sure or _are_hours(first, last))
    ):
        return None
    said = re.search(r"([ap])\.?m", last)
    if said and not begins.is_sure:
        number = int(re.match(r"\d+", first)[0])  # type: ignore[index]
        limit = int(re.match(r"\d+", last)[0])  # type: ignore[index]
        half = said[1]
        if number % 12 > limit % 12:
            half = "a" if half == "p" else "p"
        begins = periods.read_clock(first, half) or begins
    if _are_hours(first, last) and 0 < ends.at <= begins.at < 43200:
        ends = periods.read_clock(last, "p") or ends  # from 9 to 5
    return begins.at, ends.at


def _are_hours(first: str, last: str) -> bool:
    return first.isdigit() and last.isdigit() and int(first) <= 24 and int(last) <= 24


def _combine(sentence: Sentence) -> None:
    """An hour of a single day is a time; of several days, or of none, it comes again."""
    clocks = sentence.of("clock")
    if not clocks:
        return
    days = [mark for mark in sentence.of("time") if _is_day(sentence, mark)]
    others = [mark for mark in sentence.of("time") if mark not in days]
    if len(days) == 1 and not others:
        _set_day(sentence, days[0], clocks)
        return
    for clock in clocks:
        since, until = clock.value
        if sentence.word(clock.start) == "since" and not days and not others:
            today = sentence.now.astimezone(sentence.zone).date()
            clock.kind, clock.value = "times", [("since", _instant(today, since))]
            continue
        clock.kind = "hours"
        clock.value = [f"{_hour(since)}-{_hour(until)}"]


def _is_day(sentence: Sentence, mark: Mark) -> bool:
    name, text = mark.value
    return name == "when" and periods.is_one_day(text, sentence.now, sentence.zone)


def _set_day(sentence: Sentence, day: Mark, clocks: list[Mark]) -> None:
    found = sentence.resolve("when", day.value[1])
    assert found is not None
    assert found.since is not None
    date = found.since.astimezone(sentence.zone).date()
    since = max(clock.value[0] for clock in clocks)
    until = min(clock.value[1] for clock in clocks)
    if len(clocks) == 1 and until <= since:
        until += 86400  # past midnight
    first, last = (_instant(date, seconds) for seconds in (since, until))
    values = [("since", first), ("until", last)]
    if until == 86400 and not any(clock.value[1] != 86400 for clock in clocks):
        values = [("since", first), ("until", day.value[1])]
    start, end = min(m.start for m in (day, *clocks)), max(m.end for m in (day, *clocks))
    is_whole = all(sentence.at(n) in (day, *clocks) for n in range(start, end))
    day.kind, day.value = "times", values
    for mark in clocks:
        sentence.drop(mark)
        sentence.fill(mark.start, mark.end)
    if is_whole:
        sentence.stretch(day, start, end)
    else:
        day.others = [(mark.start, mark.end) for mark in clocks]


def _instant(date: dt.date, seconds: int) -> str:
    days, seconds = divmod(seconds, 86400)
    moment = dt.datetime.combine(date + dt.timedelta(days), dt.time())
    moment += dt.timedelta(seconds=seconds)
    return moment.isoformat(timespec="seconds" if moment.second else "minutes")


def _hour(seconds: int) -> str:
    return f"{seconds // 3600:02}:{seconds % 3600 // 60:02}"

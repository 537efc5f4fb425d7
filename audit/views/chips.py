"""What a page understood of its question: one chip for each part, which drops it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass

from django.http import QueryDict

from audit import periods
from audit.filters import POSITION, EntryFilter
from audit.parameters import join, split
from audit.question.telling import tell_period
from audit.question.vocabulary import LABELS, TIMES

MOST = 4  # of one parameter


@dataclass(frozen=True)
class Chip:
    """One part of the question; `without` is the address of the rest.

    exact: from when to when, for words of time.
    """

    label: str
    value: str
    without: str
    exact: str = ""
    is_exclusion: bool = False


def narrowing(asked: EntryFilter) -> dict[str, list[str]]:
    """The parameters that make the log smaller."""
    return {name: texts for name, texts in asked.params.items() if name != "tz"}


def chips(path: str, given: QueryDict, asked: EntryFilter) -> Iterator[Chip]:
    """Of a question that was validated, whether it is valid or not; times last."""
    params = narrowing(asked)
    for name in sorted(params, key=TIMES.__contains__):
        texts = params[name]
        bare = name.removeprefix("exclude_")
        is_whole = name == "q" or name in TIMES
        values = texts if is_whole else [value for text in texts for value in split(text)]
        # "What changed?" asks for nineteen actions; nobody drops them one by one.
        many = len(values) > MOST
        for value in [f"{', '.join(values[:2])} or {len(values) - 2} more"] if many else values:
            rest = given.copy()
            left = [] if many else [other for other in values if other != value]
            rest.setlist(name, left if is_whole else [join([other]) for other in left])
            for position in POSITION:
                rest.pop(position, None)
            yield Chip(
                name if name in TIMES else LABELS[bare],
                value,
                f"{path}?{rest.urlencode()}",
                _exact(name, value, asked.now, asked.zone),
                is_exclusion=bare != name,
            )


def _exact(name: str, text: str, now: dt.datetime, zone: dt.tzinfo) -> str:
    """The instants that a word of time means; empty for what is none."""
    try:
        if name == "since":
            period = periods.Period(periods.resolve_since(text, now, zone), None)
        elif name == "until":
            period = periods.Period(None, periods.resolve_until(text, now, zone))
        elif name == "when":
            period = periods.resolve(text, now, zone)
        else:
            return ""
    except periods.UnknownPeriodError:
        return ""  # the filter says so
    return tell_period(period, zone)

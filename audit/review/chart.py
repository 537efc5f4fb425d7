"""When it happened: the columns over the list, each the way to its span."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from urllib.parse import urlencode

from django.http import QueryDict

from audit.entry.as_json import rfc3339
from audit.questions import counting
from audit.questions.filters import POSITION, EntryFilter


@dataclass(frozen=True)
class Bar:
    """A column of the chart, in a box of 1000 × 100; numbers as the drawing has them.

    since, until: its exact instants, out of which a brushed span is made.
    """

    x: str
    y: str
    width: str
    height: str
    label: str
    href: str
    since: str
    until: str
    is_exact: bool
    start: str
    end: str
    count: int


def bars(path: str, given: QueryDict, asked: EntryFilter) -> list[Bar]:
    buckets = counting.histogram(asked.qs, asked.period.since, asked.period.until, asked.zone)
    most = max((bucket.count for bucket in buckets), default=0)
    if not most:
        return []
    width = 1000 / len(buckets)
    rest = given.copy()
    for name in ("when", "ask", "since", "until", *POSITION):
        rest.pop(name, None)
    others = f"{rest.urlencode()}&" if rest else ""
    bars = []
    for number, bucket in enumerate(buckets):
        since, until = rfc3339(bucket.start), rfc3339(bucket.end)
        narrowed = urlencode({"since": since, "until": until})
        height = 100 * bucket.count / most
        shown = f"{bucket.count:,}{'' if bucket.is_exact else '+'}"
        bars.append(
            Bar(
                x=f"{number * width:.2f}",
                y=f"{100 - height:.2f}",
                width=f"{max(width - 1, width * 0.8):.2f}",
                height=f"{height:.2f}",
                label=f"{_span(bucket.start, bucket.end, asked.zone)}: {shown}",
                href=f"{path}?{others}{narrowed}",
                since=since,
                until=until,
                is_exact=bucket.is_exact,
                start=f"{bucket.start.astimezone(asked.zone):%Y-%m-%d %H:%M}",
                end=f"{bucket.end.astimezone(asked.zone):%Y-%m-%d %H:%M}",
                count=bucket.count,
            )
        )
    return bars


def _span(start: dt.datetime, end: dt.datetime, zone: dt.tzinfo) -> str:
    first, last = start.astimezone(zone), end.astimezone(zone)
    return f"{first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M}"

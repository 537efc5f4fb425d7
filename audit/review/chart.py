"""When it happened: the columns over the list, each the way to its span."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from django.http import QueryDict

from audit.entry.as_json import rfc3339
from audit.questions import counting
from audit.questions.filters import POSITION, EntryFilter

FEWEST_TO_CUT = 8
"""Columns with entries from which on one that towers over the others is cut."""


@dataclass(frozen=True)
class Bar:
    """A column of the chart, in a box of 1000 × 100; numbers as the drawing has them.

    since, until: its exact instants, out of which a brushed span is made; is_cut: it is higher than
    the scale; parts: what is drawn of it, ordinary entries on warnings on refusals, as what, y and
    height.
    """

    x: str
    width: str
    parts: list[tuple[str, str, str]]
    label: str
    href: str
    since: str
    until: str
    is_exact: bool
    is_cut: bool
    count: int


@dataclass(frozen=True)
class Chart:
    """start, end: the first and the last moment; most: the entries of the busiest column; cut: the
    end of the scale where that is lower, else 0; step: what a column is, in words; warnings,
    refusals: in all of it."""

    bars: list[Bar]
    start: str
    end: str
    most: int
    cut: int
    step: str
    warnings: int
    refusals: int


def chart(path: str, given: QueryDict, asked: EntryFilter) -> Chart | None:
    """The chart of a valid question; None when nothing matches."""
    buckets = counting.histogram(asked.qs, asked.period.since, asked.period.until, asked.zone)
    most = max((bucket.count for bucket in buckets), default=0)
    if not most:
        return None
    top = _top([bucket.count for bucket in buckets if bucket.count])
    width = 1000 / len(buckets)
    rest = given.copy()
    for name in ("when", "ask", "since", "until", *POSITION):
        rest.pop(name, None)
    others = f"{rest.urlencode()}&" if rest else ""
    bars = []
    for number, bucket in enumerate(buckets):
        since, until = rfc3339(bucket.start), rfc3339(bucket.end)
        narrowed = urlencode({"since": since, "until": until})
        bars.append(
            Bar(
                x=f"{number * width:.2f}",
                width=f"{max(width - 1, width * 0.8):.2f}",
                parts=_parts(bucket, top),
                label=f"{_span(bucket.start, bucket.end, asked.zone)}: {_counted(bucket)}",
                href=f"{path}?{others}{narrowed}",
                since=since,
                until=until,
                is_exact=bucket.is_exact,
                is_cut=bucket.count > top,
                count=bucket.count,
            )
        )
    return Chart(
        bars,
        start=_edge(buckets[0].start, buckets, asked.zone),
        end=_edge(buckets[-1].end, buckets, asked.zone),
        most=most,
        cut=top if top < most else 0,
        step=_step(buckets[0].end - buckets[0].start),
        warnings=sum(bucket.warnings for bucket in buckets),
        refusals=sum(bucket.refusals for bucket in buckets),
    )


LEAST_DRAWN = 5
"""What a warning or a refusal is high at least, of 100: one among hundreds is seen as well."""


def _parts(bucket: counting.Bucket, top: int) -> list[tuple[str, str, str]]:
    """From the foot up: refusals, warnings, and the rest."""
    whole = min(100 * bucket.count / top, 100)
    ordinary = bucket.count - bucket.warnings - bucket.refusals
    parts, foot = [], 100.0
    for what, count in (("s", bucket.refusals), ("w", bucket.warnings)):
        if count:
            height = min(max(100 * count / top, LEAST_DRAWN), foot)
            foot -= height
            parts.append((what, f"{foot:.2f}", f"{height:.2f}"))
    if ordinary:
        height = max(whole - (100 - foot), 0)
        parts.append(("" if bucket.is_exact else "rough", f"{foot - height:.2f}", f"{height:.2f}"))
    return parts


def _counted(bucket: counting.Bucket) -> str:
    more = "" if bucket.is_exact else "+"
    said = [f"{bucket.count:,}{more}"]
    if bucket.warnings:
        said.append(f"{bucket.warnings:,}{more} warning{'' if bucket.warnings == 1 else 's'}")
    if bucket.refusals:
        said.append(f"{bucket.refusals:,}{more} denied or failed")
    return ", ".join(said)


def _top(counts: Sequence[int]) -> int:
    """The end of the scale: what all columns but one in fifty stay below, so that a spike does not
    flatten the others; the highest one, unless it is more than twice that."""
    if len(counts) < FEWEST_TO_CUT:
        return max(counts)
    ordered = sorted(counts)
    usual = ordered[max(len(ordered) - 2 - len(ordered) // 50, 0)]
    return usual if ordered[-1] > 2 * usual else ordered[-1]


def _edge(moment: dt.datetime, buckets: Sequence[counting.Bucket], zone: dt.tzinfo) -> str:
    """A moment below the chart, with the time of the day unless columns are whole days."""
    local = moment.astimezone(zone)
    is_of_days = all(bucket.start.astimezone(zone).time() == dt.time() for bucket in buckets)
    return f"{local:%Y-%m-%d}" if is_of_days else f"{local:%Y-%m-%d %H:%M}"


def _step(length: dt.timedelta) -> str:
    days = length.total_seconds() / 86_400
    if days >= 365:
        return "year"
    if days >= 28:
        return "month"
    if days >= 7:
        return "week"
    if days >= 23 / 24:
        return "day"
    minutes = round(length.total_seconds() / 60)
    if minutes % 60:
        return "minute" if minutes == 1 else f"{minutes} minutes"
    return "hour" if minutes == 60 else f"{minutes // 60} hours"


def _span(start: dt.datetime, end: dt.datetime, zone: dt.tzinfo) -> str:
    first, last = start.astimezone(zone), end.astimezone(zone)
    return f"{first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M}"

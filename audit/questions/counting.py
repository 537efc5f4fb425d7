"""Counting entries, bounded: how many, when, and of what. An exact count of a large log is slow
and nobody needs it; whatever is cut short says so. The total alone is free: it is the log's size.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from django.core.exceptions import EmptyResultSet
from django.db import connections
from django.db.models import QuerySet

from audit import policy
from audit.entry.actors import described
from audit.ledger import replica
from audit.models import Entry
from audit.questions.periods import start_of_day
from audit.questions.querysets import EntryQuerySet
from organizations import clock, ulid
from organizations.models import Organization

MOST_BUCKETS = 100
MOST_IN_HISTOGRAM = 10_000
MOST_IN_FACETS = 2_000
VALUES_OF_A_FACET = 20


@dataclass(frozen=True)
class Count:
    value: int
    is_exact: bool

    def __str__(self) -> str:
        return f"{self.value:,}" if self.is_exact else f"{self.value:,}+"


@dataclass(frozen=True)
class Bucket:
    """Entries from `start` to before `end`. Not exact: at least so many, as counting stopped at
    the newest MOST_IN_HISTOGRAM entries."""

    start: dt.datetime
    end: dt.datetime
    count: int
    is_exact: bool = True


@dataclass(frozen=True)
class FacetValue:
    """`value` is what the filter takes, `label` what people read."""

    value: str
    label: str
    count: int


class Facets(dict[str, list[FacetValue]]):
    """The most frequent values of actor, action and type.

    counted: among how many of the newest entries; is_exact: whether those are all that match.
    """

    def __init__(
        self, counters: Mapping[str, Counter[str]], actor_labels: Mapping[str, str]
    ) -> None:
        actions = {action.name: action.label for action in policy.ACTIONS}
        labels: dict[str, Mapping[str, str]] = {
            "actor": actor_labels,
            "action": actions,
            "type": policy.RESOURCE_TYPES,
        }
        super().__init__(
            {
                name: [
                    FacetValue(value, labels[name].get(value, value), count)
                    for value, count in sorted(counter.items(), key=_most_first)[:VALUES_OF_A_FACET]
                ]
                for name, counter in counters.items()
            }
        )
        looked_at = counters["action"].total()
        self.counted = min(looked_at, MOST_IN_FACETS)
        self.is_exact = looked_at <= MOST_IN_FACETS


def _from_newest(queryset: QuerySet[Entry]) -> QuerySet[Entry]:
    assert isinstance(queryset, EntryQuerySet)
    return queryset.from_newest()


def _most_first(value_and_count: tuple[str, int]) -> tuple[int, str]:
    value, count = value_and_count
    return -count, value


def bounded_count(queryset: QuerySet[Entry], limit: int = 1000) -> Count:
    """How many entries match, looked at no further than `limit`."""
    # In the order of a page, so that it reads the same index.
    value = _from_newest(queryset).order_by("-id")[: limit + 1].count()
    return Count(min(value, limit), value <= limit)


def total(organization: Organization | uuid.UUID) -> int:
    """How many entries the organization's log holds, sealed or not, less those that retention
    removed. Within their tenant scope."""
    key = organization if isinstance(organization, uuid.UUID) else organization.pk
    with connections[replica.database()].cursor() as cursor:
        cursor.execute(
            "SELECT COALESCE((SELECT size FROM audit_log WHERE organization_id = %s), 0)"
            " + (SELECT count(*) FROM audit_inbox WHERE organization_id = %s)"
            " - (SELECT COALESCE(sum(entries), 0) FROM audit_removal WHERE organization_id = %s)",
            [key, key, key],
        )
        return int(cursor.fetchone()[0])


# -- When


def histogram(
    queryset: QuerySet[Entry],
    since: dt.datetime | None,
    until: dt.datetime | None,
    tz: dt.tzinfo,
) -> list[Bucket]:
    """How many entries match in each part of the time from `since` to `until`.

    The parts are whole minutes, hours, days, weeks, months or years of `tz`, at most MOST_BUCKETS
    of them. An open start begins where counting would stop, at the oldest matching entry if they
    are few; an open end ends now. Years in which no entry can be are left out.
    """
    end = min(until or clock.now(), clock.now() + _AHEAD)
    since = since and max(since, _EARLIEST)
    queryset = _from_newest(queryset)
    if since is None:
        since = _oldest_counted(queryset)
    if since is None or since >= end:
        return []
    edges = _edges(since, end, tz)
    counts, oldest_counted = _count_between(queryset, edges)
    return [
        Bucket(start, stop, counts.get(number, 0), oldest_counted is None or start > oldest_counted)
        for number, (start, stop) in enumerate(pairwise(edges), start=1)
    ]


_EARLIEST = dt.datetime(1971, 1, 1, tzinfo=dt.UTC)
"""Ids begin in 1970, and the year of this moment does not begin before that in any time zone."""
_AHEAD = dt.timedelta(days=366)


def _oldest_counted(queryset: QuerySet[Entry]) -> dt.datetime | None:
    keys = queryset.values_list("id", flat=True)
    stop = keys.order_by("-id")[MOST_IN_HISTOGRAM : MOST_IN_HISTOGRAM + 1].first()
    if stop is None:
        stop = keys.order_by("id").first()
    return None if stop is None else ulid.time_of(stop)


_MINUTE = dt.timedelta(minutes=1)
_HOUR = dt.timedelta(hours=1)
_STEPS: tuple[tuple[dt.timedelta, str], ...] = (
    (_MINUTE, "time"),
    (5 * _MINUTE, "time"),
    (15 * _MINUTE, "time"),
    (_HOUR, "time"),
    (3 * _HOUR, "time"),
    (6 * _HOUR, "time"),
    (12 * _HOUR, "time"),
    (dt.timedelta(days=1), "day"),
    (dt.timedelta(days=7), "week"),
    (dt.timedelta(days=28), "month"),
    (dt.timedelta(days=365), "year"),
)
"""The lengths that a part may have, months and years by their shortest."""


def _edges(since: dt.datetime, end: dt.datetime, tz: dt.tzinfo) -> list[dt.datetime]:
    """The borders of the parts: the first at or before `since`, the last at or after `end`."""
    step, unit = next(
        ((step, unit) for step, unit in _STEPS if (end - since) / step <= MOST_BUCKETS - 2),
        _STEPS[-1],
    )
    day = since.astimezone(tz).date()
    if unit == "time":
        # Counted from local midnight in real hours: a day of 25 hours has one part more.
        edge = start_of_day(day, tz)
        edge += step * ((since - edge) // step)
        edges = [edge]
        while edges[-1] < end:
            following = edges[-1] + step
            midnight = start_of_day(edges[-1].astimezone(tz).date() + dt.timedelta(days=1), tz)
            edges.append(min(following, midnight) if edges[-1] < midnight else following)
        return edges
    first = {
        "day": day,
        "week": day - dt.timedelta(days=day.weekday()),
        "month": day.replace(day=1),
        "year": day.replace(month=1, day=1),
    }[unit]
    edges = [start_of_day(first, tz)]
    while edges[-1] < end:
        if unit == "month":
            first = (first + dt.timedelta(days=31)).replace(day=1)
        elif unit == "year":
            first = first.replace(year=first.year + 1)
        else:
            first += step
        edges.append(start_of_day(first, tz))
    return edges


def _count_between(
    queryset: QuerySet[Entry], edges: list[dt.datetime]
) -> tuple[dict[int, int], dt.datetime | None]:
    """Entries by number of part, and the time of the oldest one counted if there are more."""
    keys = [ulid.floor(edge) for edge in edges]
    newest = (
        queryset.filter(id__gte=keys[0], id__lt=keys[-1])
        .order_by("-id")
        .values("id")[: MOST_IN_HISTOGRAM + 1]
    )
    try:
        sql, params = newest.query.sql_with_params()
    except EmptyResultSet:
        return {}, None
    with connections[queryset.db].cursor() as cursor:
        cursor.execute(
            f"SELECT width_bucket(id, %s::uuid[]), count(*), (array_agg(id))[count(*)]"
            f" FROM ({sql}) AS newest GROUP BY 1",
            [keys, *params],
        )
        rows = cursor.fetchall()
    counts = {number: count for number, count, _ in rows}
    if sum(counts.values()) <= MOST_IN_HISTOGRAM:
        return counts, None
    return counts, ulid.time_of(min(rows)[2])


# -- Of what

# Grouped by hashing, in one pass: the labels of a group stay in the order of the rows, newest
# first.
_FACETS = """
SELECT actor_type, actor_id, action, resource_type, (array_agg(actor_label))[1], count(*)
FROM ({sql}) AS newest GROUP BY 1, 2, 3, 4
"""


def facets(queryset: QuerySet[Entry]) -> Facets:
    """The most frequent actors, actions and types of the newest MOST_IN_FACETS that match."""
    newest = (
        _from_newest(queryset)
        .order_by("-id")
        .values("actor_type", "actor_id", "actor_label", "action", "resource_type")[
            : MOST_IN_FACETS + 1
        ]
    )
    counters: dict[str, Counter[str]] = {name: Counter() for name in ("actor", "action", "type")}
    labels: dict[str, str] = {}
    try:
        sql, params = newest.query.sql_with_params()
    except EmptyResultSet:
        return Facets(counters, labels)
    with connections[queryset.db].cursor() as cursor:
        cursor.execute(_FACETS.format(sql=sql), params)
        for actor_type, actor_id, action, resource_type, label, count in cursor.fetchall():
            actor = ulid.to_text(actor_id) if actor_id else actor_type
            labels.setdefault(actor, described(actor_type, label))
            counters["actor"][actor] += count
            counters["action"][action] += count
            counters["type"][resource_type] += count
    return Facets(counters, labels)


# -- From where


@dataclass(frozen=True)
class Address:
    """An address that entries came from, with the first and the last time."""

    ip: str
    first: dt.datetime
    last: dt.datetime
    count: int


def addresses(queryset: QuerySet[Entry]) -> list[Address]:
    """Where the newest MOST_IN_FACETS entries that match came from, the last one first, at most
    VALUES_OF_A_FACET."""
    newest = _from_newest(queryset).order_by("-id").values("id", "ip")[:MOST_IN_FACETS]
    try:
        sql, params = newest.query.sql_with_params()
    except EmptyResultSet:
        return []
    with connections[queryset.db].cursor() as cursor:
        cursor.execute(
            f"SELECT host(ip), (array_agg(id))[count(*)], (array_agg(id))[1], count(*)"
            f" FROM ({sql}) AS newest WHERE ip IS NOT NULL GROUP BY ip ORDER BY 3 DESC"
            f" LIMIT {VALUES_OF_A_FACET}",
            params,
        )
        return [
            Address(ip, ulid.time_of(first), ulid.time_of(last), count)
            for ip, first, last, count in cursor.fetchall()
        ]

"""Counting entries, bounded: how many, when, and of what. An exact count of a large log is slow
and nobody needs it; whatever is cut short says so. The total alone is free: it is the log's size.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db import connections
from django.db.models import QuerySet

from audit import policy
from audit.entry import user_agents
from audit.entry.actors import described
from audit.entry.as_json import rfc3339
from audit.ledger import replica
from audit.models import Entry
from audit.questions import kinds, name_index
from audit.questions.fields import MOST_VALUES, join, split
from audit.questions.filters import EntryFilter
from audit.questions.periods import start_of_day
from audit.questions.querysets import EntryQuerySet
from organizations import clock, ulid
from organizations.models import Organization

MOST_BUCKETS = 100
MOST_COUNTED = 10_000
"""Entries that the number over a list, its chart and its facets count: they agree with each other.
"""
MOST_BROKEN_DOWN = 50_000
"""Entries that a table of counts is made of: 0.2 s."""
VALUES_OF_A_FACET = 20
MOST_ROWS = 1000
"""Of a table of counts."""
MOST_SEARCHED = 10_000
"""Of its rows before that: those whose present names are looked up for a search."""


@dataclass(frozen=True)
class Count:
    value: int
    is_exact: bool

    def __str__(self) -> str:
        return f"{self.value:,}" if self.is_exact else f"{self.value:,}+"


@dataclass(frozen=True)
class Bucket:
    """Entries from `start` to before `end`. Not exact: at least so many, as counting stopped at
    the newest MOST_COUNTED entries. warnings: those of them that succeeded and are of that
    severity; refusals: those that were denied or failed."""

    start: dt.datetime
    end: dt.datetime
    count: int
    is_exact: bool = True
    warnings: int = 0
    refusals: int = 0


def _within_reach(queryset: QuerySet[Entry]) -> tuple[EntryQuerySet, bool]:
    assert isinstance(queryset, EntryQuerySet)
    return queryset.within_reach()


def bounded_count(queryset: QuerySet[Entry], limit: int = MOST_COUNTED) -> Count:
    """How many entries match, looked at no further than `limit`."""
    within, is_all = _within_reach(queryset)
    # In the order of a page, so that it reads the same index.
    with within.planned_to_count():
        value = within.order_by("-id")[: limit + 1].count()
    return Count(min(value, limit), is_all and value <= limit)


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
    within, is_all = _within_reach(queryset)
    with within.planned_to_count():
        if since is None:
            since = _oldest_counted(within)
        if since is None or since >= end:
            return []
        edges = _edges(since, end, tz)
        parts, oldest_counted = _count_between(within, edges)
    if not is_all and oldest_counted is None:
        oldest_counted = within.reached_at
    buckets = []
    for number, (start, stop) in enumerate(pairwise(edges), start=1):
        part = parts.get(number, _Part())
        is_exact = oldest_counted is None or start > oldest_counted
        buckets.append(Bucket(start, stop, part.count, is_exact, part.warnings, part.refusals))
    return buckets


_EARLIEST = dt.datetime(1971, 1, 1, tzinfo=dt.UTC)
"""Ids begin in 1970, and the year of this moment does not begin before that in any time zone."""
_AHEAD = dt.timedelta(days=366)


def _oldest_counted(queryset: QuerySet[Entry]) -> dt.datetime | None:
    keys = queryset.values_list("id", flat=True)
    stop = keys.order_by("-id")[MOST_COUNTED : MOST_COUNTED + 1].first()
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


@dataclass(frozen=True)
class _Part:
    count: int = 0
    warnings: int = 0
    refusals: int = 0


def _count_between(
    queryset: QuerySet[Entry], edges: list[dt.datetime]
) -> tuple[dict[int, _Part], dt.datetime | None]:
    """Entries by number of part, and the time of the oldest one counted if there are more."""
    keys = [ulid.floor(edge) for edge in edges]
    newest = (
        queryset.filter(id__gte=keys[0], id__lt=keys[-1])
        .order_by("-id")
        .values("id", "action", "result")[: MOST_COUNTED + 1]
    )
    try:
        sql, params = newest.query.sql_with_params()
    except EmptyResultSet:
        return {}, None
    with connections[queryset.db].cursor() as cursor:
        cursor.execute(
            f"SELECT width_bucket(id, %s::uuid[]), (array_agg(id))[count(*)], count(*),"
            f" count(*) FILTER (WHERE result = 'success' AND {kinds.SEVERITY_SQL} = 'warning'),"
            f" count(*) FILTER (WHERE result <> 'success')"
            f" FROM ({sql}) AS newest GROUP BY 1",
            [keys, *params],
        )
        rows = cursor.fetchall()
    parts = {number: _Part(*counts) for number, _, *counts in rows}
    if sum(part.count for part in parts.values()) <= MOST_COUNTED:
        return parts, None
    return parts, ulid.time_of(min(rows)[1])


# -- Of what

BY = (
    *("actor", "resource", "project", "action", "type", "result", "severity"),
    *("interface", "ip", "user_agent", "day", "hour"),
)
"""What entries can be counted by."""
FACETS = ("actor", "action", "type", "result", "severity", "interface", "ip", "user_agent")


@dataclass(frozen=True)
class Counted:
    """Entries that have a value in common.

    label: what people read; kind: of an actor or a resource; share: of the most frequent value,
        from 0 to 1.
    params: of a question that finds them among those that were counted; an empty one is taken out
        of it. Nothing in it: no question finds just these.
    """

    value: str
    label: str
    count: int
    params: Mapping[str, str]
    kind: str = ""
    share: float = 1.0


@dataclass(frozen=True)
class Extent:
    """Which entries were counted: the newest `counted` that match, down to `since`, or all."""

    counted: int
    is_exact: bool
    since: dt.datetime | None

    @property
    def said(self) -> str:
        """What has to be said beside each figure; empty if all entries were counted."""
        if self.is_exact:
            return ""
        back = f", back to {self.since:%Y-%m-%d %H:%M} UTC" if self.since else ""
        return f"of the newest {self.counted:,}{back}"


@dataclass(frozen=True)
class Counts:
    """rows: the most frequent values, the greatest count first, or days and hours in order;
    groups: how many values there are."""

    by: str
    rows: list[Counted]
    groups: int
    extent: Extent

    @property
    def said(self) -> str:
        return self.extent.said


class Facets(dict[str, list[Counted]]):
    """The most frequent values of each of FACETS; groups: how many each has."""

    def __init__(
        self,
        rows: Mapping[str, list[Counted]],
        groups: Mapping[str, int],
        extent: Extent,
    ) -> None:
        super().__init__(rows)
        self.groups = dict(groups)
        self.extent = extent

    @property
    def counted(self) -> int:
        return self.extent.counted

    @property
    def is_exact(self) -> bool:
        return self.extent.is_exact

    @property
    def said(self) -> str:
        return self.extent.said


_NEEDED = {
    "actor": ("actor_type", "actor_id", "actor_label"),
    "resource": ("resource_type", "resource_id", "resource_label"),
    "project": ("resource_type", "resource_id", "resource_label"),
    "type": ("resource_type",),
    "severity": ("action", "result"),
    "day": ("id",),
    "hour": ("id",),
}
"""Columns of entries that say what is counted by, where that is not the column of its name."""
_LABELS = {"actor": "actor_label", "resource": "resource_label", "project": "resource_label"}
_LOCAL = "date_trunc('{}', audit_time(id) AT TIME ZONE %s)"


def _key_of(by: str) -> str:
    """SQL of what entries are grouped by; a resource without an id by its name."""
    if by in ("day", "hour"):
        return _LOCAL.format(by)
    if by == "ip":
        return "host(ip)"
    if by == "severity":
        return kinds.SEVERITY_SQL
    if by == "actor":
        return "actor_type, actor_id"
    if by in ("resource", "project"):
        return "resource_type, resource_id, CASE WHEN resource_id IS NULL THEN resource_label END"
    return _NEEDED.get(by, (by,))[0]


def _width_of(by: str) -> int:
    """Columns of that."""
    return {"actor": 2, "resource": 3, "project": 3}.get(by, 1)


@dataclass(frozen=True)
class _Group:
    key: tuple[Any, ...]
    label: str
    count: int


def counts(
    asked: EntryFilter,
    by: str,
    *,
    limit: int = 10,
    at_least: int = 1,
    search: str = "",
    most: int | None = None,
) -> Counts:
    """How many entries of the answer have the same actor, resource … or day: the `limit` most
    frequent values, of those that at least so many have, and whose label has `search` in it.

    asked: a valid question. most: looks at so many of the newest that match; MOST_BROKEN_DOWN.
    """
    groups, extent = _grouped(asked.qs, by, asked.zone, most or MOST_BROKEN_DOWN)
    rows = _by_project(groups, asked) if by == "project" else _rows(groups, by, asked)
    rows = [row for row in rows if row.count >= at_least]
    rows.sort(key=lambda row: (-row.count, row.value))
    if search:
        renamed = _renamed(rows[:MOST_SEARCHED], by, asked)
        rows = [row for row in renamed if search.casefold() in row.label.casefold()]
        shown = rows[:limit]
    else:
        shown = _renamed(rows[:limit], by, asked)
    if by in ("day", "hour"):
        shown.sort(key=lambda row: row.value)
    most = max((row.count for row in shown), default=1)
    shown = [replace(row, share=row.count / most) for row in shown]
    return Counts(by, shown, len(rows), extent)


def facets(asked: EntryFilter) -> Facets:
    """The most frequent values of FACETS among the newest MOST_COUNTED that match."""
    found, extent = _grouped_by_each(asked.qs, FACETS, MOST_COUNTED)
    rows, sizes = {}, {}
    for name in FACETS:
        values = _rows(found[name], name, asked)
        values.sort(key=lambda row: (-row.count, row.value))
        rows[name] = _renamed(values[:VALUES_OF_A_FACET], name, asked)
        sizes[name] = len(values)
    return Facets(rows, sizes, extent)


def _grouped(
    queryset: QuerySet[Entry], by: str, zone: dt.tzinfo, most: int
) -> tuple[list[_Group], Extent]:
    made = _newest(queryset, _NEEDED.get(by, (by,)), most)
    if made is None:
        return [], Extent(0, True, None)
    label = f'max({_LABELS[by]} COLLATE "C")' if by in _LABELS else "''"
    numbers = ", ".join(str(3 + number) for number in range(_width_of(by)))
    sql = f"SELECT {label}, count(*), {_key_of(by)} FROM ({made.sql}) AS newest GROUP BY {numbers}"
    zones = [str(zone)] if by in ("day", "hour") else []
    with made.within.planned_to_count(), connections[queryset.db].cursor() as cursor:
        cursor.execute(sql, [*zones, *made.values])
        rows = cursor.fetchall()
    groups = [_Group(tuple(key), label or "", count) for label, count, *key in rows]
    return groups, made.extent(sum(group.count for group in groups))


def _grouped_by_each(
    queryset: QuerySet[Entry], names: Sequence[str], most: int
) -> tuple[dict[str, list[_Group]], Extent]:
    """In one pass over the entries."""
    found: dict[str, list[_Group]] = {name: [] for name in names}
    columns = dict.fromkeys(column for name in names for column in _NEEDED.get(name, (name,)))
    made = _newest(queryset, tuple(columns), most)
    if made is None:
        return found, Extent(0, True, None)
    keys = [_key_of(name) for name in names]
    sql = (
        f'SELECT GROUPING({", ".join(keys)}), max(actor_label COLLATE "C"), count(*),'
        f" {', '.join(keys)}"
        f" FROM ({made.sql}) AS newest GROUP BY GROUPING SETS (({'), ('.join(keys)}))"
    )
    with made.within.planned_to_count(), connections[queryset.db].cursor() as cursor:
        cursor.execute(sql, made.values)
        rows = cursor.fetchall()
    place, width = 0, sum(map(_width_of, names))
    for name in names:
        past = place + _width_of(name)
        # A bit is set for each column that the row is not grouped by, the first one the highest.
        mask = (1 << width) - 1 - sum(1 << (width - 1 - number) for number in range(place, past))
        found[name] = [
            _Group(tuple(row[3 + place : 3 + past]), row[1] or "", row[2])
            for row in rows
            if row[0] == mask
        ]
        place = past
    return found, made.extent(sum(group.count for group in found[names[0]]))


@dataclass(frozen=True)
class _Newest:
    """SQL of the newest entries that match. is_all: as far as looking reached, these are all."""

    sql: str
    values: tuple[Any, ...]
    is_all: bool
    most: int
    within: EntryQuerySet

    def extent(self, counted: int) -> Extent:
        if counted < self.most:
            return Extent(counted, self.is_all, None if self.is_all else self.within.reached_at)
        ids = self.within.order_by("-id").values_list("id", flat=True)
        last = list(ids[self.most - 1 : self.most + 1])
        is_exact = self.is_all and len(last) < 2
        return Extent(counted, is_exact, None if is_exact else ulid.time_of(last[0]))


def _newest(queryset: QuerySet[Entry], columns: Sequence[str], most: int) -> _Newest | None:
    within, is_all = _within_reach(queryset)
    rows = within.order_by("-id").values("id", *(c for c in columns if c != "id"))[:most]
    try:
        sql, params = rows.query.sql_with_params()
    except EmptyResultSet:
        return None
    return _Newest(sql, params, is_all, most, within)


def _counted(group: _Group, by: str, asked: EntryFilter) -> Counted:
    one = group.key[0]
    match by:
        case "actor":
            kind, key = group.key
            value = ulid.to_text(key) if key else kind
            label = described(kind, group.label)
            return Counted(value, label, group.count, {"actor": value}, kind)
        case "resource":
            kind, key, name = group.key
            if key is None:
                return Counted(name, name, group.count, {}, kind)
            value = ulid.to_text(key)
            return Counted(value, group.label, group.count, {"resource": value}, kind)
        case "action":
            known = policy.action(one)
            return Counted(one, known.label if known else one, group.count, {"action": one})
        case "type":
            label = policy.RESOURCE_TYPES.get(one, one)
            return Counted(one, label, group.count, {"type": one})
        case "ip":
            if one is None:
                return Counted("", "no address", group.count, {})
            return Counted(one, one, group.count, {"ip": one})
        case "user_agent":
            program = user_agents.in_words(one) or one or "none given"
            return Counted(one, program, group.count, {"user_agent": join([one])} if one else {})
        case "day" | "hour":
            return _in_time(one, by, group.count, asked.zone)
        case _:
            return Counted(one, one, group.count, {by: one})


def _in_time(moment: dt.datetime, by: str, count: int, zone: dt.tzinfo) -> Counted:
    """Of a local day or hour, which is the time without a zone at its beginning."""
    if by == "day":
        since = start_of_day(moment.date(), zone)
        until = start_of_day(moment.date() + dt.timedelta(days=1), zone)
        text = f"{moment:%Y-%m-%d}"
    else:
        since = moment.replace(tzinfo=zone)
        # What the clock shows twice when it is put back is one hour here.
        until = moment.replace(tzinfo=zone, fold=1).astimezone(dt.UTC) + _HOUR
        text = f"{moment:%Y-%m-%d %H}:00"
    params = {"since": rfc3339(since), "until": rfc3339(until), "when": ""}
    return Counted(text, text, count, params)


def _rows(groups: Iterable[_Group], by: str, asked: EntryFilter) -> list[Counted]:
    rows = [_counted(group, by, asked) for group in groups]
    if by != "user_agent":
        return rows
    # Programs that are called the same are one, whatever else their user agents say.
    found: dict[str, Counted] = {}
    for row in rows:
        known = found.get(row.label)
        if known is None or not row.params:
            found[row.label] = row
            continue
        texts = [*split(known.params["user_agent"]), row.value]
        params = {"user_agent": join(texts[:MOST_VALUES])}
        found[row.label] = replace(known, count=known.count + row.count, params=params)
    return list(found.values())


def _by_project(groups: Sequence[_Group], asked: EntryFilter) -> list[Counted]:
    """By the project that a thing lies below, or is."""
    things = {group.key[1] for group in groups if group.key[1] is not None}
    projects = name_index.projects_of(things, asked.organization_ids)
    sizes = Counter[uuid.UUID | None]()
    for group in groups:
        kind, key, _ = group.key
        sizes[projects.get(key, key if kind == "project" else None)] += group.count
    return [
        Counted(text, text, size, {"resource": f"{text}/"})
        if (text := ulid.to_text(key) if key else "")
        else Counted("", "of no project", size, {})
        for key, size in sizes.items()
    ]


def _renamed(rows: list[Counted], by: str, asked: EntryFilter) -> list[Counted]:
    """Things and actors by their present names."""
    if by not in _LABELS:
        return rows
    keys = {row.value: key for row in rows if (key := ulid.parse_or_none(row.value))}
    names = name_index.present_names(list(keys.values()), asked.organization_ids) if keys else {}
    renamed = []
    for row in rows:
        name = names.get(keys[row.value]) if row.value in keys else None
        if name and by == "actor":
            name = described(row.kind, name)
        renamed.append(replace(row, label=name) if name else row)
    return renamed


# -- From where


@dataclass(frozen=True)
class Address:
    """An address that entries came from, with the first and the last time."""

    ip: str
    first: dt.datetime
    last: dt.datetime
    count: int


def addresses(queryset: QuerySet[Entry]) -> list[Address]:
    """Where the newest MOST_COUNTED entries that match came from, the last one first, at most
    VALUES_OF_A_FACET."""
    newest = _within_reach(queryset)[0].order_by("-id").values("id", "ip")[:MOST_COUNTED]
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

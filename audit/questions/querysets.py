"""Questions to the log. `Entry.objects.visible(organizations)` is the one way in, and
`visible_to(user)` the same for everything that someone may read."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from django.core.exceptions import EmptyResultSet
from django.db import connections, models
from django.db.models.expressions import RawSQL

from audit.ledger import replica
from audit.questions import tenant_scope
from audit.questions.field_index import MOST_ROUNDS, NEWEST_FIRST, ChangedRanges
from organizations import clock, permissions, ulid
from organizations.models import User

NEAR = dt.timedelta(days=31)
"""How far from where it begins a page is looked for first. Each month that a question reaches is
planned for, though its entries are hardly ever needed: of 24 months, planning took 2.2 ms and
reading a page 0.4."""


MOST_LOOKED_AT = 50_000
"""Entries that are looked at for a page of a question which no index answers alone: 0.05 s."""
FEW_LOOKED_AT = 2_000
"""So many at first: mostly they have a page."""
MOST_ROUNDS_LOOKED_AT = 1
"""The same for a question about a changed field, in rounds of up to 60 blocks of the log."""

REQUEST_LASTS = dt.timedelta(hours=1)
"""How far the times of a request's entries may be from the time in its id, which the web server's
clock made and theirs the database's."""


def any_of(column: str, values: Sequence[Any]) -> models.Q:
    """`column` is one of `values`; by equality if there is but one, to keep an index's order."""
    if len(values) == 1:
        return models.Q(**{column: values[0]})
    return models.Q(**{f"{column}__in": values})


def of_requests(requests: Sequence[uuid.UUID]) -> models.Q:
    """Entries that these requests left: made about when the ids of the requests were."""
    offset = int(REQUEST_LASTS / dt.timedelta(milliseconds=1)) << 80
    least, greatest = min(requests).int - offset, max(requests).int + offset
    return any_of("request_id", requests) & models.Q(
        id__gte=uuid.UUID(int=max(least, 0)), id__lte=uuid.UUID(int=min(greatest, 2**128 - 1))
    )


def _up_to(key: uuid.UUID, order: str) -> models.Q:
    return models.Q(id__gte=key) if order == "-id" else models.Q(id__lte=key)


class Branch(NamedTuple):
    """A column that an index leads with, and the values of it that are asked for.

    is_all: whether all entries with these are. within: what an index says of all that it has.
    """

    column: str
    keys: Sequence[Any]
    is_all: bool = True
    within: models.Q = models.Q()


@dataclass(frozen=True)
class Streams:
    """A question with several keys, each of which has its entries in the order of an index.

    Asked as one condition (`actor_id IN …`), PostgreSQL gets no order out of the index: it reads
    the log from the newest entry on until it has found a page. That takes seconds (0.8 s in 1.5 M
    entries) when all of the keys have been quiet for long: a project deleted last year, say. So
    the newest entries of each key are read, by its index, and the newest of those are the page.

    rest: the entries that satisfy everything else; condition: the keys as a condition;
    has_one_plan: whether it is read the same way whatever else the values are.
    """

    rest: EntryQuerySet
    condition: models.Q
    branches: tuple[Branch, ...]
    has_one_plan: bool

    @cached_property
    def newest(self) -> list[Any]:
        """The newest entry, or nothing."""
        with self.planned():
            return self.read(models.Q(), "-id", 1)

    def number(self, n: int, bound: models.Q, order: str) -> uuid.UUID | None:
        """The id of the entry after the first `n` within `bound`, by `order`."""
        each = max(FEW_LOOKED_AT, n // sum(len(branch.keys) for branch in self.branches))
        found = self.read(bound, order, min(n, each) + 1, "id")
        return found[-1].id if len(found) > min(n, each) else None

    def planned(self) -> AbstractContextManager[None]:
        """How they are to be read."""
        return _in_order_of_indexes(self.rest.db, is_one_plan=self.has_one_plan)

    def read(self, bound: models.Q, order: str, limit: int, *columns: str) -> list[Any]:
        """The first `limit` entries within `bound`, by `order`: `id` or `-id`; of columns, only
        these, `id` among them."""
        rest = self.rest.prefetch_related(None).filter(bound).order_by(order)
        rest = rest.only(*columns) if columns else rest
        unsealed = rest.filter(self.condition, is_sealed=False)[:limit]
        try:
            parts = [_sql(unsealed), *(_stream(branch, rest, limit) for branch in self.branches)]
        except EmptyResultSet:
            return []
        direction = "DESC" if order.startswith("-") else "ASC"
        union = " UNION ALL ".join(f"({sql})" for sql, _ in parts)
        # An entry may belong to two streams, as its actor's and as its resource's.
        sql = f"SELECT DISTINCT ON (id) * FROM ({union}) AS e ORDER BY id {direction} LIMIT {limit}"
        return list(rest.raw(sql, [value for _, values in parts for value in values]))


def _stream(branch: Branch, rest: EntryQuerySet, limit: int) -> tuple[str, list[Any]]:
    """The first `limit` sealed entries of each key. The inbox has no index by key; it is small."""
    is_its_own = {branch.column: RawSQL("stream.key", [])}  # noqa: S611
    sql, values = _sql(rest.filter(branch.within, is_sealed=True, **is_its_own)[:limit])
    array = "uuid[]" if branch.column.endswith("_id") else "text[]"
    return (
        f"SELECT e.* FROM unnest(%s::{array}) AS stream (key) CROSS JOIN LATERAL ({sql}) AS e",
        [list(branch.keys), *values],
    )


def _sql(queryset: models.QuerySet[Any]) -> tuple[str, list[Any]]:
    sql, values = queryset.query.sql_with_params()
    return sql, list(values)


def _edge(start: uuid.UUID | None, *, is_descending: bool) -> uuid.UUID | None:
    """Where what is near `start` (or now) ends; None if that is in no year that can be written."""
    now = clock.now()
    try:
        moment = now if start is None else ulid.time_of(start)
        return ulid.floor(min(moment, now) - NEAR if is_descending else moment + NEAR)
    except (OverflowError, ValueError):
        return None


_BY_INDEX = {"enable_sort": "off", "enable_bitmapscan": "off", "random_page_cost": "0.1"}
_ONCE = {"plan_cache_mode": "force_generic_plan"}


@contextmanager
def _in_order_of_indexes(using: str, *, is_one_plan: bool) -> Iterator[None]:
    """Plan what is asked inside by the keys' indexes, in their order.

    For a key that it does not know, PostgreSQL expects as many entries as the average key has. For
    a few it would rather fetch and sort all, and one key may have a million; for many it would
    rather read the log by time until it met enough, and one key may be quiet for a year.

    is_one_plan: the same plan does for other values too. It is made once in the life of a
    connection then, for all partitions; those that a page does not reach are left out when it is
    carried out. To plan takes longer than to read a page.
    """
    connection: Any = connections[using]
    is_prepared = is_one_plan and connection.can_prepare
    settings = _BY_INDEX | _ONCE if is_prepared else _BY_INDEX
    with connection.cursor() as cursor:
        cursor.execute("; ".join(f"SET LOCAL {name} = {to}" for name, to in settings.items()))
        with connection.preparing() if is_prepared else nullcontext():
            yield
        # After an error the rollback undoes it.
        cursor.execute("; ".join(f"SET LOCAL {name} TO DEFAULT" for name in settings))


class Part(NamedTuple):
    """The first entries of a question. reached: all up to this id was looked at and no further, as
    more would take too long; None if nothing is left out."""

    entries: list[Any]
    reached: uuid.UUID | None = None


class EntryQuerySet(models.QuerySet[Any]):
    candidates: EntryQuerySet | None = None
    """What indexes find of just this queryset: what more it asks for, no index answers, and one
    entry of a million may have it. So at most MOST_LOOKED_AT of them are looked at at once."""

    streams: Streams | None = None
    """A quicker way to the first entries of just this queryset. One made of it has none: the
    streams would not know what it adds."""

    changed_ranges: ChangedRanges | None = None
    """Where the newest of just this queryset are, if it is about changed fields."""

    has_one_plan = False
    """Just this queryset is read in the order of an index that leads with the columns which it
    compares by equality, whatever the values are."""

    is_by_time = False
    """Nothing narrows just this queryset that has a better index than the one by time. PostgreSQL
    takes any field for one that rarely changes, and would sort all that may have changed it."""

    is_of_all_by_time = False
    """No index leads to just this queryset but those by time: what is read of it for counting is
    read by one of these. To PostgreSQL, who looked at the log is spread over all organizations; in
    one where hardly anything else happens it read the months of all (0.6 s of 2 M entries)."""

    reached_at: dt.datetime | None = None
    """Where `within_reach` ends."""

    since: uuid.UUID | None = None
    until: uuid.UUID | None = None
    """The ids of just this queryset go from `since` to below `until`, if that is known."""

    visible_organizations: Collection[uuid.UUID] = ()
    """Those given to `visible`; an export enters their scope again in each transaction."""

    def visible(self, organizations: Collection[uuid.UUID]) -> EntryQuerySet:
        """The entries of these organizations, whose tenant scope the transaction enters; the caller
        has checked `audit:read` on each."""
        using = replica.database()
        tenant_scope.enter(organizations, using)
        seen = self.using(using)
        if len(organizations) == 1:
            seen = seen.filter(organization_id=next(iter(organizations)))
        else:
            seen = seen.filter(organization_id__in=organizations)
        seen.visible_organizations = tuple(organizations)
        return seen

    def visible_to(self, user: User) -> EntryQuerySet:
        """The entries of every organization whose log `user` may read."""
        readable = permissions.organizations_with(user, "audit:read")
        return self.visible(list(readable.values_list("pk", flat=True)))

    def about(self, thing: models.Model) -> EntryQuerySet:
        """What happened to one row of an audited model."""
        return self._naming("resource", thing)

    def by(self, actor: models.Model) -> EntryQuerySet:
        """What a person or an API key did."""
        return self._naming("actor", actor)

    def _naming(self, reference: str, row: models.Model) -> EntryQuerySet:
        field: Any = self.model._meta.get_field(reference)
        return self.filter(**field.get_forward_related_filter(row))

    def of_request(self, *requests: uuid.UUID) -> EntryQuerySet:
        """What requests with these ids left, found near the times in the ids."""
        return self.filter(of_requests(requests))

    def _clone(self) -> EntryQuerySet:
        clone: EntryQuerySet = super()._clone()  # type: ignore[misc]
        clone.visible_organizations = self.visible_organizations
        return clone

    def first_entries(
        self, bound: models.Q, order: str, limit: int, start: uuid.UUID | None = None
    ) -> list[Any]:
        """The entries of `first_part`."""
        return self.first_part(bound, order, limit, start).entries

    def first_part(
        self, bound: models.Q, order: str, limit: int, start: uuid.UUID | None = None
    ) -> Part:
        """The first `limit` entries within `bound`, by `order`: `id` or `-id`.

        start: none of them comes before it in that order, if that is known.
        """
        reached = None
        if self._is_in_rounds:
            with self._planned():
                found, reached = self._first_in_ranges(bound, order, limit, start)
        elif self.candidates is None:
            found = self._read(bound, order, limit, start)
        else:
            for most in (FEW_LOOKED_AT, MOST_LOOKED_AT):
                reached = self.candidates.reach(bound, order, most, start)
                within = bound if reached is None else bound & _up_to(reached, order)
                found = self._read(within, order, limit, start)
                if len(found) == limit or reached is None:
                    break
        # Once, and not for each part that was read; nor by the plans that suit the log.
        lookups: tuple[Any, ...] = self._prefetch_related_lookups  # type: ignore[attr-defined]
        models.prefetch_related_objects(found, *lookups)
        return Part(found, reached if len(found) < limit else None)

    def reach(
        self, bound: models.Q, order: str, most: int, start: uuid.UUID | None = None
    ) -> uuid.UUID | None:
        """Up to which id, by `order`, there are `most` entries within `bound`; None if there are no
        more."""
        with self._planned():
            if self.streams is not None:
                return self.streams.number(most, bound, order)
            ids = self.prefetch_related(None).filter(bound).order_by(order)
            return ids.values_list("id", flat=True)[most : most + 1].first()

    def within_reach(self) -> tuple[EntryQuerySet, bool]:
        """The same entries, or of a question that no index answers alone those among the newest
        MOST_LOOKED_AT candidates, or in the newest parts of the log that changed a field; and
        whether these are all."""
        if self._is_in_rounds and self.changed_ranges is not None:
            edge, condition = self.changed_ranges.edge, self.changed_ranges.condition
        else:
            edge, condition = None, models.Q()
            if self.candidates is not None:
                edge = self.candidates.reach(models.Q(), NEWEST_FIRST, MOST_LOOKED_AT)
                condition = models.Q(id__gt=edge)
        if edge is None:
            return self.from_newest(), True
        within = self.filter(condition)
        within.is_of_all_by_time = self.is_of_all_by_time
        within.reached_at = ulid.time_of(edge)
        return within, False

    def next_part(self, after: uuid.UUID | None) -> tuple[EntryQuerySet, uuid.UUID | None]:
        """The entries after `after`, oldest first, as far as is looked at once; and up to where
        that is, or None if it is to the end."""
        bound = models.Q() if after is None else models.Q(id__gt=after)
        if self._is_in_rounds and self.changed_ranges is not None:
            ranges = self.changed_ranges.going("id", after)
            return self.filter(bound & ranges.condition), ranges.reached
        reached = None
        if self.candidates is not None:
            reached = self.candidates.reach(bound, "id", MOST_LOOKED_AT, after)
        within = bound if reached is None else bound & _up_to(reached, "id")
        return self.filter(within), reached

    @property
    def _is_in_rounds(self) -> bool:
        """Whether it is about changed fields, and more parts of the log changed one of them than
        are asked for at once."""
        return self.changed_ranges is not None and self.changed_ranges.edge is not None

    def _read(self, bound: models.Q, order: str, limit: int, start: uuid.UUID | None) -> list[Any]:
        with self._planned():
            return self._first_entries(bound, order, limit, start)

    def _planned(self) -> AbstractContextManager[None]:
        if self.streams is not None:
            return self.streams.planned()
        if self.has_one_plan or self.is_by_time:
            return _in_order_of_indexes(self.db, is_one_plan=self.has_one_plan)
        return nullcontext()

    def planned_to_count(self) -> AbstractContextManager[None]:
        """How all of it is to be read, as far as counting goes."""
        if self.is_of_all_by_time:
            return _in_order_of_indexes(self.db, is_one_plan=False)
        return nullcontext()

    def _first_entries(
        self, bound: models.Q, order: str, limit: int, start: uuid.UUID | None
    ) -> list[Any]:
        is_descending = order.startswith("-")
        edge = _edge(start, is_descending=is_descending)
        if edge is None:
            return self._first(bound, order, limit)
        newer, older = models.Q(id__gte=edge), models.Q(id__lt=edge)
        near, far = (newer, older) if is_descending else (older, newer)
        found = self._first(bound & near, order, limit)
        if len(found) == limit or (is_descending and self.since is not None and self.since >= edge):
            return found
        # A statement that differs in its limit would be prepared for each.
        return found + self._first(bound & far, order, limit)[: limit - len(found)]

    def _first_in_ranges(
        self, bound: models.Q, order: str, limit: int, start: uuid.UUID | None
    ) -> tuple[list[Any], uuid.UUID | None]:
        """The first entries, and up to which id all that changed a field was looked at, as of
        Part."""
        assert self.changed_ranges is not None
        ranges = self.changed_ranges.going(order, start)
        found: list[Any] = []
        for turn in range(MOST_ROUNDS if self.candidates is None else MOST_ROUNDS_LOOKED_AT):
            ranges = ranges.further() if turn else ranges
            found += self._first(bound & ranges.condition, order, limit - len(found))
            if len(found) == limit or ranges.edge is None:
                return found, None
        return found, ranges.reached

    def _first(self, bound: models.Q, order: str, limit: int) -> list[Any]:
        if self.streams is not None:
            return self.streams.read(bound, order, limit)
        return list(self.prefetch_related(None).filter(bound).order_by(order)[:limit])

    def from_newest(self) -> EntryQuerySet:
        """The same entries, for reading many of them: says where they begin, if that is known, so
        that nobody looks for them in what came after."""
        if self.streams is None:
            return self
        newest = self.streams.newest
        return self.filter(id__lte=newest[0].id) if newest else self.none()

    def update(self, **kwargs: Any) -> int:
        raise TypeError("entries cannot be changed; record a new entry instead")

    def delete(self) -> tuple[int, dict[str, int]]:
        raise TypeError("entries cannot be deleted")

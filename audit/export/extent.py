"""What an export holds: the entries that are visible when it begins, and no others.

It is read in many short transactions. Meanwhile entries are committed, with ids between existing
ones, and sealed. So it is fixed at the beginning which entries it is: those sealed by then, by
their numbers, and those waiting to be sealed, one by one.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from django.db.models import Q, QuerySet

from audit.entry.bulk_json import Row
from audit.models import Entry
from audit.questions import counting, following, retention_boundary
from audit.questions.querysets import EntryQuerySet


@dataclass(frozen=True)
class Extent:
    """sizes: the last number in each log, by organization; waiting: the ids of entries that were
    not sealed, of which some may have a number among those (were_sealed). complete_to: see
    `following.Standing`; removals: how often retention had removed something. Ids as a Row has
    them."""

    sizes: Mapping[str, int]
    waiting: frozenset[str]
    were_sealed: bool
    complete_to: dt.datetime | None
    removals: int

    def holds(self, row: Row) -> bool:
        if row.seq is not None and int(row.seq) <= self.sizes.get(row.organization_id, 0):
            return True
        return row.id in self.waiting


def now(queryset: QuerySet[Entry]) -> Extent:
    """That of an export of `queryset` that begins now. Within the tenant scope."""
    organizations: Collection[uuid.UUID] = queryset.visible_organizations  # type: ignore[attr-defined]
    # In this order, so that what is sealed in between is in both, and nothing is in neither.
    before = _standing(organizations, queryset.db)
    waiting = queryset.filter(is_sealed=False).order_by().values_list("id", flat=True)
    ids = frozenset(key.hex for key in waiting)
    after = _standing(organizations, queryset.db)
    return Extent(
        sizes={key: log.sealed_to for key, log in after.items()},
        waiting=ids,
        were_sealed=any(log.sealed_to != before[key].sealed_to for key, log in after.items()),
        complete_to=next((log.complete_to for log in before.values()), None),
        removals=retention_boundary.removals(organizations, queryset.db),
    )


def _standing(organizations: Collection[uuid.UUID], using: str) -> dict[str, following.Standing]:
    return {key.hex: following.standing(key, using) for key in organizations}


def count(
    queryset: QuerySet[Entry], extent: Extent, limit: int, *, is_everything: bool
) -> counting.Count:
    """How many entries of `queryset` the export holds, counted up to `limit`; of whole logs
    (`is_everything`) that is known at any size."""
    if len(extent.waiting) > limit and not is_everything:
        return counting.Count(limit, False)
    assert isinstance(queryset, EntryQuerySet)
    sealed_by_then = Q()
    for organization, size in extent.sizes.items():
        sealed_by_then |= Q(organization_id=uuid.UUID(organization), seq__lte=size)
    within, is_all = queryset.within_reach()
    sealed = within.filter(sealed_by_then, is_sealed=True)
    waiting = len(extent.waiting)
    if extent.were_sealed:
        waiting -= sealed.filter(id__in=[uuid.UUID(key) for key in extent.waiting]).count()
    if is_everything:
        removed = retention_boundary.entries_removed(queryset.visible_organizations, queryset.db)
        return counting.Count(sum(extent.sizes.values()) - removed + waiting, True)
    found = sealed.order_by("-id")[: limit + 1].count() + waiting
    return counting.Count(min(found, limit), found <= limit and is_all)

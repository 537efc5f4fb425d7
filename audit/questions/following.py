"""Following a log: its sealed entries by their numbers, oldest first, none left out and none twice.

An entry becomes visible when its transaction commits, but its id was made before: who asks for what
is newer than the newest id, or time, that was seen misses what a slower transaction commits later.
Numbers are given when all of that is over. And how far by time nothing can be added any more.
"""

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import dataclass
from typing import NamedTuple

from django.db import connections
from django.db.models import QuerySet

from audit.ledger.sealing import FIELD_BLOCK
from audit.models import Entry

MOST_LOOKED_AT = 65_536
"""Numbers that one part covers at most: a question that few entries answer is answered in parts."""
MOST_BLOCKS = 16
"""Blocks of FIELD_BLOCK numbers that are read at once."""


@dataclass(frozen=True)
class Part:
    """entries: in order of their numbers; reached: all up to this number was looked at. Go on
    after `reached`."""

    entries: list[Entry]
    reached: int
    log: Standing


class Standing(NamedTuple):
    """How far a log is. sealed_to: its last number; complete_to: the moment before which nothing
    can be added to any log any more, and all is sealed; None if nothing was ever sealed.

    Ask for it before reading: then all that it speaks of is among what is read.
    """

    sealed_to: int
    complete_to: dt.datetime | None


def standing(organization: uuid.UUID, using: str) -> Standing:
    """Within the tenant scope."""
    with connections[using].cursor() as cursor:
        cursor.execute(
            "SELECT COALESCE((SELECT size FROM audit_log WHERE organization_id = %s), 0),"
            " (SELECT date_trunc('milliseconds', NULLIF(complete_to, '-infinity'))"
            " FROM audit_sealing)",
            [organization],
        )
        return Standing(*cursor.fetchone())


def part_after(
    queryset: QuerySet[Entry], organization: uuid.UUID, after: int, per_page: int
) -> Part:
    """The first `per_page` entries of `queryset` with numbers above `after`, in their order; fewer
    where the log ends, or after MOST_LOOKED_AT numbers. `queryset` is of this one organization."""
    log = standing(organization, queryset.db)  # first: what is sealed meanwhile comes next
    end = min(log.sealed_to, after + MOST_LOOKED_AT)
    found: list[Entry] = []
    reached, blocks = after, 1
    while reached < end and len(found) < per_page:
        first = (reached + 1) // FIELD_BLOCK
        past = min(end, (first + blocks) * FIELD_BLOCK - 1)
        ids = _ids(organization, first, past // FIELD_BLOCK, queryset.db)
        if ids is not None:
            numbered = queryset.filter(
                is_sealed=True, id__range=ids, seq__gt=reached, seq__lte=past
            )
            found += numbered.order_by("seq")[: per_page - len(found)]
        reached = found[-1].seq if len(found) == per_page else past  # type: ignore[assignment]
        blocks = min(blocks * 2, MOST_BLOCKS)
    return Part(found, reached, log)


def _ids(
    organization: uuid.UUID, first: int, last: int, using: str
) -> tuple[uuid.UUID, uuid.UUID] | None:
    """Between which ids the entries of these blocks of numbers are."""
    with connections[using].cursor() as cursor:
        # min() and max() of uuid are there from PostgreSQL 18 on.
        cursor.execute(
            "SELECT first_id, last_id FROM audit_field WHERE organization_id = %s"
            " AND field = '' AND block BETWEEN %s AND %s",
            [organization, first, last],
        )
        rows = cursor.fetchall()
    return (min(row[0] for row in rows), max(row[1] for row in rows)) if rows else None

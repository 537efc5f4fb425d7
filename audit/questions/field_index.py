"""Where in a log fields were changed: the parts of it that a question about a field has to read.

`changes` has no index: one would cost each entry 60 bytes or could not be used behind row-level
security. Sealing notes instead, for each thousand entries of a log, which fields they changed, and
from which id to which. A field that never changed took 4.3 s to be found missing in 10 M entries.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from django.db import connections
from django.db.models import Q

from audit.ledger.sealing import LONGEST_FIELD_NAME

MOST = 60
"""Notes that are read at once."""
MOST_RANGES = 12
"""Ranges of ids that a question is made of: each takes some 0.7 ms to plan."""
MOST_ROUNDS = 6
"""How often a page asks for further notes before it ends where looking ended."""

Range = tuple[uuid.UUID, uuid.UUID]
_FIRST, _LAST = uuid.UUID(int=0), uuid.UUID(int=2**128 - 1)

NEWEST_FIRST, OLDEST_FIRST = "-id", "id"
"""Orders of entries."""


@dataclass(frozen=True)
class ChangedRanges:
    """Where the first changes of some fields are, by an order.

    condition: what an entry before `edge` fulfils if it changed one of the fields. edge: up to
    where that is known; None if it is for all of the log.
    """

    organization: uuid.UUID
    fields: Sequence[str]
    using: str
    order: str
    condition: Q
    edge: uuid.UUID | None
    reaching: tuple[Range, ...] = ()
    """Those that go on beyond the edge."""

    @property
    def reached(self) -> uuid.UUID | None:
        """The last id by the order that the condition is about; None for all of the log."""
        if self.edge is None:
            return None
        return uuid.UUID(int=self.edge.int + (1 if self.order == NEWEST_FIRST else -1))

    def going(self, order: str, start: uuid.UUID | None) -> ChangedRanges:
        """Where the first by `order` from `start` on are; these, if that is the same."""
        if order == self.order and start is None:
            return self
        return of_fields(self.organization, self.fields, self.using, order=order, start=start)

    def further(self) -> ChangedRanges:
        """Where those from the edge on are."""
        assert self.edge is not None
        return of_fields(
            self.organization,
            self.fields,
            self.using,
            order=self.order,
            start=self.edge,
            reaching=self.reaching,
        )


def of_fields(
    organization: uuid.UUID,
    fields: Sequence[str],
    using: str,
    *,
    order: str = NEWEST_FIRST,
    start: uuid.UUID | None = None,
    reaching: Sequence[Range] = (),
) -> ChangedRanges:
    """Where `organization`'s entries changed one of `fields`, as of now.

    start: none that comes before it by `order` is asked for. reaching: what an earlier answer had
    of it.
    """
    # The entries themselves are asked for the whole name.
    names = [field[:LONGEST_FIELD_NAME] for field in fields]
    is_one = "field = %s" if len(names) == 1 else "field = ANY(%s)"
    is_down = order == NEWEST_FIRST
    # A block that lies on both sides of the start is among those that an earlier answer had.
    near, far = ("last_id", "first_id") if is_down else ("first_id", "last_id")
    within = f"{near if reaching else far} {'<=' if is_down else '>='} %s"
    by = f"{near} {'DESC' if is_down else 'ASC'}"
    with connections[using].cursor() as cursor:
        cursor.execute(
            _NOTES.format(is_one=is_one, within=within, by=by, most=MOST),
            [
                organization,
                organization,
                names[0] if len(names) == 1 else names,
                start or (_LAST if is_down else _FIRST),
            ],
        )
        rows = cursor.fetchall()
    # What was not sealed yet when this was asked may be by the time that entries are.
    unsealed = [(first, _LAST) for first, last, _ in rows if last is None]
    notes = [row for row in rows if row[1] is not None]
    taken = _few(notes)
    edge = None
    if len(taken) < len(notes) or len(notes) == MOST:
        edge = taken[-1][1] if is_down else taken[-1][0]
    ranges = _joined([*unsealed, *reaching], taken)
    condition = Q(is_sealed=False)
    for first, last in ranges:
        condition |= Q(id__gte=first) if last == _LAST else Q(id__range=(first, last))
    if start is not None:
        condition &= Q(id__lte=start) if is_down else Q(id__gte=start)
    goes_on: tuple[Range, ...] = ()
    if edge is not None:
        condition &= Q(id__gt=edge) if is_down else Q(id__lt=edge)
        goes_on = tuple(
            (first, last) for first, last in ranges if (first <= edge if is_down else last >= edge)
        )
    return ChangedRanges(organization, fields, using, order, condition, edge, goes_on)


Note = tuple[uuid.UUID, uuid.UUID, int]
"""The first and the last id of a block that changed a field, and the block."""


def _few(notes: Sequence[Note]) -> Sequence[Note]:
    """The first of `notes`, so many that they make no more than MOST_RANGES."""
    for count in range(len(notes), 0, -1):
        blocks = sorted({block for _, _, block in notes[:count]})
        if sum(1 for a, b in pairwise(blocks) if b > a + 1) < MOST_RANGES:
            return notes[:count]
    return notes


def _joined(ranges: Iterable[Range], notes: Iterable[Note] = ()) -> list[Range]:
    """The same, or a little more, as few ranges: what meets and neighbouring blocks are one."""
    together: list[tuple[uuid.UUID, uuid.UUID]] = [*ranges]
    previous: int | None = None
    for first, last, block in sorted(notes, key=lambda note: note[2]):
        if previous is not None and block <= previous + 1:
            together[-1] = (min(first, together[-1][0]), max(last, together[-1][1]))
        else:
            together.append((first, last))
        previous = block
    joined: list[Range] = []
    for first, last in sorted(together):
        if joined and first <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(last, joined[-1][1]))
        else:
            joined.append((first, last))
    return joined


_NOTES = """
(SELECT id, NULL::uuid, NULL::bigint FROM audit_inbox WHERE organization_id = %s
 ORDER BY id LIMIT 1)
UNION ALL
(SELECT first_id, last_id, block FROM audit_field
 WHERE organization_id = %s AND {is_one} AND {within} ORDER BY {by} LIMIT {most})
"""

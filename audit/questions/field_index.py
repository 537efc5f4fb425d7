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
"""How often a page asks for older notes before it reads the log instead."""

Range = tuple[uuid.UUID, uuid.UUID]
_LAST = uuid.UUID(int=2**128 - 1)


@dataclass(frozen=True)
class ChangedRanges:
    """Where the newest changes of some fields are.

    condition: what an entry above `edge` fulfils if it changed one of the fields. edge: down to
    where that is known; None if it is for all of the log.
    """

    organization: uuid.UUID
    fields: Sequence[str]
    using: str
    condition: Q
    edge: uuid.UUID | None
    from_here: Q = Q()
    """All that this and older ones are among."""
    reaching: tuple[Range, ...] = ()
    """Those that go on below the edge."""

    def below(self, start: uuid.UUID) -> ChangedRanges:
        return of_fields(self.organization, self.fields, self.using, start)

    def older(self) -> ChangedRanges:
        """Where those from the edge down are."""
        assert self.edge is not None
        return of_fields(self.organization, self.fields, self.using, self.edge, self.reaching)


def of_fields(
    organization: uuid.UUID,
    fields: Sequence[str],
    using: str,
    start: uuid.UUID | None = None,
    reaching: Sequence[Range] = (),
) -> ChangedRanges:
    """Where `organization`'s entries changed one of `fields`, as of now.

    start: no newer ones are asked for. reaching: what an earlier answer had of it.
    """
    # The entries themselves are asked for the whole name.
    names = [field[:LONGEST_FIELD_NAME] for field in fields]
    is_one = "field = %s" if len(names) == 1 else "field = ANY(%s)"
    upper = "last_id <= %s" if reaching else "first_id <= %s"
    with connections[using].cursor() as cursor:
        cursor.execute(
            _NOTES.format(is_one=is_one, upper=upper, most=MOST),
            [
                organization,
                organization,
                names[0] if len(names) == 1 else names,
                start or _LAST,
            ],
        )
        rows = cursor.fetchall()
    # What was not sealed yet when this was asked may be by the time that entries are.
    unsealed = [(first, _LAST) for first, last, _ in rows if last is None]
    notes = [row for row in rows if row[1] is not None]
    taken = _few(notes)
    edge = None
    if len(taken) < len(notes) or len(notes) == MOST:
        edge = taken[-1][1]
    ranges = _joined([*unsealed, *reaching], taken)
    condition = Q(is_sealed=False)
    for first, last in ranges:
        condition |= Q(id__gte=first) if last == _LAST else Q(id__range=(first, last))
    from_here = Q() if start is None else Q(id__lte=start)
    condition &= from_here
    if edge is not None:
        condition &= Q(id__gt=edge)
    goes_on = tuple((first, last) for first, last in ranges if edge is not None and first <= edge)
    return ChangedRanges(organization, fields, using, condition, edge, from_here, goes_on)


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
 WHERE organization_id = %s AND {is_one} AND {upper} ORDER BY last_id DESC LIMIT {most})
"""

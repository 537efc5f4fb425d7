"""Questions to the log. `Entry.objects.visible(organizations)` is the one way in."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from typing import Any

from django.db import connections, models, transaction

EVERYTHING = "*"


def open_wall(organizations: Collection[uuid.UUID] | str, using: str = "default") -> None:
    """Let the rest of this transaction read the entries of `organizations` and no others.

    Row-level security hides everything else. EVERYTHING is for the operators' own commands, never
    for a request. Raises TransactionManagementError outside a transaction: the opening would end
    with the statement.
    """
    value = organizations if isinstance(organizations, str) else ",".join(map(str, organizations))
    connection = connections[using]
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError(
            "reading entries needs a transaction; wrap it in transaction.atomic()"
        )
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('audit.organizations', %s, true)", [value])


class EntryQuerySet(models.QuerySet[Any]):
    visible_organizations: Collection[uuid.UUID] = ()
    """Those given to `visible`; an export opens the wall for them again in each transaction."""

    def visible(self, organizations: Collection[uuid.UUID]) -> EntryQuerySet:
        """The entries of these organizations; the caller has checked `audit:read` on each."""
        open_wall(organizations, self.db)
        if len(organizations) == 1:
            seen = self.filter(organization_id=next(iter(organizations)))
        else:
            seen = self.filter(organization_id__in=organizations)
        seen.visible_organizations = tuple(organizations)
        return seen

    def _clone(self) -> EntryQuerySet:
        clone: EntryQuerySet = super()._clone()  # type: ignore[misc]
        clone.visible_organizations = self.visible_organizations
        return clone

    def newest_first(self) -> EntryQuerySet:
        return self.order_by("-id")

    def update(self, **kwargs: Any) -> int:
        raise TypeError("entries are never changed; record what happened instead")

    def delete(self) -> tuple[int, dict[str, int]]:
        raise TypeError("entries are never deleted")

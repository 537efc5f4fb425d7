"""The retention boundary of a log: where retention removed entries, for who asks for what lies
before it.

Read as the application's role, within the tenant scope: each organization has its own.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Collection
from dataclasses import dataclass

from django.db import connections

from audit.entry.as_json import rfc3339
from audit.ledger import replica
from audit.questions.periods import Period


@dataclass(frozen=True)
class Boundary:
    """Below `before`, only each resource's first and last change is left in the log; the rest is
    in archives, of which `manifest` names the newest. `entries` in `archives` of the months asked
    for."""

    before: dt.datetime
    removed_at: dt.datetime
    manifest: str
    entries: int
    archives: int

    def __str__(self) -> str:
        others = f" and {self.archives - 1} earlier" if self.archives > 1 else ""
        return (
            f"Entries before {self.before:%Y-%m-%d %H:%M} UTC were removed under retention on"
            f" {self.removed_at:%Y-%m-%d}, except the first and last change of each resource;"
            f" archived with the manifest {self.manifest}{others}."
        )

    def as_json(self) -> dict[str, str | int]:
        return {
            "before": rfc3339(self.before),
            "removed_at": rfc3339(self.removed_at),
            "manifest": self.manifest,
            "entries": self.entries,
            "archives": self.archives,
        }

    @property
    def header(self) -> str:
        """For an answer that has no place for it, as HTTP has parameters."""
        return (
            f"before={rfc3339(self.before)}; removed_at={rfc3339(self.removed_at)};"
            f" manifest={self.manifest}; entries={self.entries}; archives={self.archives}"
        )


def reached(organizations: Collection[uuid.UUID], period: Period) -> dict[uuid.UUID, Boundary]:
    """The boundaries that a question for `period` reaches beyond. Within their tenant scope."""
    if not organizations:
        return {}
    with connections[replica.database()].cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT ON (organization_id) organization_id, until, removed_at, manifest,"
            " sum(entries) OVER (PARTITION BY organization_id)::bigint,"
            " count(*) OVER (PARTITION BY organization_id)"
            " FROM audit_removal WHERE organization_id = ANY(%s)"
            " AND (%s::timestamptz IS NULL OR until > %s)"
            " AND (%s::timestamptz IS NULL OR since < %s)"
            " ORDER BY organization_id, until DESC, removed_at DESC",
            [list(organizations), *(period.since,) * 2, *(period.until,) * 2],
        )
        return {row[0]: Boundary(*row[1:]) for row in cursor.fetchall()}


def of_numbers(organization_id: uuid.UUID, after: int, reached: int) -> Boundary | None:
    """The boundary, if retention removed entries with numbers above `after`, up to `reached`.
    Within the tenant scope."""
    with connections[replica.database()].cursor() as cursor:
        cursor.execute(
            "SELECT until, removed_at, manifest, sum(entries) OVER ()::bigint, count(*) OVER ()"
            " FROM audit_removal WHERE organization_id = %s AND numbers && int8range(%s, %s, '(]')"
            " ORDER BY until DESC, removed_at DESC LIMIT 1",
            [organization_id, after, max(after, reached)],
        )
        row = cursor.fetchone()
    return Boundary(*row) if row else None


def removals(organizations: Collection[uuid.UUID], using: str = "default") -> int:
    """How often retention removed entries of these organizations. Within their tenant scope."""
    with connections[using].cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM audit_removal WHERE organization_id = ANY(%s)",
            [list(organizations)],
        )
        return int(cursor.fetchone()[0])


def entries_removed(organizations: Collection[uuid.UUID], using: str) -> int:
    """How many entries of these organizations retention removed. Within their tenant scope."""
    with connections[using].cursor() as cursor:
        cursor.execute(
            "SELECT COALESCE(sum(entries), 0) FROM audit_removal WHERE organization_id = ANY(%s)",
            [list(organizations)],
        )
        return int(cursor.fetchone()[0])


def below(organization_id: uuid.UUID, period: Period) -> Boundary | None:
    """The boundary of one organization's log, if a question for `period` reaches beyond it."""
    return reached([organization_id], period).get(organization_id)

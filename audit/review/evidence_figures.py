"""Figures of each log's evidence, for the admin: how far it is, and what was erased of it."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from django.db import connection

from audit.questions import tenant_scope
from organizations.models import Organization


@dataclass(frozen=True)
class Figures:
    """sealed: entries with a number; size: of the tree; signed: of the last checkpoint; fork: its
    number; erased: entries of which parts were erased, and withheld: which are not shown at all."""

    organization: Organization
    sealed: int
    size: int
    signed: int
    signed_at: dt.datetime | None
    checkpoints: int
    fork: int
    erased: int
    withheld: int
    erased_at: dt.datetime | None


_FIGURES = """
SELECT l.organization_id, l.size, COALESCE(h.size, 0), COALESCE(h.signed, 0),
    NULLIF(h.signed_at, '-infinity'),
    (SELECT count(*) FROM audit_checkpoint c
        WHERE c.organization_id = l.organization_id AND c.is_kept),
    COALESCE((SELECT max(number) FROM audit_fork f WHERE f.organization_id = l.organization_id), 0),
    e.erased, e.withheld, e.erased_at
FROM audit_log l LEFT JOIN audit_head h USING (organization_id)
CROSS JOIN LATERAL (
    SELECT count(DISTINCT seq) AS erased, count(*) FILTER (WHERE part = 4) AS withheld,
        max(erased_at) AS erased_at
    FROM audit_erasure x WHERE x.organization_id = l.organization_id
) AS e
WHERE l.organization_id = ANY(%s)
"""


def of(organizations: Sequence[Organization]) -> list[Figures]:
    """Those of each that has a log, by name."""
    by_key: dict[uuid.UUID, Organization] = {each.pk: each for each in organizations}
    tenant_scope.enter(list(by_key))
    with connection.cursor() as cursor:
        cursor.execute(_FIGURES, [list(by_key)])
        found = [Figures(by_key[key], *rest) for key, *rest in cursor.fetchall()]
    return sorted(found, key=lambda each: each.organization.slug)

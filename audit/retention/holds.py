"""Legal holds: while one is on an organization, retention removes none of its entries.

Placed and lifted as the owner's role, with the reason and who requested it in the organization's
log, in the same transaction.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from django.db import connections, transaction

from audit.capture import inbox
from audit.capture.inbox import Draft
from audit.ledger import replica
from audit.policy import Result
from audit.redaction import clean
from organizations.models import Organization

LONGEST = 500


class HoldError(ValueError):
    """A hold cannot be placed or lifted; the message says why."""


@dataclass(frozen=True)
class Hold:
    """A legal hold that is in force."""

    organization_id: uuid.UUID
    reason: str
    placed_by: str
    placed_at: dt.datetime


def place(organization: Organization, reason: str, requested_by: str, using: str = "owner") -> Hold:
    """Keep all entries of `organization` from now on."""
    reason, requested_by = _said(reason, "reason"), _said(requested_by, "by")
    with transaction.atomic(using=using), connections[using].cursor() as cursor:
        cursor.execute(
            "INSERT INTO audit_hold (organization_id, reason, placed_by) VALUES (%s, %s, %s)"
            " ON CONFLICT DO NOTHING RETURNING organization_id, reason, placed_by, placed_at",
            [organization.pk, reason, requested_by],
        )
        placed = cursor.fetchone()
        if placed is None:
            raise HoldError(f"{organization.slug} is already under legal hold; lift it first")
        _record("hold", organization, reason, requested_by, using)
    return Hold(*placed)


def lift(organization: Organization, reason: str, requested_by: str, using: str = "owner") -> Hold:
    """Let retention have the entries of `organization` again; returns the hold that was."""
    reason, requested_by = _said(reason, "reason"), _said(requested_by, "by")
    with transaction.atomic(using=using), connections[using].cursor() as cursor:
        cursor.execute(
            "DELETE FROM audit_hold WHERE organization_id = %s"
            " RETURNING organization_id, reason, placed_by, placed_at",
            [organization.pk],
        )
        lifted = cursor.fetchone()
        if lifted is None:
            raise HoldError(f"{organization.slug} is not under legal hold")
        _record("lift_hold", organization, reason, requested_by, using)
    return Hold(*lifted)


def in_force(using: str = "owner") -> Mapping[uuid.UUID, Hold]:
    """Every hold, by organization. As the application's role, of organizations it may read."""
    with connections[using].cursor() as cursor:
        cursor.execute(
            "SELECT organization_id, reason, placed_by, placed_at FROM audit_hold"
            " ORDER BY placed_at"
        )
        return {row[0]: Hold(*row) for row in cursor.fetchall()}


def on(organization: Organization) -> Hold | None:
    """The hold on `organization`, for its pages. Within its tenant scope."""
    return in_force(replica.database()).get(organization.pk)


def has_log(organization_id: uuid.UUID, using: str = "owner") -> bool:
    """Whether anything of an organization was ever sealed."""
    with connections[using].cursor() as cursor:
        cursor.execute("SELECT FROM audit_log WHERE organization_id = %s", [organization_id])
        return cursor.fetchone() is not None


def _said(text: str, name: str) -> str:
    said = clean(text, LONGEST)
    if not said:
        raise HoldError(f"--{name} is empty; the log records who requested it and why")
    return said


def _record(
    action: str, organization: Organization, reason: str, requested_by: str, using: str
) -> None:
    inbox.insert(
        connections[using],
        action,
        "audit_log",
        [Draft(None, organization.pk, organization.slug)],
        {"reason": reason, "requested_by": requested_by},
        Result.SUCCESS,
    )

"""Recording events that change no row: sign-ins, reveals, refusals, reading the log itself."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from django.db import connection

from audit import context
from audit.capture import inbox
from audit.capture.inbox import Draft
from audit.policy import Result
from audit.redaction import clean

TO_EACH_ORGANIZATION: None = None
"""As `organization_id`: the resource is a person or a person's; enter it where they belong."""


def record(
    action: str,
    *,
    resource_type: str,
    resource_label: str,
    organization_id: uuid.UUID | None,
    resource_id: uuid.UUID | None = None,
    person_id: uuid.UUID | None = None,
    result: Result = Result.SUCCESS,
    actor: context.Actor | None = None,
    **facts: Any,
) -> None:
    """Insert one entry in the current transaction.

    organization_id: the tenant, `ulid.NIL` for the platform itself, or TO_EACH_ORGANIZATION.
    person_id: whose the resource is, when it goes to each organization and is not a person itself.
    facts: context, of what the policy lists for `action`; ValueError for another.
    Raises whatever the database raises: what cannot be recorded must not happen.
    """
    draft = Draft(resource_id, organization_id, resource_label, person_id=person_id)
    inbox.insert(connection, action, resource_type, [draft], facts, result=result, actor=actor)


class Affected(NamedTuple):
    """One of several resources that one action concerns, with facts of its own."""

    resource_id: uuid.UUID
    resource_label: str
    organization_id: uuid.UUID
    facts: Mapping[str, Any]


def record_each(action: str, *, resource_type: str, affected: Sequence[Affected]) -> None:
    """`record` for each resource, with one statement for all of them."""
    drafts = [
        Draft(one.resource_id, one.organization_id, one.resource_label, facts=one.facts)
        for one in affected
    ]
    inbox.insert(connection, action, resource_type, drafts, {})


def record_once_a_minute(
    action: str,
    *,
    resource_type: str,
    resource_label: str,
    organization_id: uuid.UUID,
    resource_id: uuid.UUID | None = None,
    result: Result = Result.SUCCESS,
    sample: Mapping[str, Any] | None = None,
    **facts: Any,
) -> None:
    """Like `record`, but the same thing done again within the minute is only counted.

    The first occurrence is entered at once. How often more it happened is entered by the sealer
    when the minute is over, as one more entry whose context has `repeats`. `sample`: facts of the
    first occurrence that do not distinguish one from another.
    """
    record_in_each_once_a_minute(
        action,
        resource_type=resource_type,
        resource_labels={organization_id: resource_label},
        resource_id=resource_id,
        result=result,
        sample=sample,
        **facts,
    )


def record_in_each_once_a_minute(
    action: str,
    *,
    resource_type: str,
    resource_labels: Mapping[uuid.UUID, str],
    resource_id: uuid.UUID | None = None,
    result: Result = Result.SUCCESS,
    sample: Mapping[str, Any] | None = None,
    is_counted: bool = True,
    **facts: Any,
) -> None:
    """`record_once_a_minute` in the log of each organization, under its label there; one statement
    for all of them. is_counted: whether repetitions are counted; otherwise they leave nothing."""
    keys, entries = [], []
    for organization_id, label in resource_labels.items():
        place: dict[str, Any] = {
            "organization_id": organization_id,
            "resource_id": resource_id,
            "resource_label": clean(label, 500),
        }
        first = inbox.as_json(action, resource_type, {**facts, **(sample or {})}, result, **place)
        counted = inbox.as_json(action, resource_type, facts, result, **place) if sample else first
        keys.append(hashlib.sha256(counted.encode()).digest())
        entries.append(first)
    with connection.cursor() as cursor:
        cursor.execute(
            _COUNT_OR_ENTER if is_counted else _ENTER_ONCE,
            [keys, entries, context.origin().request_id],
        )


# Ordered by key, so that two that count the same things lock their rows in the same order.
_COUNT_OR_ENTER = f"""
WITH given AS MATERIALIZED (
    SELECT key, entry::jsonb FROM unnest(%s::bytea[], %s::text[]) AS g (key, entry) ORDER BY key
), counted AS (
    INSERT INTO audit_repeat (key, minute, entry)
    SELECT key, date_trunc('minute', now()), entry FROM given
    ON CONFLICT (key, minute) DO UPDATE SET repeats = audit_repeat.repeats + 1
    RETURNING key, repeats
)
INSERT INTO audit_inbox ({inbox.COLUMNS})
SELECT {inbox.COLUMNS.replace("request_id", "%s::uuid")}
FROM counted JOIN given USING (key), audit_as_row(given.entry) WHERE repeats = 0
"""
_ENTER_ONCE = _COUNT_OR_ENTER.replace("UPDATE SET repeats = audit_repeat.repeats + 1", "NOTHING")

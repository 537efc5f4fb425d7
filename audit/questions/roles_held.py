"""Who had which role when, as the log itself says it: by the entries of memberships.

An entry names its actor, not the role that the actor had then; the role of today may be another.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from django.db import connections

from audit.ledger import replica
from organizations import ulid

MOST = 20_000
"""Entries of memberships that are read."""
MOST_SPANS = 500
"""Spans of time that a question is made of."""


class TooManyRolesError(Exception):
    """There are more than MOST or MOST_SPANS."""


class Span(NamedTuple):
    """That a person had a role: from the entry `since` to the entry `until`; None: from before the
    log, or still."""

    organization: uuid.UUID
    person: uuid.UUID
    since: uuid.UUID | None
    until: uuid.UUID | None
    has_ended: bool
    """With that entry the person left, and had the role until it; else another one began."""


def spans(roles: Collection[str], organizations: Collection[uuid.UUID] | None) -> list[Span]:
    """When anybody had one of `roles` in these organizations, or in all that may be read; within
    the tenant scope. Raises TooManyRolesError."""
    found = [span for role, span in _all(organizations) if role in roles]
    if len(found) > MOST_SPANS:
        raise TooManyRolesError(f"More than {MOST_SPANS} people had such a role.")
    return found


def _all(organizations: Collection[uuid.UUID] | None) -> Iterator[tuple[str, Span]]:
    changes: dict[tuple[uuid.UUID, uuid.UUID], list[_Change]] = {}
    for change in _read(organizations):
        changes.setdefault((change.organization, change.person), []).append(change)
    for (organization, person), each in changes.items():
        for role, since, until, has_ended in _in_turn(each):
            yield role, Span(organization, person, since, until, has_ended)


class _Change(NamedTuple):
    organization: uuid.UUID
    person: uuid.UUID
    entry: uuid.UUID
    before: str | None
    after: str | None


def _in_turn(
    changes: Sequence[_Change],
) -> Iterator[tuple[str, uuid.UUID | None, uuid.UUID | None, bool]]:
    """Each role that a person had one after the other. What retention removed in between is not
    known: a role is taken to have lasted until the next one that is."""
    role, since = changes[0].before, None
    for change in changes:
        if role is not None:
            yield role, since, change.entry, change.after is None
        role, since = change.after, change.entry
    if role is not None:
        yield role, since, None, False


def _read(organizations: Collection[uuid.UUID] | None) -> list[_Change]:
    within = "true" if organizations is None else "organization_id = ANY(%(organizations)s::uuid[])"
    with connections[replica.database()].cursor() as cursor:
        cursor.execute(
            _CHANGES.format(within=within),
            {"organizations": list(organizations or ()), "most": MOST + 1},
        )
        rows = cursor.fetchall()
    if len(rows) > MOST:
        raise TooManyRolesError(f"Roles were changed more than {MOST:,} times.")
    people: dict[uuid.UUID, uuid.UUID] = {}
    for _, membership, _, person, place, _, _ in rows:
        key = ulid.parse_or_none(person) if person else place
        if key is not None:
            people[membership] = key
    return [
        _Change(organization, people[membership], entry, before, after)
        for organization, membership, entry, _, _, before, after in rows
        if membership in people
    ]


# A membership lies below the person; entries that change the role alone do not say whose it is.
_CHANGES = """
SELECT organization_id, resource_id, id,
    COALESCE(changes -> 'user_id' ->> 1, changes -> 'user_id' ->> 0),
    (SELECT p.parent_id FROM audit_place p WHERE p.organization_id = e.organization_id
        AND p.id = e.resource_id ORDER BY p.named_by DESC LIMIT 1),
    changes -> 'role' ->> 0, changes -> 'role' ->> 1
FROM audit_entry e
WHERE {within} AND resource_type = 'membership' AND changes ? 'role' AND resource_id IS NOT NULL
ORDER BY id LIMIT %(most)s
"""

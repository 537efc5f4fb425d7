"""Forks: a log that was set back behind what was signed is signed on under another origin.

Nobody can take back a signature. So the log gets a new name, `…/1`, and the same tree up to what
both have; an entry holds the last checkpoint that was signed before and the one of the common size,
both signed, so that everybody can see how many entries were lost. The old name is never signed
again.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from django.conf import settings
from django.db import connections

from audit.evidence import memory, reading, recalling, signing, tree

OWNER, SEALER = "owner", "sealer"


class NotForkedError(RuntimeError):
    """A log cannot be forked; the message says why."""


class Fork(NamedTuple):
    """last, common: sizes."""

    organization: uuid.UUID
    number: int
    last: int
    common: int


def fork(chosen: uuid.UUID | None, reason: str = "", requested_by: str = "") -> Iterator[Fork]:
    """Fork a log, or all that are refused because they were set back. As the only worker. Raises
    NotForkedError, and UnusableError if the memory cannot be relied on."""
    recall = recalling.Recall(settings.AUDIT_MEMORY, _rows)
    recall.look(signing.keys())
    if chosen is not None and chosen not in recall.refused:
        raise NotForkedError("it is signed as before, so there is nothing to fork")
    for organization in sorted(recall.refused if chosen is None else [chosen]):
        yield _fork(organization, recall, reason, requested_by)


def _fork(
    organization: uuid.UUID, recall: recalling.Recall, reason: str, requested_by: str
) -> Fork:
    known = recall.last(organization)
    number = max(recall.forks.get(organization, 0), known.fork if known else 0) + 1
    last_note, last = _last(organization, recall, known)
    common = _common(organization)
    if common is None:
        common_size, root = 0, tree.EMPTY
        common_note = signing.checkpoint(organization, 0, root, number)
    else:
        common_size, root, common_note = common.size, common.root, common.note
    # First in the memory: from now on nothing is signed under the old origin.
    recall.add(
        [memory.of_note(organization, signing.checkpoint(organization, common_size, root, number))]
    )
    with connections[OWNER].cursor() as cursor:
        cursor.execute(
            "INSERT INTO audit_fork (organization_id, number, last, common, reason, requested_by)"
            " VALUES (%s, %s, %s, %s, %s, %s)",
            [organization, number, last_note, common_note, reason, requested_by],
        )
    return Fork(organization, number, last, common_size)


def _last(
    organization: uuid.UUID, recall: recalling.Recall, known: memory.Signed | None
) -> tuple[str, int]:
    """The last checkpoint that is known to have been signed: by the memory, or by somebody."""
    found = []
    if known is not None:
        found.append((known.size, known.note(recalling.public(_rows, signing.keys()))))
    name = signing.origin(organization, recall.forks.get(organization, 0))
    with connections[OWNER].cursor() as cursor:
        cursor.execute(
            "SELECT size, note FROM audit_stop WHERE organization_id = %s AND origin = %s",
            [organization, name],
        )
        found += cursor.fetchall()
    size, note = max(found)
    return note, size


def _common(organization: uuid.UUID) -> reading.Checkpoint | None:
    """The largest checkpoint that the database still has; its tree has to continue it."""
    with connections[OWNER].cursor() as cursor:
        cursor.execute(
            "SELECT size, note FROM audit_checkpoint WHERE organization_id = %s"
            " ORDER BY size DESC LIMIT 1",
            [organization],
        )
        found = cursor.fetchone()
    if found is None:
        return None
    kept = reading.Checkpoint(organization, *found)
    if not reading.continues(organization, kept.size, kept.root, OWNER):
        raise NotForkedError(
            "its tree is not what its own last checkpoint says; run `manage.py audit_verify`"
            " --all, and restore a database that is whole"
        )
    return kept


def _rows(sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
    with connections[SEALER].cursor() as cursor:
        cursor.execute(sql, parameters)
        found: list[tuple[Any, ...]] = cursor.fetchall()
    return found

"""Sealing: entries move from the inbox to the ledger and get their gapless numbers.

The database does it, in functions of the owner's (`audit/migrations/sql/8_sealing.sql`): the
sealer's role may call them, and can neither read nor write what they move.

Safe against late commits: only entries of transactions below the snapshot's xmin are taken, all
of which have ended, so nothing can appear behind (measured: a poller that follows ids loses a
sixth under load; this loses none). Order is (xid, id). One sealer works at a time.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.db import OperationalError, connections
from psycopg import errors

from audit.ledger import partitions
from audit.ledger.partitions import Lock

BATCH = 20_000
"""Entries a transaction moves, about; a transaction's entries are never split."""
FIELD_BLOCK = 1024
"""Entries of a log that share one note about a changed field."""
LONGEST_FIELD_NAME = 100
"""What a note keeps of a field's name."""


@dataclass(frozen=True)
class Sealed:
    """What one round did. is_behind: more is settled, and waits for the next round."""

    entries: int
    is_behind: bool


class SealerIsBusyError(RuntimeError):
    """Another sealer holds the lock."""


class NoStateError(RuntimeError):
    """The database does not say where sealing stands; the message says what to do."""


def lock(using: str = "sealer") -> None:
    """Become the sealer until the connection closes. Raises SealerIsBusyError if there is one, and
    SessionIsSharedError where it could not keep others out."""
    with connections[using].cursor() as cursor:
        # The server would keep the lock of a machine that is gone for two hours.
        cursor.execute(
            "SET tcp_keepalives_idle = 20; SET tcp_keepalives_interval = 5;"
            " SET tcp_keepalives_count = 3; SET tcp_user_timeout = '20s'"
        )
    if not partitions.take(Lock.SEALER, using):
        raise SealerIsBusyError("another sealer is running on this database")


def flush_repeats(using: str = "sealer") -> int:
    """Record the counts of refusals and views repeated within a minute that is over."""
    with connections[using].cursor() as cursor:
        cursor.execute("SELECT audit_flush_repeats()")
        return int(cursor.fetchone()[0])


def record_start(why: str, using: str = "sealer") -> None:
    """Record in the platform's own log that sealing began, and why."""
    with connections[using].cursor() as cursor:
        cursor.execute("SELECT audit_enter_sealing(%s)", [why])


def seal(using: str = "sealer", batch: int = BATCH) -> Sealed:
    """Move one batch of settled entries, in one transaction. Raises NoStateError."""
    try:
        with connections[using].cursor() as cursor:
            cursor.execute("SELECT entries, is_behind FROM audit_seal(%s)", [batch])
            entries, is_behind = cursor.fetchone()
    except OperationalError as error:
        if isinstance(error.__cause__, errors.ObjectNotInPrerequisiteState):
            found = error.__cause__.diag
            raise NoStateError(f"{found.message_primary}. {found.message_hint}") from error
        raise
    return Sealed(entries, is_behind)

"""How far evidence is, in figures that name no organization. For health checks and metrics."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from django.db import connections


@dataclass(frozen=True)
class State:
    """`now` is the database's clock.

    worked_at: when the worker last looked; proved_to, signed_to: what was sealed before is in a
    tree, and under a signature; unproved_logs, unproved_entries, unsigned_logs: what is not;
    bytes: of all of it on disk; refused_logs: not signed, because the database or the worker's
    memory went back; refusal: what the worker says of it, or of why it signs nothing;
    stopped_logs: not signed, because somebody has a checkpoint that they do not continue;
    newest_round: of `heads`; oldest_witness: when the one of its witnesses that was not heard of
    for longest cosigned.
    """

    now: dt.datetime
    worked_at: dt.datetime
    proved_to: dt.datetime
    signed_to: dt.datetime
    unproved_logs: int
    unproved_entries: int
    unsigned_logs: int
    bytes: int
    refused_logs: int
    refusal: str
    stopped_logs: int
    newest_round: dt.datetime | None
    oldest_witness: dt.datetime | None

    @property
    def silence(self) -> dt.timedelta:
        """How long no worker has looked; one at work looks twice a second."""
        return self._since(self.worked_at)

    @property
    def head_age(self) -> dt.timedelta:
        """How long the oldest sealed entry waits to be in a tree, at most."""
        return self._since(self.proved_to) if self.unproved_entries else dt.timedelta()

    @property
    def signature_age(self) -> dt.timedelta:
        """How long the oldest sealed entry waits to be under a signature, at most."""
        waits = self.unproved_entries or self.unsigned_logs
        return self._since(self.signed_to) if waits else dt.timedelta()

    @property
    def round_age(self) -> dt.timedelta | None:
        return self._since(self.newest_round) if self.newest_round else None

    @property
    def witness_age(self) -> dt.timedelta | None:
        return self._since(self.oldest_witness) if self.oldest_witness else None

    def _since(self, moment: dt.datetime) -> dt.timedelta:
        return max(dt.timedelta(), self.now - moment)


def read(using: str = "default") -> State:
    """Raises what the database raises when it cannot answer."""
    with connections[using].cursor() as cursor:
        cursor.execute("SELECT * FROM audit_evidence_state()")
        return State(*cursor.fetchone())


def last_verified(using: str = "default") -> dt.datetime | None:
    """When `audit_verify` last looked at trees, signatures and entries."""
    with connections[using].cursor() as cursor:
        cursor.execute("SELECT audit_last_verified()")
        found: dt.datetime | None = cursor.fetchone()[0]
    return found

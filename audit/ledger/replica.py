"""Which server a request reads the log from: the replica of DATABASE_REPLICA_URL, or the primary.

Decided once a request, at its first question to the log: all it reads comes from one server, in one
transaction, in the same tenant scope. What it writes (that it was read, and everything else) goes
to the primary. A replica that cannot be reached is left alone for a while, and the primary answers.
"""

from __future__ import annotations

import datetime as dt
import logging
import time
from collections.abc import Callable
from contextlib import ExitStack
from contextvars import ContextVar

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connections, transaction
from django.http import HttpRequest, HttpResponseBase

logger = logging.getLogger(__name__)

PRIMARY, REPLICA = "default", "replica"
REST = 10.0
"""Seconds for which this process does not ask a replica again that did not answer."""

_reading: ContextVar[_Reading | None] = ContextVar("audit_reading", default=None)
_asked_again_at = 0.0


class _Reading:
    """What one request decided: the alias to read, and how far behind it is."""

    def __init__(self) -> None:
        self.alias: str | None = None
        self.as_of: dt.datetime | None = None
        self.transaction = ExitStack()

    def begin(self) -> str:
        if self.alias is None:
            self.alias = PRIMARY
            if REPLICA in settings.DATABASES and time.monotonic() >= _asked_again_at:
                self._begin_on_replica()
        return self.alias

    def _begin_on_replica(self) -> None:
        global _asked_again_at
        try:
            self.transaction.enter_context(transaction.atomic(using=REPLICA))
            with connections[REPLICA].cursor() as cursor:
                cursor.execute(
                    "SELECT clock_timestamp(), pg_last_xact_replay_timestamp(),"
                    " pg_last_wal_replay_lsn()::text"
                )
                now, replayed_at, wal = cursor.fetchone()
        except (DatabaseError, InterfaceError) as error:
            _asked_again_at = time.monotonic() + REST
            logger.warning("the replica is not responding: %s", str(error).split("\n", 1)[0])
            self.transaction.close()
            connections[REPLICA].close()
            return
        self.alias = REPLICA
        if replayed_at and now - replayed_at > settings.REPLICA_MAX_LAG and not _is_all(wal):
            self.as_of = replayed_at


def _is_all(wal: str) -> bool:
    """Whether the primary has nothing that a replica that came to `wal` has not: where nothing
    changes, the newest change is old."""
    with connections[PRIMARY].cursor() as cursor:
        cursor.execute("SELECT pg_current_wal_lsn() <= %s::pg_lsn", [wal])
        return bool(cursor.fetchone()[0])


def database() -> str:
    """The alias to read the log from. Outside a request, the primary's."""
    reading = _reading.get()
    return reading.begin() if reading else PRIMARY


def stay_on_primary() -> None:
    """Have the rest of this request read the primary, whose log is never behind: for who follows
    it, and for who waits, in no transaction. Call it before the first question."""
    reading = _reading.get()
    if reading is not None and reading.alias is None:
        reading.alias = PRIMARY


def as_of() -> dt.datetime | None:
    """The moment that what this request reads is from, if it is worth mentioning: the replica is
    more than REPLICA_MAX_LAG behind."""
    reading = _reading.get()
    return reading.as_of if reading else None


def databases() -> dict[str, str]:
    """The aliases of the servers that there are, by their part."""
    return {"primary": PRIMARY} | ({"replica": REPLICA} if REPLICA in settings.DATABASES else {})


class ReplicaMiddleware:
    """Around all that may read the log, the rendering of answers included."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        reading = _Reading()
        token = _reading.set(reading)
        try:
            with reading.transaction:
                return self.get_response(request)
        finally:
            _reading.reset(token)

"""Limits: so many of something in so many seconds, counted in the database for all processes.

Fixed windows in a small unlogged table: one upsert a count. A crash forgets the counts, no more.
Count outside the transaction of the request, or a rollback takes the count along.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import ipaddress
from dataclasses import dataclass

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import connection
from django.db.models import BooleanField
from django.db.models.expressions import RawSQL

from organizations import clock


@dataclass(frozen=True)
class Limited:
    """Where a count stands; `allowed` is whether it is still within the limit."""

    allowed: bool
    limit: int
    remaining: int
    reset_at: dt.datetime

    @property
    def retry_after(self) -> int:
        """Whole seconds until the window ends, at least one."""
        return max(1, round((self.reset_at - clock.now()).total_seconds() + 0.5))

    @property
    def headers(self) -> dict[str, str]:
        """What an answer says about it."""
        headers = {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(self.remaining),
            "X-RateLimit-Reset": str(int(self.reset_at.timestamp())),
        }
        return headers if self.allowed else {**headers, "Retry-After": str(self.retry_after)}


def network(ip: str | None) -> str:
    """What is counted together: an IPv4 address, or the /64 of an IPv6 one, as the holder of
    one of those addresses has all 2^64."""
    if ip is None:
        return "unknown"
    address = ipaddress.ip_address(ip)
    if isinstance(address, ipaddress.IPv4Address):
        return ip
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, 64), strict=False))


def hit(scope: str, key: str) -> Limited:
    """Count one of `scope` (a name in RATE_LIMITS) for `key`, and say where that stands."""
    now, period = clock.now(), _period(scope)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO organizations_limit AS l (scope, key, ends_at, hits)"
            " VALUES (%s, %s, %s, 1) ON CONFLICT (scope, key) DO UPDATE SET"
            " hits = CASE WHEN l.ends_at <= %s THEN 1 ELSE l.hits + 1 END,"
            " ends_at = CASE WHEN l.ends_at <= %s"
            " THEN EXCLUDED.ends_at ELSE l.ends_at END RETURNING hits, ends_at",
            [scope, _digest(key), now + period, now, now],
        )
        hits, ends_at = cursor.fetchone()
    return _limited(scope, hits, ends_at)


class LimitedError(ValidationError):
    """There were too many of something; `limited` says until when."""

    def __init__(self, limited: Limited, what: str) -> None:
        minutes = -(-limited.retry_after // 60)
        super().__init__(f"{what}. Try again in {minutes} minute{'' if minutes == 1 else 's'}.")
        self.limited = limited


def require(scope: str, key: str, what: str) -> None:
    """Count one. Raises LimitedError, whose message begins with `what`, when it is one too many."""
    limited = hit(scope, key)
    if not limited.allowed:
        raise LimitedError(limited, what)


def check(scope: str, key: str) -> Limited:
    """Whether one more would be allowed, without counting it."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT hits, ends_at FROM organizations_limit"
            " WHERE scope = %s AND key = %s AND ends_at > %s",
            [scope, _digest(key), clock.now()],
        )
        row = cursor.fetchone()
    if row is None:
        return _limited(scope, 1, clock.now() + _period(scope))
    return _limited(scope, row[0] + 1, row[1])


def take_back(scope: str, key: str) -> None:
    """Undo one `hit`: what was counted before its outcome was known need not have been."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE organizations_limit SET hits = hits - 1"
            " WHERE scope = %s AND key = %s AND hits > 0",
            [scope, _digest(key)],
        )


def is_reached(scope: str, key: str) -> RawSQL:
    """Whether one more would be refused, as a column of a query that is asked anyway."""
    return RawSQL(  # noqa: S611
        "COALESCE((SELECT hits >= %s FROM organizations_limit"
        " WHERE scope = %s AND key = %s AND ends_at > %s), false)",
        [settings.RATE_LIMITS[scope].requests, scope, _digest(key), clock.now()],
        output_field=BooleanField(),
    )


def forget(scope: str, key: str) -> None:
    """Begin anew for `key`."""
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM organizations_limit WHERE scope = %s AND key = %s", [scope, _digest(key)]
        )


def _period(scope: str) -> dt.timedelta:
    return dt.timedelta(seconds=settings.RATE_LIMITS[scope].seconds)


def _limited(scope: str, hits: int, ends_at: dt.datetime) -> Limited:
    limit = settings.RATE_LIMITS[scope].requests
    return Limited(hits <= limit, limit, max(0, limit - hits), ends_at)


def _digest(key: str) -> bytes:
    # Keys are addresses and accounts: the table need not list them.
    return hashlib.sha256(key.lower().encode()).digest()

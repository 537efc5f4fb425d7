"""Timestamps as users see them, in a named time zone."""

from __future__ import annotations

import datetime as dt
import os
import zoneinfo
from pathlib import Path

_LOCALTIME = Path("/etc/localtime")
_TIMEZONE = Path("/etc/timezone")
UTC = "UTC"


def local_zone() -> str:
    """The IANA name of this machine's time zone, from the usual places; otherwise UTC."""
    for name in _candidates():
        if zone(name) is not None:
            return name
    return UTC


def _candidates() -> list[str]:
    names = [os.environ.get("TZ", "").lstrip(":")]
    try:
        names.append(str(_LOCALTIME.resolve()).partition("zoneinfo/")[2])
        names.append(_TIMEZONE.read_text(encoding="ascii").strip())
    except (OSError, UnicodeDecodeError):
        pass
    # Distributions also link UTC by older names.
    return [UTC if name in {"Etc/UTC", "UCT", "Zulu", "Universal"} else name for name in names]


def zone(name: str) -> dt.tzinfo | None:
    """The zone of that name, or None if this machine does not know it."""
    if name == UTC:
        return dt.UTC
    try:
        return zoneinfo.ZoneInfo(name) if name else None
    except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
        return None


def parse(text: str | None) -> dt.datetime | None:
    """The moment written as RFC 3339, or None if it is missing or malformed."""
    try:
        moment = dt.datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return moment if moment.tzinfo else None


def day(text: str | None, missing: str = "-") -> str:
    """The local date of an RFC 3339 moment."""
    moment = parse(text)
    return moment.astimezone().strftime("%Y-%m-%d") if moment else missing


def second(text: str | None, zone: dt.tzinfo | None = None, missing: str = "-") -> str:
    """Date and time of an RFC 3339 moment, in `zone` or the local one."""
    moment = parse(text)
    return moment.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S") if moment else missing

"""What was understood of a question, in words, and the question that says the same again."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence

from audit import policy
from audit.questions import periods
from audit.questions.bar import vocabulary as v
from audit.questions.bar.tokens import in_quotes, quoted
from audit.questions.fields import split
from audit.questions.filters import ELSEWHERE, POSITION
from audit.questions.periods import TIMES


def as_text(params: Mapping[str, Sequence[str]]) -> str:
    """The question that compiles to `params`; what only says where one is, is left out."""
    parts = []
    for name, values in params.items():
        if name in (*POSITION, *ELSEWHERE, "tz"):
            continue
        bare = name.removeprefix("exclude_")
        minus = "-" if bare != name else ""
        if name == "q" or name in TIMES:
            parts += [f"{name}:{quoted(value)}" for value in values if value.strip()]
        else:
            each = [value for text in values for value in split(text)]
            simple = [value for value in each if value == quoted(value) and "," not in value]
            parts += [f"{minus}{bare}:{','.join(simple)}"] if simple else []
            parts += [f"{minus}{bare}:{in_quotes(value)}" for value in each if value not in simple]
    return " ".join(parts)


def shown(name: str, values: Sequence[str]) -> str:
    """Values as people would say them."""
    return " or ".join(_shown(name, value) for value in values)


def _shown(name: str, value: str) -> str:
    if name == "action":
        group = policy.action_group(value)
        return group.label if group else value.replace("_", " ")
    if name == "type":
        return policy.RESOURCE_TYPES.get(value, value)
    if name in ("became", "was"):
        return value.replace(":", " ", 1)
    if name == "by":
        return {"ip": "address", "user_agent": "program"}.get(value, value)
    if name == "hours" and value == "office":
        return "office hours"
    return value


def describe_hours(values: Sequence[str], zone: dt.tzinfo) -> str:
    office = "09:00-17:00, Monday to Friday"
    return f"{', '.join(office if value == 'office' else value for value in values)} ({zone})"


def describe_period(period: periods.Period, zone: dt.tzinfo, now: dt.datetime | None = None) -> str:
    """Exact instants, in the reader's time zone. What ends in the future ends now."""
    until = period.until
    if (
        until is not None
        and now is not None
        and until > now
        and period.since
        and period.since <= now
    ):
        parts = [f"from {describe_instant(period.since, zone)} to now"]
        return f"{parts[0]} ({zone})"
    parts = [f"from {describe_instant(period.since, zone)}"] if period.since else []
    parts += [f"to before {describe_instant(until, zone)}"] if until else []
    return f"{' '.join(parts)} ({zone})"


def describe_instant(moment: dt.datetime, zone: dt.tzinfo) -> str:
    """Tue 24 Nov 2026 03:31:28 +01:00."""
    local = moment.astimezone(zone)
    offset = local.strftime("%z")
    return f"{local:%a %d %b %Y %H:%M:%S} {offset[:3]}:{offset[3:5]}"


LABELS = v.LABELS

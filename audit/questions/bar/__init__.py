"""The question bar: what people type, compiled to the parameters of `audit.questions.filters`.

    actor:jane action:delete type:environment production since:"last tuesday" -interface:admin
    who deleted the production environment last tuesday?

`name:value` is a parameter, `-name:value` its exclusion. Bare words are times, `by` somebody, one
of the forms of `phrases.py`, or else words with one meaning and text to look for. What was not
understood is said. This is the room's one door; what is behind it is nobody else's.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from audit.questions import periods
from audit.questions.bar import checking, tokens, words
from audit.questions.bar.compilation import Compilation
from audit.questions.bar.completion import complete
from audit.questions.bar.describing import as_text, describe_instant, describe_period
from audit.questions.bar.phrases import FORMS
from audit.questions.bar.vocabulary import CHANGES, LABELS
from audit.questions.periods import TIMES
from organizations import clock

__all__ = [
    "CHANGES",
    "LABELS",
    "LONGEST_QUESTION",
    "Question",
    "as_text",
    "complete",
    "describe_instant",
    "describe_period",
    "examples",
    "read",
]

LONGEST_QUESTION = 1000


@dataclass(frozen=True)
class Question:
    """params: for `EntryFilter` and the query string; understood: one phrase each, times as exact
    instants; unknown: what was left out, with why."""

    params: dict[str, list[str]]
    understood: list[str]
    unknown: list[str]


def examples() -> list[str]:
    """A question of each form, the shape that people remember."""
    return [form.example for form in FORMS]


def read(
    text: str,
    tz: str | dt.tzinfo = "UTC",
    now: dt.datetime | None = None,
    reader: str = "",
) -> Question:
    """The parameters that `text` asks for, seen from the time zone `tz`.

    reader: who says "I", by e-mail address. Raises ValueError for a time zone that does not exist.
    """
    zone = periods.time_zone(tz) if isinstance(tz, str) else tz
    made = Compilation(now or clock.now(), zone, reader)
    if len(text) > LONGEST_QUESTION:
        made.unknown.append(f"anything after the first {LONGEST_QUESTION} characters")
    words.take(made, list(tokens.read(text[:LONGEST_QUESTION])))
    if made.words:
        made.add("q", [" ".join(made.words)])
    # Times are described last: who did what to which, and when.
    made.params = {name: made.params[name] for name in sorted(made.params, key=TIMES.__contains__)}
    checking.check(made)
    if any(name in made.params for name in TIMES) and isinstance(zone, ZoneInfo):
        made.params["tz"] = [zone.key]
    return Question(made.params, made.understood, made.unknown)

"""The question bar: what people type, read as a question to the log.

    actor:jane action:delete type:environment production since:"last tuesday" -interface:admin
    who deleted the production environment last tuesday?

A sentence is read for what it says of each slot, wherever it says so: who, did what, to what kind,
named what, when, from where, by which way, with which result, how many, grouped by what; and what
not. `name:value` is a parameter, `-name:value` its exclusion, `-word` leaves out whatever the word
means. What is not understood is struck out and never searched for. Pure: the words of the language
are in `vocabulary`, those of the log are given. This is the room's one door; what is behind it is
nobody else's.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from audit.questions import periods
from audit.questions.bar.completion import complete
from audit.questions.bar.describing import as_text, describe_instant, describe_period
from audit.questions.bar.examples import EXAMPLES
from audit.questions.bar.names import NOTHING, Log, OfLog
from audit.questions.bar.question import Moment, Offer, Page, Part, Question, Struck
from audit.questions.bar.reading import Reader, values_of
from audit.questions.bar.vocabulary import LABELS
from organizations import clock

__all__ = [
    "LABELS",
    "LONGEST_QUESTION",
    "Moment",
    "Offer",
    "OfLog",
    "Page",
    "Part",
    "Question",
    "Struck",
    "as_text",
    "complete",
    "describe_instant",
    "describe_period",
    "examples",
    "read",
    "read_for_page",
    "values_of",
]

LONGEST_QUESTION = 1000


def examples() -> Sequence[str]:
    """Questions of each kind, the shapes that people remember."""
    return EXAMPLES


def read(
    text: str,
    tz: str | dt.tzinfo = "UTC",
    now: dt.datetime | None = None,
    reader: str = "",
    log: Log = NOTHING,
) -> Question:
    """What `text` asks, seen from the time zone `tz`.

    reader: who says "I", by e-mail address; log: the names by which a word is one. Raises
    ValueError for a time zone that does not exist.
    """
    zone = periods.time_zone(tz) if isinstance(tz, str) else tz
    return Reader(log, zone, now or clock.now(), reader).read(text[:LONGEST_QUESTION])


def read_for_page(
    text: str, zone: dt.tzinfo, now: dt.datetime | None = None, reader: str = "", log: Log = NOTHING
) -> Question:
    """As `read`, with what the question is without each of its chips."""
    asked = Reader(log, zone, now or clock.now(), reader)
    return asked.with_ways_back(asked.read(text[:LONGEST_QUESTION]))

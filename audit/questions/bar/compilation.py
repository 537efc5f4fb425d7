"""A question while it is being compiled."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field

from audit.questions import periods


@dataclass
class Compilation:
    """words: text to look for; reader: who says "I", if that is known."""

    now: dt.datetime
    zone: dt.tzinfo
    reader: str = ""
    params: dict[str, list[str]] = field(default_factory=dict)
    words: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    understood: list[str] = field(default_factory=list)

    def add(self, name: str, values: Sequence[str]) -> None:
        known = self.params.setdefault(name, [])
        known += [value for value in values if value not in known]

    def resolve(self, name: str, text: str) -> periods.Period | None:
        """The period that `text` means as `since`, `until` or `when`; None if it is no time."""
        try:
            return periods.read(name, text, self.now, self.zone)
        except periods.UnknownPeriodError:
            return None

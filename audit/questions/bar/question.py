"""What the question bar makes of a sentence: a question to the log, and all that is said of it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Offer:
    """What could be asked instead. text: the whole question, for the bar; label: what is shown."""

    text: str
    label: str


@dataclass(frozen=True)
class Part:
    """One thing that was understood: a chip.

    parameter, values: as the filters take them; label: what the parameter is called; shown: the
    values in words; exact: the instants that a time means, or the names that a name stands for;
    words: those of the sentence; without: the sentence without them; offers: what else the words
    may mean; entry_id: the entry of an event that is a time.
    """

    parameter: str
    values: tuple[str, ...]
    label: str
    shown: str
    exact: str = ""
    words: str = ""
    without: str = ""
    offers: tuple[Offer, ...] = ()
    entry_id: str = ""

    @property
    def is_exclusion(self) -> bool:
        return self.parameter.startswith("exclude_")


@dataclass(frozen=True)
class Struck:
    """Words that were left out. why: in a sentence; offers: what could be written instead."""

    words: str
    why: str
    start: int
    end: int
    offers: tuple[Offer, ...] = ()


@dataclass(frozen=True)
class Page:
    """Where a question of state is answered. name: access, members, api_keys, keys, integrity,
    exports, or nothing where no page answers it; about: a path or a name; at: a date, else now."""

    name: str
    why: str
    about: str = ""
    at: str = ""


@dataclass(frozen=True)
class Moment:
    """An event as a time, such as "since the last rotation of storefront": the instant of the
    newest entry of `question` is `parameter`, since or until. entry_id: of that entry; at: its
    time; both empty until it was looked up, and where there is none."""

    parameter: str
    words: str
    question: Question
    without: str = ""
    entry_id: str = ""
    at: dt.datetime | None = None


@dataclass(frozen=True)
class Question:
    """params: what `EntryFilter` takes. order: newest or oldest, which come first; limit: how
    many; by, at_least: what to count by, and from which number on; is_count: a number was asked
    for. then, joint: a second question that cannot be matched with the first, and how they were
    joined: `then`, `not` or `and`. is_everything: the whole log was asked for in so many words.
    """

    text: str
    params: Mapping[str, list[str]] = field(default_factory=dict)
    parts: tuple[Part, ...] = ()
    struck: tuple[Struck, ...] = ()
    notes: tuple[str, ...] = ()
    offers: tuple[Offer, ...] = ()
    order: str = "newest"
    limit: int | None = None
    is_count: bool = False
    by: str = ""
    at_least: int | None = None
    page: Page | None = None
    then: Question | None = None
    joint: str = ""
    moments: tuple[Moment, ...] = ()
    is_everything: bool = False

    @property
    def is_answerable(self) -> bool:
        """Whether there is something to list. Where nothing was understood, the answer is no
        entries rather than the whole log."""
        narrowing = [name for name in self.params if name not in ("tz", "order", "limit")]
        return bool(narrowing or self.moments or self.is_everything)

    @property
    def is_of_two_kinds(self) -> bool:
        """Whether the first list is but half of what was asked for, which a file would not say."""
        return self.joint == "and"

    def as_json(self) -> dict[str, Any]:
        """As `meta.understood` of the API."""
        return {
            "text": self.text,
            "is_answerable": self.is_answerable,
            "params": {name: list(values) for name, values in self.params.items()},
            "parts": [
                {
                    "parameter": part.parameter,
                    "values": list(part.values),
                    "label": part.label,
                    "shown": part.shown,
                    "exact": part.exact,
                    "words": part.words,
                    "without": part.without,
                    "offers": _offers(part.offers),
                    "entry": part.entry_id or None,
                }
                for part in self.parts
            ],
            "struck": [
                {"words": each.words, "why": each.why, "offers": _offers(each.offers)}
                for each in self.struck
            ],
            "notes": list(self.notes),
            "offers": _offers(self.offers),
            "order": self.order,
            "limit": self.limit,
            "is_count": self.is_count,
            "by": self.by or None,
            "at_least": self.at_least,
            "page": {
                "name": self.page.name,
                "why": self.page.why,
                "about": self.page.about,
                "at": self.page.at,
            }
            if self.page
            else None,
            "then": self.then.as_json() if self.then else None,
            "joint": self.joint or None,
            "moments": [
                {
                    "parameter": moment.parameter,
                    "words": moment.words,
                    "params": {k: list(v) for k, v in moment.question.params.items()},
                    "entry": moment.entry_id or None,
                }
                for moment in self.moments
            ],
            "is_everything": self.is_everything,
        }


def _offers(offers: tuple[Offer, ...]) -> list[dict[str, str]]:
    return [{"text": offer.text, "label": offer.label} for offer in offers]

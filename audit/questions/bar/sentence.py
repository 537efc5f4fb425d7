"""A sentence while it is being read: its words, and the marks on those that are understood."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from audit.questions import periods
from audit.questions.bar.names import Log
from audit.questions.bar.question import Offer
from audit.questions.bar.tokens import Token


@dataclass
class Mark:
    """Words from `start` to before `end` that are understood as `kind`: a deed, a type, a name, a
    time … excluded: they are to be left out of the answer; others: further words of it."""

    start: int
    end: int
    kind: str
    value: Any = None
    excluded: bool = False
    others: list[tuple[int, int]] = field(default_factory=list)


@dataclass
class Strike:
    """Words that are left out, and why."""

    start: int
    end: int
    why: str
    offers: list[Offer] = field(default_factory=list)
    is_negation: bool = False


@dataclass
class Sentence:
    text: str
    tokens: Sequence[Token]
    now: dt.datetime
    zone: dt.tzinfo
    log: Log
    reader: str = ""
    marks: list[Mark] = field(default_factory=list)
    strikes: list[Strike] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    _taken: list[Mark | Strike | None] = field(default_factory=list)
    _words: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._taken = [None] * len(self.tokens)
        self._words = [token.word for token in self.tokens]

    def __len__(self) -> int:
        return len(self.tokens)

    def word(self, place: int) -> str:
        """In lower case; empty beyond the ends, and for what is quoted or a qualifier."""
        return self._words[place] if 0 <= place < len(self._words) else ""

    def phrase(self, start: int, length: int) -> str:
        """So many words from `start` on; empty if they are not all there, in one clause, free."""
        end = start + length
        if end > len(self.tokens):
            return ""
        words = []
        for place in range(start, end):
            word, token = self._words[place], self.tokens[place]
            if not word or token.is_excluded or self._taken[place] is not None:
                return ""
            if token.ends and place < end - 1:
                return ""
            words.append(word)
        return " ".join(words)

    def is_free(self, place: int) -> bool:
        return 0 <= place < len(self.tokens) and self._taken[place] is None

    def at(self, place: int) -> Mark | None:
        found = self._taken[place] if 0 <= place < len(self.tokens) else None
        return found if isinstance(found, Mark) else None

    def is_struck(self, place: int) -> bool:
        return 0 <= place < len(self.tokens) and isinstance(self._taken[place], Strike)

    def mark(self, start: int, end: int, kind: str, value: Any = None) -> Mark:
        made = Mark(start, end, kind, value)
        self.marks.append(made)
        self._take(start, end, made)
        return made

    def fill(self, start: int, end: int) -> None:
        """Drop words that say nothing by themselves."""
        self._take(start, end, Mark(start, end, "filler"))

    def strike(
        self,
        start: int,
        end: int,
        why: str,
        offers: Sequence[Offer] = (),
        *,
        negation: bool = False,
    ) -> Strike:
        """Leave words out; marks on them mean nothing any more."""
        made = Strike(start, end, why, list(offers), negation)
        self.marks = [each for each in self.marks if not (start <= each.start < end)]
        self.strikes = [each for each in self.strikes if not (start <= each.start < end)]
        self.strikes.append(made)
        self._take(start, end, made)
        return made

    def stretch(self, mark: Mark, start: int, end: int) -> None:
        mark.start, mark.end = start, end
        self._take(start, end, mark)

    def drop(self, mark: Mark) -> None:
        """A mark that turned out to mean nothing; its words are free again."""
        self.marks.remove(mark)
        self._take(mark.start, mark.end, None)

    def _take(self, start: int, end: int, by: Mark | Strike | None) -> None:
        for place in range(start, end):
            self._taken[place] = by

    def of(self, *kinds: str) -> list[Mark]:
        """The marks of these kinds, in the order of the sentence."""
        found = [mark for mark in self.marks if mark.kind in kinds]
        return sorted(found, key=lambda mark: mark.start)

    def included(self, *kinds: str) -> list[Mark]:
        return [mark for mark in self.of(*kinds) if not mark.excluded]

    def free_runs(self) -> Iterator[tuple[int, int]]:
        """The runs of words that nothing has taken."""
        start = None
        for place in range(len(self.tokens) + 1):
            is_free = self.is_free(place)
            if is_free and start is None:
                start = place
            if start is not None and (not is_free or self.tokens[place - 1].ends) and place > start:
                yield start, place
                start = place if is_free else None

    def words_of(self, start: int, end: int) -> str:
        """The text from one word to before another, as it was typed."""
        if start >= end:
            return ""
        return self.text[self.tokens[start].start : self.tokens[end - 1].end]

    def resolve(self, name: str, text: str) -> periods.Period | None:
        """The period that `text` means as `since`, `until` or `when`; None if it is no time."""
        try:
            return periods.read(name, text, self.now, self.zone)
        except periods.UnknownPeriodError:
            return None

"""Two values side by side, with what differs marked: words of a text, members of a list."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

LONGEST = 2_000
"""Words that are compared one by one; of a longer text all is marked."""


@dataclass(frozen=True)
class Part:
    text: str
    is_changed: bool


@dataclass(frozen=True)
class Difference:
    before: list[Part]
    after: list[Part]


def of(before: Any, after: Any) -> Difference | None:
    """What differs between two texts or two lists of text; None for anything else, and for texts
    that have nothing in common: those are easier to read whole."""
    if _are_lists(before, after):
        return _of_lists(before, after)
    if isinstance(before, str) and isinstance(after, str) and before and after:
        return _of_texts(before, after)
    return None


def _are_lists(before: Any, after: Any) -> bool:
    return all(
        isinstance(value, list) and all(isinstance(item, str) for item in value)
        for value in (before, after)
    )


def _of_lists(before: list[str], after: list[str]) -> Difference:
    return Difference(
        [Part(f"{item}\n", item not in after) for item in before],
        [Part(f"{item}\n", item not in before) for item in after],
    )


_WORD = re.compile(r"\s+|\w+|[^\w\s]")


def _of_texts(before: str, after: str) -> Difference | None:
    old, new = _WORD.findall(before), _WORD.findall(after)
    if max(len(old), len(new)) > LONGEST or min(len(old), len(new)) < 2:
        return None
    matcher = SequenceMatcher(None, old, new, autojunk=False)
    left: list[Part] = []
    right: list[Part] = []
    for tag, i, j, m, n in matcher.get_opcodes():
        if i < j:
            left.append(Part("".join(old[i:j]), tag != "equal"))
        if m < n:
            right.append(Part("".join(new[m:n]), tag != "equal"))
    has_common = any(not part.is_changed and part.text.strip() for part in left)
    return Difference(left, right) if has_common else None

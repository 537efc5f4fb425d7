"""Reading `changes` and `context`: whatever is in the log, no reader fails on it.

The inbox refuses what they could not take. What is there all the same (put there by a superuser, or
older than the rule) is read as Unreadable: nothing, and shown as such by every reader.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

LONGEST = 1_048_576
"""Characters."""
DEEPEST = 64
LARGEST = 2**53 - 1
"""An integer that every parser of JSON reads as it is (RFC 8785)."""


class Unreadable(dict[str, Any]):
    """Nothing, in place of what readers cannot take."""


def parsed_changes(text: str) -> dict[str, Any]:
    """Field → [before, after], or None when the values are not recorded."""
    found = parsed(text)
    is_known = all(
        each is None or (isinstance(each, list) and len(each) == 2) for each in found.values()
    )
    return found if is_known else Unreadable()


def parsed(text: str) -> dict[str, Any]:
    if len(text) > LONGEST:
        return Unreadable()
    try:
        found = _decoder.decode(text)
    except (ValueError, RecursionError):
        return Unreadable()
    if not isinstance(found, dict):
        return Unreadable()
    # Most have fewer brackets in all.
    if text.count("[") + text.count("{") > DEEPEST and _depth(found) > DEEPEST:
        return Unreadable()
    return found


def unreadable(changes: dict[str, Any], context: dict[str, Any]) -> list[str]:
    """Which of the two could not be read."""
    both = {"changes": changes, "context": context}
    return [name for name, found in both.items() if isinstance(found, Unreadable)]


@lru_cache(4096)
def unreadable_texts(changes: str, context: str) -> list[str]:
    return unreadable(parsed_changes(changes), parsed(context))


def _depth(value: Any) -> int:
    deepest, waiting = 0, [(value, 1)]
    while waiting:
        each, depth = waiting.pop()
        members = each.values() if isinstance(each, dict) else each
        if isinstance(each, dict | list):
            deepest = max(deepest, depth)
            waiting += [(member, depth + 1) for member in members]
    return deepest


def _integer(digits: str) -> int:
    if len(digits) > 17 or abs(number := int(digits)) > LARGEST:
        raise ValueError("not a safe integer")
    return number


def _refuse(text: str) -> None:
    raise ValueError(f"{text} is not an integer")


_decoder = json.JSONDecoder(parse_int=_integer, parse_float=_refuse, parse_constant=_refuse)

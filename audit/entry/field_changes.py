"""What a line of the list says of an update: which fields changed, from what to what."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from audit.models import Entry

SHORT = 40
MOST_SHOWN = 3


@dataclass(frozen=True)
class FieldChange:
    """A field that went from one value to another, as text."""

    name: str
    before: str
    after: str


@dataclass(frozen=True)
class FieldChanges:
    """Some values whole, other fields by name."""

    shown: list[FieldChange]
    others: list[str]


def of(entry: Entry) -> FieldChanges:
    """The short values that an update changed. What came or went has nothing to compare with."""
    if entry.action in ("create", "delete") or not entry.changes:
        return FieldChanges([], [])
    pairs = entry.recorded_changes
    every = [
        FieldChange(name, as_text(before), as_text(after))
        for name, (before, after) in pairs.items()
        if before is not None or after is not None
    ]
    has_before = any(before is not None for before, _ in pairs.values())
    has_after = any(after is not None for _, after in pairs.values())
    if pairs and not (has_before and has_after):
        return FieldChanges([], [])
    short = [one for one in every if len(one.before) <= SHORT and len(one.after) <= SHORT]
    shown = short[:MOST_SHOWN]
    named = {change.name for change in shown}
    return FieldChanges(shown, [name for name in entry.changes if name not in named])


def as_text(recorded: Any) -> str:
    """A recorded value as a person reads it."""
    if recorded is None:
        return "–"
    if isinstance(recorded, bool):
        return "yes" if recorded else "no"
    if isinstance(recorded, str):
        return recorded or "“”"
    if isinstance(recorded, list) and all(isinstance(item, str) for item in recorded):
        return "\n".join(recorded) or "none"
    return json.dumps(recorded, ensure_ascii=False, indent=2, sort_keys=True)

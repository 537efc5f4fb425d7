"""What a line of the list tells of an update."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from audit.models import Entry

SHORT = 40
MOST_MOVES = 3


@dataclass(frozen=True)
class Move:
    """A field that went from one value to another, as text."""

    name: str
    before: str
    after: str


@dataclass(frozen=True)
class Moves:
    """Some values whole, other fields by name."""

    shown: list[Move]
    others: list[str]


def of(entry: Entry) -> Moves:
    """The short values that an update changed. What came or went has nothing to compare with."""
    if entry.action in ("create", "delete") or not entry.changes:
        return Moves([], [])
    pairs = entry.recorded_changes
    every = [
        Move(name, as_text(before), as_text(after))
        for name, (before, after) in pairs.items()
        if before is not None or after is not None
    ]
    has_before = any(before is not None for before, _ in pairs.values())
    has_after = any(after is not None for _, after in pairs.values())
    if pairs and not (has_before and has_after):
        return Moves([], [])
    shown = [move for move in every if len(move.before) <= SHORT and len(move.after) <= SHORT]
    shown = shown[:MOST_MOVES]
    told = {move.name for move in shown}
    return Moves(shown, [name for name in entry.changes if name not in told])


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

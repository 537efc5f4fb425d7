"""Keeping what `EntryFilter` takes of a compiled question, and describing it."""

from __future__ import annotations

from collections.abc import Sequence

from django.core.exceptions import ValidationError

from audit.questions import periods
from audit.questions.bar.compilation import Compilation
from audit.questions.bar.describing import describe, describe_period
from audit.questions.bar.tokens import quoted
from audit.questions.filters import EntryFilter
from audit.questions.periods import TIMES


def check(made: Compilation) -> None:
    """Keep what `EntryFilter` takes, and describe it; move the rest to what is unknown."""
    for name, values in list(made.params.items()):
        if name in TIMES:
            kept = _check_time(made, name, values)
        else:
            kept = [value for value in values if _is_valid(made, name, value)]
            if kept:
                made.understood.append(describe(name, kept))
        if kept:
            made.params[name] = kept
        else:
            del made.params[name]


def _check_time(made: Compilation, name: str, values: Sequence[str]) -> list[str]:
    kept: list[str] = []
    for value in values:
        period = made.resolve(name, value)
        if period is None:
            made.unknown.append(f"{name}:{quoted(value)}: try {periods.EXAMPLES}")
        elif kept:
            made.unknown.append(f"{name}:{quoted(value)}: give one {name} only")
        else:
            kept.append(value)
            made.understood.append(describe_period(period, made.zone))
    return kept


def _is_valid(made: Compilation, name: str, value: str) -> bool:
    try:
        EntryFilter.base_filters[name].field.clean([value])
    except ValidationError as error:
        made.unknown.append(f"{name}:{quoted(value)}: {' '.join(error.messages)}")
        return False
    return True

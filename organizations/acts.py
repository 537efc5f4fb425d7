"""What is being done: a verb and facts around the row changes that carry it out.

A function with consequences opens an act; whoever watches row changes (the audit log does) can
then tell a rotation from a plain update. Nothing here knows who watches.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Act:
    verb: str
    facts: Mapping[str, Any] = field(default_factory=dict)


_current: ContextVar[Act | None] = ContextVar("act", default=None)


def current() -> Act | None:
    """The innermost act under way, or None."""
    return _current.get()


@contextmanager
def act(verb: str, **facts: Any) -> Iterator[Act]:
    """Say that the changes made inside are done to `verb`, with `facts` worth telling."""
    doing = Act(verb, facts)
    token = _current.set(doing)
    try:
        yield doing
    finally:
        _current.reset(token)

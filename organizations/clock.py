"""The one clock: every timestamp and every id made by Python comes from here.

It is the wall clock, unless a caller shifts it (the demo lives through 90 days in seconds).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar


class _Shifted:
    """A clock that shows what it was set to, and moves a millisecond each time it is read."""

    def __init__(self, moment: dt.datetime) -> None:
        self.moment = moment

    def read(self) -> dt.datetime:
        self.moment += dt.timedelta(milliseconds=1)
        return self.moment


_shifted: ContextVar[_Shifted | None] = ContextVar("shifted_clock", default=None)


def now() -> dt.datetime:
    """The current instant, aware, in UTC."""
    shifted = _shifted.get()
    return shifted.read() if shifted else dt.datetime.now(dt.UTC)


def is_shifted() -> bool:
    """Whether the clock shows another time than the wall clock."""
    return _shifted.get() is not None


@contextmanager
def at(moment: dt.datetime) -> Iterator[None]:
    """Set the clock to `moment` (aware) for the code inside."""
    if moment.tzinfo is None:
        raise ValueError("the clock needs an aware datetime")
    token = _shifted.set(_Shifted(moment.astimezone(dt.UTC)))
    try:
        yield
    finally:
        _shifted.reset(token)

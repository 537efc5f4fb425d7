"""How a list of entries is laid out: by day, and what repeats as one line."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from audit.models import Entry
from audit.questions.filters import VIEW

FEWEST_ALIKE = 3
"""Entries of one kind about different things become one line from here on."""


LONGEST_PAUSE = dt.timedelta(minutes=30)
"""Between two looks at the log of one visit."""


@dataclass(frozen=True)
class Group:
    """Consecutive entries that describe the same thing, newest first."""

    entries: list[Entry]

    @property
    def newest(self) -> Entry:
        return self.entries[0]

    @property
    def others(self) -> list[Entry]:
        return self.entries[1:]

    @property
    def asked(self) -> list[str]:
        """What somebody asked the log who viewed it, each question once, the newest first."""
        questions = (entry.context.get("filters") for entry in self.entries if entry.action == VIEW)
        return list(dict.fromkeys(str(asked) for asked in questions if asked))

    @property
    def is_one_thing(self) -> bool:
        """All are about the same resource."""
        return len({_resource(entry) for entry in self.entries}) == 1


@dataclass(frozen=True)
class Day:
    """The entries of one day of the reader's time zone."""

    date: dt.date
    groups: list[Group]


def days(entries: Iterable[Entry], zone: dt.tzinfo) -> list[Day]:
    """`entries`, in their order, by day in `zone`; see `groups` for what becomes one line."""
    return [
        Day(date, list(groups(found)))
        for date, found in groupby(entries, lambda entry: entry.time.astimezone(zone).date())
    ]


def groups(entries: Iterable[Entry]) -> Iterator[Group]:
    """Neighbours by the same actor from the same place with the same action and result: all of
    those about one resource, or at least three of one request or of the system's own work."""
    for _, alike in groupby(entries, _kind):
        for together, found in groupby(alike, _task):
            listed = list(found)
            if together is not None and len(listed) >= FEWEST_ALIKE:
                yield Group(listed)
            else:
                for _, same in groupby(listed, _resource):
                    yield from _visits(list(same))


def _visits(entries: list[Entry]) -> Iterator[Group]:
    """One group, but of looks at the log one for each visit."""
    begun: list[Entry] = []
    for entry in entries:
        if entry.action == VIEW and begun and begun[-1].time - entry.time > LONGEST_PAUSE:
            yield Group(begun)
            begun = []
        begun.append(entry)
    if begun:
        yield Group(begun)


def _kind(entry: Entry) -> tuple[Any, ...]:
    return (
        *(entry.actor_type, entry.actor_id, entry.actor_label),
        *(entry.action, entry.resource_type, entry.result, entry.reason),
        *(entry.ip, entry.interface),
    )


def _task(entry: Entry) -> object:
    """What several changes may be parts of; None if nothing says that they belong together. Each
    look at the log is a request of its own, and they are parts of a visit."""
    if entry.action == VIEW:
        return None
    return entry.request_id or (entry.actor_type == "system" or None)


def _resource(entry: Entry) -> tuple[Any, ...]:
    return (entry.resource_type, entry.resource_id, entry.resource_label)

"""What becomes one line of a list, and under which day it stands."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from audit.models import Entry
from audit.review import grouping
from organizations import ulid

NOON = dt.datetime(2026, 11, 23, 12, tzinfo=dt.UTC)
ADA, THING = uuid.UUID(int=1), uuid.UUID(int=2)
REQUEST = uuid.UUID(int=3)


def entry(at: dt.datetime = NOON, **facts: Any) -> Entry:
    defaults: dict[str, Any] = {
        "actor_type": "user",
        "actor_id": ADA,
        "actor_label": "ada@example.org",
        "action": "update",
        "resource_type": "project",
        "resource_id": THING,
        "resource_label": "shop",
        "result": "success",
        "context": {},
        "interface": "web",
    }
    return Entry(id=ulid.floor(at), **(defaults | facts))


def others(number: int, **facts: Any) -> list[Entry]:
    """So many entries about things that differ."""
    return [
        entry(resource_id=uuid.UUID(int=100 + n), resource_label=f"shop/{n}", **facts)
        for n in range(number)
    ]


def sizes(entries: list[Entry]) -> list[int]:
    return [len(group.entries) for group in grouping.groups(entries)]


def test_neighbours_about_one_thing_are_one_line() -> None:
    assert sizes([entry(), entry(), entry(action="view"), entry()]) == [2, 1, 1]
    [group, *_] = grouping.groups([entry(), entry()])
    assert group.is_one_thing


def test_the_looks_of_a_visit_are_one_line_with_what_was_asked() -> None:
    looks = [
        entry(
            NOON - dt.timedelta(minutes=10 * minute),
            action="view",
            request_id=uuid.UUID(int=200 + minute),
            context={"filters": asked} if asked else {},
        )
        for minute, asked in enumerate(["type=user", "type=user", "", "actor=jane&type=project"])
    ]
    [group] = grouping.groups(looks)
    assert group.asked == ["type=user", "actor=jane&type=project"]
    assert sizes([*looks, entry(NOON - dt.timedelta(hours=2), action="view")]) == [4, 1]
    assert grouping.Group([entry(context={"filters": "x"})]).asked == []


def test_what_one_request_did_to_many_things_is_one_line_from_three_on() -> None:
    assert sizes(others(2, request_id=REQUEST)) == [1, 1]
    assert sizes(others(3, request_id=REQUEST)) == [3]
    assert sizes(others(3)) == [1, 1, 1]  # nothing says that they belong together
    assert sizes(others(3, actor_type="system", actor_id=None, actor_label="system")) == [3]
    [group] = grouping.groups(others(3, request_id=REQUEST))
    assert not group.is_one_thing


def test_another_actor_place_or_result_is_another_line() -> None:
    for different in (
        {"actor_id": THING},
        {"ip": "192.0.2.1"},
        {"interface": "api"},
        {"result": "denied"},
    ):
        assert sizes([entry(), entry(**different), entry()]) == [1, 1, 1]


@given(st.lists(st.sampled_from(["view", "update"]), max_size=12), st.booleans())
def test_nothing_is_left_out_or_moved(actions: list[str], is_one_request: bool) -> None:
    request = REQUEST if is_one_request else None
    entries = [entry(action=action, request_id=request) for action in actions]
    entries[::3] = others(len(entries[::3]), request_id=request)
    found = [e for group in grouping.groups(entries) for e in group.entries]
    assert list(map(id, found)) == list(map(id, entries))


def test_a_day_is_the_reader_s() -> None:
    late, early = NOON.replace(hour=23, minute=30), NOON.replace(hour=22, minute=30)
    [day] = grouping.days([entry(late), entry(early)], dt.UTC)
    assert (day.date, len(day.groups)) == (dt.date(2026, 11, 23), 1)
    berlin = grouping.days([entry(late), entry(early)], ZoneInfo("Europe/Berlin"))
    assert [day.date.day for day in berlin] == [24, 23]

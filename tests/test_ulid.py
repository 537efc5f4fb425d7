"""Ids as text: as the reference library writes them, one by one and by the thousand."""

from __future__ import annotations

import uuid

from hypothesis import given
from hypothesis import strategies as st
from ulid import ULID

from organizations import ulid


@given(st.uuids())
def test_an_id_is_written_as_the_reference_writes_it_and_read_back(key: uuid.UUID) -> None:
    assert ulid.to_text(key) == str(ULID.from_uuid(key))
    assert ulid.parse(ulid.to_text(key).lower()) == key


@given(st.lists(st.uuids(), max_size=20))
def test_many_ids_are_written_as_each_is(keys: list[uuid.UUID]) -> None:
    assert ulid.to_texts([key.hex for key in keys]) == [ulid.to_text(key) for key in keys]


def test_the_least_and_the_greatest_id() -> None:
    ends = [uuid.UUID(int=0), uuid.UUID(int=2**128 - 1)]
    assert [ulid.to_text(key) for key in ends] == ["0" * 26, "7" + "Z" * 25]
    assert ulid.to_texts([key.hex for key in ends]) == ["0" * 26, "7" + "Z" * 25]

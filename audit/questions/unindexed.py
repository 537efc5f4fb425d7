"""Conditions that no index answers: what an entry says inside, and the clock it happened by.

Each is true or false of every entry, never NULL, so that its negation is the rest. Reading by them
is bounded (`querysets.MOST_LOOKED_AT`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import Any

from django.db.models import BooleanField, Q
from django.db.models.expressions import RawSQL

from audit.questions.fields import DAYS, WEEKDAYS, FieldValue, Hours, Sought


def reasons(sought: Iterable[Sought]) -> Q:
    """Their reason has one of the texts in it; a blank is as good as the `_` of our codes."""
    text = "COALESCE(translate(context ->> 'reason', '_', ' '), '')"
    return _any(_found_in(text, _spaced(each)) for each in sought)


def _spaced(sought: Sought) -> Sought:
    return Sought(sought.text.replace("_", " "), sought.begins)


def user_agents(sought: Iterable[Sought]) -> Q:
    return _any(_found_in("user_agent", each) for each in sought)


def _found_in(column: str, sought: Sought) -> Q:
    call = (
        "starts_with(lower({0}), lower(%s))"
        if sought.begins
        else "strpos(lower({0}), lower(%s)) > 0"
    )
    return _condition(call.format(column), [sought.text])


AFTER, BEFORE = 1, 0


def values(sought: Iterable[FieldValue], side: int) -> Q:
    """One of the values was that of a field AFTER or BEFORE its change; of a list, it was added or
    removed."""
    return _any(_has_value(each, side) for each in sought)


def _has_value(sought: FieldValue, side: int) -> Q:
    of_field = "AND field = %s" if sought.field else ""
    named = [sought.field] if sought.field else []
    fits = "starts_with(lower({0}), lower(%s))" if sought.value.begins else "lower({0}) = lower(%s)"
    this, other = f"pair -> {side}", f"pair -> {1 - side}"
    return _condition(
        f"""changes <> '{{}}' AND EXISTS (
            SELECT FROM jsonb_each(CASE jsonb_typeof(changes) WHEN 'object' THEN changes END)
                AS change (field, pair)
            WHERE jsonb_typeof(pair) = 'array' AND jsonb_array_length(pair) = 2 {of_field}
            AND CASE jsonb_typeof({this}) WHEN 'array' THEN EXISTS (
                SELECT FROM jsonb_array_elements({this}) AS item
                WHERE {fits.format("COALESCE(item #>> '{}', 'null')")}
                AND NOT COALESCE({other} @> jsonb_build_array(item), false))
            ELSE {fits.format(f"COALESCE(({this}) #>> '{{}}', 'null')")} END)""",
        [*named, sought.value.text, sought.value.text],
    )


def of_fields(sought: Iterable[FieldValue]) -> list[str]:
    """The fields that entries with one of the values changed; none if that may be any."""
    fields = list(dict.fromkeys(each.field for each in sought))
    return [] if "" in fields else fields


def hours(spans: Iterable[Hours], zone: dt.tzinfo) -> Q:
    minute = f"(extract(epoch FROM ({_LOCAL})::time) / 60)"
    found = Q()
    for span in spans:
        one = _condition(
            f"({minute} >= %s {'AND' if span.since < span.until else 'OR'} {minute} < %s)",
            [str(zone), span.since, str(zone), span.until],
        )
        found |= one & days(WEEKDAYS, zone) if span.on_weekdays else one
    return found


def days(names: Sequence[str], zone: dt.tzinfo) -> Q:
    numbers = [DAYS.index(name) + 1 for name in names]
    return _condition(f"extract(isodow FROM {_LOCAL}) = ANY (%s)", [str(zone), numbers])


# When an entry was made by the clock of a time zone: its id begins with the milliseconds.
_LOCAL = "(audit_time(id) AT TIME ZONE %s)"


def _condition(sql: str, values: list[Any]) -> Q:
    return Q(RawSQL(sql, values, output_field=BooleanField()))  # noqa: S611


def _any(conditions: Iterable[Q]) -> Q:
    found = Q()
    for condition in conditions:
        found |= condition
    return found

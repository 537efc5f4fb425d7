"""What `changes` says about a row, in SQL: made from the policy for the triggers.

Values are as canonical JSON can hold them (RFC 8785): ids as ULIDs, instants in UTC, no floats.
`old` and `new` are templates of a reference to a column, such as `was.{}` or `r.{}`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.db.models import (
    BigIntegerField,
    BinaryField,
    BooleanField,
    CharField,
    DateTimeField,
    Field,
    IntegerField,
    JSONField,
    TextField,
    UUIDField,
)

Fields = Mapping[str, "Field[Any, Any]"]

NOTHING = "'{}'::jsonb"


def value(field: Field[Any, Any], reference: str) -> str:
    """What `jsonb_build_array` makes the column's JSON of, which `reference` names: NULL when it
    is, and else jsonb, or what has one form as JSON."""
    target = _target(field)
    if isinstance(target, BinaryField):
        raise TypeError(
            f"{field} is binary and cannot be recorded; remove it from the policy's list"
        )
    if isinstance(target, UUIDField):
        return f"audit_ulid({reference})"
    if isinstance(target, DateTimeField):
        utc = f"{reference} AT TIME ZONE 'UTC'"
        # to_char makes NULL of infinity, and the year 44 of 44 BC.
        return (
            f"CASE WHEN {reference} >= '0001-01-01Z' AND {reference} < 'infinity'"
            f""" THEN to_jsonb(to_char({utc}, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))"""
            f" ELSE to_jsonb({utc}) END"
        )
    element = target.base_field if isinstance(target, ArrayField) else target
    is_plain = isinstance(element, CharField | TextField | BooleanField | IntegerField)
    if is_plain and not isinstance(element, BigIntegerField):
        return reference
    return f"audit_recordable(to_jsonb({reference}))"


def inserted(recorded: Iterable[str], fields: Fields, new: str) -> str:
    """Each recorded column that has a value, from nothing to it."""
    return _whole(recorded, fields, new, "NULL, {}")


def deleted(recorded: Iterable[str], fields: Fields, old: str) -> str:
    """Each recorded column that has a value, from it to nothing."""
    return _whole(recorded, fields, old, "{}, NULL")


def updated(
    recorded: Iterable[str], others: Iterable[str], fields: Fields, old: str, new: str
) -> str:
    """Each recorded column that changed, before and after; of each other column that did, the
    name."""
    pairs = []
    for column in recorded:
        before, after = old.format(column), new.format(column)
        pair = f"{value(fields[column], before)}, {value(fields[column], after)}"
        pairs.append(
            f"CASE WHEN {before} IS DISTINCT FROM {after}"
            f" THEN jsonb_build_object('{column}', jsonb_build_array({pair})) ELSE {NOTHING} END"
        )
    for column in others:
        changed = f"{old.format(column)} IS DISTINCT FROM {new.format(column)}"
        pairs.append(f"""CASE WHEN {changed} THEN '{{"{column}": null}}' ELSE {NOTHING} END""")
    return " || ".join(pairs)


def texts(recorded: Iterable[str], fields: Fields, reference: str) -> list[str]:
    """References to those of the recorded columns that hold text. reference: a template of one."""
    return [
        reference.format(column)
        for column in recorded
        if isinstance(_target(fields[column]), CharField | TextField | ArrayField | JSONField)
    ]


def _target(field: Field[Any, Any]) -> Field[Any, Any]:
    found: Field[Any, Any] = field.target_field if field.is_relation else field  # type: ignore[attr-defined]
    return found


def _whole(recorded: Iterable[str], fields: Fields, record: str, pair: str) -> str:
    certain, possible = [], []
    for column in recorded:
        reference = record.format(column)
        each = f"'{column}', jsonb_build_array({pair.format(value(fields[column], reference))})"
        if fields[column].null:
            possible.append(
                f"CASE WHEN {reference} IS NULL THEN {NOTHING} ELSE jsonb_build_object({each}) END"
            )
        else:
            certain.append(each)
    return " || ".join([f"jsonb_build_object({', '.join(certain)})", *possible])

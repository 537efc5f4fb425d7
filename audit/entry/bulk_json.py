"""Entries by the thousand, as lines of canonical JSON or cells of a table, from rows of text.

A line is byte for byte `canonical_line(as_json(entry))` (audit/entry/as_json.py), at a tenth of its
cost: no model is made, the database casts, ids are written all at once, and what repeats from
entry to entry is written once and kept. A test compares the two.
"""

from __future__ import annotations

import datetime as dt
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from json.encoder import encode_basestring as _string
from typing import NamedTuple

from django.core.exceptions import EmptyResultSet
from django.db import connections
from django.db.models import QuerySet

from audit.entry import as_json
from audit.entry.recorded_json import Unreadable, parsed, parsed_changes, unreadable_texts
from audit.models import Entry, erased_in, reason_in, recorded, unrecorded
from organizations import ulid
from organizations.labels import isolated


class Row(NamedTuple):
    """An entry as the database writes it: texts, ids in hexadecimal digits. The columns of the log
    in order, for code that reads entries by the thousand."""

    id: str
    organization_id: str
    actor_type: str
    actor_id: str | None
    actor_label: str
    action: str
    resource_type: str
    resource_id: str | None
    resource_label: str
    result: str
    ip: str | None
    user_agent: str
    request_id: str | None
    interface: str
    changes: str
    context: str
    seq: str | None
    resource_seq: str | None
    actor_seq: str | None
    erased_parts: str | None = None


_AS_TEXT = {
    **{
        name: f"encode(uuid_send({name}), 'hex')"
        for name in ("id", "organization_id", "actor_id", "resource_id", "request_id")
    },
    "ip": "host(ip)",
    **{
        name: f"{name}::text"
        for name in ("changes", "context", "seq", "resource_seq", "actor_seq", "erased_parts")
    },
}
COLUMNS = {name: _AS_TEXT.get(name, name) for name in Row._fields}
"""Of a Row, in order, and what the database makes of each."""

CELLS = (
    "time",
    "id",
    "seq",
    "organization",
    "actor_type",
    "actor_id",
    "actor_label",
    "actor_name",
    "action",
    "resource_type",
    "resource_id",
    "resource_label",
    "result",
    "reason",
    "ip",
    "user_agent",
    "request_id",
    "interface",
    "changes",
    "changed_fields",
    "context",
    "erased",
)
"""Of a table, always these in this order."""

NOBODY: Mapping[str, str] = {}
_KEPT = 4096
_NO_ID = "0" * 32
_UNREADABLE = "unreadable"
"""In a cell, of what cannot be read; JSON has braces around it."""


def read(queryset: QuerySet[Entry]) -> list[Row]:
    """The entries of `queryset`, which is ordered by id, as rows."""
    try:
        sql, parameters = queryset.values_list(*COLUMNS).query.sql_with_params()
    except EmptyResultSet:
        return []
    texts = ", ".join(COLUMNS.values())
    with connections[queryset.db].cursor() as cursor:
        cursor.execute(f"SELECT {texts} FROM ({sql}) AS e ORDER BY id", parameters)
        return list(map(Row._make, cursor.fetchall()))


# -- Canonical JSON


def canonical(rows: Sequence[Row]) -> list[str]:
    """The canonical line of each row, without its end."""
    written = []
    for row, key, actor, resource, request in with_ids(rows):
        context, reason = _context(row.context)
        written.append(
            f"{{{_action(row.action)},"
            f'"actor":{{"id":{_quoted(actor) if row.actor_id else "null"},'
            f'"label":{_string(row.actor_label)},"type":{_string(row.actor_type)}}},'
            f'"actor_seq":{row.actor_seq or "null"},{changes_of(row.changes)},"context":{context},'
            f'{erased(row.erased_parts)}"id":"{key}",'
            f"{_origin(row.interface, row.ip, row.organization_id)},"
            f'"reason":{_string(reason)},'
            f'"request_id":{_quoted(request) if row.request_id else "null"},'
            f'"resource":{{"id":{_quoted(resource) if row.resource_id else "null"},'
            f'"label":{_string(row.resource_label)},"type":{_string(row.resource_type)}}},'
            f'"resource_seq":{row.resource_seq or "null"},"result":{_string(row.result)},'
            f'"seq":{row.seq or "null"},{_severity(row.action, row.result)},'
            f'"time":"{_time(row.id)}",{unreadable(row.changes, row.context)}'
            f'"user_agent":{_string(row.user_agent)}}}'
        )
    return written


def with_ids(rows: Sequence[Row]) -> Iterator[tuple[Row, str, str, str, str]]:
    """Each row, and the ULIDs of the entry, its actor, its resource and its request; of what is
    None, something that is not to be used."""
    return zip(
        rows,
        ulid.to_texts([row.id for row in rows]),
        ulid.to_texts([row.actor_id or _NO_ID for row in rows]),
        ulid.to_texts([row.resource_id or _NO_ID for row in rows]),
        ulid.to_texts([row.request_id or _NO_ID for row in rows]),
        strict=True,
    )


def _quoted(text: str) -> str:
    return f'"{text}"'


@lru_cache(_KEPT)
def _action(action: str) -> str:
    label = Entry(action=action).action_label
    return f'"action":{_string(action)},"action_label":{_string(label)}'


@lru_cache(_KEPT)
def _origin(interface: str, ip: str | None, organization_id: str) -> str:
    return (
        f'"interface":{_string(interface)},"ip":{_string(ip) if ip else "null"},'
        f'"organization":"{organization(organization_id)}"'
    )


@lru_cache(_KEPT)
def _severity(action: str, result: str) -> str:
    return f'"severity":"{Entry(action=action, result=result).severity.value}"'


@lru_cache(_KEPT)
def changes_of(text: str) -> str:
    fields, values = _parts_of_changes(text)
    return f'"changed_fields":{as_json.canonical_line(fields)},"changes":{values}'


def _parts_of_changes(text: str) -> tuple[list[str], str]:
    """Fields whose values are not recorded, and the values of the others."""
    changes = parsed_changes(text)
    return sorted(unrecorded(changes)), as_json.canonical_line(recorded(changes))


@lru_cache(_KEPT)
def _context(text: str) -> tuple[str, str]:
    """Its canonical form, and the reason in it."""
    context = parsed(text)
    return as_json.canonical_line(context), reason_in(context)


def unreadable(changes: str, context: str) -> str:
    """Which of its parts could not be read, as a member of an object; empty where all could."""
    found = unreadable_texts(changes, context)
    return f'"unreadable":{as_json.canonical_line(found)},' if found else ""


def erased(parts: str | None) -> str:
    """Which of its parts were erased, as a member of an object; empty where none was."""
    return f'"erased":{as_json.canonical_line(erased_in(int(parts)))},' if parts else ""


def _time(digits: str) -> str:
    """Of an id, as `as_json.rfc3339`."""
    seconds, milliseconds = divmod(int(digits[:12], 16), 1000)
    return f"{_second(seconds)}.{milliseconds:03}Z"


@lru_cache(_KEPT)
def _second(seconds: int) -> str:
    moment = dt.datetime(1970, 1, 1) + dt.timedelta(seconds=seconds)
    return moment.isoformat()


@lru_cache(_KEPT)
def organization(digits: str) -> str:
    return ulid.to_text(uuid.UUID(digits))


# -- Cells of a table


def cells(rows: Sequence[Row], names: Mapping[str, str] = NOBODY) -> list[tuple[str | None, ...]]:
    """The CELLS of each row. names: what people are called, by the ids that a Row has."""
    table: list[tuple[str | None, ...]] = []
    for row, key, actor, resource, request in with_ids(rows):
        context, reason = _context_cells(row.context)
        table.append(
            (
                _time(row.id),
                key,
                row.seq,
                organization(row.organization_id),
                _harmless(row.actor_type),
                actor if row.actor_id else None,
                _harmless(row.actor_label),
                _harmless(names.get(row.actor_id or "", "")),
                _harmless(row.action),
                _harmless(row.resource_type),
                resource if row.resource_id else None,
                _harmless(row.resource_label),
                _harmless(row.result),
                reason,
                row.ip,
                _harmless(row.user_agent),
                request if row.request_id else None,
                _harmless(row.interface),
                *_changes_cells(row.changes),
                context,
                " ".join(erased_in(int(row.erased_parts))) if row.erased_parts else "",
            )
        )
    return table


@lru_cache(_KEPT)
def _changes_cells(text: str) -> tuple[str, str]:
    if isinstance(parsed_changes(text), Unreadable):
        return _UNREADABLE, ""
    fields, values = _parts_of_changes(text)
    return _as_escapes(values) if values != "{}" else "", _harmless(" ".join(fields))


@lru_cache(_KEPT)
def _context_cells(text: str) -> tuple[str, str]:
    if isinstance(parsed(text), Unreadable):
        return _UNREADABLE, ""
    context, reason = _context(text)
    return _as_escapes(context) if context != "{}" else "", _harmless(reason)


_DRIVING = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
"""Control characters but for tabs and ends of lines: ESC begins what a terminal obeys."""
_REORDERING = re.compile("[\u202a-\u202e\u2066-\u2069]")
_FORMULA = re.compile(r"[\s'\"]*[=+\-@＝＋－＠]|[ '\"]*[\t\r\n]")
"""What some spreadsheet may take for a formula: full-width signs too, and after quotes or white
space that it drops (OWASP, CSV injection). It matches what it matches with an apostrophe before it
as well, so dropping that one gives back the text: see docs/review.md."""


def _as_escapes(text: str) -> str:
    """JSON in which what changes the direction is written as an escape."""
    if text.isascii():
        return text
    return _REORDERING.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _harmless(text: str) -> str:
    """A cell that no spreadsheet takes for a formula, that drives no terminal, and that keeps its
    direction to itself."""
    if not text.isprintable():
        text = _DRIVING.sub("", text)
    if not text.isascii():
        text = isolated(text)
    if text[:1].isalnum() or not _FORMULA.match(text):
        return text
    return f"'{text}"

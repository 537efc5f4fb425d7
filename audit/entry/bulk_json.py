"""Entries by the thousand, as lines of canonical JSON or cells of a table, from rows of text.

A line is byte for byte `canonical_line(as_json(entry))` (audit/entry/as_json.py), at a tenth of its
cost: no model is made, the database casts, ids are written all at once, and what repeats from
entry to entry is written once and kept. A test holds the two to each other.
"""

from __future__ import annotations

import datetime as dt
import json
import re
import uuid
from collections.abc import Iterator, Sequence
from functools import lru_cache
from json.encoder import encode_basestring as _string
from typing import Any

from django.db import connections
from django.db.models import QuerySet

from audit.entry import as_json
from audit.models import Entry, reason_in, recorded, unrecorded
from organizations import ulid
from organizations.labels import isolated

Row = tuple[Any, ...]
"""Texts and None, as COLUMNS."""

COLUMNS = {
    "id": "encode(uuid_send(id), 'hex')",
    "organization_id": "encode(uuid_send(organization_id), 'hex')",
    "actor_type": "actor_type",
    "actor_id": "encode(uuid_send(actor_id), 'hex')",
    "actor_label": "actor_label",
    "action": "action",
    "resource_type": "resource_type",
    "resource_id": "encode(uuid_send(resource_id), 'hex')",
    "resource_label": "resource_label",
    "result": "result",
    "ip": "host(ip)",
    "user_agent": "user_agent",
    "request_id": "encode(uuid_send(request_id), 'hex')",
    "interface": "interface",
    "changes": "changes::text",
    "context": "context::text",
    "seq": "seq::text",
    "resource_seq": "resource_seq::text",
    "actor_seq": "actor_seq::text",
}
"""Of a Row, in order, and what the database makes of each."""

CELLS = (
    "time",
    "id",
    "seq",
    "organization",
    "actor_type",
    "actor_id",
    "actor_label",
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
)
"""Of a table, always these in this order."""

_KEPT = 4096
_NO_ID = "0" * 32


def read(queryset: QuerySet[Entry]) -> list[Row]:
    """The entries of `queryset`, which is ordered by id, as rows."""
    sql, parameters = queryset.values_list(*COLUMNS).query.sql_with_params()
    texts = ", ".join(COLUMNS.values())
    with connections[queryset.db].cursor() as cursor:
        cursor.execute(f"SELECT {texts} FROM ({sql}) AS e ORDER BY id", parameters)
        rows: list[Row] = cursor.fetchall()
    return rows


# -- Canonical JSON


def canonical(rows: Sequence[Row]) -> list[str]:
    """The canonical line of each row, without its end."""
    written = []
    for row, key, actor, resource, request in with_ids(rows):
        (
            digits,
            organization_id,
            actor_type,
            actor_id,
            actor_label,
            action,
            resource_type,
            resource_id,
            resource_label,
            result,
            ip,
            user_agent,
            request_id,
            interface,
            changes,
            context,
            seq,
            resource_seq,
            actor_seq,
        ) = row
        context_json, reason = _context(context)
        written.append(
            f"{{{_action(action)},"
            f'"actor":{{"id":{_quoted(actor) if actor_id else "null"},'
            f'"label":{_string(actor_label)},"type":{_string(actor_type)}}},'
            f'"actor_seq":{actor_seq or "null"},{changes_of(changes)},"context":{context_json},'
            f'"id":"{key}",{_origin(interface, ip, organization_id)},"reason":{_string(reason)},'
            f'"request_id":{_quoted(request) if request_id else "null"},'
            f'"resource":{{"id":{_quoted(resource) if resource_id else "null"},'
            f'"label":{_string(resource_label)},"type":{_string(resource_type)}}},'
            f'"resource_seq":{resource_seq or "null"},"result":{_string(result)},'
            f'"seq":{seq or "null"},{_severity(action, result)},"time":"{_time(digits)}",'
            f'"user_agent":{_string(user_agent)}}}'
        )
    return written


def with_ids(rows: Sequence[Row]) -> Iterator[tuple[Row, str, str, str, str]]:
    """Each row, and the ULIDs of the entry, its actor, its resource and its request; of what is
    None, something that is not to be used."""
    ids = (ulid.to_texts([row[n] or _NO_ID for row in rows]) for n in (0, 3, 7, 12))
    return zip(rows, *ids, strict=True)


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
    changes = json.loads(text)
    return sorted(unrecorded(changes)), as_json.canonical_line(recorded(changes))


@lru_cache(_KEPT)
def _context(text: str) -> tuple[str, str]:
    """Its canonical form, and the reason in it."""
    context = json.loads(text)
    return as_json.canonical_line(context), reason_in(context)


def _time(digits: str) -> str:
    """Of an id, as `presentation.rfc3339`."""
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


def cells(rows: Sequence[Row]) -> list[tuple[str | None, ...]]:
    """The CELLS of each row."""
    table: list[tuple[str | None, ...]] = []
    for row, key, actor, resource, request in with_ids(rows):
        context, reason = _context_cells(row[15])
        table.append(
            (
                _time(row[0]),
                key,
                row[16],
                organization(row[1]),
                _harmless(row[2]),
                actor if row[3] else None,
                _harmless(row[4]),
                _harmless(row[5]),
                _harmless(row[6]),
                resource if row[7] else None,
                _harmless(row[8]),
                _harmless(row[9]),
                reason,
                row[10],
                _harmless(row[11]),
                request if row[12] else None,
                _harmless(row[13]),
                *_changes_cells(row[14]),
                context,
            )
        )
    return table


@lru_cache(_KEPT)
def _changes_cells(text: str) -> tuple[str, str]:
    fields, values = _parts_of_changes(text)
    return _as_escapes(values) if values != "{}" else "", _harmless(" ".join(fields))


@lru_cache(_KEPT)
def _context_cells(text: str) -> tuple[str, str]:
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

"""The dictionary of names: from what people call things to the ids that the log is asked by.

It holds every name that a resource or an actor ever had, deleted ones too, and those of entries
that are not sealed yet. Every look-up is bounded.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connections

from audit import replica
from audit.policy import ActorType
from organizations import ulid

MOST = 500
"""Ids that one name may stand for; more would make a question that no index answers."""

WITHOUT_ID = frozenset({ActorType.SYSTEM, ActorType.ANONYMOUS, ActorType.DATABASE})
"""Actors that are no row; they are asked for by their type."""


class TooManyNamesError(Exception):
    """A name stands for more than MOST ids."""


@dataclass(frozen=True)
class Found:
    """Everything that a text is or was the name of."""

    actors: frozenset[uuid.UUID] = frozenset()
    actor_types: frozenset[str] = frozenset()
    resources: frozenset[uuid.UUID] = frozenset()

    def __or__(self, other: Found) -> Found:
        return Found(
            self.actors | other.actors,
            self.actor_types | other.actor_types,
            self.resources | other.resources,
        )

    def __bool__(self) -> bool:
        return bool(self.actors or self.actor_types or self.resources)


def actors(text: str, organizations: Collection[uuid.UUID] | None) -> Found:
    """The actors called `text`, in any case; if none is, those with `text` in their name.

    A ULID stands for itself, `system`, `anonymous` and `database` for what has no id.
    Raises TooManyNamesError.
    """
    if text.lower() in WITHOUT_ID:
        return Found(actor_types=frozenset({text.lower()}))
    key = ulid.parse_or_none(text)
    if key is not None:
        return Found(actors=frozenset({key}))
    rows = _look_up(
        f"id, bool_or({_LOWER} = lower(%s)) AS is_exact",
        [text],
        organizations,
        f"kind = 'actor' AND {_CONTAINS}",
        [text],
        "GROUP BY id ORDER BY is_exact DESC",
        text,
    )
    exact = frozenset(key for key, is_exact in rows if is_exact)
    return Found(actors=exact or frozenset(key for key, _ in rows))


def resources(
    text: str, organizations: Collection[uuid.UUID] | None, types: Sequence[str] = ()
) -> Found:
    """The resource with this ULID; else those called `text`, and everything below that path.

    types: look among these only. Raises TooManyNamesError.
    """
    parameters: list[Any]
    key = ulid.parse_or_none(text)
    if key is not None:
        condition, parameters = "id = %s", [key]
    else:
        path = text.strip("/")
        # Slugs are lower case, e-mail addresses and names of keys are not.
        paths = list(dict.fromkeys((path, path.lower())))
        # '0' follows '/': the range is everything that starts with the path and a slash.
        condition = " OR ".join(
            ["label = ANY(%s)", *("(label >= %s AND label < %s)" for _ in paths)]
        )
        parameters = [paths, *(end for path in paths for end in (f"{path}/", f"{path}0"))]
    rows = _look_up(
        "DISTINCT id",
        [],
        organizations,
        f"kind = 'resource' AND ({condition}){_AMONG if types else ''}",
        [*parameters, *([list(types)] if types else [])],
        "",
        text,
    )
    return Found(resources=frozenset(key for (key,) in rows))


def matching(
    text: str, organizations: Collection[uuid.UUID] | None, types: Sequence[str] = ()
) -> Found:
    """The actors, and the resources (of `types`), with every word of `text` in one of their names.

    Raises TooManyNamesError.
    """
    words = text.split()
    contains = " AND ".join(_CONTAINS for _ in words)
    kinds = f"(kind = 'actor' OR kind = 'resource'{_AMONG if types else ''})"
    rows = _look_up(
        "DISTINCT kind, id",
        [],
        organizations,
        f"{kinds} AND {contains}",
        [*([list(types)] if types else []), *words],
        "",
        text,
    )
    return Found(
        actors=frozenset(key for kind, key in rows if kind == "actor"),
        resources=frozenset(key for kind, key in rows if kind == "resource"),
    )


_AMONG = " AND type = ANY(%s)"
# Labels are kept in byte order, whose rules lower ASCII alone.
_LOWER = 'lower(label COLLATE "default")'
_CONTAINS = f"strpos({_LOWER}, lower(%s)) > 0"


def _look_up(
    columns: str,
    column_parameters: list[Any],
    organizations: Collection[uuid.UUID] | None,
    condition: str,
    parameters: list[Any],
    tail: str,
    text: str,
) -> list[tuple[Any, ...]]:
    of_organization = "" if organizations is None else "organization_id = ANY(%s) AND "
    organization_parameters = [] if organizations is None else [list(organizations)]
    with connections[replica.database()].cursor() as cursor:
        cursor.execute(
            f"SELECT {columns} FROM audit_name WHERE {of_organization}{condition} {tail}"
            f" LIMIT {MOST + 1}",
            [*column_parameters, *organization_parameters, *parameters],
        )
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    if len(rows) > MOST:
        raise TooManyNamesError(f"More than {MOST} names fit {text!r}.")
    return rows

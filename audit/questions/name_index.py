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

from audit.ledger import replica
from audit.policy import ActorType
from audit.questions.fields import beginning_of
from organizations import ulid

MOST = 500
"""Ids that one name may stand for; more would make a question that no index answers."""

WITHOUT_ID = frozenset({ActorType.SYSTEM, ActorType.ANONYMOUS, ActorType.DATABASE})
"""Actors that are no row; they are asked for by their type."""


class TooManyNamesError(Exception):
    """A name stands for more than MOST ids."""


@dataclass(frozen=True)
class Found:
    """Everything that a text is or was the name of. is_part: nothing is called so, and this is
    what has the text as a part of its path."""

    actors: frozenset[uuid.UUID] = frozenset()
    actor_types: frozenset[str] = frozenset()
    resources: frozenset[uuid.UUID] = frozenset()
    is_part: bool = False

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

    `ja*` means those whose name begins so. A ULID stands for itself, `system`, `anonymous` and
    `database` for what has no id. Raises TooManyNamesError.
    """
    if text.lower() in WITHOUT_ID:
        return Found(actor_types=frozenset({text.lower()}))
    key = ulid.parse_or_none(text)
    if key is not None:
        return Found(actors=frozenset({key}))
    beginning = beginning_of(text)
    if beginning is not None:
        rows = _look_up(
            "DISTINCT id",
            [],
            organizations,
            f"kind = 'actor' AND starts_with({_LOWER}, lower(%s))",
            [beginning],
            "",
            text,
        )
        return Found(actors=frozenset(key for (key,) in rows))
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
    """The resource with this ULID; else those called `text`, and everything below that path; else
    those with `text` among the parts of their path; else those of which a part begins with it.

    `my-app/prod*` means every path that begins so. types: look among these only.
    Raises TooManyNamesError.
    """
    key = ulid.parse_or_none(text)
    beginning = beginning_of(text)
    path = (text if beginning is None else beginning).strip("/")
    # Slugs are lower case, e-mail addresses and names of keys are not.
    paths = list(dict.fromkeys((path, path.lower())))
    if key is not None:
        found = _resources("id = %s", [key], organizations, types, text)
    elif beginning is not None:
        found = _resources(
            " OR ".join("(label >= %s AND label < %s)" for _ in paths),
            [end for start in paths for end in (start, start + _LAST)],
            organizations,
            types,
            text,
        )
    else:
        # '0' follows '/': the range is everything that starts with the path and a slash; and '$'
        # follows '#', by which versions of its secret are numbered.
        ends = [
            (f"{start}{first}", f"{start}{after}") for start in paths for first, after in _BELOW
        ]
        found = _resources(
            " OR ".join(["label = ANY(%s)", *("(label >= %s AND label < %s)" for _ in ends)]),
            [paths, *(end for both in ends for end in both)],
            organizations,
            types,
            text,
        )
    if found or key is not None or beginning is not None or not path:
        return Found(resources=frozenset(found))
    return Found(frozenset(), frozenset(), _with_part(path, organizations, types, text), True)


def _resources(
    condition: str,
    parameters: list[Any],
    organizations: Collection[uuid.UUID] | None,
    types: Sequence[str],
    text: str,
) -> list[uuid.UUID]:
    rows = _look_up(
        "DISTINCT id",
        [],
        organizations,
        f"kind = 'resource' AND ({condition}){_AMONG if types else ''}",
        [*parameters, *([list(types)] if types else [])],
        "",
        text,
    )
    return [key for (key,) in rows]


def _with_part(
    path: str, organizations: Collection[uuid.UUID] | None, types: Sequence[str], text: str
) -> frozenset[uuid.UUID]:
    """Those with `path` among the parts of theirs; if there are none, those of which a part begins
    so. Parts lie between slashes; so do those before and after the @ of an e-mail address."""
    rows = _look_up(
        f"id, bool_or(strpos({_PARTS}, '/' || lower(%s) || '/') > 0) AS is_whole",
        [path],
        organizations,
        f"kind = 'resource' AND {_BEGINS}{_AMONG if types else ''}",
        [path, *([list(types)] if types else [])],
        "GROUP BY id ORDER BY is_whole DESC",
        text,
    )
    whole = frozenset(key for key, is_whole in rows if is_whole)
    return whole or frozenset(key for key, _ in rows)


def below(
    path: str, organizations: Collection[uuid.UUID], most: int
) -> list[tuple[uuid.UUID, str, str]]:
    """The first `most` things that are or were below `path`, the secret kept there first: id, type
    and path of each."""
    return _listed(
        "label >= %s AND label < %s AND (label = %s AND type = 'secret'"
        " OR label >= %s AND type <> 'secret_version')",
        # In the order of bytes, "0" comes next after "/".
        [path, f"{path}0", path, f"{path}/"],
        organizations,
        most,
    )


def namesakes(
    thing: uuid.UUID, type: str, label: str, organizations: Collection[uuid.UUID], most: int
) -> list[tuple[uuid.UUID, str, str]]:
    """The first `most` other things of `type` that are or were called `label`: id, type, label."""
    return _listed(
        "label = %s AND type = %s AND id <> %s", [label, type, thing], organizations, most
    )


def _listed(
    which: str, values: Sequence[str | uuid.UUID], organizations: Collection[uuid.UUID], most: int
) -> list[tuple[uuid.UUID, str, str]]:
    with connections[replica.database()].cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT id, type, label FROM audit_name WHERE organization_id = ANY(%s)"
            f" AND kind = 'resource' AND ({which}) ORDER BY label, id LIMIT %s",
            [list(organizations), *values, most],
        )
        rows: list[tuple[uuid.UUID, str, str]] = cursor.fetchall()
    return rows


def matching(
    text: str, organizations: Collection[uuid.UUID] | None, types: Sequence[str] = ()
) -> Found:
    """The actors, and the resources (of `types`), with every word of `text` in one of their names;
    of `api*`, with a part that begins so.

    Raises TooManyNamesError.
    """
    words = text.split()
    beginnings = [beginning_of(word) for word in words]
    contains = " AND ".join(_CONTAINS if each is None else _BEGINS for each in beginnings)
    sought = [word if each is None else each for word, each in zip(words, beginnings, strict=True)]
    kinds = f"(kind = 'actor' OR kind = 'resource'{_AMONG if types else ''})"
    rows = _look_up(
        "DISTINCT kind, id",
        [],
        organizations,
        f"{kinds} AND {contains}",
        [*([list(types)] if types else []), *sought],
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
_BELOW = (("/", "0"), ("#", "$"))
_PARTS = f"'/' || translate({_LOWER}, '@#', '//') || '/'"
_BEGINS = f"strpos({_PARTS}, '/' || lower(%s)) > 0"
_LAST = "\U0010ffff"
"""After every name that begins with what stands before it."""


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
        raise TooManyNamesError(f"More than {MOST} names match {text!r}.")
    return rows

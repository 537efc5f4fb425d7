"""The dictionary of names: from what people call things to the ids that the log is asked by.

It holds every name that a resource or an actor ever had, deleted ones too, and the place of each
thing below others, those of entries that are not sealed yet included. An entry keeps the path that
a thing had then. So a path is followed by ids, from name to name: `new/web` leads to the target
`web` of the project that is or was called `new`, whatever it was called when its entries were made,
and from there to all that is or was below it. Capitals do not count, nor does how an accent is
encoded. Every look-up is bounded.

People are also found by the names they have today, if this log knows them, and by those that they
had when it did.
"""

from __future__ import annotations

import datetime as dt
import re
import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.db import connections

from audit.ledger import replica
from audit.policy import ActorType
from audit.questions.fields import beginning_of
from organizations import ulid

MOST = 500
"""Ids that one name may stand for; more would make a question that no index answers."""

MOST_NAMED = 10
"""Things of one name whose present names are looked up."""

MOST_PARTS = 12
"""Parts of a path that is followed; a name of more is only looked up whole."""

WITHOUT_ID = frozenset({ActorType.SYSTEM, ActorType.ANONYMOUS, ActorType.DATABASE})
"""Actors that are no row; they are asked for by their type."""

_WITH_ID = sorted(set(ActorType) - WITHOUT_ID)
"""Types of resource that act as well, by the same id."""


class TooManyNamesError(Exception):
    """A name stands for more than MOST ids."""


@dataclass(frozen=True)
class Named:
    """A thing or an actor that was asked for as `asked`, and what it is called now.

    is_person: the person has or had that name, and `now` is the address; called: the name that the
        person has today.
    """

    asked: str
    id: uuid.UUID
    type: str
    now: str
    is_renamed: bool
    is_person: bool = False
    called: str = ""

    @property
    def since(self) -> dt.datetime | None:
        """When it was made, as its id says."""
        return ulid.time_of(self.id) if self.id.version == 7 else None


@dataclass(frozen=True)
class Found:
    """Everything that a text is or was the name of.

    is_part: nothing is called so, and this is what has the text as a part of its path.
    named: what the text is the name of itself, if it is called otherwise now or is one of several;
        the rest is below these.
    """

    actors: frozenset[uuid.UUID] = frozenset()
    actor_types: frozenset[str] = frozenset()
    resources: frozenset[uuid.UUID] = frozenset()
    is_part: bool = False
    named: tuple[Named, ...] = ()

    def __or__(self, other: Found) -> Found:
        return Found(
            self.actors | other.actors,
            self.actor_types | other.actor_types,
            self.resources | other.resources,
            named=self.named + other.named,
        )

    def __bool__(self) -> bool:
        return bool(self.actors or self.actor_types or self.resources)


def actors(text: str, organizations: Collection[uuid.UUID] | None) -> Found:
    """The actors that are or were called `text`, and the people of this name; if there are none,
    those with `text` in their name.

    `ja*` means those whose name begins so. A ULID stands for itself, `system`, `anonymous` and
    `database` for what has no id. Raises TooManyNamesError.
    """
    if text.lower() in WITHOUT_ID:
        return Found(actor_types=frozenset({text.lower()}))
    key = ulid.parse_or_none(text)
    if key is not None:
        return Found(actors=frozenset({key}))
    within = _Within(organizations)
    beginning = beginning_of(text)
    rows: list[tuple[Any, ...]] = []
    people: list[_Person] = []
    for is_called in (_BEGINS_SO,) if beginning is not None else (_IS_WHOLE, _HAS_IT):
        values = {"text": text if beginning is None else beginning, "acting": _WITH_ID}
        rows = within.ask(
            f"SELECT id, min(type) FROM audit_name WHERE {within.condition} AND {_ACTS}"
            f" AND {is_called} GROUP BY id",
            values,
            text,
        )
        people = within.people(is_called, values, text)
        if rows or people:
            break
    is_whole = is_called is _IS_WHOLE
    named = within.named(text, rows, is_whole=is_whole, is_of_one_type=False)
    return Found(
        actors=frozenset([*(key for key, _ in rows), *(person.id for person in people)]),
        named=named + (_of_people(text, people) if is_whole else ()),
    )


def resources(
    text: str, organizations: Collection[uuid.UUID] | None, types: Sequence[str] = ()
) -> Found:
    """The resource with this ULID, and with a slash after it everything below; else those that
    are or were called `text`, and everything that is or was below them; else those with `text`
    among the parts of their path; else those of which a part begins with it; each with everything
    below.

    `my-app/prod*` means every path that begins so. types: only these are meant.
    Raises TooManyNamesError.
    """
    within = _Within(organizations)
    key = ulid.parse_or_none(text)
    if key is not None:
        rows = within.ask(
            f"SELECT DISTINCT id FROM audit_name WHERE {within.condition} AND kind = 'resource'"
            f" AND id = %(key)s AND {_among(types)}",
            {"key": key, "types": list(types)},
            text,
        )
        return Found(resources=frozenset(key for (key,) in rows))
    key = ulid.parse_or_none(text.removesuffix("/"))
    if key is not None:
        rows = within.ask(
            _BELOW_IDS.format(within=within.condition, among=_among(types)),
            {"keys": [key], "types": list(types)},
            text,
        )
        return Found(resources=frozenset(key for (key,) in rows))
    beginning = beginning_of(text)
    path = (text if beginning is None else beginning).strip("/")
    for look_up in (_BEGINNING,) if beginning is not None else (_WHOLE, _PART, _PART_BEGINNING):
        found = within.below(look_up, path, types, text) if path else Found()
        if look_up is _WHOLE:
            found |= within.below_people(text, types)
        if found:
            return found
    return Found()


def matching(
    text: str, organizations: Collection[uuid.UUID] | None, types: Sequence[str] = ()
) -> Found:
    """The actors, and the resources (of `types`), with every word of `text` among their names and
    those of what they lie below; of `api*`, with a part that begins so.

    Raises TooManyNamesError.
    """
    within = _Within(organizations)
    words = text.split()
    beginnings = [beginning_of(word) for word in words]
    sought = [word if each is None else each for word, each in zip(words, beginnings, strict=True)]
    rows = within.ask(
        _MATCHING.format(
            within=within.condition,
            among=_among(types),
            # So that of all names only those are compared with each word that have one of them.
            has_a_piece=" OR ".join(
                f'strpos(folded, audit_folded(%(piece{n})s) COLLATE "C") > 0'
                for n in range(len(sought))
            )
            or "false",
        ),
        {
            **{f"piece{n}": _piece(word) for n, word in enumerate(sought)},
            "words": sought,
            "begins": [each is not None for each in beginnings],
            "types": list(types),
            "acting": _WITH_ID,
        },
        text,
    )
    return Found(
        actors=frozenset(key for kind, key in rows if kind == "actor"),
        resources=frozenset(key for kind, key in rows if kind == "resource"),
    )


def with_ids(keys: Collection[uuid.UUID], organizations: Collection[uuid.UUID] | None) -> Found:
    """Those of `keys` that are ids of actors and of resources."""
    within = _Within(organizations)
    rows = within.ask(
        f"SELECT DISTINCT kind, id FROM audit_name WHERE {within.condition}"
        " AND id = ANY(%(keys)s::uuid[])",
        {"keys": list(keys)},
    )
    return Found(
        actors=frozenset(key for kind, key in rows if kind == "actor"),
        resources=frozenset(key for kind, key in rows if kind == "resource"),
    )


def present_names(
    things: Collection[uuid.UUID], organizations: Collection[uuid.UUID] | None
) -> dict[uuid.UUID, str]:
    """What each of these things is called now, or was last; without those of which only entries
    know that say no name."""
    within = _Within(organizations)
    return {key: name for key, name, _, _ in within.present(things, "", is_whole=True)}


def projects_of(
    things: Collection[uuid.UUID], organizations: Collection[uuid.UUID] | None
) -> dict[uuid.UUID, uuid.UUID]:
    """The project that each of these things is or lies below, of those that have one."""
    within = _Within(organizations)
    rows = within.ask(_PROJECTS.format(within=within.condition), {"things": list(things)})
    return dict(rows)


def below(
    thing: uuid.UUID, organizations: Collection[uuid.UUID], most: int
) -> list[tuple[uuid.UUID, str, str]]:
    """The first `most` things that are or were below `thing`, the secret kept there first: id, type
    and present path of each. Versions of secrets are left to the secret's own history."""
    within = _Within(organizations)
    rows = within.ask(
        _LISTED_BELOW.format(within=within.condition),
        {"thing": thing, "most": most},
        None,
    )
    return _by_present_name(rows, organizations)


def namesakes(
    thing: uuid.UUID, type: str, organizations: Collection[uuid.UUID], most: int
) -> list[tuple[uuid.UUID, str, str]]:
    """The first `most` other things of `type` that are or were called as `thing` is or was: id,
    type, present name."""
    within = _Within(organizations)
    rows = within.ask(
        f"SELECT DISTINCT id, type FROM audit_name WHERE {within.condition} AND kind = 'resource'"
        " AND type = %(type)s AND id <> %(thing)s AND folded = ANY (ARRAY(SELECT folded"
        f" FROM audit_name WHERE {within.condition} AND kind = 'resource' AND id = %(thing)s))"
        " ORDER BY id LIMIT %(most)s",
        {"thing": thing, "type": type, "most": most},
        None,
    )
    return _by_present_name(rows, organizations)


def _by_present_name(
    rows: list[tuple[Any, ...]], organizations: Collection[uuid.UUID]
) -> list[tuple[uuid.UUID, str, str]]:
    names = present_names([key for key, _ in rows], organizations) if rows else {}
    listed = [(key, type_name, names.get(key, "")) for key, type_name in rows]
    return sorted(listed, key=lambda thing: (thing[2], thing[1] != "secret", thing[0]))


# -- Asking


@dataclass(frozen=True)
class _LookUp:
    """starts: SQL of `start`, the things that a path leads to; `is_named` if it is their own name.
    is_part: as of Found."""

    starts: str
    is_part: bool = False


class _Within:
    """The dictionaries of some organizations, or of all that may be read."""

    def __init__(self, organizations: Collection[uuid.UUID] | None) -> None:
        self.organizations = organizations
        self.condition = (
            "true" if organizations is None else "organization_id = ANY(%(organizations)s::uuid[])"
        )

    def ask(
        self, sql: str, values: dict[str, Any], text: str | None = None
    ) -> list[tuple[Any, ...]]:
        """text: whose names they are, of which there may be at most MOST."""
        limit = f" LIMIT {MOST + 1}" if text is not None else ""
        organizations = self.organizations
        if organizations is not None:
            values = values | {"organizations": list(organizations)}
        with connections[replica.database()].cursor() as cursor:
            cursor.execute(f"{sql}{limit}", values)
            rows: list[tuple[Any, ...]] = cursor.fetchall()
        if text is not None and len(rows) > MOST:
            raise TooManyNamesError(f"More than {MOST} names match {text!r}.")
        return rows

    def people(self, is_called: str, values: dict[str, Any], text: str) -> list[_Person]:
        """The people that this log knows who have or had a name."""
        sql = _PEOPLE.format(within=self.condition, is_called=is_called)
        return [_Person(*row) for row in self.ask(sql, values, text)]

    def below_people(self, text: str, types: Sequence[str]) -> Found:
        """The people who are called `text`, with their memberships."""
        people = self.people(_IS_WHOLE, {"text": text}, text)
        if not people:
            return Found()
        rows = self.ask(
            _BELOW_IDS.format(within=self.condition, among=_among(types)),
            {"keys": [person.id for person in people], "types": list(types)},
            text,
        )
        return Found(resources=frozenset(key for (key,) in rows), named=_of_people(text, people))

    def below(self, look_up: _LookUp, path: str, types: Sequence[str], text: str) -> Found:
        """What a look-up finds of `path`, and everything below."""
        steps = _steps(path)
        rows = self.ask(
            _BELOW.format(
                within=self.condition,
                starts=look_up.starts.format(within=self.condition),
                among=_among(types),
            ),
            {
                "path": path,
                "piece": _piece(path),
                "end": len(path),
                "first": [first for first, _, _ in steps],
                "past": [past for _, past, _ in steps],
                "texts": [part for _, _, part in steps],
                "types": list(types),
            },
            text,
        )
        starts = [(key, type_name) for key, type_name, is_named, _ in rows if is_named]
        meant = frozenset(key for key, _, _, is_meant in rows if is_meant)
        if not meant:
            return Found()
        is_whole = not look_up.is_part
        named = self.named(text, starts, is_whole=is_whole, is_of_one_type=True)
        return Found(resources=meant, is_part=look_up.is_part, named=named)

    def named(
        self, text: str, rows: Sequence[tuple[Any, ...]], *, is_whole: bool, is_of_one_type: bool
    ) -> tuple[Named, ...]:
        """What was asked for as `text`, as far as there is something to say of it: what is called
        otherwise now, and what shares the name.

        is_whole: it is the whole name, not a part. is_of_one_type: things of different types are
        not distinguished, as their types do that.
        """
        if not rows or len(rows) > MOST_NAMED:
            return ()
        types: dict[uuid.UUID, str] = dict(rows)
        sought = text.rstrip("*").strip("/")
        # The secret of a level is called as its level, a member as the person: those will do.
        own = [row for row in self.present(types, sought, is_whole=is_whole) if row[3] not in types]
        found = []
        for key, now, is_called_so, _ in own:
            alike = [row for row in own if not is_of_one_type or types[row[0]] == types[key]]
            if not is_called_so or (is_whole and len(alike) > 1):
                found.append(Named(text, key, types[key], now, not is_called_so))
        return tuple(found)

    def present(
        self, things: Collection[uuid.UUID], text: str, *, is_whole: bool
    ) -> list[tuple[Any, ...]]:
        """Of each of `things` that is known: its id, its present name, whether `text` is that (or a
        part of it), and the id of what it lies below."""
        return self.ask(
            _PRESENT.format(within=self.condition),
            {"things": list(things), "text": text, "is_whole": is_whole},
        )


def _piece(text: str) -> str:
    """The longest part of a text: what has all of them has it."""
    return max(re.split("[/#@]", text), key=len)


class _Person(NamedTuple):
    """name: today's; empty of who has none or is gone."""

    id: uuid.UUID
    address: str
    name: str
    is_former: bool


def _of_people(text: str, people: Sequence[_Person]) -> tuple[Named, ...]:
    return tuple(
        Named(
            text,
            person.id,
            ActorType.USER,
            person.address,
            is_renamed=person.is_former,
            is_person=True,
            called=person.name,
        )
        for person in people[:MOST_NAMED]
    )


def _among(types: Sequence[str]) -> str:
    return "type = ANY(%(types)s)" if types else "true"


def _steps(path: str) -> list[tuple[int, int, str]]:
    """The parts that a path may be made of, between any two of its separators: where each begins
    and ends, and itself. Each but the first begins with its separator."""
    bounds = sorted({0, *(found.start() for found in re.finditer("[/#]", path)), len(path)})
    if len(bounds) > MOST_PARTS:
        bounds = [0, len(path)]
    return [
        (first, past, path[first:past])
        for number, first in enumerate(bounds)
        for past in bounds[number + 1 :]
    ]


# -- SQL. `folded` is how names are compared; see audit_folded.

_ACTS = "(kind = 'actor' OR type = ANY(%(acting)s)) AND kind IN ('actor', 'resource')"
_TEXT = 'audit_folded(%(text)s) COLLATE "C"'
_IS_WHOLE = f"folded = {_TEXT}"
_HAS_IT = f"strpos(folded, {_TEXT}) > 0"
_BEGINS_SO = f"starts_with(folded, {_TEXT})"
# Parts lie between slashes; so do those before and after the @ of an e-mail address.
_PARTS = "'/' || translate(folded, '@#', '//') || '/'"
# A name that somebody has is no former one, even if the log has it.
_PEOPLES_NAMES = """SELECT u.id, u.email AS address, u.name, false AS is_former,
        audit_folded(u.name) COLLATE "C" AS folded
    FROM organizations_user u WHERE u.name <> '' AND u.id IN (
        SELECT id FROM audit_name WHERE {within} AND type = 'user')
    UNION ALL
    SELECT n.id, COALESCE(u.email, (SELECT max(label) FROM audit_name AS gone
            WHERE {within} AND gone.kind = 'resource' AND gone.type = 'user' AND gone.id = n.id)),
        COALESCE(u.name, ''), true, n.folded
    FROM audit_name n LEFT JOIN organizations_user u ON u.id = n.id
    WHERE {within} AND n.kind = 'person' AND n.folded IS DISTINCT FROM audit_folded(u.name)"""
_PEOPLE = f"""SELECT id, COALESCE(address, ''), name, bool_and(is_former)
    FROM ({_PEOPLES_NAMES}) AS people WHERE {{is_called}} GROUP BY 1, 2, 3 ORDER BY 2"""
_NIL = f"'{ulid.NIL}'::uuid"
_LAST = "U&'\\+10FFFF'"

_UNSEALED = """
    unsealed AS MATERIALIZED (
        SELECT id, parent_id, name, folded, type, named_by FROM audit_unsealed_place
        WHERE {within}
    )"""

_CHILDREN = f"""
        SELECT id, type FROM audit_place
            WHERE {{within}} AND parent_id = parent.id AND parent.id <> {_NIL}
        UNION ALL
        SELECT id, type FROM unsealed WHERE parent_id = parent.id AND parent.id <> {_NIL}"""

# What the path leads to, step by step: `at` is how much of it was gone. From things that are called
# as its beginning is; for a part of a path, from those whose own name it is as well.
_WALK = """
    walk (id, type, at) AS (
        SELECT id, type, past FROM ({from_where}) AS beginning
        UNION
        SELECT child.id, child.type, child.past FROM walk CROSS JOIN LATERAL (
            SELECT p.id, p.type, part.past FROM part JOIN audit_place p ON p.folded = part.folded
                WHERE {{within}} AND p.parent_id = walk.id AND part.first = walk.at
            UNION ALL
            SELECT u.id, u.type, part.past FROM part JOIN unsealed u ON u.folded = part.folded
                WHERE u.parent_id = walk.id AND part.first = walk.at
        ) AS child
    )"""
_CALLED_SO = """
            SELECT n.id, n.type, part.past FROM audit_name n
            JOIN part ON part.folded = n.folded AND part.first = 0
            WHERE {within} AND n.kind = 'resource'
                AND n.folded = ANY (ARRAY(SELECT folded FROM part WHERE first = 0))"""
_OF_THIS_NAME = """
            UNION ALL
            SELECT p.id, p.type, part.past FROM part
            JOIN audit_place p ON p.folded = '/' || part.folded WHERE {within} AND part.first = 0
            UNION ALL
            SELECT u.id, u.type, part.past FROM part
            JOIN unsealed u ON u.folded = '/' || part.folded WHERE part.first = 0"""
_FROM_ROOT = _WALK.format(from_where=_CALLED_SO)
_FROM_ANYWHERE = _WALK.format(from_where=_CALLED_SO + _OF_THIS_NAME)

# Of what the walk came to, the children whose names begin with the rest and go on from there.
_ON_FROM_WALK = """
        SELECT child.id, child.type, false FROM walk
        JOIN part ON part.first = walk.at AND part.past = %(end)s
        CROSS JOIN LATERAL (
            SELECT p.id, p.type FROM audit_place p WHERE {{within}} AND p.parent_id = walk.id
                AND p.folded >= part.folded || {least} AND p.folded < part.folded || {past}
            UNION ALL
            SELECT u.id, u.type FROM unsealed u WHERE u.parent_id = walk.id
                AND u.folded >= part.folded || {least} AND u.folded < part.folded || {past}
        ) AS child"""
_LABELS = (
    "SELECT id, type, {is_named} FROM audit_name WHERE {{within}} AND kind = 'resource' AND {which}"
)
_PATH = '(SELECT audit_folded(%(path)s) COLLATE "C")'


def _has_part(part: str) -> str:
    # Asked of the name first: to look at its parts takes three times as long.
    piece = 'strpos(folded, (SELECT audit_folded(%(piece)s) COLLATE "C")) > 0'
    return f"{piece} AND strpos({_PARTS}, {part}) > 0"


def _range(least: str, past: str) -> str:
    return f"folded >= {_PATH} || {least} AND folded < {_PATH} || {past}"


def _starts(walk: str, *selects: str) -> str:
    union = "\n        UNION ALL\n        ".join(selects)
    return f"{walk},\n    start (id, type, is_named) AS (\n        {union}\n    )"


_ARRIVED = "SELECT id, type, true FROM walk WHERE at = %(end)s"
# In the order of bytes '0' comes next after '/', and '$' after '#'.
_BELOW_PATH = " OR ".join((_range("'/'", "'0'"), _range("'#'", "'$'")))

_WHOLE = _LookUp(
    _starts(
        _FROM_ROOT,
        _ARRIVED,
        _LABELS.format(is_named="false", which=f"({_BELOW_PATH})"),
        _ON_FROM_WALK.format(least="'/'", past="'0'"),
    )
)
_BEGINNING = _LookUp(
    _starts(
        _FROM_ROOT,
        _LABELS.format(is_named="false", which=_range("''", _LAST)),
        _ON_FROM_WALK.format(least="''", past=_LAST),
    )
)
_PART = _LookUp(
    _starts(
        _FROM_ANYWHERE,
        _ARRIVED,
        _LABELS.format(is_named="true", which=_has_part(f"'/' || {_PATH} || '/'")),
    ),
    is_part=True,
)
_PART_BEGINNING = _LookUp(
    _starts(
        _FROM_ANYWHERE,
        _LABELS.format(is_named="true", which=_has_part(f"'/' || {_PATH}")),
        _ON_FROM_WALK.format(least="''", past=_LAST),
    ),
    is_part=True,
)

_BELOW = f"""
WITH RECURSIVE {_UNSEALED},
    part AS MATERIALIZED (
        SELECT first, past, audit_folded(text) COLLATE "C" AS folded
        FROM unnest(%(first)s::int[], %(past)s::int[], %(texts)s::text[]) AS p (first, past, text)
    ),
    {{starts}},
    below (id, type) AS (
        SELECT id, type FROM start
        UNION
        SELECT child.id, child.type FROM below AS parent CROSS JOIN LATERAL ({_CHILDREN}) AS child
    )
SELECT id, type, is_named, is_meant FROM (
    SELECT id, min(type) AS type, bool_or({{among}}) AS is_meant,
        id IN (SELECT id FROM start WHERE is_named) AS is_named
    FROM below GROUP BY id
) AS found WHERE is_meant OR is_named
"""

_BELOW_IDS = f"""
WITH RECURSIVE {_UNSEALED},
    below (id, type) AS (
        SELECT id, type FROM audit_name
            WHERE {{within}} AND kind = 'resource' AND id = ANY(%(keys)s::uuid[])
        UNION
        SELECT child.id, child.type FROM below AS parent CROSS JOIN LATERAL ({_CHILDREN}) AS child
    )
SELECT id FROM below WHERE {{among}} GROUP BY id
"""

_MATCHING = f"""
WITH RECURSIVE {_UNSEALED},
    word AS MATERIALIZED (
        SELECT n, audit_folded(word) COLLATE "C" AS folded, begins
        FROM unnest(%(words)s::text[], %(begins)s::boolean[]) WITH ORDINALITY AS w (word, begins, n)
    ),
    hit AS MATERIALIZED (
        SELECT DISTINCT name.kind, name.id, name.type, word.n FROM word JOIN (
            SELECT kind, id, type, folded, {_PARTS} AS parts FROM audit_name
            WHERE {{within}} AND ({{has_a_piece}})
            UNION ALL
            SELECT 'actor', id, 'user', folded, {_PARTS} FROM ({_PEOPLES_NAMES}) AS people
        ) AS name ON CASE WHEN word.begins THEN strpos(name.parts, '/' || word.folded) > 0
            ELSE strpos(name.folded, word.folded) > 0 END
    ),
    reached (id, type, n) AS (
        SELECT id, type, n FROM hit WHERE kind = 'resource'
        UNION
        SELECT child.id, child.type, parent.n
        FROM reached AS parent CROSS JOIN LATERAL ({_CHILDREN}) AS child
    )
SELECT * FROM (
    SELECT 'resource', id FROM reached WHERE {{among}}
    GROUP BY id HAVING count(DISTINCT n) = (SELECT count(*) FROM word)
    UNION ALL
    SELECT 'actor', id FROM hit WHERE kind = 'actor' OR type = ANY(%(acting)s)
    GROUP BY id HAVING count(DISTINCT n) = (SELECT count(*) FROM word)
) AS found
"""

_NEWEST = """
        SELECT parent_id, name FROM (
            SELECT parent_id, name, named_by FROM audit_place WHERE {{within}} AND id = {of}
            UNION ALL
            SELECT parent_id, name, named_by FROM unsealed WHERE id = {of}
        ) AS place ORDER BY named_by DESC LIMIT 1"""
# From each thing up to what lies below nothing, by the newest name of each.
_PRESENT = f"""
WITH RECURSIVE {_UNSEALED},
    up (id, at, path, parent_id) AS (
        SELECT thing.id, newest.parent_id, newest.name, newest.parent_id
        FROM unnest(%(things)s::uuid[]) AS thing (id)
        CROSS JOIN LATERAL ({_NEWEST.format(of="thing.id")}) AS newest
        UNION ALL
        SELECT up.id, newest.parent_id, newest.name || up.path, up.parent_id
        FROM up CROSS JOIN LATERAL ({_NEWEST.format(of="up.at")}) AS newest WHERE up.at <> {_NIL}
    )
SELECT id, path, CASE WHEN %(is_whole)s THEN audit_folded(path) = {_TEXT}
    ELSE strpos(audit_folded(path), {_TEXT}) > 0 END, parent_id
FROM up WHERE at = {_NIL} ORDER BY id
"""

_LISTED_BELOW = f"""
WITH RECURSIVE {_UNSEALED},
    below (id, type) AS (
        SELECT id, type FROM ({_CHILDREN.replace("parent.id", "%(thing)s")}) AS child
        WHERE type <> 'secret_version'
        UNION
        SELECT child.id, child.type FROM below AS parent CROSS JOIN LATERAL ({_CHILDREN}) AS child
        WHERE child.type <> 'secret_version'
    )
SELECT id, type FROM below LIMIT %(most)s
"""

_ITS_PLACE = """
        SELECT parent_id, type FROM (
            SELECT parent_id, type, named_by FROM audit_place WHERE {{within}} AND id = {of}
            UNION ALL
            SELECT parent_id, type, named_by FROM unsealed WHERE id = {of}
        ) AS place ORDER BY named_by DESC LIMIT 1"""
# From each thing up to a project.
_PROJECTS = f"""
WITH RECURSIVE {_UNSEALED},
    up (id, at, type, parent_id) AS (
        SELECT thing.id, thing.id, place.type, place.parent_id
        FROM unnest(%(things)s::uuid[]) AS thing (id)
        CROSS JOIN LATERAL ({_ITS_PLACE.format(of="thing.id")}) AS place
        UNION ALL
        SELECT up.id, up.parent_id, place.type, place.parent_id
        FROM up CROSS JOIN LATERAL ({_ITS_PLACE.format(of="up.parent_id")}) AS place
        WHERE up.type <> 'project' AND up.parent_id <> {_NIL}
    )
SELECT id, at FROM up WHERE type = 'project'
"""

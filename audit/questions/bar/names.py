"""The names that a log has: by them alone a word of a question is taken for a name."""

from __future__ import annotations

import difflib
import unicodedata
import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from django.db import connections

from audit.ledger import replica
from audit.policy import ActorType
from audit.questions import name_index

MOST_SIMILAR = 2000
MOST_PROGRAMS = 2000
"""Of the newest entries, whose programs are looked at."""


@dataclass(frozen=True)
class Known:
    """What a text is the name of.

    value: how to ask for it; actors: who is called so, as type and label; types: of the things
    that are.
    """

    text: str
    value: str
    actors: tuple[tuple[str, str], ...] = ()
    types: frozenset[str] = frozenset()

    @property
    def is_person(self) -> bool:
        return any(kind == ActorType.USER for kind, _ in self.actors) or bool(
            self.types & {"user", "membership", "invitation"}
        )

    @property
    def is_key(self) -> bool:
        return any(kind == ActorType.API_KEY for kind, _ in self.actors) or "api_key" in self.types

    @property
    def acts(self) -> bool:
        return bool(self.actors) or self.is_person or self.is_key

    @property
    def is_thing(self) -> bool:
        """Whether something is called so that acts by nobody."""
        return bool(self.types - {"user", "membership", "invitation", "api_key", "access_token"})


class Log(Protocol):
    """The vocabulary of one log."""

    def known(self, texts: Collection[str]) -> Mapping[str, Known]:
        """Those of `texts` that are names in this log, or parts of one."""

    def is_path(self, path: str) -> bool:
        """Whether something lies, or lay, at this path or at the end of a longer one."""

    def has_program(self, text: str) -> bool:
        """Whether a user agent of late has this text."""

    def similar(self, text: str) -> str:
        """The name of this log that looks most like `text`; empty if none does."""


def folded(text: str) -> str:
    return unicodedata.normalize("NFC", text).lower()


def parts_of(label: str) -> list[str]:
    """What a name is made of: the parts of a path, what stands before and after an @."""
    return folded(label).replace("@", "/").replace("#", "/").split("/")


@dataclass
class Listed:
    """A log whose names are given: actors and things as type and label, people by their names."""

    actors: Iterable[tuple[str, str]] = ()
    things: Iterable[tuple[str, str]] = ()
    people: Mapping[str, str] = field(default_factory=dict)
    programs: Iterable[str] = ()

    def known(self, texts: Collection[str]) -> Mapping[str, Known]:
        return classify(
            texts,
            [("actor", *each) for each in self.actors] + [("thing", *each) for each in self.things],
            [(name, email, False) for name, email in self.people.items()],
        )

    def is_path(self, path: str) -> bool:
        sought = f"/{folded(path)}/"
        return any(sought in f"/{folded(label)}/" for _, label in self.things)

    def has_program(self, text: str) -> bool:
        return any(folded(text) in folded(each) for each in self.programs)

    def similar(self, text: str) -> str:
        labels = [label for _, label in (*self.actors, *self.things)]
        return nearest(text, {part for label in labels for part in parts_of(label)})


NOTHING = Listed()
"""A log without a name, for who reads questions without one."""


def nearest(text: str, words: Iterable[str]) -> str:
    sought = folded(text)
    alike = [word for word in words if abs(len(word) - len(sought)) <= 2]
    close = difflib.get_close_matches(sought, alike, n=1, cutoff=0.82)
    if close:
        return close[0]
    # Two letters that changed places weigh much in a short word: jnae.
    turned = [word for word in alike if _is_turned(word, sought)]
    return turned[0] if len(turned) == 1 else ""


def _is_turned(one: str, other: str) -> bool:
    differing = [n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b]
    return (
        len(one) == len(other)
        and len(differing) == 2
        and differing[1] == differing[0] + 1
        and one[differing[0]] == other[differing[1]]
        and one[differing[1]] == other[differing[0]]
    )


def classify(
    texts: Collection[str],
    rows: Sequence[tuple[str, str, str]],
    people: Sequence[tuple[str, str, bool]] = (),
) -> dict[str, Known]:
    """What each of `texts` is the name of, by rows of kind (actor or thing), type and label, and
    by people's names with their addresses, and whether they are former ones."""
    found: dict[str, Known] = {}
    split = [
        (kind, type_name, label, folded(label), parts_of(label)) for kind, type_name, label in rows
    ]
    for text in texts:
        sought = folded(text).strip("/").rstrip("*")
        actors: dict[tuple[str, str], None] = {}
        types: set[str] = set()
        for kind, type_name, label, whole, parts in split:
            if (
                sought == whole
                or sought in parts
                or ("/" in sought and f"/{sought}/" in f"/{whole}/")
            ):
                if kind == "actor":
                    actors[type_name, label] = None
                else:
                    types.add(type_name)
        value = text
        for name, email, is_former in people:
            words = folded(name).split()
            if sought == folded(name) or sought in words:
                if is_former and sought == folded(name):
                    pass  # asked by the name itself, the answer says whose it was
                elif sought not in parts_of(email) and sought != folded(email):
                    value = email
                actors[ActorType.USER.value, email] = None
        if actors or types:
            found[text] = Known(text, value, tuple(actors), frozenset(types))
    return found


class OfLog:
    """The names of the logs of some organizations; of all that may be read, when None."""

    def __init__(self, organizations: Collection[uuid.UUID] | None) -> None:
        self.organizations = None if organizations is None else list(organizations)
        self._known: dict[str, Known | None] = {}
        self._paths: dict[str, bool] = {}
        self._programs: dict[str, bool] = {}

    def _ask(self, sql: str, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        within = (
            "true" if self.organizations is None else "organization_id = ANY(%(organizations)s)"
        )
        with connections[replica.database()].cursor() as cursor:
            cursor.execute(
                sql.replace("{within}", within),
                {**values, "organizations": self.organizations},
            )
            rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows

    def known(self, texts: Collection[str]) -> Mapping[str, Known]:
        missing = [text for text in texts if text not in self._known and "\x00" not in text]
        if missing:
            sought = [text.strip("/").rstrip("*") for text in missing]
            rows = self._ask(_NAMES, {"texts": sought, "types": list(_PEOPLE)})
            people = self._ask(_PEOPLE_SQL, {"texts": sought})
            found = classify(
                missing, [(a, b, c) for a, b, c in rows], [(a, b, c) for a, b, c in people]
            )
            for text in missing:
                known = found.get(text)
                if known is None and "/" in text and " " not in text and self.is_path(text):
                    known = Known(text, text, types=frozenset({"path"}))
                self._known[text] = known
        return {text: known for text in texts if (known := self._known.get(text))}

    def is_path(self, path: str) -> bool:
        if path not in self._paths:
            try:
                found = name_index.resources(path, self.organizations)
            except name_index.TooManyNamesError:
                self._paths[path] = True
            else:
                self._paths[path] = bool(found)
        return self._paths[path]

    def has_program(self, text: str) -> bool:
        if len(text) < 3 or "\x00" in text:
            return False
        if text not in self._programs:
            rows = self._ask(_PROGRAMS, {"text": text, "most": MOST_PROGRAMS})
            self._programs[text] = bool(rows)
        return self._programs[text]

    def similar(self, text: str) -> str:
        if len(text) < 4 or "\x00" in text:
            return ""
        rows = self._ask(
            _SIMILAR, {"least": len(text) - 2, "past": len(text) + 2, "most": MOST_SIMILAR}
        )
        return nearest(text, {folded(label).lstrip("/") for (label,) in rows})


_PEOPLE = ("user", "membership", "invitation")

_FOLDED = 'ARRAY(SELECT audit_folded(t) COLLATE "C" FROM unnest(%(texts)s::text[]) AS t)'
_OWN = "ARRAY(SELECT '/' || audit_folded(t) COLLATE \"C\" FROM unnest(%(texts)s::text[]) AS t)"
_PARTS = "string_to_array(translate(folded, '@', '/'), '/')"
# Names as they are, what things are called themselves, and the parts of what acts and of people.
_NAMES = f"""
SELECT CASE kind WHEN 'actor' THEN 'actor' ELSE 'thing' END, type, label FROM (
    SELECT DISTINCT kind, type, label FROM audit_name
    WHERE {{within}} AND kind <> 'person' AND folded = ANY({_FOLDED})
    UNION
    SELECT DISTINCT kind, type, label FROM audit_name
    WHERE {{within}} AND kind = 'actor' AND {_PARTS} && {_FOLDED}::text[]
    UNION
    SELECT DISTINCT kind, type, label FROM audit_name
    WHERE {{within}} AND kind = 'resource' AND type = ANY(%(types)s)
        AND {_PARTS} && {_FOLDED}::text[]
    UNION
    SELECT DISTINCT 'resource', type, name FROM audit_place
    WHERE {{within}} AND folded = ANY({_OWN})
    UNION
    SELECT DISTINCT 'resource', type, name FROM audit_unsealed_place
    WHERE {{within}} AND folded = ANY({_OWN})
) AS found LIMIT 1000
"""
_IS_CALLED = f"""(
    {{folded}} = ANY({_FOLDED}::text[]) OR string_to_array({{folded}}, ' ') && {_FOLDED}::text[]
)"""
_PEOPLE_SQL = f"""
SELECT name, email, false FROM organizations_user
WHERE name <> '' AND {_IS_CALLED.format(folded="audit_folded(name)")} AND id IN (
    SELECT user_id FROM organizations_membership WHERE {{within}}
    UNION SELECT id FROM audit_name WHERE {{within}} AND type = 'user'
)
UNION ALL
SELECT n.label, u.email, true FROM audit_name n JOIN organizations_user u ON u.id = n.id
WHERE {{within}} AND n.kind = 'person' AND n.folded <> audit_folded(u.name)
    AND {_IS_CALLED.format(folded="n.folded")}
LIMIT 100
"""
_PROGRAMS = """
SELECT 1 FROM (
    SELECT user_agent FROM audit_entry WHERE {within} ORDER BY id DESC LIMIT %(most)s
) AS newest WHERE strpos(lower(user_agent), lower(%(text)s)) > 0 LIMIT 1
"""
_SIMILAR = """
SELECT DISTINCT folded FROM audit_place
WHERE {within} AND length(folded) BETWEEN %(least)s AND %(past)s + 1 LIMIT %(most)s
"""

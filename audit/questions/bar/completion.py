"""Completing a question while it is typed: qualifiers, their words, and names of this log.

Every look-up is bounded: names that begin with what was typed are a range of an index, and those
with a part that begins so are sought among the first MOST_NAMES alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from django.db import connections

from audit import policy
from audit.ledger import replica
from audit.questions import tenant_scope
from audit.questions.bar.examples import EXAMPLES
from audit.questions.bar.tokens import in_quotes, quoted
from audit.questions.bar.vocabulary import KEYWORDS, LABELS
from audit.questions.filters import EntryFilter
from audit.questions.periods import TIMES
from organizations.models import Organization

MOST_NAMES = 5000
MOST_SUGGESTIONS = 8
SHORTEST_NAME = 2


@dataclass(frozen=True)
class Suggestion:
    """text: what the part of the question would be; label: what that means."""

    text: str
    label: str


@dataclass(frozen=True)
class Completion:
    """start: from which character on a suggestion replaces what was typed; with_names: whether
    names of the log are among them."""

    start: int
    suggestions: list[Suggestion]
    with_names: bool = False


# What is typed last: a word, or a qualifier of which the quotes may still be open.
_LAST = re.compile(r'(?:^|(?<=\s))(?:[^\s"]|"(?:\\.|[^"\\])*(?:"|$))*$')
_QUALIFIER = re.compile(
    r"(?P<name>-?[A-Za-z_]+):(?P<before>(?:(?:\"[^\"]*\"|[^,\"])*,)*)(?P<value>.*)"
)


def complete(organization: Organization, text: str) -> Completion:
    """What may follow `text`, which ends where the reader writes."""
    match = _LAST.search(text)
    start = match.start() if match else len(text)
    last = text[start:]
    qualifier = _QUALIFIER.fullmatch(last)
    if qualifier is None:
        return _of_word(organization, text, start, last)
    name = KEYWORDS.get(qualifier["name"].removeprefix("-").lower(), "")
    typed = qualifier["value"].lstrip('"').replace("\\", "")
    before = f"{qualifier['name']}:{qualifier['before']}"
    if name in ("actor", "resource"):
        names = _names(organization, name, typed)
        found = [Suggestion(f"{before}{_quoted(label)}", kind) for label, kind in names]
        return Completion(start, found, with_names=True)
    words = [
        Suggestion(f"{before}{quoted(word)}", label)
        for word, label in _words(name)
        if word.lower().startswith(typed.lower().replace(" ", "_" if name not in TIMES else " "))
    ]
    return Completion(start, words[: None if not typed else MOST_SUGGESTIONS])


def _of_word(organization: Organization, text: str, start: int, word: str) -> Completion:
    spoken = " ".join(text.lower().split())
    found = [
        # A whole question replaces all that was typed.
        Suggestion(example, "")
        for example in EXAMPLES
        if example.lower().startswith(spoken) and example.lower() != spoken
    ][:MOST_SUGGESTIONS]
    if found:
        return Completion(0, found)
    minus = "-" if word.startswith("-") else ""
    typed = word.removeprefix("-").lower()
    prefix = "exclude_" if minus else ""
    known = [name for name in LABELS if f"{prefix}{name}" in EntryFilter.base_filters]
    known += [] if minus else TIMES
    found = [
        Suggestion(f"{minus}{name}:", str(EntryFilter.base_filters[name].extra["help_text"]))
        for name in known
        if name.startswith(typed)
    ]
    if '"' in word or len(typed) < SHORTEST_NAME:
        return Completion(start, found[:MOST_SUGGESTIONS])
    for name in ("actor", "resource"):
        found += [
            Suggestion(f"{minus}{name}:{_quoted(label)}", kind)
            for label, kind in _names(organization, name, typed)
        ][: MOST_SUGGESTIONS // 2]
    return Completion(start, found[:MOST_SUGGESTIONS], with_names=True)


def _quoted(label: str) -> str:
    return in_quotes(label) if "," in label else quoted(label)


def _words(name: str) -> Iterable[tuple[str, str]]:
    """The words that a qualifier takes, and what they mean."""
    known: dict[str, Iterable[tuple[str, str]]] = {
        "action": [(action.name, action.label) for action in policy.ACTIONS],
        "type": policy.RESOURCE_TYPES.items(),
        "result": [(result.value, "") for result in policy.Result],
        "interface": [(interface.value, "") for interface in policy.Interface],
        "actor_type": [(kind.value, "") for kind in policy.ActorType],
        "field": _fields(),
    }
    return known.get(name, _TIMES if name in TIMES else ())


def _fields() -> Iterator[tuple[str, str]]:
    """Every field whose values are recorded, with the types that have it."""
    types: dict[str, list[str]] = {}
    for spec in policy.RESOURCES:
        for field in spec.recorded:
            types.setdefault(field, []).append(policy.RESOURCE_TYPES[spec.name])
    for part in policy.PARTS:
        types.setdefault(part.field, []).append(policy.RESOURCE_TYPES[part.of])
    for field in sorted(types):
        yield field, ", ".join(sorted(set(types[field])))


_TIMES = (
    ("today", ""),
    ("yesterday", ""),
    ("24h", "the last 24 hours"),
    ("7d", "the last 7 days"),
    ("30d", "the last 30 days"),
    ("this week", "since Monday"),
    ("last week", "Monday to Sunday"),
    ("this month", ""),
    ("last month", ""),
    *((f"last {day}", "") for day in ("monday", "tuesday", "wednesday", "thursday", "friday")),
    ("last saturday", ""),
    ("last sunday", ""),
    ("2026-11-01..2026-11-07", "from day to day, both included"),
)

# Of those sealed, what begins so by the index and what has a part that begins so among the first
# names; of those not sealed yet, all.
_SQL = """
(SELECT label, type FROM (
    SELECT DISTINCT folded, label, type FROM audit_label
    WHERE organization_id = %(organization)s AND kind = %(kind)s AND type <> 'secret_version'
      AND folded >= audit_folded(%(typed)s) COLLATE "C"
      AND folded < (audit_folded(%(typed)s) || U&'\\+10FFFF') COLLATE "C"
    ORDER BY folded LIMIT %(most)s
 ) AS beginning_so)
UNION
(SELECT label, type FROM (
    SELECT label, type FROM audit_label
    WHERE organization_id = %(organization)s AND kind = %(kind)s
    ORDER BY label LIMIT %(window)s
 ) AS first_names
 WHERE type <> 'secret_version' AND {has_part} LIMIT %(most)s)
UNION
(SELECT label, type FROM (
    SELECT {column}_label COLLATE "C" AS label, {column}_type AS type FROM audit_inbox
    WHERE organization_id = %(organization)s AND {column}_id IS NOT NULL LIMIT %(window)s
 ) AS unsealed
 WHERE type <> 'secret_version' AND {has_part} LIMIT %(most)s)
"""
_HAS_PART = (
    "strpos(translate('/' || lower(label COLLATE \"default\"), '@-. ', '////'),"
    " translate('/' || lower(%(typed)s), '@-. ', '////')) > 0"
)


def _names(organization: Organization, kind: str, typed: str) -> list[tuple[str, str]]:
    """Names of the log, best first, and what they are names of."""
    database = replica.database()
    tenant_scope.enter([organization.pk], database)
    with connections[database].cursor() as cursor:
        cursor.execute(
            _SQL.format(column=kind, has_part=_HAS_PART),
            {
                "organization": organization.pk,
                "kind": kind,
                "typed": typed.strip("/"),
                "most": 5 * MOST_SUGGESTIONS,
                "window": MOST_NAMES,
            },
        )
        rows = cursor.fetchall()
    kinds: dict[str, list[str]] = {}
    for label, type_name in sorted(rows):
        kinds.setdefault(label, []).append(policy.RESOURCE_TYPES.get(type_name, type_name))
    best = sorted(
        kinds, key=lambda label: (not label.lower().startswith(typed.lower()), len(label), label)
    )
    return [(label, ", ".join(kinds[label])) for label in best[:MOST_SUGGESTIONS]]

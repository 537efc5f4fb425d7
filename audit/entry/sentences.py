"""An entry in words: "rotated the key of storefront to version 5".

`audit.policy` has the sentences; here they are filled with what the entry holds.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from audit import policy
from audit.models import Entry
from audit.policy import ActorType, Result


class Phrase(NamedTuple):
    """What an actor did: the words before the name of the resource, the name, the words after.

    All of it is text as it was recorded, to be escaped where it is shown.
    """

    before: str
    name: str = ""
    after: str = ""

    def __str__(self) -> str:
        return f"{self.before} {self.name}{self.after}".strip()


def phrase(entry: Entry) -> Phrase:
    """What the entry describes. A denied or failed action is described as an attempt."""
    if entry.result != Result.SUCCESS and entry.action != "end_export":
        return _plain(entry)
    spec = policy.TYPES.get(entry.resource_type)
    for sentence in spec.sentences if spec else ():
        if sentence.action != entry.action or not _fits(sentence.where, entry):
            continue
        found = _filled(sentence.text, entry, spec.parts if spec else "")
        if found is not None:
            return found
    return _plain(entry)


def as_words(name: str) -> str:
    """A name of the code as people write it: key version."""
    return name.replace("_", " ")


def verb(entry: Entry) -> str:
    """What was done, or tried, whatever it was done to."""
    if entry.result == Result.SUCCESS or entry.action in ("access", "end_export"):
        return entry.action_label
    return f"tried to {as_words(entry.action)}"


def _plain(entry: Entry) -> Phrase:
    if _is_about_actor(entry):
        return Phrase(verb(entry))
    if entry.resource_type == "endpoint":
        return Phrase(verb(entry), _request(entry))
    return Phrase(f"{verb(entry)} {entry.resource_type_label}", entry.resource_label)


def _is_about_actor(entry: Entry) -> bool:
    """Whether the verb alone says it all, as in "signed in"."""
    return entry.action in ("sign_in", "sign_out") and entry.resource_id == entry.actor_id


_PLACEHOLDER = re.compile(r"\{(\w+)\}")


def _request(entry: Entry) -> str:
    """The request, with the names that its path gave in place of the route's placeholders."""
    named = entry.context.get("named") or {}
    return _PLACEHOLDER.sub(lambda part: str(named.get(part[1], part[0])), entry.resource_label)


# -- Filling the policy's sentences


def _fits(where: str, entry: Entry) -> bool:
    """Whether the entry is one that the sentence is about; see `policy.Sentence`."""
    if where == "own":
        return (entry.actor_type, entry.actor_label) == (ActorType.USER, entry.resource_label)
    if where in (Result.FAILED, Result.DENIED):
        return entry.result == where
    field, _, value = where.partition("=")
    if value:
        return str(entry.recorded_changes.get(field, (None, None))[1]) == value
    return not where or where in entry.changes


_NAME = re.compile(r"\[(\w*)\]")
_VALUE = re.compile(r"\{(?P<name>\w+)(?P<before>\.before)?(?::(?P<counted>\w+))?\}")


def _filled(text: str, entry: Entry, parts: str) -> Phrase | None:
    """The sentence with what it speaks of, or None if the entry lacks some of it."""
    found = re.fullmatch(parts, entry.resource_label, re.DOTALL) if parts else None
    known = found.groupdict() if found else {}
    if parts and found is None:
        return None  # it is not called as things of its type are
    marked = _NAME.search(text)
    assert marked is not None or "[" not in text
    missing = False

    def value(match: re.Match[str]) -> str:
        nonlocal missing
        filled = known.get(match["name"]) or _value(entry, **match.groupdict())
        missing = missing or not filled
        return filled

    if marked is None:
        filled = Phrase(_VALUE.sub(value, text))
    else:
        before, after = text[: marked.start()].rstrip(), text[marked.end() :]
        name = known[marked[1]] if marked[1] else entry.resource_label
        filled = Phrase(_VALUE.sub(value, before), name, _VALUE.sub(value, after))
    return None if missing else filled


def _value(entry: Entry, name: str, before: str | None, counted: str | None) -> str:
    """A fact, or what a field became or was; empty if the entry has none."""
    fact: Any = entry.context.get(name)
    was, became = entry.recorded_changes.get(name, (None, None))
    if counted:
        return _count(fact, was, became, counted)
    if before:
        return as_words(str(was or ""))
    return as_words(str(became or "" if fact is None else fact))


def _count(fact: Any, was: Any, became: Any, noun: str) -> str:
    """A number of things; of a list that changed, how many came and went."""
    if isinstance(was, list) and isinstance(became, list):
        fact = len(set(map(str, was)) ^ set(map(str, became)))
    if not isinstance(fact, int):
        return ""
    nouns = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{fact:,} {noun if fact == 1 else nouns}"

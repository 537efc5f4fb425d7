"""The line that answers a question: how many of what, and by whom or from where most of them are.

    9 failed sign-ins, 9 from 203.0.113.77

It never says more than was asked: words that were struck out are named as not asked.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from audit import policy
from audit.entry import references
from audit.entry.actors import described
from audit.ledger import replica
from audit.models import Entry
from audit.policy import ActorType, Result
from audit.questions import counting, paging
from audit.questions.asking import question_of
from audit.questions.bar import Question
from audit.questions.filters import EntryFilter
from organizations import ulid
from organizations.labels import isolated

MOST_NAMED = 3
"""Actors or addresses that are all named; of more than these, the one with the most."""

_DEEDS: Mapping[str, tuple[str, str]] = {
    "create": ("creation", "creations"),
    "update": ("update", "updates"),
    "delete": ("deletion", "deletions"),
    "restore": ("restoration", "restorations"),
    "purge": ("purge", "purges"),
    "rotate": ("rotation", "rotations"),
    "retrieve": ("retrieval", "retrievals"),
    "read": ("read", "reads"),
    "decrypt": ("decryption", "decryptions"),
    "sign_in": ("sign-in", "sign-ins"),
    "sign_out": ("sign-out", "sign-outs"),
    "change_password": ("password change", "password changes"),
    "reset_password": ("password reset request", "password reset requests"),
    "invite": ("invitation", "invitations"),
    "access": ("denied request", "denied requests"),
    "view": ("view of the log", "views of the log"),
    "export": ("export", "exports"),
}
_OF_NO_TYPE = ("sign_in", "sign_out", "change_password", "reset_password", "access", "view")
"""Actions that say by themselves what they are about."""
_RESULTS: Mapping[str, str] = {
    Result.FAILED: "failed ",
    Result.DENIED: "denied ",
    Result.SUCCESS: "successful ",
}


@dataclass(frozen=True)
class Tally:
    """What the line is made of. actors, addresses: the most frequent first, each with its number;
    of_actors, of_addresses: how many there are; since: down to where entries were counted, if not
    all were."""

    count: counting.Count
    actors: Sequence[tuple[str, int]]
    of_actors: int
    addresses: Sequence[tuple[str, int]]
    of_addresses: int
    since: dt.datetime | None = None


def of_entries(entries: Sequence[Entry]) -> Tally:
    """Of entries that are the whole answer."""
    actors = Counter(_named(entry) for entry in entries).most_common()
    addresses = Counter(str(entry.ip) for entry in entries if entry.ip).most_common()
    return Tally(counting.Count(len(entries), True), actors, len(actors), addresses, len(addresses))


def of_facets(count: counting.Count, facets: counting.Facets, asked: EntryFilter) -> Tally:
    """Of an answer whose values were counted."""
    rows = facets["actor"][:MOST_NAMED]
    people = {row.value: key for row in rows if (key := _person(row)) is not None}
    names = (
        references.names_of_people(
            list(people.values()), asked.organization_ids or (), replica.database()
        )
        if people
        else {}
    )
    actors = [
        (isolated(names.get(people[row.value], "")) or _address(row.label), row.count)
        if row.value in people
        else (row.label, row.count)
        for row in rows
    ]
    addresses = [(row.label, row.count) for row in facets["ip"] if row.value]
    without = len(facets["ip"]) - len(addresses)
    of_addresses = facets.groups["ip"] - without
    since = None if facets.is_exact else facets.extent.since
    return Tally(count, actors, facets.groups["actor"], addresses, of_addresses, since)


def of_page(asked: EntryFilter, page: paging.Page) -> str:
    """The line as far as a page of the answer knows it, before anything is counted; nothing for
    what was not asked in words."""
    if not _is_answered(asked):
        return ""
    if page.previous_cursor is not None:
        return not_asked(asked).strip()
    if page.reached is not None:
        return _so_far(asked, page)
    if page.next_cursor is not None:
        return more_than(asked, len(page.entries))
    return line(asked, of_entries(page.entries))


def of_counts(asked: EntryFilter, count: counting.Count, facets: counting.Facets) -> str:
    """The line once the answer was counted; nothing for what was not asked in words."""
    return line(asked, of_facets(count, facets, asked)) if _is_answered(asked) else ""


def _is_answered(asked: EntryFilter) -> bool:
    """Whether it was asked in words, and for less than the log; of that, who wants to know how many
    entries there are."""
    question = question_of(asked)
    if question is None or not question.is_answerable:
        return False
    return question.is_count or not asked.params.keys() <= _NOT_NARROWING


_NOT_NARROWING = {"tz", "views", "order"}


def line(asked: EntryFilter, tally: Tally) -> str:
    """The answer in one line."""
    value, is_exact = tally.count.value, tally.count.is_exact
    many = noun(asked)[1]
    question = question_of(asked)
    understood = " what was understood" if question and question.struck else ""
    if not value and is_exact:
        return f"No {many} match{understood}.{not_asked(asked)}"
    said, among = _number_of(value, asked), ""
    if not is_exact and value < counting.MOST_COUNTED and tally.since is not None:
        # No index answers this, and so many of the log's entries were looked at.
        said += f" back to {_minute(tally.since)}, and older ones were not counted"
        return f"{said}.{not_asked(asked)}"
    if not is_exact:
        said = f"More than {value:,} {many}"
        among = f" of the newest {value:,}"
    if understood:
        said += f" {'matches' if value == 1 and is_exact else 'match'}{understood}"
    if detail := _detail(asked, tally, among):
        said += f", {detail}"
    return f"{said}.{not_asked(asked)}"


def more_than(asked: EntryFilter, shown: int) -> str:
    """The line while only the first entries are known."""
    return f"More than {shown:,} {noun(asked)[shown != 1]}.{not_asked(asked)}"


def _so_far(asked: EntryFilter, page: paging.Page) -> str:
    """The line of a page that ends where looking ended."""
    assert page.reached is not None
    found = _number_of(len(page.entries), asked)
    way, rest = ("back", "older") if page.order == paging.NEWEST else ("up", "newer")
    said = f"{found} {way} to {_minute(page.reached)}"
    return f"{said}; {rest} ones were not searched yet.{not_asked(asked)}"


def _number_of(value: int, asked: EntryFilter) -> str:
    one, many = noun(asked)
    return f"{value:,} {one if value == 1 else many}" if value else f"No {many}"


def _minute(moment: dt.datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def not_asked(asked: EntryFilter) -> str:
    """Which words of the question the answer takes no account of."""
    question = question_of(asked)
    if question is None or not question.struck:
        return _of_two(question)
    words = ", ".join(f"“{isolated(struck.words)}”" for struck in question.struck)
    return f" Not asked: {words}.{_of_two(question)}"


def _of_two(question: Question | None) -> str:
    return " This is the first of two lists." if question and question.then else ""


def noun(asked: EntryFilter) -> tuple[str, str]:
    """What the answer consists of: one, and several."""
    [action, type_, result] = (_single(asked, name) for name in ("action", "type", "result"))
    group = policy.action_group(action)
    if group:
        one, many = group.label.removesuffix("s"), group.label
    else:
        one, many = _DEEDS.get(action, ("entry", "entries"))
    if type_ and action not in _OF_NO_TYPE:
        things = _plural(policy.RESOURCE_TYPES.get(type_, type_).lower())
        about = " about " if one == "entry" else " of "
        one, many = f"{one}{about}{things}", f"{many}{about}{things}"
    if result and action != "access":
        one, many = f"{_RESULTS.get(result, '')}{one}", f"{_RESULTS.get(result, '')}{many}"
    return one, many


def _detail(asked: EntryFilter, tally: Tally, among: str) -> str:
    is_from_where = (
        _single(asked, "action") == "sign_in"
        or _single(asked, "result") in (Result.FAILED, Result.DENIED)
        or tally.of_actors == 1
        and "actor" in asked.params
    )
    word, values, number = (
        ("from", tally.addresses, tally.of_addresses)
        if is_from_where
        else ("by", tally.actors, tally.of_actors)
    )
    if not values:
        return ""
    if tally.count.value == 1:
        return f"{word} {values[0][0]}"
    if number <= MOST_NAMED:
        each = [f"{size:,}{among} {word} {name}" for name, size in values]
        return " and ".join(filter(None, (", ".join(each[:-1]), each[-1])))
    name, size = values[0]
    return f"{size:,}{among} {word} {name}, the most of {number:,}"


def _single(asked: EntryFilter, name: str) -> str:
    """The one value that was asked for; empty if there is none, or more."""
    texts = asked.params.get(name, [])
    if len(texts) != 1:
        return ""
    text = str(texts[0])
    if name == "action" and policy.action_group(text):
        return text
    values = asked.form.cleaned_data.get(name) or []
    return str(values[0]) if len(values) == 1 else ""


def _named(entry: Entry) -> str:
    if entry.actor_type != ActorType.USER:
        return described(entry.actor_type, entry.actor_label)
    return isolated(entry.actor_name or entry.actor_label)


def _person(row: counting.Counted) -> uuid.UUID | None:
    return ulid.parse_or_none(row.value) if row.kind == ActorType.USER else None


def _address(label: str) -> str:
    """A person's address without the kind."""
    return label.removesuffix(" (user)")


def _plural(label: str) -> str:
    return f"{label[:-1]}ies" if label.endswith("y") and label[-2:] != "ey" else f"{label}s"

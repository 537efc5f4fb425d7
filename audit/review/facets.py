"""Who, what and on what, beside the list: each value with its count, to choose or to leave out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from django.http import QueryDict
from django.utils.safestring import SafeString, mark_safe

from audit.policy import ActorType
from audit.questions import counting, name_index
from audit.questions.asking import ask
from audit.questions.fields import join, split
from audit.questions.filters import POSITION, EntryFilter
from audit.review import marks
from organizations import icons, ulid
from organizations.models import Organization

HEADINGS = {
    "actor": "Who",
    "action": "What",
    "type": "On what",
    "result": "Result",
    "ip": "From where",
    "user_agent": "Program",
    "interface": "Interface",
}
MOST = 8  # of one facet, and whatever else was chosen


@dataclass(frozen=True)
class Value:
    """One value of a facet. href: the question with it, or without it again if it was chosen or
    left out; leave_out: the question without its entries; drawn: its mark or icon."""

    label: str
    drawn: SafeString
    count: str
    href: str
    leave_out: str
    is_chosen: bool
    is_left_out: bool


@dataclass(frozen=True)
class Facet:
    name: str
    heading: str
    values: list[Value]


@dataclass(frozen=True)
class Facets:
    """is_exact: every entry that matches was counted; else the newest `counted`, which `said` says
    beside the figures."""

    shown: list[Facet]
    counted: int
    is_exact: bool
    said: str = ""

    @property
    def by_name(self) -> dict[str, Facet]:
        return {facet.name: facet for facet in self.shown}


def facets(
    path: str,
    given: QueryDict,
    asked: EntryFilter,
    organization: Organization,
    counted: counting.Facets,
) -> Facets:
    """The facets of a valid question, of which `counted` are. One that is narrowed is counted as if
    it were not, so that there is something left to choose: one statement more for each."""
    by_name = dict(counted)
    looked_at, is_exact, said = counted.counted, counted.is_exact, counted.said
    for name in HEADINGS:
        if not {name, f"exclude_{name}"} & asked.params.keys():
            continue
        wider = _without(given, asked, name, organization)
        if wider.is_valid():
            found = counting.facets(wider)
            by_name[name] = found[name]
            looked_at, is_exact = max(looked_at, found.counted), is_exact and found.is_exact
            said = said or found.said
    shown = [
        Facet(name, heading, list(_values(path, given, asked, name, by_name[name])))
        for name, heading in HEADINGS.items()
        if by_name[name]
    ]
    return Facets(shown, looked_at, is_exact, said)


def _without(
    given: QueryDict, asked: EntryFilter, name: str, organization: Organization
) -> EntryFilter:
    rest = given.copy()
    for dropped in (name, f"exclude_{name}", *POSITION):
        rest.pop(dropped, None)
    wider = ask([organization], rest)
    wider.now = asked.now
    return wider


def _values(
    path: str, given: QueryDict, asked: EntryFilter, name: str, found: list[counting.Counted]
) -> Iterator[Value]:
    chosen, left_out = _named(asked, name), _named(asked, f"exclude_{name}")
    for number, value in enumerate(found):
        own = split(value.params.get(name, ""))
        is_chosen, is_left_out = bool(own) and chosen >= {*own}, bool(own) and left_out >= {*own}
        if (number >= MOST and not is_chosen and not is_left_out) or not own:
            continue
        texts, others = _texts(asked, name), _texts(asked, f"exclude_{name}")
        fewer = _less(texts, own, name)
        if is_chosen or is_left_out:
            toggled = (fewer, _less(others, own, name))
        else:
            toggled = ([*texts, *own], others)
        yield Value(
            label=value.label,
            drawn=_drawn(name, value),
            count=f"{value.count:,}",
            href=_address(path, given, name, *toggled),
            leave_out=_address(path, given, name, fewer, [*others, *own]),
            is_chosen=is_chosen,
            is_left_out=is_left_out,
        )


def _drawn(name: str, value: counting.Counted) -> SafeString:
    if name == "actor":
        key = ulid.parse_or_none(value.value)
        drawn = marks.actor(value.kind, key, value.label)
    else:
        known, other = (marks.ACTIONS, "help") if name == "action" else (marks.TYPES, "tag")
        drawn = icons.icon(known.get(value.value, other)) if name in ("action", "type") else ""
    return mark_safe(drawn)  # noqa: S308  # names and marks are made of escaped text


AS_TYPED = ("actor", "ip", "user_agent")
"""Facets whose values are texts of any kind; the others' are words of a catalogue."""


def _texts(asked: EntryFilter, name: str) -> list[str]:
    """What was asked for, each word that stands for several as all of these."""
    if name.removeprefix("exclude_") in AS_TYPED:
        return [text for part in asked.params.get(name, []) for text in split(part)]
    return list(asked.form.cleaned_data[name])


def _named(asked: EntryFilter, name: str) -> set[str]:
    """The values of a facet that were asked for, under whatever name."""
    if not name.endswith("actor"):
        return set(_texts(asked, name))
    found = asked.found.get(name, name_index.Found())
    return {ulid.to_text(key) for key in found.actors} | set(found.actor_types)


def _less(texts: list[str], own: list[str], name: str) -> list[str]:
    """Without a value; an actor who was asked for by name is removed with every name."""
    if set(own) & set(texts) or name != "actor":
        return [text for text in texts if text not in own]
    return [text for text in texts if ulid.parse_or_none(text) or text in list(ActorType)]


def _address(path: str, given: QueryDict, name: str, texts: list[str], left_out: list[str]) -> str:
    rest = given.copy()
    for position in (*POSITION, "ask"):
        rest.pop(position, None)
    for parameter, values in ((name, texts), (f"exclude_{name}", left_out)):
        if values:
            rest[parameter] = join(values)
        else:
            rest.pop(parameter, None)
    return f"{path}?{rest.urlencode()}"

"""Who, what, from where: each value with its count, to choose or to leave out. The menus of the
columns and the sheet of filters have the most frequent ones; a page of its own finds the others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

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
    "severity": "Severity",
    "result": "Result",
    "ip": "Address",
    "interface": "Interface",
    "user_agent": "Program",
}
MOST = 8  # of one facet, and whatever else was chosen
MOST_FOUND = 50  # of one on its page


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
    """groups: how many values there are; page: where all of them are found; given: the question,
    which a form carries along; said: which entries were counted, if not all."""

    name: str
    heading: str
    values: list[Value]
    groups: int
    page: str
    given: list[tuple[str, str]]
    said: str = ""

    @property
    def is_cut(self) -> bool:
        return self.groups > MOST


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
    by_name, groups = dict(counted), dict(counted.groups)
    parts_said = dict.fromkeys(HEADINGS, counted.said)
    looked_at, is_exact, said = counted.counted, counted.is_exact, counted.said
    for name in HEADINGS:
        if not {name, f"exclude_{name}"} & asked.params.keys():
            continue
        wider = _without(given, asked, name, organization)
        if wider.is_valid():
            found = counting.facets(wider)
            by_name[name], groups[name] = found[name], found.groups[name]
            parts_said[name] = found.said
            looked_at, is_exact = max(looked_at, found.counted), is_exact and found.is_exact
            said = said or found.said
    carried = _carried(given)
    shown = [
        Facet(
            name,
            heading,
            list(_values(path, given, asked, name, by_name[name])),
            groups[name],
            f"{path}/facet?{urlencode([*carried, ('of', name)])}",
            carried,
            parts_said[name],
        )
        for name, heading in HEADINGS.items()
    ]
    return Facets(shown, looked_at, is_exact, said)


def facet(
    path: str,
    given: QueryDict,
    asked: EntryFilter,
    organization: Organization,
    name: str,
    search: str = "",
) -> Facet:
    """One facet of a valid question, with MOST_FOUND of the values that have `search` in their
    label. Counts as many entries as `facets` does, so that the figures agree."""
    is_narrowed = bool({name, f"exclude_{name}"} & asked.params.keys())
    wider = _without(given, asked, name, organization) if is_narrowed else asked
    found = counting.counts(
        wider if wider.is_valid() else asked,
        name,
        limit=MOST_FOUND + 1,  # one of them may be that there is none, which cannot be asked for
        search=search,
        most=counting.MOST_COUNTED,
    )
    values = list(_values(path, given, asked, name, found.rows, MOST_FOUND))
    carried = _carried(given)
    page = f"{path}/facet?{urlencode([*carried, ('of', name)])}"
    return Facet(name, HEADINGS[name], values, found.groups, page, carried, found.said)


def _carried(given: QueryDict) -> list[tuple[str, str]]:
    dropped = (*POSITION, "ask", "of", "search")
    return [(name, text) for name, texts in given.lists() if name not in dropped for text in texts]


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
    path: str,
    given: QueryDict,
    asked: EntryFilter,
    name: str,
    found: list[counting.Counted],
    most: int = MOST,
) -> Iterator[Value]:
    chosen, left_out = _named(asked, name), _named(asked, f"exclude_{name}")
    for number, value in enumerate(value for value in found if value.params.get(name)):
        own = split(value.params[name])
        is_chosen, is_left_out = bool(own) and chosen >= {*own}, bool(own) and left_out >= {*own}
        if number >= most and not is_chosen and not is_left_out:
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
    elif name == "severity":
        drawn = marks.severity(value.value)
    else:
        known, other = _ICONS.get(name, ({}, ""))
        drawn = icons.icon(known.get(value.value, other)) if known else ""
    return mark_safe(drawn)  # noqa: S308  # names and marks are made of escaped text


_ICONS: dict[str, tuple[Mapping[str, str], str]] = {
    "action": (marks.ACTIONS, "help"),
    "type": (marks.TYPES, "tag"),
    "result": (marks.RESULTS, "help"),
    "interface": (marks.INTERFACES, "help"),
}

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

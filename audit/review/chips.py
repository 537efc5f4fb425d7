"""What a page understood of its question: one chip for each part, which drops it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from django.http import QueryDict

from audit.models import Entry
from audit.questions import bar, periods
from audit.questions.asking import question_of
from audit.questions.fields import join, split
from audit.questions.filters import POSITION, EntryFilter
from audit.questions.name_index import Named
from audit.questions.periods import TIMES
from organizations import ulid
from organizations.labels import isolated

MOST = 4  # of one parameter
NOT_NARROWING = ("tz", "views", "order")


@dataclass(frozen=True)
class Chip:
    """One part of the question; `without` is the address of the rest.

    exact: from when to when, for words of time; the id, for what is called by its name; what it is
        called now, for a former name. is_default: nobody asked for it. offers: what else the words
        may mean, label and address; entry: that of an event that is a time.
    """

    label: str
    value: str
    without: str
    exact: str = ""
    is_exclusion: bool = False
    is_default: bool = False
    offers: tuple[tuple[str, str], ...] = ()
    entry: str = ""


def narrowing(asked: EntryFilter) -> dict[str, list[str]]:
    """The parameters that make the log smaller."""
    return {name: texts for name, texts in asked.params.items() if name not in NOT_NARROWING}


def is_narrowed(asked: EntryFilter) -> bool:
    """Whether the answer is less than the log."""
    return bool(narrowing(asked) or asked.left_out)


def chips(path: str, given: QueryDict, asked: EntryFilter) -> Iterator[Chip]:
    """Of a question that was validated, whether it is valid or not; times last."""
    question = question_of(asked)
    if question is not None:
        yield from _of_words(path, given, asked, question)
        return
    params = narrowing(asked)
    for name in sorted(params, key=TIMES.__contains__):
        texts = params[name]
        bare = name.removeprefix("exclude_")
        is_whole = name in ("q", "limit") or name in TIMES
        values = texts if is_whole else [value for text in texts for value in split(text)]
        # "What changed?" asks for nineteen actions; nobody drops them one by one.
        many = len(values) > MOST
        for value in [f"{', '.join(values[:2])} or {len(values) - 2} more"] if many else values:
            rest = given.copy()
            left = [] if many else [other for other in values if other != value]
            rest.setlist(name, left if is_whole else [join([other]) for other in left])
            for position in POSITION:
                rest.pop(position, None)
            yield Chip(
                name if name in TIMES else bar.LABELS.get(bare, bare.replace("_", " ")),
                value,
                f"{path}?{rest.urlencode()}",
                _exact(name, value, asked),
                is_exclusion=bare != name,
            )
    for action in asked.left_out:
        rest = given.copy()
        rest["views"] = "true"
        for position in POSITION:
            rest.pop(position, None)
        without = f"{path}?{rest.urlencode()}"
        yield Chip(bar.LABELS["action"], action, without, is_exclusion=True, is_default=True)


def _of_words(
    path: str, given: QueryDict, asked: EntryFilter, question: bar.Question
) -> Iterator[Chip]:
    """A chip for each part of a question in words; without it, the words without its own."""

    def address(words: str) -> str:
        rest = QueryDict(mutable=True)
        for name, texts in given.lists():
            if name != "ask" and name not in POSITION:
                rest.setlist(name, texts)
        if words:
            rest["ask"] = words
        return f"{path}?{rest.urlencode()}"

    for part in question.parts:
        exact = part.exact or "; ".join(
            filter(None, (_exact(part.parameter, value, asked) for value in part.values))
        )
        yield Chip(
            part.label.removeprefix("not ") if part.is_exclusion else part.label,
            part.shown,
            address(part.without),
            exact,
            is_exclusion=part.is_exclusion,
            offers=tuple((offer.label, address(offer.text)) for offer in part.offers),
            entry=part.entry_id,
        )
    if question.is_answerable:
        for action in asked.left_out:
            yield Chip(
                bar.LABELS["action"],
                action,
                address(f"{question.text} views:true"),
                is_exclusion=True,
                is_default=True,
            )


def named(shown: Iterable[Chip], entries: Iterable[Entry]) -> list[Chip]:
    """The chips, with things and actors that were asked for by their ids called as the entries
    call them. Nothing is looked up for it: what answers a question by id has the name."""
    names: dict[UUID, str] = {}
    for entry in entries:  # newest first, and the newest name is the one to show
        for key, label in (
            (entry.actor_id, entry.actor_described),
            (entry.resource_id, entry.resource_label),
        ):
            if key and label:
                names.setdefault(key, label)
    return [_named(chip, names) for chip in shown]


def _named(chip: Chip, names: Mapping[UUID, str]) -> Chip:
    key = ulid.parse_or_none(chip.value)
    name = names.get(key) if key else None
    return replace(chip, value=name, exact=chip.value) if name else chip


def _exact(name: str, text: str, asked: EntryFilter) -> str:
    """The instants that a word of time means, and what a former name is now; else empty."""
    if name not in TIMES:
        return _now(asked.named(name, text))
    try:
        period = periods.read(name, text, asked.now, asked.zone)
    except periods.UnknownPeriodError:
        return ""  # the filter says so
    return bar.describe_period(period, asked.zone)


def _now(named: Sequence[Named]) -> str:
    if len(named) > 1:
        return f"the name of {len(named)}"
    return f"now {isolated(named[0].now)}" if named else ""

"""The one way to query the log, within the tenant scope of the reader: by parameters, or by a
question in words, `ask`, which becomes parameters here, so that every surface reads it alike."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from audit.models import Entry
from audit.questions import bar, paging, periods
from audit.questions.bar import Moment, Part, Question, Struck
from audit.questions.filters import POSITION, EntryFilter
from organizations import clock, ulid
from organizations.models import Organization

WORDS = "ask"
"""The parameter that holds a question in words."""

_MILLISECOND = dt.timedelta(milliseconds=1)


class SpokenFilter(EntryFilter):
    """A question that was asked in words. Where nothing was understood, nothing answers it."""

    question: Question = Question("")
    given_twice: Sequence[str] = ()
    """Parameters that were given beside the words, which say the same."""

    @property
    def errors(self) -> Any:
        errors = super().errors
        for name in self.given_twice:
            if name not in errors:
                message = f"The question in words gives {name} as well. Give it once."
                errors.setdefault(name, self.form.error_class()).append(message)
        return errors

    def is_valid(self) -> bool:
        return not self.errors

    def filter_queryset(self, queryset: Any) -> Any:
        if not self.question.is_answerable:
            return queryset.none()
        return super().filter_queryset(queryset)


def ask(
    organizations: Sequence[Organization],
    params: Mapping[str, Any],
    *,
    known: Collection[str] = (),
    reader: str = "",
) -> EntryFilter:
    """The question that `params` put to the logs of `organizations`; the caller has checked
    `audit:read` on each. Enters their tenant scope, so call it in the transaction that reads.

    known: parameters of the surface itself, which are no filters and no mistakes; reader: who says
    "I" in a question in words.
    """
    entries = Entry.objects.visible([organization.pk for organization in organizations])
    if WORDS not in params:
        return EntryFilter(params, entries, organizations=organizations, known=known)
    given = dict(params.lists()) if hasattr(params, "lists") else dict(params)
    question = _read(organizations, given, reader)
    both = [name for name in question.params if name in given and name != "tz" and any(given[name])]
    asked = SpokenFilter(
        {**given, **{name: values for name, values in question.params.items() if name not in both}},
        entries,
        organizations=organizations,
        known=known,
    )
    asked.question, asked.given_twice = question, both
    return asked


def texts_of_two(question: Question) -> tuple[str, str]:
    """A question of two kinds as two."""
    assert question.then is not None
    return bar.as_text(question.params), question.then.text


def question_of(asked: EntryFilter) -> Question | None:
    """What was understood of a question in words; None if it was asked by parameters."""
    return asked.question if isinstance(asked, SpokenFilter) else None


def _read(organizations: Sequence[Organization], given: dict[str, Any], reader: str) -> Question:
    words = _last(given.pop(WORDS))
    zone_name = _last(given.get("tz", "")) or "UTC"
    try:
        zone = periods.time_zone(zone_name)
    except ValueError:
        zone = periods.time_zone("UTC")  # the filter says which zone does not exist
    log = bar.OfLog([organization.pk for organization in organizations])
    question = bar.read_for_page(words.replace("\x00", ""), zone, reader=reader, log=log)
    for moment in question.moments:
        question = _with_moment(question, _resolved(organizations, moment), zone)
    return question


def _last(given: Any) -> str:
    values = given if isinstance(given, list | tuple) else [given]
    return str(values[-1]) if values else ""


def _resolved(organizations: Sequence[Organization], moment: Moment) -> Moment:
    """The moment with the newest entry of its own question."""
    entries = Entry.objects.visible([organization.pk for organization in organizations])
    params = {"views": ["true"], **moment.question.params}
    asked = EntryFilter(params, entries, organizations=organizations)
    newest = paging.page(asked.qs, per_page=1).entries if asked.is_valid() else []
    if not newest:
        return moment
    return replace(moment, entry_id=ulid.to_text(newest[0].pk), at=newest[0].time)


def _with_moment(question: Question, moment: Moment, zone: dt.tzinfo) -> Question:
    """The question within the time that an event begins or ends; without it, where there was no
    such event, which is said."""
    moments = tuple(moment if each.words == moment.words else each for each in question.moments)
    if moment.at is None:
        start = question.text.find(moment.words)
        why = "No entry in this log is of that event, so it does not bound the answer."
        struck = Struck(moment.words, why, max(start, 0), max(start, 0) + len(moment.words))
        return replace(
            question,
            moments=tuple(each for each in moments if each.words != moment.words),
            struck=(*question.struck, struck),
            notes=(*question.notes, f"“{moment.words}”: {why}"),
        )
    at = moment.at + _MILLISECOND if moment.parameter == "since" else moment.at
    bounds = [at]
    if moment.parameter in question.params:
        other = periods.read(
            moment.parameter, question.params[moment.parameter][0], clock.now(), zone
        )
        bounds += [bound for bound in other if bound is not None]
    bound = max(bounds) if moment.parameter == "since" else min(bounds)
    text = bound.astimezone(zone).isoformat(timespec="milliseconds")
    part = Part(
        moment.parameter,
        (text,),
        moment.parameter,
        moment.words.partition(" ")[2],
        exact=bar.describe_instant(moment.at, zone),
        words=moment.words,
        without=moment.without,
        entry_id=moment.entry_id,
    )
    params = {**question.params, moment.parameter: [text]}
    return replace(question, params=params, parts=(*question.parts, part), moments=moments)


def without_position(params: Mapping[str, Any]) -> dict[str, Any]:
    """The question without its place in the list: the whole answer, from its newest entry on."""
    kept = dict(params.lists()) if hasattr(params, "lists") else dict(params)
    return {name: texts for name, texts in kept.items() if name not in POSITION}

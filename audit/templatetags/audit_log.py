"""How instants and values are shown."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django import template
from django.http import QueryDict
from django.utils.html import format_html

from audit import agents, differences, listing, question, sentences, zones
from audit.counting import Count
from audit.models import Entry
from audit.presentation import rfc3339
from organizations import clock, ulid

register = template.Library()

SHORT = 40
MOST_MOVES = 3


@dataclass(frozen=True)
class Move:
    """A field that went from one value to another, as text."""

    name: str
    before: str
    after: str


@dataclass(frozen=True)
class Moves:
    """What a line of the list tells of an update: some values whole, other fields by name."""

    shown: list[Move]
    others: list[str]


@register.simple_tag(takes_context=True)
def instant(context: template.Context, moment: dt.datetime, precisely: bool = False) -> str:
    """A moment in the reader's time zone; UTC in the title."""
    local = moment.astimezone(_zone(context))
    shown = local.strftime("%Y-%m-%d %H:%M:%S" if precisely else "%Y-%m-%d %H:%M")
    if precisely:
        shown += f".{local.microsecond // 1000:03d} {local.tzname()}"
    exact = rfc3339(moment)
    return format_html('<time datetime="{}" title="{}">{}</time>', exact, exact, shown)


@register.simple_tag(takes_context=True)
def time_of_day(context: template.Context, moment: dt.datetime) -> str:
    """Hours, minutes and seconds in the reader's time zone; UTC in the title."""
    exact = rfc3339(moment)
    shown = moment.astimezone(_zone(context)).strftime("%H:%M:%S")
    return format_html('<time datetime="{}" title="{}">{}</time>', exact, exact, shown)


@register.simple_tag(takes_context=True)
def days(context: template.Context, entries: Iterable[Entry]) -> list[listing.Day]:
    """The entries by the reader's days."""
    return listing.days(entries, _zone(context))


@register.simple_tag(takes_context=True)
def day_name(context: template.Context, date: dt.date) -> str:
    """Monday 23 November 2026, and which of the last two days it is."""
    today = clock.now().astimezone(_zone(context)).date()
    near = {0: "Today, ", 1: "Yesterday, "}.get((today - date).days, "")
    return f"{near}{date:%A} {date.day} {date:%B %Y}"


@register.simple_tag(takes_context=True)
def zone_name(context: template.Context) -> str:
    return str(_zone(context))


def _zone(context: template.Context) -> dt.tzinfo:
    """The view's `zone` where a question named one, else what the browser remembers."""
    zone: dt.tzinfo | None = context.get("zone")
    return zone or (zones.of(context["request"]) if "request" in context else dt.UTC)


@register.simple_tag
def instant_utc(moment: dt.datetime) -> str:
    return rfc3339(moment)


@register.filter
def words(name: str) -> str:
    """A name of the code as people write it: key version."""
    return name.replace("_", " ")


@register.filter
def as_ulid(key: Any) -> str:
    return ulid.to_text(key) if key else ""


@register.filter
def value(recorded: Any) -> str:
    """A recorded value as a person reads it."""
    if recorded is None:
        return "–"
    if isinstance(recorded, bool):
        return "yes" if recorded else "no"
    if isinstance(recorded, str):
        return recorded or "“”"
    if isinstance(recorded, list) and all(isinstance(item, str) for item in recorded):
        return "\n".join(recorded) or "none"
    return json.dumps(recorded, ensure_ascii=False, indent=2, sort_keys=True)


@register.filter
def grouped(number: int) -> str:
    """1,710."""
    return f"{number:,}"


@register.filter
def entries_word(count: Count) -> str:
    return "entry" if count.value == 1 and count.is_exact else "entries"


@register.filter
def moves(entry: Entry) -> Moves:
    """The short values that an update changed. What came or went has nothing to compare with."""
    pairs = entry.recorded_changes
    if entry.action in ("create", "delete") or not entry.changes:
        return Moves([], [])
    every = [
        Move(name, value(before), value(after))
        for name, (before, after) in pairs.items()
        if before is not None or after is not None
    ]
    has_before = any(before is not None for before, _ in pairs.values())
    has_after = any(after is not None for _, after in pairs.values())
    if pairs and not (has_before and has_after):
        return Moves([], [])
    shown = [move for move in every if len(move.before) <= SHORT and len(move.after) <= SHORT]
    shown = shown[:MOST_MOVES]
    told = {move.name for move in shown}
    return Moves(shown, [name for name in entry.changes if name not in told])


@register.filter
def phrase(entry: Entry) -> sentences.Phrase:
    """What somebody did, in words, around the name of the thing."""
    return sentences.phrase(entry)


@register.filter
def difference(pair: tuple[Any, Any]) -> differences.Difference | None:
    """The two values of a change, with what differs marked; None if they are shown whole."""
    return differences.of(*pair)


@register.filter
def at(found: Mapping[Any, Any], key: Any) -> Any:
    """What a mapping has under a key."""
    return found.get(key)


@register.filter
def agent(user_agent: str) -> str:
    """What a person would call the program; empty if it is not known."""
    return agents.in_words(user_agent)


@register.filter
def asked_in_words(query: str) -> str:
    """A query string as one would type it into the question bar."""
    params = QueryDict(query)
    return question.as_text({name: params.getlist(name) for name in sorted(params)})


@register.simple_tag(takes_context=True)
def query(context: template.Context, **changes: Any) -> str:
    """The question of the page (`given`, where it was compiled) with some parameters set, or
    dropped when empty; its position in the list is forgotten."""
    params = (context.get("given") or context["request"].GET).copy()
    for name in ("cursor", "before", "after", "ask"):
        params.pop(name, None)
    for name, new in changes.items():
        if new in (None, ""):
            params.pop(name, None)
        else:
            params[name] = str(new)
    return f"?{params.urlencode()}"

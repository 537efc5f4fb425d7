"""How instants and values are shown."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from django import template
from django.http import QueryDict
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from audit.entry import differences, field_changes, sentences, user_agents
from audit.entry.as_json import rfc3339
from audit.models import Entry
from audit.questions import bar
from audit.questions.counting import Count
from audit.review import grouping, marks, time_zones
from audit.review.rows_html import Rows, in_words
from organizations import clock, icons, ulid

register = template.Library()


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
def days(context: template.Context, entries: Iterable[Entry]) -> list[grouping.Day]:
    """The entries by the reader's days."""
    return grouping.days(entries, _zone(context))


@register.simple_tag(takes_context=True)
def rows_of(
    context: template.Context, group: grouping.Group, activity: str, here: str
) -> SafeString:
    """The rows of entries that describe the same thing; see `Rows` for the paths."""
    carried = str(context.get("carried") or "")
    return Rows(_zone(context), activity, here, carried, clock.now()).of(group)


@register.simple_tag(takes_context=True)
def day_name(context: template.Context, date: dt.date) -> str:
    """Monday 23 November 2026, and which of the last two days it is."""
    today = clock.now().astimezone(_zone(context)).date()
    near = {0: "Today", 1: "Yesterday"}.get((today - date).days, "")
    whole = f"{date.day} {date:%B %Y}"
    first, rest = (near, f"{date:%A} {whole}") if near else (f"{date:%A}", whole)
    return format_html('{} <span class="soft">{}</span>', first, rest)


@register.simple_tag(takes_context=True)
def zone_name(context: template.Context) -> str:
    return str(_zone(context))


@register.simple_tag(takes_context=True)
def clock_now(context: template.Context) -> str:
    """This moment in the reader's time zone, with its offset."""
    return bar.describe_instant(clock.now(), _zone(context))


def _zone(context: template.Context) -> dt.tzinfo:
    """The view's `zone` where a question named one, else what the browser remembers."""
    zone: dt.tzinfo | None = context.get("zone")
    return zone or (time_zones.of(context["request"]) if "request" in context else dt.UTC)


@register.simple_tag(takes_context=True)
def zone_short(context: template.Context) -> str:
    """What clocks in the reader's time zone call it now: CET."""
    return clock.now().astimezone(_zone(context)).tzname() or ""


@register.simple_tag
def action_mark(entry: Entry, more: str = "") -> SafeString:
    """The icon of what an entry describes, in the shape of its severity."""
    return mark_safe(marks.action(entry, more))  # noqa: S308  # made of the program's own words


@register.simple_tag
def holder_mark(kind: str, key: uuid.UUID, name: str) -> SafeString:
    """The mark of a person or API key, as of who acted."""
    return mark_safe(marks.actor(kind, key, name))  # noqa: S308  # its letters are escaped


@register.simple_tag
def type_icon(name: str) -> SafeString:
    """The icon of a type of resource."""
    return icons.icon(marks.TYPES.get(name, "tag"))


@register.simple_tag
def actor_mark(entry: Entry) -> SafeString:
    """The mark of who acted, in the shape of their kind."""
    name = entry.actor_name or entry.actor_label
    drawn = marks.actor(entry.actor_type, entry.actor_id, name)
    return mark_safe(drawn)  # noqa: S308  # its letters are escaped


@register.filter
def apart(other: Entry, entry: Entry) -> str:
    """How long after (+) or before (−) an entry another one was: +4 min 15 s."""
    between = other.time - entry.time
    seconds = abs(between.total_seconds())
    sign = "−" if between < dt.timedelta() else "+"
    if seconds < 60:
        return f"{sign}{seconds:.0f} s" if seconds >= 1 or not seconds else f"{sign}{seconds:.3f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{sign}{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{sign}{hours} h {minutes} min" if hours < 48 else f"{sign}{hours // 24} days"


@register.simple_tag
def instant_utc(moment: dt.datetime) -> str:
    return rfc3339(moment)


@register.filter
def words(name: str) -> str:
    """A name of the code as people write it: key version."""
    return sentences.as_words(name)


@register.filter
def ago(moment: dt.datetime) -> str:
    """How long ago that was: 4 days ago."""
    return in_words(clock.now() - moment)


@register.filter
def as_ulid(key: Any) -> str:
    return ulid.to_text(key) if key else ""


@register.filter
def value(recorded: Any) -> str:
    """A recorded value as a person reads it."""
    return field_changes.as_text(recorded)


@register.filter
def grouped(number: int) -> str:
    """1,710."""
    return f"{number:,}"


@register.filter
def entries_word(count: Count) -> str:
    return "entry" if count.value == 1 and count.is_exact else "entries"


@register.filter
def phrase(entry: Entry) -> sentences.Phrase:
    """What an actor did, in words, around the name of the resource."""
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
    return user_agents.in_words(user_agent)


@register.filter
def asked_in_words(query: str) -> str:
    """A query string as one would type it into the question bar."""
    params = QueryDict(query)
    return bar.as_text({name: params.getlist(name) for name in sorted(params)})


_SAME_QUESTION = {"cursor", "before", "after", "by", "counts", "format"}
"""Parameters that ask nothing else: with them a question in words keeps its words."""


@register.simple_tag(takes_context=True)
def query(context: template.Context, **changes: Any) -> str:
    """The question of the page (`given`, where it was compiled) with some parameters set, or
    dropped when empty; its position in the list is forgotten."""
    asked: QueryDict = context["request"].GET
    stays = "ask" in asked and changes.keys() <= _SAME_QUESTION
    params = (asked if stays else context.get("given") or asked).copy()
    for name in ("cursor", "before", "after", *(() if stays else ("ask",))):
        params.pop(name, None)
    for name, new in changes.items():
        if new in (None, ""):
            params.pop(name, None)
        else:
            params[name] = str(new)
    return f"?{params.urlencode()}"

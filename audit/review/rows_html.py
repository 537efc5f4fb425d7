"""Rows of a list of entries as HTML: when, what, who, from where. The whole row opens its entry.

Made here and not by a template: fifty rows of a dozen variables each took the template engine
longer than everything else that a page does, 10 ms; here they take 2.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from urllib.parse import parse_qsl

from django.template.loader import render_to_string
from django.utils.safestring import SafeString, mark_safe

from audit.entry import field_changes, references, sentences
from audit.entry.as_json import rfc3339
from audit.models import Entry
from audit.policy import Result
from audit.review import marks
from audit.review.grouping import Group
from organizations import icons, ulid
from organizations.labels import isolated

MOST_ASKED = 3
"""Questions of a visit that are shown."""


@dataclass(frozen=True)
class Rows:
    """How the rows of one list are made.

    zone: the reader's time zone; activity: the path of the log; here: the path of the organization,
    with a slash at its end; carried: the query string that links to entries keep, or nothing; now:
    this moment.
    """

    zone: dt.tzinfo
    activity: str
    here: str
    carried: str
    now: dt.datetime

    def of(self, group: Group) -> SafeString:
        """The rows of a group, of which all but the first are marked as repeats."""
        return mark_safe("".join(self._rows(group)))  # noqa: S308  # escaped piece by piece

    def _rows(self, group: Group) -> Iterator[str]:
        others = len(group.entries) - 1
        for place, entry in enumerate(group.entries):
            repeat = " repeat" if place else ""
            more = _more(others, group.is_one_thing) if others and not place else ""
            more += _asked(group.asked) if not place else ""
            yield (
                f'<tr class="opens {escape(entry.result)}{repeat}">'
                f'<td class="when">{self._when(entry)}</td>'
                f'<td><span class="what">{marks.action(entry)}{self._what(entry)}{more}</span></td>'
                f'<td class="who">{self._who(entry)}</td>'
                f'<td class="from">{_origin(entry)}</td></tr>\n'
            )

    def _when(self, entry: Entry) -> str:
        local = entry.time.astimezone(self.zone)
        exact = rfc3339(entry.time)
        is_today = local.date() == self.now.astimezone(self.zone).date()
        ago = f"<small>{in_words(self.now - entry.time)}</small>" if is_today else ""
        return (
            f'<a class="open instant" href="{self.activity}/{entry.ulid}{escape(self.carried)}">'
            f'<time datetime="{exact}" title="{exact}">{local:%H:%M:%S}</time>{ago}</a>'
        )

    def _who(self, entry: Entry) -> str:
        label = escape(isolated(entry.actor_label))
        called = escape(isolated(entry.actor_name)) if entry.actor_name else ""
        name = called or label or escape(entry.actor_described)
        if entry.actor_id:
            address = f"{self.here}history/actor/{ulid.to_text(entry.actor_id)}"
            name = f'<a {_thing(entry, "actor")} href="{address}">{name}</a>'
        elif entry.actor_label == entry.actor_type:
            name = label.capitalize()
        mark = marks.actor(entry.actor_type, entry.actor_id, entry.actor_name or entry.actor_label)
        # Anybody may call themselves anything: the address is there to see beside the name.
        shown = f"<bdi>{name}</bdi>"
        if called:
            shown = (
                f'<span class="called">{shown} <small title="{label}"><bdi>{label}</bdi></small>'
                "</span>"
            )
        return f'<span class="actor">{mark}{shown}</span>'

    def _what(self, entry: Entry) -> str:
        described = sentences.phrase(entry)
        name = path(isolated(described.name))
        if name and entry.resource_id:
            address = f"{self.here}history/resource/{ulid.to_text(entry.resource_id)}"
            name = f' <bdi><a {_thing(entry, "resource")} href="{address}">{name}</a></bdi>'
        elif name:
            name = f" <bdi><strong>{name}</strong></bdi>"
        said = (
            f'<span class="sentence">{escape(described.before)}{name}{escape(described.after)}'
            f"{_moved(entry)}</span>"
        )
        if entry.result != Result.SUCCESS or entry.repeats:
            said += f" {render_to_string('audit/_result.html', {'entry': entry})}"
        if entry.erased:
            said += f' <span class="badge">erased: {", ".join(entry.erased)}</span>'
        if entry.unreadable:
            said += f' <span class="badge failed">unreadable: {entry.ulid}</span>'
        return said


def _asked(questions: list[str]) -> str:
    """What was asked in a visit to the log."""
    said = [
        ", ".join(f"{name}: {text}" for name, text in parse_qsl(asked) if name != "tz")
        for asked in questions
    ]
    each = list(dict.fromkeys(filter(None, said)))
    if not each:
        return ""
    shown = "; ".join(each[:MOST_ASKED])
    rest = len(each) - MOST_ASKED
    others = f" and {rest} more" if rest > 0 else ""
    return f' <span class="small soft">asked {escape(isolated(shown))}{others}</span>'


def path(name: str) -> str:
    """A name that may break after a slash, and nowhere inside a word."""
    return escape(name).replace("/", "/<wbr>")


def in_words(age: dt.timedelta) -> str:
    """How long ago: 5 min ago, 4 days ago."""
    if age.days >= 2:
        return f"{age.days:,} days ago"
    minutes = int(age.total_seconds() // 60)
    if minutes < 1:
        return "just now"
    return f"{minutes} min ago" if minutes < 60 else f"{minutes // 60} h ago"


def _origin(entry: Entry) -> str:
    drawn = icons.icon(marks.INTERFACES.get(entry.interface, "help"))
    interface = escape(entry.interface)
    if not entry.ip:
        return f'<span class="origin">{drawn}<span class="soft">{interface}</span></span>'
    address = f'<span class="mono">{escape(str(entry.ip))}</span>'
    return f'<span class="origin">{drawn}<span class="unseen">{interface} </span>{address}</span>'


def _thing(entry: Entry, name: str) -> str:
    """The attributes of a link to the history of an actor or a resource."""
    is_gone = references.is_gone(entry, name)
    return 'class="thing gone" title="No longer here"' if is_gone else 'class="thing"'


def _moved(entry: Entry) -> str:
    found = field_changes.of(entry)
    if not (found.shown or found.others):
        return ""
    shown = "".join(
        f"<span>{escape(each.name)} <del>{escape(isolated(each.before))}</del> "
        f"<ins>{escape(isolated(each.after))}</ins></span> "
        for each in found.shown
    )
    return f' <span class="moved">{shown}{escape(", ".join(found.others))}</span>'


def _more(others: int, is_one_thing: bool) -> str:
    alike = "of the same resource" if is_one_thing else "like this"
    return (
        f'<details class="alike"><summary class="badge plain">{others} more '
        f'<span class="unseen">{alike}</span></summary></details>'
    )

"""Rows of a list of entries as HTML.

Made here and not by a template: fifty rows of a dozen variables each took the template engine
longer than everything else that a page does, 10 ms; here they take 2.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape

from django.template.loader import render_to_string
from django.utils.safestring import SafeString, mark_safe

from audit.entry import field_changes, references, sentences
from audit.entry.actors import kind_of
from audit.entry.as_json import rfc3339
from audit.models import Entry
from audit.policy import Result
from audit.review.grouping import Group
from organizations import ulid
from organizations.labels import isolated


@dataclass(frozen=True)
class Rows:
    """How the rows of one list are made.

    zone: the reader's time zone; activity: the path of the log; here: the path of the organization,
    with a slash at its end; carried: the query string that links to entries keep, or nothing.
    """

    zone: dt.tzinfo
    activity: str
    here: str
    carried: str

    def of(self, group: Group) -> SafeString:
        """The rows of a group, of which all but the first are marked as repeats."""
        return mark_safe("".join(self._rows(group)))  # noqa: S308  # escaped piece by piece

    def _rows(self, group: Group) -> Iterator[str]:
        others = len(group.entries) - 1
        for place, entry in enumerate(group.entries):
            repeat = " repeat" if place else ""
            more = _more(others, group.is_one_thing) if others and not place else ""
            ip = escape(str(entry.ip)) if entry.ip else "–"
            yield (
                f'<tr class="{escape(entry.result)}{repeat}">'
                f'<td class="when">{self._when(entry)}</td>'
                f'<td class="who">{self._who(entry)}</td>'
                f"<td>{self._what(entry)}{more}</td>"
                f'<td class="from"><span class="mono">{ip}</span>'
                f' <span class="soft">{escape(entry.interface)}</span></td></tr>\n'
            )

    def _when(self, entry: Entry) -> str:
        moment = entry.time
        exact = rfc3339(moment)
        return (
            f'<a href="{self.activity}/{entry.ulid}{escape(self.carried)}">'
            f'<time datetime="{exact}" title="{exact}">'
            f"{moment.astimezone(self.zone):%H:%M:%S}</time></a>"
        )

    def _who(self, entry: Entry) -> str:
        name = escape(isolated(entry.actor_label))
        if entry.actor_id:
            address = f"{self.here}history/actor/{ulid.to_text(entry.actor_id)}"
            name = f'<a {_thing(entry, "actor")} href="{address}">{name}</a>'
        kind = kind_of(entry.actor_type, entry.actor_label)
        return f'{name} <span class="soft">({escape(kind)})</span>' if kind else name

    def _what(self, entry: Entry) -> str:
        described = sentences.phrase(entry)
        name = escape(isolated(described.name))
        if name and entry.resource_id:
            address = f"{self.here}history/resource/{ulid.to_text(entry.resource_id)}"
            name = f' <a {_thing(entry, "resource")} href="{address}">{name}</a>'
        elif name:
            name = f" <strong>{name}</strong>"
        said = f"{escape(described.before)}{name}{escape(described.after)}"
        if entry.result != Result.SUCCESS or entry.repeats:
            said += f" {render_to_string('audit/_result.html', {'entry': entry})}"
        if entry.unreadable:
            said += f' <span class="badge failed">unreadable: {entry.ulid}</span>'
        return said + _moved(entry)


def _thing(entry: Entry, name: str) -> str:
    """The attributes of a link to the history of an actor or a resource."""
    is_gone = references.is_gone(entry, name)
    return 'class="thing gone" title="No longer here"' if is_gone else 'class="thing"'


def _moved(entry: Entry) -> str:
    found = field_changes.of(entry)
    if not (found.shown or found.others):
        return ""
    shown = "".join(
        f"<span>{escape(each.name)} <del>{escape(isolated(each.before))}</del>"
        f" → <ins>{escape(isolated(each.after))}</ins></span> "
        for each in found.shown
    )
    return f'<div class="moved">{shown}{escape(", ".join(found.others))}</div>'


def _more(others: int, is_one_thing: bool) -> str:
    alike = "of the same resource" if is_one_thing else "like this"
    return f'<details class="alike"><summary>{others} more {alike}</summary></details>'

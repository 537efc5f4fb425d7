"""How instants and values are shown."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

from django import template
from django.utils.html import format_html

from audit.presentation import rfc3339
from organizations import ulid

register = template.Library()


@register.simple_tag(takes_context=True)
def instant(context: template.Context, moment: dt.datetime, precisely: bool = False) -> str:
    """A moment in the page's `zone` (UTC unless the view says otherwise); UTC in the title."""
    zone = context.get("zone") or dt.UTC
    local = moment.astimezone(zone)
    shown = local.strftime("%Y-%m-%d %H:%M:%S" if precisely else "%Y-%m-%d %H:%M")
    if precisely:
        shown += f".{local.microsecond // 1000:03d} {local.tzname()}"
    exact = rfc3339(moment)
    return format_html('<time datetime="{}" title="{}">{}</time>', exact, exact, shown)


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


@register.simple_tag(takes_context=True)
def query(context: template.Context, **changes: Any) -> str:
    """The page's query string with some parameters set, or dropped when empty; its position in
    the list is forgotten."""
    params = context["request"].GET.copy()
    for name in ("cursor", "before", "after", "ask"):
        params.pop(name, None)
    for name, new in changes.items():
        if new in (None, ""):
            params.pop(name, None)
        else:
            params[name] = str(new)
    return f"?{params.urlencode()}"

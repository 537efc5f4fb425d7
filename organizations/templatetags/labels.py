"""`isolate`, in every template without loading it."""

from __future__ import annotations

from django import template

from organizations import labels

register = template.Library()


@register.filter
def isolate(text: object) -> str:
    """A name among other text: neither changes the order in which the other is read."""
    return "" if text is None else labels.isolated(text)

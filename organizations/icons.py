"""Icons and the marks of people, as every page draws them. The drawings are in
`templates/icons.svg`, which each page carries: nothing is fetched for them."""

from __future__ import annotations

import uuid
from html import escape

from django.utils.safestring import SafeString, mark_safe

HUES = 7
"""Colours that a person's mark may have, beside the initials."""


def icon(name: str, more: str = "") -> SafeString:
    """The drawing of a meaning, such as "delete"; it says nothing to a screen reader."""
    classes = f"i {more}".rstrip()
    return mark_safe(  # noqa: S308  # names are those of the program's own
        f'<svg class="{classes}" aria-hidden="true"><use href="#i-{name}"/></svg>'
    )


def initials(name: str) -> str:
    """Of a person's name, or of an e-mail address: one letter or two."""
    words = [word for word in name.partition("@")[0].replace(".", " ").split() if word[0].isalnum()]
    chosen = [words[0], words[-1]] if len(words) > 1 else words
    return "".join(word[0] for word in chosen).upper()


def person(key: uuid.UUID | None, name: str) -> SafeString:
    """A person's mark: initials in a circle, in a colour that stays theirs."""
    hue = key.int % HUES if key else 0
    letters = escape(initials(name))
    return mark_safe(  # noqa: S308  # the letters are escaped
        f'<span class="mark person p{hue}" aria-hidden="true">{letters}</span>'
    )

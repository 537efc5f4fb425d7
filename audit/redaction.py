"""The last line of defence: text that came from outside is cut, cleaned, and stripped of anything
shaped like a secret. Entries are built by allow-list; this catches secrets put where a name, a
description or a user agent belongs.

The database does the same to what it enters itself, by the same pattern
(`audit/migrations/sql/0_redaction.sql`), and refuses entries that did not pass through here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from organizations import secret_forms

MARK = "[redacted]"
PATTERN = f"{secret_forms.FORMS}|{secret_forms.CREDENTIALS}"
REPLACEMENT = "".join(f"\\{n}" for n in range(1, re.compile(PATTERN).groups + 1)) + MARK
"""What stands before a secret and says what it is stays: the groups, of which one is filled."""

_PATTERN = re.compile(PATTERN)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


def redact(text: str) -> str:
    """`text` with every secret replaced by a mark, again until nothing changes: what stood on two
    sides of a secret may be one without it."""
    before = None
    while text != before and secret_forms.may_hold(text):
        before, text = text, _PATTERN.sub(REPLACEMENT, text)
    return text


def redact_all(value: Any) -> Any:
    """`value`, as JSON has it, with every text in it redacted."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, Mapping):
        return {redact(name): redact_all(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [redact_all(each) for each in value]
    return value


def clean(text: str, longest: int) -> str:
    """`text` redacted, on one line, without control characters, at most `longest` characters."""
    # In this order: a space in place of a control character may make a secret of it.
    return redact(_CONTROL.sub(" ", text))[:longest].strip()

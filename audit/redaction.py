"""The last line of defence: free text that came from outside is cut, cleaned, and stripped of
anything shaped like a token. Entries are built by allow-list; this catches tokens put where a
name or a user agent belongs.
"""

from __future__ import annotations

import re

TOKEN = re.compile(r"dotenv_[0-9A-Za-z]{26}_[A-Za-z0-9]+")
_CREDENTIALS = re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


def redact(text: str) -> str:
    """`text` with every token and credential replaced by a mark."""
    return _CREDENTIALS.sub(r"\1 [redacted]", TOKEN.sub("[redacted]", text))


def clean(text: str, longest: int) -> str:
    """`text` redacted, on one line, without control characters, at most `longest` characters."""
    return _CONTROL.sub(" ", redact(text))[:longest].strip()

"""Writes variables as a `.env` file that all programs read alike, and that runs nothing when
sourced.

A value is written in the first way that all `readers` read correctly: bare, in single quotes, in
double quotes. For some values there is none: one with both a single quote and a dollar sign, say,
cannot be escaped for a shell without the others reading the backslashes. Then the way is chosen
that the hosted product's command line reads correctly, and most others with it; `unlike` names the
ones that do not. A value that a shell would run is not written at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from dotenv_cloud.formats import env, readers
from dotenv_cloud.formats.readers import READERS, RUN, UnreadError

_BARE = re.compile(r"[A-Za-z0-9_@%+=:,./-]*")
"""Values that need no quotes anywhere. A tilde, which a shell expands, is not included."""
_IN_SINGLE_QUOTES = re.compile(r"[^'\\\r\n\0]+")
"""Values that every reader takes literally from single quotes: no escapes, no line breaks."""
_NEXT = "NEXT_=1"


def write(variables: Mapping[str, str]) -> str:
    """A `.env` file that `env.parse` reads as `variables`, sorted by key, with a final newline.

    Raises UnwritableError for a key that is not a name, and for a value that a shell would run.
    """
    return "".join(f"{key}={_written(key, variables[key])}\n" for key in env.names(variables))


def unlike(variables: Mapping[str, str]) -> dict[str, list[str]]:
    """The variables that `write` cannot write for all readers: key → who reads it otherwise."""
    found = {}
    for key in env.names(variables):
        value = variables[key]
        if not _is_simple(value):
            others = _who_misreads(_written(key, value), value)
            if others:
                found[key] = others
    return found


def _is_simple(value: str) -> bool:
    return bool(_BARE.fullmatch(value) or _IN_SINGLE_QUOTES.fullmatch(value))


def _written(key: str, value: str) -> str:
    if _BARE.fullmatch(value):
        return value
    if _IN_SINGLE_QUOTES.fullmatch(value):
        return f"'{value}'"
    best: tuple[int, str] | None = None
    for way in _ways(value):
        if _reads(readers.shell, way) is RUN or _reads(env.parse, way) != value:
            continue
        weight = sum(_harm(name, _reads(reader, way), value) for name, reader in READERS.items())
        if not weight:
            return way
        if best is None or weight < best[0]:
            best = weight, way
    if best is None:
        raise env.UnwritableError(
            key, "contains text that a shell would run when it sources the file"
        )
    return best[1]


def _harm(name: str, read: str | readers.NotText | None, value: str) -> int:
    """How bad it is that a reader reads this. A wrong value is bad; a refused file or a misread
    line after it is worse. The hosted product's reader matters most."""
    if read == value:
        return 0
    return (10 if READERS[name] is readers.official else 1) * (1 if read is not None else 4)


def _ways(value: str) -> Iterator[str]:
    """The ways to write a value, the plainest first."""
    if not value.startswith(("'", '"', "`")):
        yield value
    yield f"'{value}'"
    yield f'"{value}"'
    escaped = value.replace("\\", "\\\\")
    quoted = escaped.replace('"', '\\"')
    yield f'"{quoted}"'
    yield f"'{escaped}'"
    one_line = quoted.replace("\n", "\\n").replace("\r", "\\r")
    yield f'"{one_line}"'
    yield escaped.replace("\n", "\\n").replace("\r", "\\r").replace("'", "\\'").replace('"', '\\"')


def _who_misreads(way: str, value: str) -> list[str]:
    return [name for name, reader in READERS.items() if _reads(reader, way) != value]


def _reads(reader: readers.Reader, way: str) -> str | readers.NotText | None:
    """How a reader reads a value written this way; None if it refuses it or misreads the next
    line."""
    try:
        read = reader(f"K={way}\n{_NEXT}\n")
    except (UnreadError, env.FormatError):
        return None
    if set(read) != {"K", "NEXT_"} or read["NEXT_"] != "1":
        return read["K"] if read.get("K") is RUN else None
    return read["K"]

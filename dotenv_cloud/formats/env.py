"""The `.env` format, read as the hosted product's command line reads it.

`#` starts a comment only after a space, the closing quote is the last one of its line, escapes are
undone in and out of quotes, and a line without `=` is skipped. It differs from the hosted product's
reader where that reader loses what its own writer wrote: a backslash before another one is a
backslash (`\\\\n` is not a line break), also at the end of a quoted value. A byte order mark, a tab
after `export` and files whose lines end with only a carriage return are accepted, too.

`env_writing` writes the format, for the other programs in `readers` too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
BLANKS = " \t\r\v\f"
"""The characters to trim. Other white space, such as a no-break space, is part of a value."""
_EXPORT = re.compile(r"^export[ \t]+")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\", '"': '"', "'": "'"}
_ESCAPED = re.compile(r"\\([nrt\\\"'])")


class FormatError(ValueError):
    """The text is not in the format. `line` counts from 1; no value is in the message."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(f"line {line}: {message}")
        self.line = line


class UnwritableError(ValueError):
    """A variable that the format cannot hold. No value is in the message."""

    def __init__(
        self, key: str, reason: str = "is not a name made of letters, digits and _"
    ) -> None:
        super().__init__(f"{key if KEY.fullmatch(key) else repr(key)} {reason}")
        self.key = key


@dataclass(frozen=True)
class Assignment:
    """A variable of a file, with the line it starts in (from 1)."""

    key: str
    value: str = field(repr=False)
    line: int


@dataclass(frozen=True)
class Loss:
    """Text of a file that is not part of any variable. why: the reason, without quoting it."""

    line: int
    why: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.why}"


def parse(text: str) -> dict[str, str]:
    """The variables of a `.env` file, in order; of a key given twice, the last value.

    Raises FormatError for a key that is not a name and for a quote that is never closed.
    """
    return {one.key: one.value for one in read(text) if isinstance(one, Assignment)}


def losses(text: str) -> list[Loss]:
    """What `parse` skips: lines without `=`, and text after a closing quote that is not a comment.
    Raises FormatError like `parse`."""
    return [one for one in read(text) if isinstance(one, Loss)]


def read(text: str) -> Iterator[Assignment | Loss]:
    """The contents of a `.env` file, from top to bottom. Raises FormatError like `parse`."""
    lines = lines_of(text)
    number = 0
    while number < len(lines):
        first, line = number + 1, lines[number].strip(BLANKS)
        number += 1
        if not line or line.startswith("#"):
            continue
        key, equals, rest = line.partition("=")
        if not equals:
            yield Loss(first, "it has no =, so it is ignored")
            continue
        key = _EXPORT.sub("", key.strip(BLANKS), count=1)
        if not KEY.fullmatch(key):
            raise FormatError(
                "the name before the = must be letters, digits and _, and not start with a digit",
                first,
            )
        rest = rest.lstrip(BLANKS)
        if rest[:1] not in ('"', "'"):
            yield Assignment(key, unescaped(without_comment(rest)), first)
            continue
        # Not trimmed: a value that continues on the next line may end with a space here.
        rest = lines[number - 1].partition("=")[2].lstrip(BLANKS)
        quote, rest = rest[0], rest[1:]
        parts: list[str] = []
        while (end := _closing(rest, quote)) is None:
            if number == len(lines):
                raise FormatError(f"the quote {quote} is never closed", first)
            parts.append(rest)
            rest = lines[number]
            number += 1
        parts.append(rest[:end])
        yield Assignment(key, unescaped("\n".join(parts)), first)
        behind = rest[end + 1 :].strip(BLANKS)
        if behind and not behind.startswith("#"):
            yield Loss(number, "the text after the closing quote is not part of the value")


def lines_of(text: str) -> list[str]:
    """The lines of a file: they end with LF or CR LF, or with CR if there is no LF at all."""
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    return text.split("\n") if "\n" in text else text.split("\r")


def names(variables: Mapping[str, str]) -> list[str]:
    """The keys, sorted. Raises UnwritableError for one that is not a name: it would be read as
    something else, or run."""
    for key in variables:
        if not KEY.fullmatch(key):
            raise UnwritableError(key)
    return sorted(variables)


def without_comment(value: str) -> str:
    """An unquoted value without the comment after it."""
    return value.partition(" #")[0].rstrip(BLANKS)


def unescaped(value: str) -> str:
    """The value with each escape undone, from left to right."""
    return _ESCAPED.sub(lambda match: _ESCAPES[match[1]], value)


def _closing(text: str, quote: str) -> int | None:
    """The position of the last unescaped quote of a line; None if there is none."""
    end = text.rfind(quote)
    while end >= 0 and _is_escaped(text, end):
        end = text.rfind(quote, 0, end)
    return end if end >= 0 else None


def _is_escaped(text: str, place: int) -> bool:
    """Whether an odd number of backslashes precedes this position."""
    first = place
    while first and text[first - 1] == "\\":
        first -= 1
    return (place - first) % 2 == 1

"""The `.env` format as the clients of the hosted product read and write it.

Reading is lenient: a line without `=` is passed over. A key that is no name is an error, since
whatever it was meant to be would be lost. Writing quotes whatever a reader could take otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_EXPORT = re.compile(r"^export\s+")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\", '"': '"', "'": "'"}
_ESCAPED = re.compile(r"\\([nrt\\\"'])")
_NEEDS_QUOTES = re.compile(r"[\s\"'#$&|;<>()\[\]{}*?!~`\\]")
_TO_ESCAPE = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}


class FormatError(ValueError):
    """The text is not in the format. `line` counts from 1; no value is in the message."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(f"line {line}: {message}")
        self.line = line


class UnwritableError(ValueError):
    """A variable that the format cannot hold, mostly as its key is no name. No value is said."""

    def __init__(self, key: str, reason: str = "is no name of letters, digits and _") -> None:
        super().__init__(f"{key if KEY.fullmatch(key) else repr(key)} {reason}")
        self.key = key


def parse(text: str) -> dict[str, str]:
    """The variables of a `.env` file, in order; of a key given twice, the last value.

    Raises FormatError for a key that is no name and for a quote that is never closed.
    """
    variables: dict[str, str] = {}
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").split("\n")
    number = 0
    while number < len(lines):
        first = number + 1
        line = lines[number].strip()
        number += 1
        if not line or line.startswith("#"):
            continue
        key, equals, rest = line.partition("=")
        if not equals:
            continue
        key = _EXPORT.sub("", key.strip(), count=1)
        if not KEY.fullmatch(key):
            raise FormatError(
                "before the = goes a name of letters, digits and _, no digit first",
                first,
            )
        rest = rest.lstrip()
        if rest[:1] not in ('"', "'"):
            variables[key] = _unescaped(_without_comment(rest))
            continue
        # The rest as it stands in the line: what ends inside quotes may end in white space.
        rest = lines[number - 1].partition("=")[2].lstrip()
        quote, rest = rest[0], rest[1:]
        end = _closing(rest, quote)
        while end is None:
            if number == len(lines):
                raise FormatError(f"the quote {quote} is never closed", first)
            rest += "\n" + lines[number]
            number += 1
            end = _closing(rest, quote)
        variables[key] = _unescaped(rest[:end])
    return variables


def write(variables: Mapping[str, str]) -> str:
    """A `.env` file that `parse` reads as `variables`, sorted by key, each line ended.

    Raises UnwritableError for a key that is no name.
    """
    return "".join(f"{key}={_quoted(variables[key])}\n" for key in names(variables))


def names(variables: Mapping[str, str]) -> list[str]:
    """The keys, sorted. Raises UnwritableError for one that is no name, which would be read as
    something else, or run."""
    for key in variables:
        if not KEY.fullmatch(key):
            raise UnwritableError(key)
    return sorted(variables)


def _without_comment(rest: str) -> str:
    if rest.startswith("#"):
        return ""
    return re.split(r"\s#", rest, maxsplit=1)[0].rstrip()


def _closing(text: str, quote: str) -> int | None:
    """Where the quote that ends `text` stands; escaped ones do not."""
    place = 0
    while place < len(text):
        if text[place] == "\\":
            place += 2
            continue
        if text[place] == quote:
            return place
        place += 1
    return None


def _unescaped(value: str) -> str:
    return _ESCAPED.sub(lambda match: _ESCAPES[match[1]], value)


def _quoted(value: str) -> str:
    if not _NEEDS_QUOTES.search(value):
        return value
    return '"' + "".join(_TO_ESCAPE.get(character, character) for character in value) + '"'

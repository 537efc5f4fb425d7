"""The words of a question as they were typed: qualifiers, quoted text, bare words."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Token:
    """`-name:"value",other`; a bare word has no name, and one value."""

    text: str
    name: str = ""
    values: tuple[str, ...] = ()
    is_quoted: bool = False
    is_excluded: bool = False

    @property
    def value(self) -> str:
        return self.values[0] if self.values else ""

    @property
    def word(self) -> str:
        """In lower case, if it may be a word of the question's own language; else empty."""
        return "" if self.is_quoted or self.name else self.value.lower()


_QUOTED = r'"(?:\\.|[^"\\])*"|“[^”]*”'
_TOKEN = re.compile(
    rf"(?P<minus>-?)(?P<quoted>{_QUOTED})(?=\s|$)"
    rf"|(?P<minus2>-?)(?P<name>[A-Za-z_]+):(?P<value>(?:{_QUOTED}|[^\s\"“])*)(?=\s|$)"
    r"|(?P<minus3>-?)(?P<name3>[A-Za-z_]+):(?P<value3>\S+)"
    r"|(?P<word>\S+)"
)
_PART = re.compile(rf"(?P<quoted>{_QUOTED})|(?P<comma>,)|[^,]")
_POSSESSIVE = re.compile(r"(.+)['’]s", re.IGNORECASE)


def read(text: str) -> Iterator[Token]:
    for match in _TOKEN.finditer(text):
        whole = match[0]
        if match["quoted"]:
            value = _unquoted(match["quoted"])
            yield Token(whole, "", (value,), True, bool(match["minus"]))
        elif match["word"] or _is_address(whole):
            yield from _words(whole)
        else:
            minus, name = match["minus2"] or match["minus3"], match["name"] or match["name3"]
            value = match["value"] or match["value3"] or ""
            values = tuple(_parts(value))
            is_quoted = bool(re.fullmatch(_QUOTED, value))
            yield Token(whole, name.lower(), values, is_quoted, bool(minus))


def _words(text: str) -> Iterator[Token]:
    """A bare word; the owner in "jane's" apart from what says that he is one."""
    is_excluded = text.startswith("-") and len(text) > 1
    word = text[1:] if is_excluded else text
    word = re.sub(r"(?<!\.)\.$", "", word.rstrip("?!,;"))
    if owner := _POSSESSIVE.fullmatch(word):
        yield Token(text, "", (owner[1],), False, is_excluded)
        if owner[1].lower() not in ("what", "who", "when", "where", "how"):  # is, or has
            yield Token("'s", "", ("'s",))
    elif word:
        yield Token(text, "", (word,), False, is_excluded)


def _parts(text: str) -> Iterator[str]:
    """What stands between the commas that are not in quotes, without these."""
    part = ""
    for match in _PART.finditer(text):
        if match["comma"]:
            yield from [part] if part.strip() else []
            part = ""
        else:
            part += _unquoted(match["quoted"]) if match["quoted"] else match[0]
    yield from [part] if part.strip() else []


def _unquoted(text: str) -> str:
    return text[1:-1] if text.startswith("“") else re.sub(r"\\(.)", r"\1", text[1:-1])


def _is_address(text: str) -> bool:
    """Whether the colon belongs to an address, such as fe80::1."""
    try:
        ipaddress.ip_network(text.rstrip("?!,;"), strict=False)
    except ValueError:
        return False
    return True


def quoted(value: str) -> str:
    """`value` as one word, in quotes if it needs them."""
    return value if re.fullmatch(r'[^\s"\\“”]+', value) else in_quotes(value)


def in_quotes(value: str) -> str:
    return '"' + re.sub(r'(["\\])', r"\\\1", value) + '"'

"""The words of a question as they were typed: qualifiers, quoted text, bare words."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace


def word_set(text: str) -> frozenset[str]:
    """The words of `text`, which a table lists more legibly so."""
    return frozenset(text.split())


@dataclass(frozen=True)
class Token:
    """`-name:"value",other`; a bare word has no name, and one value.

    start, end: its place in the text; ends: a comma or the like follows, so that another part of
    the sentence begins.
    """

    text: str
    name: str = ""
    values: tuple[str, ...] = ()
    is_quoted: bool = False
    is_excluded: bool = False
    start: int = 0
    end: int = 0
    ends: bool = False

    @property
    def value(self) -> str:
        return self.values[0] if self.values else ""

    @property
    def word(self) -> str:
        """In lower case, if it may be a word of the question's own language; else empty."""
        return "" if self.is_quoted or self.name else self.value.lower().replace("’", "'")


_QUOTED = r'"(?:\\.|[^"\\])*"|“[^”]*”'
_TOKEN = re.compile(
    rf"(?P<minus>-?)(?P<quoted>{_QUOTED})(?=[\s?!,;.]|$)"
    rf"|(?P<minus2>-?)(?P<name>[A-Za-z_]+)[:=](?P<value>(?:{_QUOTED}|[^\s\"“])*)(?=\s|$)"
    r"|(?P<minus3>-?)(?P<name3>[A-Za-z_]+)[:=](?P<value3>\S+)"
    r"|(?P<word>\S+)"
)
_PART = re.compile(rf"(?P<quoted>{_QUOTED})|(?P<comma>,)|[^,]")
_SINGLE_QUOTES = re.compile(r"['‘`]([^'‘’`]+)['’`]")
_POSSESSIVE = re.compile(r"(.+)['’]s", re.IGNORECASE)
_POSSESSIVE_OF_MANY = re.compile(r"(.+s)['’]", re.IGNORECASE)
_MARKS = "?!,;:()[]{}<>…"
DASHES = ("-", "–", "—")
_IS = ("what", "who", "when", "where", "how", "that", "there", "it", "he", "she")


def read(text: str) -> Iterator[Token]:
    for match in _TOKEN.finditer(text):
        whole, (start, end) = match[0], match.span()
        if match["quoted"]:
            value = _unquoted(match["quoted"])
            ends = text[end : end + 1] in (",", ";", ".")
            yield Token(whole, "", (value,), True, bool(match["minus"]), start, end, ends)
        elif match["word"] or any(is_one(whole) for is_one in _WITH_COLON):
            yield from _words(whole, start)
        else:
            minus, name = match["minus2"] or match["minus3"], match["name"] or match["name3"]
            value = match["value"] or match["value3"] or ""
            values = tuple(_parts(value))
            is_quoted = bool(re.fullmatch(_QUOTED, value))
            yield Token(whole, name.lower(), values, is_quoted, bool(minus), start, end)


_COLUMNS = word_set("actor action type result ip interface resource severity")
_EQUALS = word_set("= == is equals")


def with_equations(tokens: Sequence[Token]) -> list[Token]:
    """action = delete, type is environment: as action:delete, type:environment."""
    found: list[Token] = []
    place = 0
    while place < len(tokens):
        first, *rest = tokens[place : place + 3]
        is_equation = (
            len(rest) == 2
            and first.word in _COLUMNS
            and rest[0].word in _EQUALS
            and not rest[1].name
            and rest[1].word not in ("not", "like", "in", "the", "a", "an", "being")
        )
        if is_equation:
            last = rest[1]
            found.append(replace(last, name=first.word, start=first.start, text=last.text))
            place += 3
        else:
            found.append(first)
            place += 1
    return found


def _words(text: str, start: int) -> Iterator[Token]:
    """A bare word; the owner in "jane's" apart from what says that he is one."""
    ends = text[-1] in ",;?!" or (text.endswith(".") and not text.endswith(".."))
    end = start + len(text)
    begin = len(text) - len(text.lstrip(_MARKS.replace(":", "") if _is_address(text) else _MARKS))
    word = _bare_address(text[begin:])
    is_excluded = word[:1] in ("-", "−") and len(word) > 1
    word = word[1:] if is_excluded else word
    # !jane leaves her out; jane! does not.
    is_excluded = is_excluded or bool(re.match(r"!+\w", text))
    word = word.rstrip(_MARKS)
    if not re.fullmatch(r"\d{1,2}\.\d{1,2}\.", word):
        word = re.sub(r"(?<!\.)\.$", "", word)
    owner = _POSSESSIVE.fullmatch(word) or _POSSESSIVE_OF_MANY.fullmatch(word)
    if owner and word[0] not in "'‘`":
        yield Token(text, "", (owner[1],), False, is_excluded, start, end, False)
        if owner[1].lower() not in _IS:  # is, or has
            yield Token("'s", "", ("'s",), False, False, end, end, ends)
    elif in_single := _SINGLE_QUOTES.fullmatch(word):
        yield Token(text, "", (in_single[1],), True, is_excluded, start, end, ends)
    elif word.strip("-–—") or (word in DASHES and not is_excluded):
        yield Token(text, "", (word,), False, is_excluded, start, end, ends)


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
    return as_network(text.rstrip(_MARKS).removeprefix("-")) is not None


def _bare_address(text: str) -> str:
    """Of 203.0.113.7:52344 the address, of ::ffff:203.0.113.7 the one inside."""
    with_port = re.fullmatch(r"((?:\d{1,3}\.){3}\d{1,3}):\d{1,5}([?!,;.]*)", text)
    if with_port:
        return with_port[1]
    inside = re.fullmatch(r"::ffff:((?:\d{1,3}\.){3}\d{1,3})([?!,;.]*)", text, re.IGNORECASE)
    return inside[1] if inside else text


def _is_clock(text: str) -> bool:
    return bool(re.fullmatch(r"-?\d{1,2}(:\d{2}){1,2}([ap]m)?[?!,;.]*", text, re.IGNORECASE))


def _is_hash(text: str) -> bool:
    return text.lower().startswith("sha256:")


def _is_web_address(text: str) -> bool:
    return text.lower().startswith(("http://", "https://"))


_WITH_COLON = (_is_address, _is_clock, _is_hash, _is_web_address)
"""What has a colon and is no qualifier."""


def as_network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    """The address or network that `text` is; None for anything else, plain numbers included."""
    if text.isdigit():
        return None
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def quoted(value: str) -> str:
    """`value` as one word, in quotes if it needs them."""
    return value if re.fullmatch(r'[^\s"\\“”]+', value) else in_quotes(value)


def in_quotes(value: str) -> str:
    return '"' + re.sub(r'(["\\])', r"\\\1", value) + '"'

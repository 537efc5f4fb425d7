"""Reading the parameters of a question: form fields that say what is wrong and what to write.

A parameter may be repeated and may hold several values with commas: any of them is meant.
"""

from __future__ import annotations

import difflib
import ipaddress
import re
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from organizations import ulid

MOST_VALUES = 100
MOST_ENTRIES = 1000
"""Entries that an answer may be limited to."""
LONGEST_TEXT = 500
"""As long as a label in the log can be."""
LARGEST_PAGE = 200


class _AsGiven(forms.Widget):
    """All values of a parameter, out of a query string or a plain dict."""

    def value_from_datadict(self, data: Any, files: Any, name: str) -> list[str]:
        if hasattr(data, "getlist"):
            return [str(value) for value in data.getlist(name)]
        value = data.get(name, [])
        return [str(item) for item in value] if isinstance(value, list | tuple) else [str(value)]


class ValuesField(forms.Field):
    """Any of several values, each once."""

    widget = _AsGiven

    def clean(self, value: Sequence[str]) -> list[Any]:
        texts = [text for part in value for text in split(part)]
        if len(texts) > MOST_VALUES:
            raise ValidationError(
                f"Give at most {MOST_VALUES} values. Split the query into several."
            )
        for text in texts:
            _refuse_unreadable(text)
            if not text.strip("*"):
                raise ValidationError(
                    "Write the beginning of the name before the star, such as api*."
                )
        return list(dict.fromkeys(value for text in texts for value in self.parse_each(text)))

    def parse_each(self, text: str) -> Sequence[Any]:
        """Everything that one text stands for."""
        return [self.parse(text)]

    def parse(self, text: str) -> Any:
        return text


class ChoicesField(ValuesField):
    """Words out of a known list; a wrong one is answered with the nearest, and `re*` stands for
    all that begin so. groups: further words, which stand for themselves here."""

    def __init__(
        self,
        *,
        choices: Iterable[str],
        aliases: Mapping[str, str] | None = None,
        groups: Iterable[str] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.choices = tuple(choices)
        self.aliases = aliases or {}
        self.groups = tuple(groups)

    def parse_each(self, text: str) -> Sequence[str]:
        beginning = beginning_of(text)
        if beginning is None:
            return [self.parse(text)]
        word = _as_word(beginning)
        found = [choice for choice in self.choices if choice.startswith(word)]
        if not found:
            raise ValidationError(
                f"Nothing begins with {beginning!r}. {suggest(word, self.choices)}"
            )
        return found

    def parse(self, text: str) -> str:
        word = _as_word(text)
        word = self.aliases.get(word, word)
        known = (*self.choices, *self.groups)
        if word not in known:
            raise ValidationError(f"{text!r} is not a known value. {suggest(word, known)}")
        return word


def _as_word(text: str) -> str:
    """As words of the catalogue are written."""
    return text.lower().replace(" ", "_").replace("-", "_")


class NetworksField(ValuesField):
    def parse(self, text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
        try:
            network = ipaddress.ip_network(text, strict=False)
        except ValueError:
            raise ValidationError(
                f"{text!r} is not an address or a network."
                " Write 203.0.113.7, 10.0.0.0/8 or 2001:db8::/32."
            ) from None
        return _unmapped(network)


_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")


def _unmapped(
    network: ipaddress.IPv4Network | ipaddress.IPv6Network,
) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    """The IPv4 network that an IPv4-mapped one (`::ffff:192.0.2.1`) stands for: entries have that,
    however the client's address was written."""
    if not isinstance(network, ipaddress.IPv6Network) or not network.subnet_of(_MAPPED):
        return network
    last = ipaddress.IPv4Address(int(network.network_address) & 0xFFFFFFFF)
    return ipaddress.IPv4Network((last, network.prefixlen - _MAPPED.prefixlen))


class UlidsField(ValuesField):
    def parse(self, text: str) -> uuid.UUID:
        return parse_ulid(text)


class FieldNamesField(ValuesField):
    def parse(self, text: str) -> str:
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,62}", text):
            raise ValidationError(f"{text!r} is not a field name. Write it like is_production.")
        return text.lower()


@dataclass(frozen=True)
class Sought:
    """A text that is looked for in another. begins: that one begins with it."""

    text: str
    begins: bool = False


class PartsField(ValuesField):
    """Parts of a text; `curl*` is what it begins with."""

    def parse(self, text: str) -> Sought:
        beginning = beginning_of(text)
        return Sought(text) if beginning is None else Sought(beginning, begins=True)


@dataclass(frozen=True)
class FieldValue:
    """A value before or after a change. field: of which field; empty: of any."""

    field: str
    value: Sought


class FieldValuesField(ValuesField):
    """`field:value`, or a value alone. What stands before the colon is part of the value unless it
    is one of `fields`."""

    def __init__(self, *, fields: Callable[[], Collection[str]], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.fields = fields

    def parse(self, text: str) -> FieldValue:
        name, colon, value = text.partition(":")
        name = name.strip().lower()
        if not colon or name not in self.fields():
            name, value = "", text
        value = value.strip()
        if not value.strip("*"):
            raise ValidationError(f"{text!r} names no value. Write it like status:active.")
        beginning = beginning_of(value)
        sought = Sought(value) if beginning is None else Sought(beginning, begins=True)
        return FieldValue(name, sought)


@dataclass(frozen=True)
class Hours:
    """Of each day the minutes from `since` to before `until`; around midnight if that is less.
    on_weekdays: only from Monday to Friday."""

    since: int
    until: int
    on_weekdays: bool = False


_HOUR = r"(\d{1,2})(?::(\d\d))?"
_DAY_HAS = 24 * 60


OFFICE = Hours(9 * 60, 17 * 60, on_weekdays=True)


class HoursField(ValuesField):
    """`9-17`, `22-6`, `9:30-17:15`; `14` is the hour from then, `office` is OFFICE."""

    def parse(self, text: str) -> Hours:
        if text.strip().lower() == "office":
            return OFFICE
        found = re.fullmatch(rf"{_HOUR}(?:\s*-\s*{_HOUR})?", text.strip(), re.ASCII)
        if found:
            since = int(found[1]) * 60 + int(found[2] or 0)
            until = int(found[3]) * 60 + int(found[4] or 0) if found[3] else since + 60
            is_clock = all(int(part or 0) < 60 for part in (found[2], found[4]))
            if is_clock and since < _DAY_HAS and until <= _DAY_HAS and since != until:
                return Hours(since, until)
        raise ValidationError(
            f"{text!r} is not a time of day. Write it like 9-17, 22-6 or 9:30-17:15."
        )


DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
WEEKDAYS = DAYS[:5]
_SEVERAL_DAYS = {"weekday": WEEKDAYS, "weekdays": WEEKDAYS, "weekend": DAYS[5:]}
_SEVERAL_DAYS |= {"weekends": DAYS[5:]}
_LONG_DAYS = dict(
    zip(
        ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"),
        DAYS,
        strict=True,
    )
)


class DaysField(ValuesField):
    """Days of the week: `mon,tue`, `mon-fri`, `weekday`, `weekend`; the names of DAYS."""

    def parse_each(self, text: str) -> Sequence[str]:
        word = text.strip().lower()
        if word in _SEVERAL_DAYS:
            return _SEVERAL_DAYS[word]
        ends = [_LONG_DAYS.get(end.strip(), end.strip()) for end in word.split("-")]
        if len(ends) > 2 or any(end not in DAYS for end in ends):
            raise ValidationError(
                f"{text!r} is not a day of the week. Write mon, tue, mon-fri, weekday or weekend."
            )
        first, last = DAYS.index(ends[0]), DAYS.index(ends[-1])
        return [DAYS[number % 7] for number in range(first, last + 1 + 7 * (last < first))]


class IdsField(ValuesField):
    """An id as anybody may have copied it, a ULID or a UUID, or the fingerprint of a key."""

    def parse(self, text: str) -> uuid.UUID | str:
        if (key := ulid.parse_or_none(text)) is not None:
            return key
        if re.fullmatch(r"[0-9a-fA-F]{8}(-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}", text):
            return uuid.UUID(text)
        if re.fullmatch(r"[0-9a-fA-F]{8,64}", text):
            return text.lower()
        raise ValidationError(
            f"{text!r} is not an id. An id has 26 letters and digits, such as"
            " 01JCZ0N5XW8QK3V4T6Y7B9D2FG, and a key's fingerprint 8 digits such as 3f9a0c1e."
        )


class TextField(forms.Field):
    """One text, taken whole. Given twice it would be unclear which counts."""

    widget = _AsGiven

    def clean(self, value: Sequence[str]) -> Any:
        texts = [text.strip() for text in value if text.strip()]
        if len(texts) > 1:
            raise ValidationError("Give this parameter only once.")
        if not texts:
            return self.parse_nothing()
        _refuse_unreadable(texts[0])
        return self.parse(texts[0])

    def parse(self, text: str) -> Any:
        return text

    def parse_nothing(self) -> Any:
        return ""


class CursorField(TextField):
    def parse(self, text: str) -> uuid.UUID:
        return parse_ulid(text)

    def parse_nothing(self) -> None:
        return None


class NumberField(TextField):
    """A whole number from 1 to `most`."""

    def __init__(self, *, most: int, what: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.most, self.what = most, what

    def parse(self, text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,9}", text) or not 1 <= int(text) <= self.most:
            raise ValidationError(f"{text!r} is not a {self.what}. Give 1 to {self.most}.")
        return int(text)

    def parse_nothing(self) -> None:
        return None


class WordField(TextField):
    """One of a few words."""

    def __init__(self, *, words: Sequence[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.words = words

    def parse(self, text: str) -> str:
        word = text.lower()
        if word not in self.words:
            raise ValidationError(f"{text!r} is not a known value. {suggest(word, self.words)}")
        return word


def split(text: str) -> list[str]:
    """The values between the commas of `text`; in double quotes a comma separates nothing."""
    values = (value.strip() for value in re.findall(r'(?:"[^"]*"|[^,"]|")+', text))
    bare = (
        value[1:-1].strip() if len(value) > 1 and value[0] == value[-1] == '"' else value
        for value in values
    )
    return [value for value in bare if value]


def join(values: Iterable[str]) -> str:
    """The inverse of `split`."""
    return ",".join(f'"{value}"' if "," in value else value for value in values)


def beginning_of(text: str) -> str | None:
    """What stands before the star at the end of `text`; None if there is no star."""
    return text.rstrip("*") if text.endswith("*") else None


def parse_ulid(text: str) -> uuid.UUID:
    """The id written as `text`. Raises ValidationError."""
    try:
        return ulid.parse(text.strip())
    except ValueError:
        raise ValidationError(
            f"{text!r} is not an id. An id has 26 letters and digits, such as"
            " 01JCZ0N5XW8QK3V4T6Y7B9D2FG."
        ) from None


def suggest(word: str, known: Sequence[str]) -> str:
    """What may have been meant by `word`, else everything that is known."""
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.7)
    return f"Did you mean {close[0]}?" if close else f"Use one of {', '.join(known)}."


def _refuse_unreadable(text: str) -> None:
    if len(text) > LONGEST_TEXT:
        raise ValidationError(f"Give at most {LONGEST_TEXT} characters.")
    if "\x00" in text:
        raise ValidationError("Remove the NUL character. No name contains one.")

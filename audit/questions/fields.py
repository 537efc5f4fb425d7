"""Reading the parameters of a question: form fields that say what is wrong and what to write.

A parameter may be repeated and may hold several values with commas: any of them is meant.
"""

from __future__ import annotations

import difflib
import ipaddress
import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from organizations import ulid

MOST_VALUES = 100
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
    all that begin so."""

    def __init__(
        self, *, choices: Iterable[str], aliases: Mapping[str, str] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.choices = tuple(choices)
        self.aliases = aliases or {}

    def parse_each(self, text: str) -> Sequence[str]:
        beginning = beginning_of(text)
        if beginning is None:
            return [self.parse(text)]
        word = beginning.lower().replace(" ", "_")
        found = [choice for choice in self.choices if choice.startswith(word)]
        if not found:
            raise ValidationError(
                f"Nothing begins with {beginning!r}. {suggest(word, self.choices)}"
            )
        return found

    def parse(self, text: str) -> str:
        word = text.lower().replace(" ", "_")
        word = self.aliases.get(word, word)
        if word not in self.choices:
            raise ValidationError(f"{text!r} is not a known value. {suggest(word, self.choices)}")
        return word


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


class PageSizeField(TextField):
    def parse(self, text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,9}", text) or not 1 <= int(text) <= LARGEST_PAGE:
            raise ValidationError(f"{text!r} is not a page size. Give 1 to {LARGEST_PAGE}.")
        return int(text)

    def parse_nothing(self) -> None:
        return None


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

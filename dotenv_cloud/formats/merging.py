"""Merges the variables of several levels: the outermost first, the last one wins."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from dotenv_cloud.formats import env

LINES = ("env", "")
WITH_VARIABLES = (*LINES, "json")
"""Formats of projects: those that are lines of `.env`, and those that have variables."""


class UnreadableError(ValueError):
    """The text of a level cannot be read as variables. `reason` says why, without quoting it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def variables_of(text: str, secret_format: str) -> dict[str, str]:
    """The variables in a level's text.

    secret_format: that of the project: `env`, or `json` (an object whose values become strings).
    Raises UnreadableError for text that is not in the format, and for formats without variables.
    """
    match secret_format:
        case "env" | "":
            try:
                return env.parse(text)
            except env.FormatError as error:
                raise UnreadableError(f"{error}") from None
        case "json":
            return _of_json(text)
        case _:
            raise UnreadableError(f"the format {secret_format} has no variables")


def merge(levels: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """All variables; if several levels have one, the last value."""
    merged: dict[str, str] = {}
    for variables in levels:
        merged.update(variables)
    return merged


class _Literal(str):
    """A number as it was written: as a version, `1.10` is not 1.1, and `1e400` is too large for
    Python."""

    __slots__ = ()


def _of_json(text: str) -> dict[str, str]:
    try:
        document = json.loads(
            text, parse_float=_Literal, parse_int=_Literal, parse_constant=_Literal
        )
        if not isinstance(document, dict):
            raise UnreadableError("it is JSON, but not an object")
        variables = {key: _as_text(value) for key, value in document.items()}
    except json.JSONDecodeError as error:
        raise UnreadableError(f"line {error.lineno}: it is not JSON") from None
    except (ValueError, RecursionError) as error:
        if isinstance(error, UnreadableError):
            raise
        raise UnreadableError("it is not JSON") from None
    try:
        for variable in variables.items():
            "".join(variable).encode()
    except UnicodeEncodeError:
        # JSON may contain unpaired surrogates, which cannot be encoded.
        raise UnreadableError("it holds text that is not valid Unicode") from None
    return variables


def _as_text(value: Any) -> str:
    """A value of a JSON object as the value of a variable: strings unchanged, the rest as JSON."""
    return str(value) if isinstance(value, str) else _as_json(value)


def _as_json(value: Any) -> str:
    match value:
        case _Literal():
            return str(value)
        case dict():
            pairs = (f"{_as_json(key)}: {_as_json(item)}" for key, item in value.items())
            return f"{{{', '.join(pairs)}}}"
        case list():
            return f"[{', '.join(map(_as_json, value))}]"
        case _:
            return json.dumps(value, ensure_ascii=False)

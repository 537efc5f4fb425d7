"""The variables of several levels as one: the outermost first, the last one wins."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from dotenv_cloud.formats import env


class UnreadableError(ValueError):
    """The text of a level holds no variables. `reason` tells why, without quoting it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def variables_of(text: str, secret_format: str) -> dict[str, str]:
    """The variables in a level's text.

    secret_format: the project's: `env`, or `json` (an object whose values become strings). Raises
    UnreadableError for text that is not in the format, and for formats without variables.
    """
    match secret_format:
        case "env" | "":
            try:
                return env.parse(text)
            except env.FormatError as error:
                raise UnreadableError(f"it is no .env file ({error})") from None
        case "json":
            return _of_json(text)
        case _:
            raise UnreadableError(f"the format {secret_format} has no variables")


def merge(levels: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """All variables; of one given on several levels, the last."""
    merged: dict[str, str] = {}
    for variables in levels:
        merged.update(variables)
    return merged


def _of_json(text: str) -> dict[str, str]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise UnreadableError("it is not JSON") from None
    if not isinstance(document, dict):
        raise UnreadableError("it is JSON, but no object")
    variables = {
        key: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for key, value in document.items()
    }
    try:
        for variable in variables.items():
            "".join(variable).encode()
    except UnicodeEncodeError:
        # JSON may hold halves of characters, which nobody could write anywhere.
        raise UnreadableError("it holds text that is not valid Unicode") from None
    return variables

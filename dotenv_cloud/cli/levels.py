"""The secrets of the levels of a path, fetched and decrypted on this machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from dotenv_cloud.cli import crypto, key_material, output
from dotenv_cloud.cli.client import Api
from dotenv_cloud.cli.errors import Exit, Failure
from dotenv_cloud.cli.key_material import ProjectKey
from dotenv_cloud.formats import env, env_writing, merging
from dotenv_cloud.formats.writers import WRITERS

NAMES = ("project", "target", "environment")


@dataclass(frozen=True)
class Level:
    """A level that holds something. content: as the server keeps it; plaintext: None until it is
    opened."""

    name: str
    path: str
    content: str = field(repr=False)
    is_encrypted: bool
    id: str = ""
    plaintext: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Fetched:
    """The levels of a path that hold something, the outermost first. format: the project's."""

    asked: str
    format: str
    levels: list[Level]

    @property
    def deepest(self) -> Level | None:
        """The level that the path itself names, if it holds something."""
        return next((level for level in self.levels if level.name == self.asked), None)


def fetch(api: Api, segments: Sequence[str]) -> Fetched:
    """What the level and those above it hold."""
    answer = api.get(api.node(*segments, "secrets"))
    attributes: Mapping[str, Any] = answer["data"]["attributes"]
    found = [
        Level(
            name=name,
            path="/".join(segments[: place + 1]),
            content=attributes["levels"][name]["content"],
            is_encrypted=attributes["levels"][name]["encrypted"],
            id=attributes["levels"][name].get("id", ""),
        )
        for place, name in enumerate(NAMES)
        if (attributes["levels"].get(name) or {}).get("content")
    ]
    return Fetched(NAMES[len(segments) - 1], attributes.get("format") or "env", found)


def opened(levels: Sequence[Level], key: ProjectKey | None, *, allow_partial: bool) -> list[Level]:
    """The levels with their plaintexts. One that does not open ends the command, unless
    `allow_partial`: then it is skipped with a warning. key: None if none is encrypted."""
    found = []
    for level in levels:
        try:
            found.append(_opened(level, key))
        except crypto.WrongKeyError as error:
            reason = f"{level.path} cannot be decrypted: {error}."
            if not allow_partial:
                raise Failure(
                    reason,
                    Exit.KEY,
                    "Check the key. --allow-partial skips levels that cannot be decrypted.",
                ) from None
            output.warn(f"{reason} It is skipped.")
    return found


def _opened(level: Level, key: ProjectKey | None) -> Level:
    if not level.is_encrypted:
        return replace(level, plaintext=level.content.encode())
    if key is None:
        raise crypto.WrongKeyError("it is encrypted, but there is no key")
    return replace(level, plaintext=crypto.decrypt(key.data_key, level.content))


def variables(level: Level, secret_format: str) -> dict[str, str]:
    """The variables of an opened level. Raises Failure if it cannot be read as variables."""
    text = key_material.text_of(level.plaintext or b"", level.path)
    try:
        found = merging.variables_of(text, secret_format)
    except merging.UnreadableError as error:
        raise Failure(
            f"{level.path} cannot be read as variables: {error.reason}.",
            Exit.ERROR,
            "To get its text unchanged, pull it with --level-only and without --format.",
        ) from None
    if secret_format in merging.LINES:
        for loss in env.losses(text):
            output.warn(f"{level.path}, {loss}; it is left out.")
    return found


def difference(old: Mapping[str, str], new: Mapping[str, str]) -> list[tuple[str, str]]:
    """(mark, name) for each variable that was added (+), removed (-) or changed (~), by name."""
    marks = []
    for name in sorted({*old, *new}):
        if name not in new:
            marks.append(("-", name))
        elif name not in old:
            marks.append(("+", name))
        elif old[name] != new[name]:
            marks.append(("~", name))
    return marks


def written(variables: Mapping[str, str], format_: str) -> str:
    """The variables in a format. Raises Failure for a variable that the format cannot hold, and
    warns of variables of a .env file that other programs read differently."""
    try:
        text = WRITERS[format_](variables)
        unlike = env_writing.unlike(variables) if format_ == "env" else {}
    except env.UnwritableError as error:
        raise Failure(f"{error}.", Exit.ERROR, "Choose --format json, yaml or shell.") from None
    for name, others in unlike.items():
        output.warn(
            f"{name} cannot be written for all programs: {', '.join(others)} read it differently."
        )
    return text

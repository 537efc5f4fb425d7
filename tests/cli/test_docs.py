"""docs/cli.md keeps up with the command."""

from __future__ import annotations

import re
from collections.abc import Iterator

import click
import pytest

from dotenv_cloud.cli.errors import Exit
from dotenv_cloud.cli.root import root
from tests.cli.recorder import REPOSITORY

PAGE = (REPOSITORY / "docs" / "cli.md").read_text(encoding="utf-8")


def commands(group: click.Group, name: str = "dotenv") -> Iterator[tuple[str, click.Command]]:
    for word, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, f"{name} {word}")
        else:
            yield f"{name} {word}", command


@pytest.mark.parametrize(("name", "command"), list(commands(root)))
def test_every_command_and_option_is_described(name: str, command: click.Command) -> None:
    assert f"`{name}" in PAGE
    for parameter in [*root.params, *command.params]:
        if isinstance(parameter, click.Option):
            for flag in parameter.opts:
                assert re.search(rf"`{re.escape(flag)}[` ]", PAGE), f"{name} {flag}"


def test_every_variable_is_described() -> None:
    sources = (REPOSITORY / "dotenv_cloud" / "cli").glob("*.py")
    used = {
        variable
        for source in sources
        for variable in re.findall(r"\bDOTENV_[A-Z_]+", source.read_text(encoding="utf-8"))
    }
    assert "DOTENV_API_KEY" in used
    for variable in used:
        assert f"`{variable}`" in PAGE


def test_every_exit_code_is_described() -> None:
    for code in Exit:
        assert f"| {code.value} | " in PAGE


def test_every_command_takes_the_global_options() -> None:
    for name, command in commands(root):
        flags = {flag for parameter in command.params for flag in parameter.opts}
        assert {"--api-key", "--organization", "--debug", "--quiet"} <= flags, name

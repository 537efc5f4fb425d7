"""The options that every command takes, before or after its name, and the variables behind them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from dotenv_cloud.cli import accounts
from dotenv_cloud.cli.errors import Exit, Failure

_YES = frozenset({"1", "true", "yes", "on"})
_NO = frozenset({"", "0", "false", "no", "off"})


def is_set(variable: str) -> bool:
    """Whether an environment variable is set to 1, true, yes or on."""
    value = os.environ.get(variable, "").strip().lower()
    if value in _YES:
        return True
    if value in _NO:
        return False
    raise Failure(f"{variable} is {value!r}; use 1 or 0.", Exit.USAGE)


@dataclass
class Options:
    config: Path | None = None
    api_key: str | None = None
    account: str | None = None
    organization: str | None = None
    debug: bool = False
    quiet: bool = False
    no_color: bool = False

    @classmethod
    def from_environment(cls) -> Options:
        return cls(
            debug=is_set("DOTENV_DEBUG"),
            quiet=is_set("DOTENV_QUIET"),
            no_color=is_set("DOTENV_NO_COLOR"),
        )

    @property
    def accounts_file(self) -> Path:
        return self.config or accounts.default_file()


def current_options() -> Options:
    """The options of the running command; the defaults where none is running."""
    context = click.get_current_context(silent=True)
    found = context.find_object(Options) if context else None
    return found or Options()


def _keep(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    if value:
        setattr(current_options(), str(parameter.name), value)


def _global_options(*, hidden: bool) -> list[click.Option]:
    def option(*names: str, **settings: Any) -> click.Option:
        return click.Option(names, expose_value=False, callback=_keep, hidden=hidden, **settings)

    return [
        option(
            "--api-key",
            metavar="KEY",
            help="Use this API key instead of an account. Other users of the machine can see "
            "it; DOTENV_API_KEY is safer.",
        ),
        option("--account", metavar="NAME", help="Use this account instead of the current one."),
        option("--organization", metavar="ULID|SLUG", help="Use this organization."),
        option(
            "--config",
            type=click.Path(dir_okay=False, path_type=Path),
            metavar="FILE",
            help="Store accounts in this file.",
        ),
        option("--debug", is_flag=True, help="Show each request on standard error."),
        option("--quiet", is_flag=True, help="Print only data and errors."),
        option("--no-color", is_flag=True, help="Print without colors."),
    ]


class Switch(click.Option):
    """A flag that is on unless set by --name=false. Alone it does not consume the next argument."""

    def __init__(self, names: Sequence[str], **settings: Any) -> None:
        super().__init__(names, type=bool, default=True, metavar="BOOL", **settings)


class Command(click.Command):
    """A command that takes the global options too, so that they may follow its name."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.params.extend(_untaken(self.params, hidden=True))
        self.epilog = self.epilog or "Global options: dotenv --help"

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, _with_switches_written_out(self.params, args))


def _with_switches_written_out(params: Sequence[click.Parameter], args: list[str]) -> list[str]:
    """`args` with every switch written as --name=VALUE, including -m and -m=VALUE."""
    names = {
        short: max(param.opts, key=len)
        for param in params
        if isinstance(param, Switch)
        for short in param.opts
    }
    end = args.index("--") if "--" in args else len(args)
    written = []
    for arg in args[:end]:
        name, equals, value = arg.partition("=")
        known = names.get(name)
        written.append(f"{known}={value if equals else 'true'}" if known else arg)
    return written + args[end:]


class Group(click.Group):
    """aliases: other names of commands, as other clients have them. Help does not list them."""

    command_class = Command

    def __init__(
        self, *arguments: Any, aliases: Mapping[str, str] | None = None, **settings: Any
    ) -> None:
        super().__init__(*arguments, **settings)
        self.aliases = aliases or {}
        self.params.extend(_untaken(self.params, hidden=self.name != "dotenv"))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return super().get_command(ctx, self.aliases.get(cmd_name, cmd_name))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        _, command, rest = super().resolve_command(ctx, args)
        return command.name if command else None, command, rest


Group.group_class = Group


def _untaken(params: Sequence[click.Parameter], *, hidden: bool) -> list[click.Option]:
    """The global options whose names the command does not use for something else."""
    taken = {name for parameter in params for name in parameter.opts}
    return [
        option for option in _global_options(hidden=hidden) if not taken.intersection(option.opts)
    ]


class FormatChoice(click.Choice[str]):
    """Formats by name; `yml` means `yaml`."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        return super().convert("yaml" if value == "yml" else value, param, ctx)


def format_option(*formats: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """-f/--format, with the first of `formats` as default."""
    return click.option(
        "-f",
        "--format",
        "format_",
        type=FormatChoice(formats),
        default=formats[0],
        show_default=True,
        help="Output format.",
    )


force_option = click.option("-f", "--force", is_flag=True, help="Do not ask for confirmation.")

"""`dotenv run`: a command with the variables of a level in its environment, never on disk."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from types import FrameType

import click

from dotenv_cloud.cli import key_material, levels, output, pull, session
from dotenv_cloud.cli.errors import Exit, Failure
from dotenv_cloud.cli.options import Command
from dotenv_cloud.formats import merging

NOT_FOUND, NOT_RUNNABLE = 127, 126
"""Exit codes of a shell for a command that it cannot start (IEEE 1003.1, 2.8.2)."""
_PASSED_ON = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
"""Ctrl-C and Ctrl-\\ reach the command by themselves: it is in the terminal's foreground too."""


class RunCommand(Command):
    """Passes everything after `--` to the command that is run."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        end = args.index("--") if "--" in args else len(args)
        ctx.meta[__name__] = args[end + 1 :]
        return super().parse_args(ctx, args[:end])


@click.command("run", cls=RunCommand, options_metavar="[OPTIONS]")
@click.argument("node", metavar="[PROJECT[/TARGET[/ENVIRONMENT]]] -- COMMAND...", required=False)
@click.option(
    "-r", "--resolve", is_flag=True, help="Replace ${NAME} in values with the value of NAME."
)
@key_material.client_key_option
@pull.partial_option
@click.option("--pure", is_flag=True, help="Inherit only PATH and HOME from this environment.")
@click.pass_context
def run(
    context: click.Context,
    node: str | None,
    resolve: bool,
    client_key: str | None,
    allow_partial: bool,
    pure: bool,
) -> None:
    """Run COMMAND with the merged variables of a level in its environment.

    Without a path, DOTENV_PATH names the level. Nothing is written to disk. Signals are passed to
    the command, and dotenv exits with its code, or with 128 plus the number of the signal that
    ended it.
    """
    command: list[str] = context.meta[__name__]
    if not command:
        raise Failure(
            "There is no command to run.",
            Exit.USAGE,
            "Put it after --, for example: dotenv run my-app -- env",
        )
    segments = session.node_path(node or _default_path())
    with session.connect() as api:
        fetched = levels.fetch(api, segments)
        opened = pull.opened_levels(api, segments[0], fetched.levels, client_key, allow_partial)
    if not fetched.levels:
        output.warn(f"{'/'.join(segments)} holds no secrets.")
    merged = merging.merge(levels.variables(level, fetched.format) for level in opened)
    if resolve:
        merged = pull.resolved(merged)
    kept = ("PATH", "HOME") if pure else tuple(os.environ)
    inherited = {name: os.environ[name] for name in kept if name in os.environ}
    context.exit(_exit_code_of(command, {**inherited, **merged}))


def _default_path() -> str:
    path = os.environ.get("DOTENV_PATH", "")
    if not path:
        raise Failure(
            "No level is named.", Exit.USAGE, "Give its path before --, or set DOTENV_PATH."
        )
    return path


def _exit_code_of(command: Sequence[str], environment: dict[str, str]) -> int:
    for name, value in environment.items():
        if not name or "=" in name or "\0" in name + value:
            raise Failure(f"{name!r} cannot be set as an environment variable.")
    try:
        with subprocess.Popen(command, env=environment) as process, _signals_passed_to(process):
            code = process.wait()
    except FileNotFoundError:
        raise Failure(f"Command not found: {command[0]}.", NOT_FOUND) from None
    except OSError as error:
        raise Failure(f"Cannot run {command[0]}: {error.strerror}.", NOT_RUNNABLE) from None
    return code if code >= 0 else 128 - code


@contextlib.contextmanager
def _signals_passed_to(process: subprocess.Popen[bytes]) -> Iterator[None]:
    def pass_on(number: int, frame: FrameType | None) -> None:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(number)

    before = {number: signal.signal(number, pass_on) for number in _PASSED_ON}
    for number in (signal.SIGINT, signal.SIGQUIT):
        before[number] = signal.signal(number, signal.SIG_IGN)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

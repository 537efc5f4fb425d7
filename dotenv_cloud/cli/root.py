"""The root of the command, and the one place where failures become exit codes."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from collections.abc import Sequence
from typing import NoReturn, TextIO

import click

from dotenv_cloud.cli import (
    apikeys,
    audit,
    auth,
    client,
    completion,
    key,
    listing,
    login,
    node_commands,
    organization,
    output,
    pull,
    push,
    running,
    secret,
    tree,
)
from dotenv_cloud.cli.errors import Cancelled, Exit, Failure
from dotenv_cloud.cli.options import Group, Options

_UNWRITABLE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})
"""Errors of writing to a standard output that is full or broken."""


def _print_version(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value:
        click.echo(f"dotenv {client.version()}")
        context.exit()


@click.group(
    "dotenv",
    cls=Group,
    aliases={
        "env": "environment",
        "orgs": "org",
        "organization": "org",
        "organizations": "org",
    },
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 success, 1 error, 2 usage, 3 access denied, 4 not found, 5 key, "
    "6 conflict or rate limit, 7 verification failed, 130 cancelled.",
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Print the version and exit.",
)
def root() -> None:
    """Manage secrets and keys on a dotEnv Cloud server, and read its audit log."""


@root.command("version")
@click.option("-s", "--short", is_flag=True, help="Print only the number.")
def version(short: bool) -> None:
    """Print the version of this command."""
    click.echo(client.version() if short else f"dotenv {client.version()}")


@root.command("help")
@click.argument("words", nargs=-1, metavar="[COMMAND]...")
def help_command(words: Sequence[str]) -> None:
    """Print the help of a command, as its --help does."""
    context = click.get_current_context().find_root()
    command: click.Command = root
    for word in words:
        if not isinstance(command, click.Group):
            raise click.UsageError(f"{context.command_path} has no commands of its own.", context)
        # Fails as the command itself would, with what was probably meant.
        name, found, _ = command.resolve_command(context, [word])
        assert found is not None
        command, context = found, click.Context(found, context, name)
    click.echo(command.get_help(context))


for command in (
    login.init,
    login.login,
    login.logout,
    login.status,
    login.account,
    auth.auth,
    organization.org,
    listing.list_command,
    tree.tree,
    tree.path,
    pull.pull,
    pull.export,
    push.push,
    running.run,
    secret.secret,
    key.key,
    node_commands.project,
    node_commands.target,
    node_commands.environment,
    apikeys.apikeys,
    audit.audit,
    completion.completion,
):
    root.add_command(command)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs the command and exits with its code."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal that lacks a character shows a substitute; that is not a reason to fail.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    sys.exit(_run(arguments))


def _run(arguments: Sequence[str] | None) -> int:
    options = Options()
    try:
        options = Options.from_environment()
        if sys.stdout is None:
            raise Failure(
                "Standard output is closed.", hint="To discard it, redirect it to /dev/null."
            )
        # Without standalone mode click returns the code of --help and raises the rest.
        code = root.main(
            args=list(arguments) if arguments is not None else None,
            prog_name="dotenv",
            standalone_mode=False,
            obj=options,
        )
        sys.stdout.flush()
        return int(code or Exit.OK)
    except Failure as failure:
        output.failure(failure, no_color=options.no_color)
        return failure.code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (Cancelled, click.Abort, KeyboardInterrupt):
        click.echo("Cancelled.", err=True)
        return Exit.CANCELLED
    except BrokenPipeError:
        # The reader closed the pipe. Python would fail again when it closes the stream.
        _point_at_nothing(sys.stdout)
        return Exit.ERROR
    except OSError as error:
        # Files that the user named are handled where they are opened; standard output has no name.
        if error.errno not in _UNWRITABLE or error.filename is not None:
            return _unexpected(error, options)
        _point_at_nothing(sys.stdout)
        output.failure(
            Failure(f"Cannot write the output: {error.strerror}."), no_color=options.no_color
        )
        return Exit.ERROR
    except Exception as error:
        return _unexpected(error, options)


def _unexpected(error: Exception, options: Options) -> int:
    """The text of an exception may hold a secret, so only --debug prints it."""
    if options.debug:
        traceback.print_exc()
    output.failure(
        Failure(
            f"Unexpected error: {type(error).__name__}.",
            hint="" if options.debug else "Run the command again with --debug for details.",
        ),
        no_color=options.no_color,
    )
    return Exit.ERROR


def _point_at_nothing(stream: TextIO) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())

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
"""What writing to a full or broken standard output fails with."""


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
    epilog="Exit codes: 0 done, 1 error, 2 usage, 3 access, 4 not found, 5 key, 6 conflict or "
    "rate limit, 7 verification failed, 130 cancelled.",
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
    """Secrets, keys and the audit log of a dotEnv Cloud server."""


@root.command("version")
@click.option("-s", "--short", is_flag=True, help="Only the number.")
def version(short: bool) -> None:
    """Print the version of this command."""
    click.echo(client.version() if short else f"dotenv {client.version()}")


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
        # A terminal that lacks a character shows another; it is no reason to fail.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    sys.exit(_run(arguments))


def _run(arguments: Sequence[str] | None) -> int:
    options = Options()
    try:
        options = Options.from_environment()
        if sys.stdout is None:
            raise Failure(
                "Standard output is closed.", hint="To see nothing, send it to /dev/null."
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
        # The reader has seen enough. Python would complain again when it closes the stream.
        _point_at_nothing(sys.stdout)
        return Exit.ERROR
    except OSError as error:
        # Files of the user's choice are answered for where they are opened; these have no name.
        if error.errno not in _UNWRITABLE or error.filename is not None:
            return _unforeseen(error, options)
        _point_at_nothing(sys.stdout)
        output.failure(
            Failure(f"Cannot write the output: {error.strerror}."), no_color=options.no_color
        )
        return Exit.ERROR
    except Exception as error:
        return _unforeseen(error, options)


def _unforeseen(error: Exception, options: Options) -> int:
    if options.debug:
        traceback.print_exc()
    output.failure(
        Failure(
            f"Something unforeseen went wrong: {type(error).__name__}: {error}",
            hint="" if options.debug else "Run it again with --debug to see where.",
        ),
        no_color=options.no_color,
    )
    return Exit.ERROR


def _point_at_nothing(stream: TextIO) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())

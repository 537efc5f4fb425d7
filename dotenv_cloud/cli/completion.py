"""`dotenv completion`: prints the script that completes commands and options in a shell."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from dotenv_cloud.cli.errors import Exit, Failure
from dotenv_cloud.cli.options import Command

VARIABLE = "_DOTENV_COMPLETE"


@click.command("completion", cls=Command)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script for SHELL.

    \b
    bash: eval "$(dotenv completion bash)" in ~/.bashrc
    zsh:  eval "$(dotenv completion zsh)" in ~/.zshrc
    fish: dotenv completion fish > ~/.config/fish/completions/dotenv.fish
    """
    kind = get_completion_class(shell)
    if kind is None:
        raise Failure(f"There is no completion for {shell}.", Exit.USAGE)
    root = click.get_current_context().find_root().command
    click.echo(kind(root, {}, "dotenv", VARIABLE).source())

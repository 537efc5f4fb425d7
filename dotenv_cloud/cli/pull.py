"""`dotenv pull` and `dotenv export`: secrets as a file, merged and decrypted on this machine."""

from __future__ import annotations

import os
from pathlib import Path

import click

from dotenv_cloud.cli import key_material, levels, output, saving, session
from dotenv_cloud.cli.client import Api
from dotenv_cloud.cli.errors import Exit, Failure
from dotenv_cloud.cli.levels import Fetched, Level
from dotenv_cloud.cli.options import Command, FormatChoice, Switch, current_options
from dotenv_cloud.formats import merging, resolving
from dotenv_cloud.formats.writers import WRITERS

partial_option = click.option(
    "--allow-partial", is_flag=True, help="Skip levels that cannot be decrypted."
)


@click.command("pull", cls=Command)
@click.argument("node", metavar="PROJECT[/TARGET[/ENVIRONMENT]]")
@saving.output_option
@click.option(
    "-r", "--resolve", is_flag=True, help="Replace ${NAME} in values with the value of NAME."
)
@click.option(
    "-f",
    "--format",
    "format_",
    type=FormatChoice(list(WRITERS)),
    help="Output format.  [default: a single level unchanged, several as env]",
)
@key_material.client_key_option
@click.option(
    "--decrypt",
    cls=Switch,
    help="Decrypt; --decrypt=false prints the stored content as JSON.",
)
@click.option(
    "-m",
    "--merge",
    cls=Switch,
    help="Merge the levels; --merge=false prints one after the other.",
)
@click.option(
    "--level-only", is_flag=True, help="Only the level that the path names, without those above it."
)
@partial_option
@saving.replace_option
@click.option("-q", "quiet", is_flag=True, help="Print only data and errors.")
def pull(
    node: str,
    path: Path | None,
    resolve: bool,
    format_: str | None,
    client_key: str | None,
    decrypt: bool,
    merge: bool,
    level_only: bool,
    allow_partial: bool,
    force: bool,
    quiet: bool,
) -> None:
    """Write the secrets of a level, merged with those of the levels above it.

    A single level is written byte for byte as it was pushed, including comments, unless another
    format is asked for. Several levels are merged, where the deepest wins, and sorted by name.
    """
    _be_quiet(quiet)
    segments = session.node_path(node)
    with session.connect() as api:
        fetched = levels.fetch(api, segments)
        chosen = _chosen(fetched, level_only)
        if not chosen:
            output.warn(f"{'/'.join(segments)} holds no secrets.")
            return
        if not decrypt:
            kept = {level.name: level.content for level in chosen}
            saving.deliver(output.json_text(kept, indent=2).encode() + b"\n", path, force=force)
            return
        opened = opened_levels(api, segments[0], chosen, client_key, allow_partial)
    if not opened:
        return
    content = _text(opened, fetched.format, format_, merge=merge, resolve=resolve)
    saving.deliver(content, path, force=force)


@click.command("export", cls=Command)
@click.argument("node", metavar="PROJECT[/TARGET[/ENVIRONMENT]]")
@click.option(
    "-f",
    "--format",
    "format_",
    type=FormatChoice(list(WRITERS)),
    default="env",
    show_default=True,
    help="Output format.",
)
@saving.output_option
@key_material.client_key_option
@partial_option
@saving.replace_option
@click.option("--template", hidden=True)
@click.option("-q", "quiet", is_flag=True, help="Print only data and errors.")
def export(
    node: str,
    format_: str,
    path: Path | None,
    client_key: str | None,
    allow_partial: bool,
    force: bool,
    template: str | None,
    quiet: bool,
) -> None:
    """Write the merged variables of a level in a format that other tools read."""
    _be_quiet(quiet)
    if template:
        raise Failure("Templates are not supported.", Exit.USAGE, "Use --format.")
    segments = session.node_path(node)
    with session.connect() as api:
        fetched = levels.fetch(api, segments)
        if not fetched.levels:
            output.warn(f"{'/'.join(segments)} holds no secrets.")
            return
        opened = opened_levels(api, segments[0], fetched.levels, client_key, allow_partial)
    merged = merging.merge(levels.variables(level, fetched.format) for level in opened)
    saving.deliver(levels.written(merged, format_).encode(), path, force=force)


def _be_quiet(quiet: bool) -> None:
    if quiet:
        current_options().quiet = True


def _chosen(fetched: Fetched, level_only: bool) -> list[Level]:
    if not level_only:
        return fetched.levels
    return [fetched.deepest] if fetched.deepest else []


def opened_levels(
    api: Api, project: str, chosen: list[Level], client_key: str | None, allow_partial: bool
) -> list[Level]:
    needs_key = any(level.is_encrypted for level in chosen)
    key = key_material.fetch(api, project, client_key) if needs_key else None
    return levels.opened(chosen, key, allow_partial=allow_partial)


def _text(
    opened: list[Level], secret_format: str, format_: str | None, *, merge: bool, resolve: bool
) -> bytes:
    """What to write. One level stays as it is, unless a format is asked for."""
    if len(opened) == 1 and format_ in _kept_by(secret_format) and not resolve:
        return opened[0].plaintext or b""
    if not merge:
        return _one_after_the_other(opened, secret_format, format_)
    merged = merging.merge(levels.variables(level, secret_format) for level in opened)
    if resolve:
        merged = resolved(merged)
    return levels.written(merged, format_ or "env").encode()


def _kept_by(secret_format: str) -> tuple[str | None, ...]:
    """The formats in which a level's text is written unchanged. The formats of lines are rewritten
    if asked for by name, as the level may be in a dialect that other programs misread."""
    return (None,) if secret_format in merging.LINES else (None, secret_format)


def _one_after_the_other(opened: list[Level], secret_format: str, format_: str | None) -> bytes:
    if format_ in ("json", "yaml"):
        raise Failure(
            f"--merge=false writes levels one after the other, which is not valid {format_}.",
            Exit.USAGE,
            "Pull each level alone with --level-only.",
        )
    texts = []
    for level in opened:
        if format_ in _kept_by(secret_format):
            text = key_material.text_of(level.plaintext or b"", level.path)
        else:
            text = levels.written(levels.variables(level, secret_format), format_ or "env")
        texts.append(f"# {level.path}\n{text}" + ("" if text.endswith("\n") else "\n"))
    return "\n".join(texts).encode()


def resolved(merged: dict[str, str]) -> dict[str, str]:
    try:
        resolved = resolving.resolve(merged, os.environ)
    except resolving.CycleError as error:
        output.warn(
            f"Variables refer to each other in a cycle ({error}); no reference is replaced."
        )
        return merged
    except resolving.UnsetError as error:
        raise Failure(f"{error}.", Exit.ERROR) from None
    for name, unset in resolved.unset.items():
        output.warn(
            f"{name} refers to {', '.join(unset)}, which is not set; the reference is kept."
        )
    return resolved.values

"""`dotenv pull` and `dotenv export`: secrets as a file, merged and decrypted on this machine."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import click

from dotenv_cloud.cli import files, keys, levels, output, session
from dotenv_cloud.cli.client import Api
from dotenv_cloud.cli.errors import Exit, Failure
from dotenv_cloud.cli.levels import Fetched, Level
from dotenv_cloud.cli.options import Command, Switch, current_options
from dotenv_cloud.formats import merging, resolving
from dotenv_cloud.formats.writers import WRITERS

_format_option = click.option(
    "-f",
    "--format",
    "format_",
    type=click.Choice(list(WRITERS)),
    default="env",
    show_default=True,
    help="How to write the variables.",
)
_output_option = click.option(
    "-o",
    "--output",
    "path",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write to FILE, mode 0600; what was there becomes FILE.backup. [default: print]",
)
_partial_option = click.option(
    "--allow-partial", is_flag=True, help="Leave out levels that cannot be decrypted."
)


@click.command("pull", cls=Command)
@click.argument("node", metavar="PROJECT[/TARGET[/ENVIRONMENT]]")
@_output_option
@click.option("-r", "--resolve", is_flag=True, help="Replace ${NAME} in values by what it is.")
@_format_option
@keys.client_key_option
@click.option(
    "--decrypt",
    cls=Switch,
    help="Decrypt; --decrypt=false prints what the server keeps, as JSON.",
)
@click.option(
    "-m",
    "--merge",
    cls=Switch,
    help="Merge the levels; --merge=false prints one after the other.",
)
@click.option("--level-only", is_flag=True, help="Only the level that the path names.")
@_partial_option
@click.option("--force", is_flag=True, help="Replace FILE without asking.")
@click.option("-q", "quiet", is_flag=True, help="Say nothing but data and errors.")
def pull(
    node: str,
    path: Path | None,
    resolve: bool,
    format_: str,
    client_key: str | None,
    decrypt: bool,
    merge: bool,
    level_only: bool,
    allow_partial: bool,
    force: bool,
    quiet: bool,
) -> None:
    """Write the secrets of a level, merged with those of the levels above it.

    A single level in its own format is written byte for byte as it was pushed, comments and all.
    Several are merged, the deepest wins, and written sorted by name.
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
            _deliver(output.json_text(kept, indent=2).encode() + b"\n", path, force=force)
            return
        opened = _opened(api, segments[0], chosen, client_key, allow_partial)
    if not opened:
        return
    content = _text(opened, fetched.format, format_, merge=merge, resolve=resolve)
    _deliver(content, path, force=force)
    if path is not None:
        output.success(f"Wrote {path}.")


@click.command("export", cls=Command)
@click.argument("node", metavar="PROJECT[/TARGET[/ENVIRONMENT]]")
@_format_option
@_output_option
@keys.client_key_option
@_partial_option
@click.option("--force", is_flag=True, help="Replace FILE without asking.")
@click.option("--template", hidden=True)
@click.option("-q", "quiet", is_flag=True, help="Say nothing but data and errors.")
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
        raise Failure("There are no templates.", Exit.USAGE, "Use --format.")
    segments = session.node_path(node)
    with session.connect() as api:
        fetched = levels.fetch(api, segments)
        if not fetched.levels:
            output.warn(f"{'/'.join(segments)} holds no secrets.")
            return
        opened = _opened(api, segments[0], fetched.levels, client_key, allow_partial)
    merged = merging.merge(levels.variables(level, fetched.format) for level in opened)
    _deliver(levels.written(merged, WRITERS[format_]).encode(), path, force=force)
    if path is not None:
        output.success(f"Wrote {path}.")


def _be_quiet(quiet: bool) -> None:
    if quiet:
        current_options().quiet = True


def _chosen(fetched: Fetched, level_only: bool) -> list[Level]:
    if not level_only:
        return fetched.levels
    return [fetched.deepest] if fetched.deepest else []


def _opened(
    api: Api, project: str, chosen: list[Level], client_key: str | None, allow_partial: bool
) -> list[Level]:
    needs_key = any(level.is_encrypted for level in chosen)
    key = keys.fetch(api, project, client_key) if needs_key else None
    return levels.opened(chosen, key, allow_partial=allow_partial)


def _text(
    opened: list[Level], secret_format: str, format_: str, *, merge: bool, resolve: bool
) -> bytes:
    """What to write. One level in the format that it is in stays as it is, whatever it is."""
    is_as_pushed = format_ == "env" and not resolve
    if len(opened) == 1 and (is_as_pushed or format_ == secret_format) and not resolve:
        return opened[0].plaintext or b""
    if not merge:
        return _one_after_the_other(opened, secret_format, format_)
    merged = merging.merge(levels.variables(level, secret_format) for level in opened)
    if resolve:
        merged = _resolved(merged)
    return levels.written(merged, WRITERS[format_]).encode()


def _one_after_the_other(opened: list[Level], secret_format: str, format_: str) -> bytes:
    if format_ in ("json", "yaml"):
        raise Failure(
            f"--merge=false writes levels one after the other, which {format_} cannot hold.",
            Exit.USAGE,
            "Pull each level alone with --level-only.",
        )
    texts = []
    for level in opened:
        if format_ == "env":
            text = keys.text_of(level.plaintext or b"", level.path)
        else:
            text = levels.written(levels.variables(level, secret_format), WRITERS[format_])
        texts.append(f"# {level.path}\n{text}" + ("" if text.endswith("\n") else "\n"))
    return "\n".join(texts).encode()


def _resolved(merged: dict[str, str]) -> dict[str, str]:
    try:
        return resolving.resolve(merged, os.environ)
    except resolving.CycleError as error:
        output.warn(f"Variables stand for each other in a circle ({error}); none is replaced.")
        return merged
    except resolving.UnsetError as error:
        raise Failure(f"{error}.", Exit.ERROR) from None


def _deliver(content: bytes, path: Path | None, *, force: bool) -> None:
    if path is None:
        keys.write_plaintext(content)
        return
    if path.exists() and path.is_file():
        output.confirm(f"{path} exists. Replace it?", force=force)
        _back_up(path)
    if not path.parent.is_dir():
        files.make_private_directory(path.parent)
    with files.output(path, overwrite=True) as file:
        file.write(content)


def _back_up(path: Path) -> None:
    backup = path.with_name(f"{path.name}.backup")
    try:
        with path.open("rb") as old, files.replacing(backup) as new:
            shutil.copyfileobj(old, new)
    except OSError as error:
        raise Failure(
            f"Cannot keep {backup}: {error.strerror}.", hint="Nothing was written."
        ) from None
    output.note(f"What was there is in {backup}.")

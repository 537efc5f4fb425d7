"""Writes decrypted content: to standard output, or to a file, with a backup of the old one."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import click

from dotenv_cloud.cli import files, output
from dotenv_cloud.cli.errors import Failure

output_option = click.option(
    "-o",
    "--output",
    "path",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write to FILE, mode 0600, and keep an old one as FILE.backup. [default: standard output]",
)
replace_option = click.option("--force", is_flag=True, help="Replace FILE without asking.")


def deliver(content: bytes, path: Path | None, *, force: bool) -> None:
    """To standard output, byte for byte; or to the file, whole or not at all."""
    if path is None:
        sys.stdout.flush()
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
        return
    if path.is_file():
        output.confirm(f"{path} exists. Replace it?", force=force)
        _back_up(path)
    try:
        files.make_private_directory(path.parent)
    except OSError as error:
        raise Failure(f"Cannot create {path.parent}: {error.strerror}.") from None
    with files.output(path, overwrite=True) as file:
        file.write(content)
    output.success(f"Wrote {path}.")


def _back_up(path: Path) -> None:
    backup = path.with_name(f"{path.name}.backup")
    try:
        with path.open("rb") as old, files.replacing(backup) as new:
            shutil.copyfileobj(old, new)
    except OSError as error:
        raise Failure(
            f"Cannot write the backup {backup}: {error.strerror}.", hint="Nothing was written."
        ) from None
    output.note(f"The previous file is now {backup}.")

"""Files that only their owner may read, replaced whole or not at all."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from dotenv_cloud.cli.errors import Exit, Failure


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A new file, mode 0600, that takes the name `path` only if the block succeeds. Until then its
    `name` is another one, by which it can be read."""
    # A symbolic link stays as it is: the file it points to is replaced.
    final = Path(os.path.realpath(path))
    descriptor, temporary = tempfile.mkstemp(prefix=f".{final.name}.", dir=final.parent)
    try:
        os.close(descriptor)
        with open(temporary, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, final)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


@contextlib.contextmanager
def output(path: Path, *, overwrite: bool) -> Iterator[BinaryIO]:
    """The file that `-o` names. Pipes and devices are written to directly."""
    try:
        if path.exists() and not path.is_file():
            if path.is_dir():
                raise Failure(f"{path} is a directory; name a file.", Exit.USAGE)
            with path.open("wb") as file:
                yield file
            return
        if path.exists() and not overwrite:
            raise Failure(f"{path} already exists.", Exit.USAGE, "Add --force to replace it.")
        with replacing(path) as file:
            yield file
    except BrokenPipeError:  # the reader closed the pipe
        raise
    except OSError as error:
        raise Failure(f"Cannot write {path}: {error.strerror}.") from error


def make_private_directory(path: Path) -> None:
    """Creates `path` for its owner alone. An existing one is left as it is."""
    if not path.is_dir():
        path.mkdir(mode=0o700, parents=True)
        path.chmod(0o700)  # whatever the umask


def is_open_to_others(path: Path) -> bool:
    return bool(path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO))

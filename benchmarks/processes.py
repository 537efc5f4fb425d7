"""Processes of their own for what has to happen at once: writers, readers, the sealer."""

from __future__ import annotations

import os
import signal
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager


def _seal() -> int:
    from django.core.management import call_command

    call_command("seal")
    return 0


def fork(do: Callable[[], int | str]) -> tuple[int, int]:
    """A process of its own for `do`, whose result it writes; its id and where to read."""
    from django.db import connections

    connections.close_all()
    reader, writer = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writer)
        return pid, reader
    status = 1
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.write(writer, str(do()).encode())
        status = 0
    except Exception:
        traceback.print_exc()
    finally:
        os._exit(status)


def ended(children: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    for pid, reader in children:
        _, status = os.waitpid(pid, 0)
        if status:
            raise RuntimeError("a process failed; what it said is above")
        yield pid, reader
        os.close(reader)


@contextmanager
def a_sealer() -> Iterator[None]:
    pid, reader = fork(_seal)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGTERM)
        os.waitpid(pid, 0)
        os.close(reader)

"""How a command fails: one exception, and the exit codes that scripts may rely on."""

from __future__ import annotations

import enum


class Exit(enum.IntEnum):
    OK = 0
    ERROR = 1
    USAGE = 2  # also what click exits with
    ACCESS = 3
    NOT_FOUND = 4
    KEY = 5
    CONFLICT = 6
    UNVERIFIED = 7
    CANCELLED = 130  # what a shell reports for a command ended by Ctrl-C


class Failure(Exception):
    """Ends the command: `message` says what is wrong, `hint` what to do about it.

    error: the server's code for it, if the server reported it.
    """

    def __init__(
        self, message: str, code: int = Exit.ERROR, hint: str = "", error: str = ""
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.hint = hint
        self.error = error


class Cancelled(Exception):
    """The user answered no, or pressed Ctrl-C."""

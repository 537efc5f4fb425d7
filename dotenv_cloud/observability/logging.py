"""Structured logs: one JSON object per line, with the request id and without any secret.

Anything that could hold a secret is left out by construction: paths (a link may hold a token),
query strings, headers, values of rows; of an exception only the type, the first line and the frames
are logged. What remains is also redacted.
"""

from __future__ import annotations

import copy
import logging
import time
import traceback
from types import TracebackType
from typing import Any

from django.template import VariableDoesNotExist
from django.urls import Resolver404
from pythonjsonlogger.json import JsonFormatter

from audit.redaction import redact

# Frames kept of a traceback: the innermost ones. What a longer one adds is the framework's.
FRAMES = 40


def _request_id() -> str | None:
    # Not at the top: logging is set up before the apps are.
    from audit import context
    from organizations.ulid import to_text

    request_id = context.origin().request_id
    return to_text(request_id) if request_id is not None else None


class Formatter(JsonFormatter):
    """`{"time", "level", "logger", "message", "request_id", …}`; extras only of simple types."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(
            "%(asctime)s %(levelname)s %(name)s %(message)s",
            rename_fields={"asctime": "time", "levelname": "level", "name": "logger"},
        )
        self.converter = time.gmtime
        self.default_time_format = "%Y-%m-%dT%H:%M:%S"
        self.default_msec_format = "%s.%03dZ"

    def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
        plain = {
            name: redact(value) if isinstance(value, str) else value
            for name, value in log_data.items()
            if isinstance(value, str | int | float | bool) or value is None
        }
        request_id = _request_id()
        if request_id:
            plain["request_id"] = request_id
        return plain

    def format(self, record: logging.LogRecord) -> str:
        # The messages of these loggers quote the path.
        if record.name == "django.request":
            record = _with_message(record, "server error")
        elif record.name == "django.security.csrf":
            why = str(record.args[0]) if isinstance(record.args, tuple) and record.args else ""
            # The part after the dash is the page that the request came from.
            record = _with_message(record, f"cross-site request refused: {why.partition(' - ')[0]}")
        return super().format(record)

    def formatException(  # noqa: N802 - logging's own name
        self,
        ei: tuple[type[BaseException], BaseException, TracebackType | None]
        | tuple[None, None, None],
    ) -> str:
        error = ei[1]
        if error is None:
            return ""
        lines: list[str] = []
        seen: set[int] = set()
        while error is not None and id(error) not in seen:
            seen.add(id(error))
            lines.append(
                f"{type(error).__module__}.{type(error).__qualname__}: {_message_of(error)}"
            )
            frames = traceback.extract_tb(error.__traceback__)[-FRAMES:]
            lines += [f"  {frame.filename}:{frame.lineno} in {frame.name}" for frame in frames]
            error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        return "\n".join(lines)


def _message_of(error: BaseException) -> str:
    """The message of an exception, without the data it quotes."""
    if isinstance(error, VariableDoesNotExist):
        # The rest is the whole context of the page, which may hold a newly created key.
        return f"no variable {error.params[0]}"
    if isinstance(error, Resolver404):
        return "no such path"
    # A database error's further lines (DETAIL) quote the row that failed.
    return str(error).split("\n", 1)[0]


def _with_message(record: logging.LogRecord, message: str) -> logging.LogRecord:
    record = copy.copy(record)
    record.msg, record.args = message, ()
    return record


def configuration(level: str, file: str | None) -> dict[str, Any]:
    """Django's LOGGING: everything as JSON to standard error, or to `file`."""
    handler: dict[str, Any] = {"class": "logging.StreamHandler", "formatter": "json"}
    if file is not None:
        handler = {
            "class": "logging.handlers.WatchedFileHandler",
            "filename": file,
            "delay": True,
            "formatter": "json",
        }
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": {"()": "dotenv_cloud.observability.logging.Formatter"}},
        "handlers": {"output": handler},
        "root": {"handlers": ["output"], "level": level},
        "loggers": {
            # RequestMiddleware logs refused requests.
            "django.request": {"level": "ERROR"},
            "django.server": {"level": "CRITICAL"},
            # Django's own handlers would print in addition to ours.
            "django": {"handlers": [], "level": level, "propagate": True},
            "django.db.backends": {"level": "WARNING"},
            # It logs each variable that a page lacks, with the whole context of the page.
            "django.template": {"level": "INFO"},
        },
    }

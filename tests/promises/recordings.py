"""The calls by which the code records events that change no row, and how to take one out.

A call is found in the source, and taken out while the program runs: what it would insert into the
log, or announce as a refusal, is dropped.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from django.conf import settings
from django.db import connection

from audit.capture import refusals
from organizations import signals

APPS = ("audit", "organizations", "keys", "dotenv_cloud")
WITHOUT = ("migrations", "demo", "cli")
"""Parts that no request runs through."""

NAMES = {
    "_about_person",
    "_announce",
    "_record_end",
    "_record_refusal",
    "announce",
    "record",
    "record_each",
    "record_end_of_export",
    "record_export",
    "record_mismatch",
    "record_in_each_once_a_minute",
    "record_once_a_minute",
    "record_view",
    "record_views",
}
SENT = {"access_denied", "content_revealed", "token_used"}
"""Signals that are entered as they are sent."""


UnderWay = list[tuple[str, int]]
"""File and line of each call that is under way."""


class Call(NamedTuple):
    """A statement that records: where it stands in the source, and its last line."""

    path: str
    function: str
    called: str
    first: int
    last: int

    def __str__(self) -> str:
        return f"{self.path} {self.function}(): {self.called}, line {self.first}"


def calls() -> list[Call]:
    """Every one of the code that serves requests."""
    found: list[Call] = []
    for app in APPS:
        for file in sorted((Path(settings.BASE_DIR) / app).rglob("*.py")):
            path = file.relative_to(settings.BASE_DIR)
            if not set(WITHOUT) & set(path.parts):
                found += _calls_in(ast.parse(file.read_text()), str(path), "")
    return found


def _calls_in(node: ast.AST, path: str, function: str) -> Iterator[Call]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef):
            yield from _calls_in(child, path, child.name)
            continue
        if isinstance(child, ast.Expr) and isinstance(child.value, ast.Call):
            called = ast.unparse(child.value.func)
            if _records(called):
                assert child.end_lineno is not None
                yield Call(path, function, called, child.lineno, child.end_lineno)
        if isinstance(child, ast.withitem) and isinstance(child.context_expr, ast.Call):
            opened = child.context_expr
            if ast.unparse(opened.func) == "act":
                assert opened.end_lineno is not None
                yield Call(path, function, ast.unparse(opened), opened.lineno, opened.end_lineno)
        yield from _calls_in(child, path, function)


def _records(called: str) -> bool:
    if called == "refuse":
        return True  # `organizations.membership_access.refuse`, and no form's
    *of, name = called.split(".")
    if name == "send":
        return of[-1] in SENT
    if name == "collect":
        return of[-1:] == ["refusals"]
    return name in NAMES


def _under_way() -> Iterator[tuple[str, int]]:
    """File and line of each call that is under way, of the project's own code."""
    root = f"{settings.BASE_DIR}/"
    frame = sys._getframe(2)
    while frame is not None:
        file = frame.f_code.co_filename
        if file.startswith(root):
            yield file.removeprefix(root), frame.f_lineno
        frame = frame.f_back  # type: ignore[assignment]


@contextmanager
def watched(hear: Callable[[UnderWay], bool]) -> Iterator[None]:
    """Inside, `hear` gets the calls under way whenever something is recorded, a refusal is
    collected to be recorded, or an act begins; if it returns False, the recording is dropped."""

    def execute(run: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        is_event = "audit_inbox" in str(sql) and "INSERT INTO audit_" in str(sql)
        if is_event and not hear(list(_under_way())):
            return None
        return run(sql, params, many, context)

    collect = refusals.collect

    def collect_or_not(*args: Any, **kwargs: Any) -> None:
        if hear(list(_under_way())):
            collect(*args, **kwargs)

    with pytest.MonkeyPatch.context() as patch, connection.execute_wrapper(execute):
        patch.setattr(refusals, "collect", collect_or_not)
        patch.setattr(signals, "_current", _Acts(signals._current, hear))
        yield


class _Acts:
    """Stands for the variable that holds the act under way; an act that is dropped is none."""

    def __init__(self, acts: ContextVar[Any], hear: Callable[[UnderWay], bool]) -> None:
        self.get, self.reset = acts.get, acts.reset
        self._acts, self._hear = acts, hear

    def set(self, begun: Any) -> Any:
        return self._acts.set(begun if self._hear(list(_under_way())) else None)


def is_in(call: Call, under_way: UnderWay) -> bool:
    return any(path == call.path and call.first <= line <= call.last for path, line in under_way)

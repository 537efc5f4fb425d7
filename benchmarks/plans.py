"""What PostgreSQL does for the statements of a question, as it does it: a prepared one by the plan
that is kept for it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any, NamedTuple

from django.db.backends.base.base import BaseDatabaseWrapper

from organizations.postgresql.base import PreparingCursor


class Statement(NamedTuple):
    sql: str
    values: tuple[Any, ...] | dict[str, Any]
    is_prepared: bool


@contextmanager
def recorded(connection: BaseDatabaseWrapper) -> Iterator[list[Statement]]:
    """The statements that are carried out inside, as they come."""
    found: list[Statement] = []

    def record(execute: Callable[..., Any], sql: str, values: Any, many: bool, context: Any) -> Any:
        is_prepared = isinstance(context["cursor"].cursor, PreparingCursor)
        given = values if isinstance(values, dict) else tuple(values or ())
        found.append(Statement(sql, given, is_prepared))
        return execute(sql, values, many, context)

    with connection.execute_wrapper(record):
        yield found


def explain(connection: BaseDatabaseWrapper, statement: Statement, options: str) -> dict[str, Any]:
    """EXPLAIN (ANALYZE, …) of a statement. What is set for it has to be set again before."""
    sql, values, is_prepared = statement
    with connection.cursor() as cursor:
        if not is_prepared:
            cursor.execute(f"EXPLAIN (ANALYZE, {options}, FORMAT JSON) {sql}", values)
            return _plan(cursor)
        numbers = count(1)
        parts = sql.split("%s")
        sql = parts[0] + "".join(f"${next(numbers)}{part}" for part in parts[1:])
        cursor.execute(f"PREPARE explained AS {sql.replace('%%', '%')}")
        try:
            given = f"({', '.join(['%s'] * len(values))})" if values else ""
            execute = f"EXECUTE explained{given}"
            cursor.execute(execute, values)
            cursor.fetchall()
            # From here on the plan is there.
            cursor.execute(f"EXPLAIN (ANALYZE, {options}, FORMAT JSON) {execute}", values)
            return _plan(cursor)
        finally:
            cursor.execute("DEALLOCATE explained")


def _plan(cursor: Any) -> dict[str, Any]:
    [first] = cursor.fetchone()
    [plan] = json.loads(first) if isinstance(first, str) else first
    return dict(plan)

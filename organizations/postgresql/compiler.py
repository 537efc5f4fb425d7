"""SQL compilers that announce: each ORM write is sent as `rows_written`, and carries the answer.

All of Django's writes end here: save, bulk_create, QuerySet.update and delete, cascades, many-to-
many links, get_or_create, admin. A receiver may answer with the words of the write, which go
into its own statement as a common table expression; without an answer the statement is Django's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db.backends.utils import CursorWrapper
from django.db.models import Model
from django.db.models.expressions import Col
from django.db.models.lookups import Exact, In
from django.db.models.sql import Query, compiler
from django.db.models.sql.compiler import SQLAggregateCompiler, SQLCompiler
from django.db.models.sql.constants import ROW_COUNT

from organizations.signals import Operation, Words, words_for

__all__ = [
    "SQLAggregateCompiler",
    "SQLCompiler",
    "SQLDeleteCompiler",
    "SQLInsertCompiler",
    "SQLUpdateCompiler",
]


def _cursor(connection: Any, is_of_one_row: bool) -> CursorWrapper:
    """Statements about one row come often and are prepared; others differ from each other."""
    cursor: CursorWrapper = connection.preparing_cursor() if is_of_one_row else connection.cursor()
    return cursor


def _model(query: Query) -> type[Model]:
    assert query.model is not None, "a write has a model"
    return query.model


def _is_plain(value: Any) -> bool:
    return not hasattr(value, "resolve_expression")


def _names_one_row(where: Any) -> bool:
    """Whether a WHERE is just `key = value` or `key IN (value)`."""
    if len(where.children) != 1 or where.negated:
        return False
    [lookup] = where.children
    if not isinstance(lookup, Exact | In) or not isinstance(lookup.lhs, Col):
        return False
    if not lookup.lhs.target.primary_key:
        return False
    if isinstance(lookup, In):
        return isinstance(lookup.rhs, list | tuple | set) and len(lookup.rhs) == 1
    return _is_plain(lookup.rhs)


def _carrying(words: Words, write: str, answer: str) -> str:
    """`write`, which returns rows, with its words; the statement's result is `answer` of them."""
    return f"WITH {words.sql}, written AS ({write}) SELECT {answer} FROM written, {words.name}"


def _count_written(
    connection: Any, words: Words, sql: str, params: Sequence[Any], is_of_one_row: bool
) -> int:
    """Make an UPDATE or a DELETE with its words; returns the number of its rows."""
    with _cursor(connection, is_of_one_row) as cursor:
        cursor.execute(
            _carrying(words, f"{sql} RETURNING 1", "count(*)"), (words.parameter, *params)
        )
        return int(cursor.fetchone()[0])


class SQLInsertCompiler(compiler.SQLInsertCompiler):
    def execute_sql(  # type: ignore[override]  # as Django's own
        self, returning_fields: Sequence[Any] | None = None
    ) -> list[Any]:
        model = _model(self.query)
        words = words_for(model, Operation.INSERT) if self.query.objs else None
        if words is None:
            return super().execute_sql(returning_fields)
        wanted = list(returning_fields or ())
        self.returning_fields = wanted or [model._meta.pk]
        [(sql, params)] = self.as_sql()
        answer = ", ".join(f'written."{field.column}"' for field in wanted) or "count(*)"
        with _cursor(self.connection, self._is_of_one_row()) as cursor:
            cursor.execute(_carrying(words, sql, answer), (words.parameter, *params))
            rows: list[Any] = cursor.fetchall()
        if not wanted:
            return []
        columns = [field.get_col(model._meta.db_table) for field in wanted]
        converters = self.get_converters(columns)
        return list(self.apply_converters(rows, converters)) if converters else rows

    def _is_of_one_row(self) -> bool:
        if len(self.query.objs) != 1:
            return False
        [row] = self.query.objs
        return all(_is_plain(getattr(row, f.attname, None)) for f in self.query.fields)


class SQLUpdateCompiler(compiler.SQLUpdateCompiler):
    def execute_sql(self, result_type: Any) -> Any:  # type: ignore[override]  # as Django's own
        words = words_for(_model(self.query), Operation.UPDATE)
        if words is None:
            return super().execute_sql(result_type)
        try:
            sql, params = self.as_sql()
        except EmptyResultSet:
            sql, params = "", ()
        if not sql:
            return 0 if result_type == ROW_COUNT else None
        return _count_written(self.connection, words, sql, params, self._is_of_one_row())

    def _is_of_one_row(self) -> bool:
        return _names_one_row(self.query.where) and all(
            _is_plain(value)
            for _, _, value in self.query.values  # type: ignore[attr-defined]
        )


class SQLDeleteCompiler(compiler.SQLDeleteCompiler):
    def execute_sql(  # type: ignore[override]  # as Django's own
        self, result_type: Any, *args: Any, **kwargs: Any
    ) -> Any:
        words = words_for(_model(self.query), Operation.DELETE)
        if words is None:
            return super().execute_sql(result_type, *args, **kwargs)
        try:
            sql, params = self.as_sql()
        except EmptyResultSet:
            return 0
        is_of_one_row = _names_one_row(self.query.where)
        return _count_written(self.connection, words, sql, params, is_of_one_row)

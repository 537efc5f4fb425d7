"""SQL compilers that capture: each ORM write of an audited model enters the rows it touched.

All of Django's writes end here: save, bulk_create, QuerySet.update and delete, cascades, many-to-
many links, get_or_create, admin. The write becomes a CTE whose RETURNING feeds a second one, which
inserts the entries: what they say is what the database holds, not what an instance believed. The
values before an UPDATE are read and locked by the same statement. Models that the policy does not
list pass through untouched.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core.exceptions import EmptyResultSet, FullResultSet
from django.db import NotSupportedError, transaction
from django.db.backends.utils import CursorWrapper
from django.db.models.constants import OnConflict
from django.db.models.expressions import Col
from django.db.models.lookups import Exact, In
from django.db.models.sql import compiler
from django.db.models.sql.compiler import SQLAggregateCompiler, SQLCompiler
from django.db.models.sql.constants import ROW_COUNT

from audit.capture import words
from audit.capture.words import Plan
from audit.policy import Operation, Part

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


def _is_plain(value: Any) -> bool:
    return not hasattr(value, "resolve_expression")


def _names_one_row(where: Any) -> bool:
    """Whether a WHERE is no more than `key = value` or `key IN (value)`."""
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


class SQLInsertCompiler(compiler.SQLInsertCompiler):
    def execute_sql(  # type: ignore[override]  # as Django's own
        self, returning_fields: Sequence[Any] | None = None
    ) -> list[Any]:
        plan = words.plan_for(self.query.model)
        if plan is None or not self.query.objs:
            return super().execute_sql(returning_fields)
        if self.query.on_conflict == OnConflict.UPDATE:  # type: ignore[attr-defined]
            raise NotSupportedError(
                "bulk_create(update_conflicts=True) cannot tell what a row was before; on an "
                "audited model use update_or_create, or bulk_create and bulk_update."
            )
        wanted = list(returning_fields or ())
        self.returning_fields = [*wanted, *(f for f in plan.returned if f not in wanted)]
        [(sql, params)] = self.as_sql()
        if isinstance(plan.spec, Part):
            rows = self._insert_links(plan, sql, params, wanted)
        else:
            rows = self._insert(plan, sql, params, wanted)
        columns = [field.get_col(plan.table) for field in wanted]
        converters = self.get_converters(columns)
        return list(self.apply_converters(rows, converters)) if converters else rows

    def _insert(self, plan: Plan, sql: str, params: Any, wanted: list[Any]) -> list[Any]:
        entry, entry_params = words.entering(plan, Operation.INSERT)
        columns = ", ".join(f'"{field.column}"' for field in wanted)
        answer = f"{columns} FROM audit_row" if wanted else "WHERE false"
        with _cursor(self.connection, self._is_of_one_row()) as cursor:
            cursor.execute(
                f"WITH audit_row AS ({sql}), {entry} SELECT {answer}", (*params, *entry_params)
            )
            rows: list[Any] = cursor.fetchall()
            return rows

    def _insert_links(self, plan: Plan, sql: str, params: Any, wanted: list[Any]) -> list[Any]:
        position = {field: i for i, field in enumerate(self.returning_fields or ())}
        places = [position[field] for field in plan.returned]
        with transaction.atomic(self.using, savepoint=False), self.connection.cursor() as cursor:
            cursor.execute(sql, params)
            rows = cursor.fetchall()
            links = [[row[i] for i in places] for row in rows]
            words.record_links(plan, Operation.INSERT, links, self.connection)
        return [row[: len(wanted)] for row in rows]

    def _is_of_one_row(self) -> bool:
        if len(self.query.objs) != 1:
            return False
        [row] = self.query.objs
        return all(_is_plain(getattr(row, f.attname, None)) for f in self.query.fields)


class SQLUpdateCompiler(compiler.SQLUpdateCompiler):
    def execute_sql(self, result_type: Any) -> Any:  # type: ignore[override]  # as Django's own
        plan = words.plan_for(self.query.model)
        if plan is None:
            return super().execute_sql(result_type)
        if isinstance(plan.spec, Part):
            raise NotImplementedError(
                f"{plan.model.__name__} rows are links: remove one and add another, do not update"
            )
        try:
            sql, params = self._returning_both_images(plan)
        except EmptyResultSet:
            return 0 if result_type == ROW_COUNT else None
        if not sql:
            return 0 if result_type == ROW_COUNT else None
        entry, entry_params = words.entering(plan, Operation.UPDATE)
        with _cursor(self.connection, self._is_of_one_row()) as cursor:
            cursor.execute(
                f"{sql}, {entry} SELECT count(*) FROM audit_row", (*params, *entry_params)
            )
            return int(cursor.fetchone()[0])

    def _is_of_one_row(self) -> bool:
        return _names_one_row(self.query.where) and all(
            _is_plain(value)
            for _, _, value in self.query.values  # type: ignore[attr-defined]
        )

    def _returning_both_images(self, plan: Plan) -> tuple[str, tuple[Any, ...]]:
        """The UPDATE with the rows as they were. PostgreSQL 18 tells them (RETURNING OLD); earlier
        ones are asked to read them in the same statement, locked first, so no race lies between."""
        sql, params = self.as_sql()
        if not sql:
            return "", ()
        if self.connection.pg_version >= 180000:  # type: ignore[attr-defined]
            returning = f"RETURNING WITH (OLD AS audit_before) {plan.update_returning}"
            return f"WITH audit_row AS ({sql} {returning})", params
        try:
            where, where_params = self.compile(self.query.where)  # type: ignore[arg-type]
        except FullResultSet:
            where, where_params = "", ()
        where_clause = f" WHERE {where}" if where else ""
        assert sql.endswith(where_clause)
        update = sql.removesuffix(where_clause)
        update_params = params[: len(params) - len(where_params)]
        table, key = plan.quoted_table, plan.quoted_key
        return (
            f"WITH audit_before AS MATERIALIZED (SELECT {plan.before_columns} FROM {table}"
            f"{where_clause} FOR NO KEY UPDATE), audit_row AS ({update} FROM audit_before"
            f" WHERE {table}.{key} = audit_before.{key} RETURNING {plan.update_returning})",
            (*where_params, *update_params),
        )


class SQLDeleteCompiler(compiler.SQLDeleteCompiler):
    def execute_sql(  # type: ignore[override]  # as Django's own
        self, result_type: Any, *args: Any, **kwargs: Any
    ) -> Any:
        plan = words.plan_for(self.query.model)
        if plan is None:
            return super().execute_sql(result_type, *args, **kwargs)
        try:
            sql, params = self.as_sql()
        except EmptyResultSet:
            return 0
        sql = f"{sql} RETURNING {plan.delete_returning}"
        if isinstance(plan.spec, Part):
            return self._delete_links(plan, sql, params)
        entry, entry_params = words.entering(plan, Operation.DELETE)
        with _cursor(self.connection, _names_one_row(self.query.where)) as cursor:
            cursor.execute(
                f"WITH audit_row AS ({sql}), {entry} SELECT count(*) FROM audit_row",
                (*params, *entry_params),
            )
            return int(cursor.fetchone()[0])

    def _delete_links(self, plan: Plan, sql: str, params: Any) -> int:
        with transaction.atomic(self.using, savepoint=False), self.connection.cursor() as cursor:
            cursor.execute(sql, params)
            words.record_links(plan, Operation.DELETE, cursor.fetchall(), self.connection)
            return int(cursor.rowcount)

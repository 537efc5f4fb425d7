"""SQL compilers that capture: each ORM write of an audited model returns the rows it touched.

All of Django's writes end here: save, bulk_create, QuerySet.update and delete, cascades, many-to-
many links, get_or_create, admin. The rows come from RETURNING, so they are what the database
holds, not what an instance believed; the values before an UPDATE are read and locked by the same
statement. Models that the policy does not list pass through untouched.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core.exceptions import EmptyResultSet, FullResultSet
from django.db import NotSupportedError, transaction
from django.db.models.constants import OnConflict
from django.db.models.sql import compiler
from django.db.models.sql.compiler import SQLAggregateCompiler, SQLCompiler
from django.db.models.sql.constants import ROW_COUNT

from audit import capture
from audit.policy import Operation

__all__ = [
    "SQLAggregateCompiler",
    "SQLCompiler",
    "SQLDeleteCompiler",
    "SQLInsertCompiler",
    "SQLUpdateCompiler",
]


class SQLInsertCompiler(compiler.SQLInsertCompiler):
    def execute_sql(  # type: ignore[override]  # as Django's own
        self, returning_fields: Sequence[Any] | None = None
    ) -> list[Any]:
        plan = capture.plan_for(self.query.model)
        if plan is None or not self.query.objs:
            return super().execute_sql(returning_fields)
        if self.query.on_conflict == OnConflict.UPDATE:  # type: ignore[attr-defined]
            raise NotSupportedError(
                "bulk_create(update_conflicts=True) cannot tell what a row was before; on an "
                "audited model use update_or_create, or bulk_create and bulk_update."
            )
        wanted = list(returning_fields or ())
        self.returning_fields = [*wanted, *(f for f in plan.returned if f not in wanted)]
        position = {field: i for i, field in enumerate(self.returning_fields)}
        with transaction.atomic(self.using, savepoint=False), self.connection.cursor() as cursor:
            [(sql, params)] = self.as_sql()
            cursor.execute(sql, params)
            rows = cursor.fetchall()
            places = [position[field] for field in plan.returned]
            capture.record_rows(
                plan, Operation.INSERT, [[row[i] for i in places] for row in rows], self.connection
            )
        rows = [row[: len(wanted)] for row in rows]
        columns = [field.get_col(plan.table) for field in wanted]
        converters = self.get_converters(columns)
        return list(self.apply_converters(rows, converters)) if converters else rows


class SQLUpdateCompiler(compiler.SQLUpdateCompiler):
    def execute_sql(self, result_type: Any) -> Any:  # type: ignore[override]  # as Django's own
        plan = capture.plan_for(self.query.model)
        if plan is None:
            return super().execute_sql(result_type)
        try:
            sql, params = self._returning_both_images(plan)
        except EmptyResultSet:
            return 0 if result_type == ROW_COUNT else None
        if not sql:
            return 0 if result_type == ROW_COUNT else None
        with transaction.atomic(self.using, savepoint=False), self.connection.cursor() as cursor:
            cursor.execute(sql, params)
            capture.record_updates(plan, cursor.fetchall(), self.connection)
            return cursor.rowcount

    def _returning_both_images(self, plan: capture.Plan) -> tuple[str, tuple[Any, ...]]:
        """The UPDATE, joined to the rows as they were: locked first, so no race lies between."""
        sql, params = self.as_sql()
        if not sql:
            return "", ()
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
            f"{where_clause} FOR NO KEY UPDATE) {update} FROM audit_before"
            f" WHERE {table}.{key} = audit_before.{key} RETURNING {plan.update_returning}",
            (*where_params, *update_params),
        )


class SQLDeleteCompiler(compiler.SQLDeleteCompiler):
    def execute_sql(  # type: ignore[override]  # as Django's own
        self, result_type: Any, *args: Any, **kwargs: Any
    ) -> Any:
        plan = capture.plan_for(self.query.model)
        if plan is None:
            return super().execute_sql(result_type, *args, **kwargs)
        try:
            sql, params = self.as_sql()
        except EmptyResultSet:
            return 0
        with transaction.atomic(self.using, savepoint=False), self.connection.cursor() as cursor:
            cursor.execute(f"{sql} RETURNING {plan.delete_returning}", params)
            capture.record_rows(plan, Operation.DELETE, cursor.fetchall(), self.connection)
            return cursor.rowcount

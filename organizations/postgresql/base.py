"""`ENGINE = "organizations.postgresql"`: Django's for PostgreSQL, with compilers that announce."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db.backends.postgresql import base
from django.db.backends.postgresql.operations import DatabaseOperations as PostgresOperations
from django.db.backends.utils import CursorWrapper


class PreparingCursor(base.ServerBindingCursor):
    """Prepares each statement at first sight; psycopg keeps the last hundred of a connection."""

    def execute(self, query: Any, params: Any = None, **kwargs: Any) -> Any:
        return super().execute(query, params, prepare=True, **kwargs)  # type: ignore[misc]


class DatabaseOperations(PostgresOperations):
    compiler_module = "organizations.postgresql.compiler"

    def last_executed_query(self, cursor: Any, sql: Any, params: Any) -> str:
        if isinstance(cursor, PreparingCursor):
            return str(self.compose_sql(sql, params))
        return super().last_executed_query(cursor, sql, params)


class DatabaseWrapper(base.DatabaseWrapper):
    ops_class = DatabaseOperations
    _is_preparing = False

    def get_connection_params(self) -> dict[str, Any]:
        # Django's default, None, switches preparing off altogether, as may the settings: for a
        # pooler that hands out another session for each transaction and cannot follow.
        params = super().get_connection_params()
        if "prepare_threshold" not in self.settings_dict["OPTIONS"]:
            params["prepare_threshold"] = 5
        return params

    @property
    def can_prepare(self) -> bool:
        """Whether this connection keeps prepared statements."""
        self.ensure_connection()
        assert self.connection is not None
        return self.connection.prepare_threshold is not None

    @contextmanager
    def preparing(self) -> Iterator[None]:
        """Prepare what Django asks inside, as it will be asked again with other values."""
        before, self._is_preparing = self._is_preparing, True
        try:
            yield
        finally:
            self._is_preparing = before

    def create_cursor(self, name: str | None = None) -> Any:
        if self._is_preparing and name is None:
            return PreparingCursor(self.connection)  # type: ignore[call-arg,arg-type]
        return super().create_cursor(name)

    def preparing_cursor(self) -> CursorWrapper:
        """A cursor for statements that come again and again with other values: saves of one row.

        To plan such a statement would take as long as to execute it.
        """
        self.ensure_connection()
        assert self.connection is not None
        cursor = PreparingCursor(self.connection)  # type: ignore[call-arg]  # a union to the stubs
        prepared: CursorWrapper = self._prepare_cursor(cursor)  # type: ignore[attr-defined]
        return prepared

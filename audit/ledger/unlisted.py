"""Tables that `audit/policy.py` does not know: found after `migrate`, no matter who made them.

A table of the log's owner comes of a migration, so it is part of the application and has to be
listed: audited, or exempt with a reason. Tables of other software in the same schema have other
owners; they are passed over, unless the application's role could change them.
"""

from __future__ import annotations

from typing import NamedTuple

from django.conf import settings
from django.db.backends.base.base import BaseDatabaseWrapper

from audit import policy
from audit.ledger.roles import OF_THE_LOG

_TABLES = """
SELECT relname,
    relowner = (SELECT relowner FROM pg_class WHERE oid = 'public.audit_inbox'::regclass)
        AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass
            AND objid = c.oid AND deptype = 'e'),
    has_table_privilege(r.name, c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE')
        OR has_any_column_privilege(r.name, c.oid, 'INSERT, UPDATE')
FROM pg_class c, (SELECT %s) AS r (name)
WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'f')
    AND NOT relispartition AND relname <> ALL (%s) AND relname !~ %s
ORDER BY relname
"""


class Unlisted(NamedTuple):
    """ours: made by the log's owner. writable: the application's role can change its rows."""

    table: str
    is_ours: bool
    is_writable: bool

    @property
    def complaint(self) -> str:
        """What is wrong with it; empty when it may stay as it is."""
        if self.is_ours:
            return (
                f"{self.table} is neither audited nor exempt: list it in audit/policy.py, in"
                f' RESOURCES or as UNAUDITED["{self.table}"] = Exempt("…").'
            )
        if self.is_writable:
            return (
                f"{self.table} belongs to another role, and the application's role can change it"
                " unaudited: revoke that, or list it in audit/policy.py."
            )
        return ""


def tables(connection: BaseDatabaseWrapper) -> list[Unlisted]:
    """Every table and view of the schema that the policy page does not list."""
    listed = [spec.model_class()._meta.db_table for spec in policy.AUDITED]
    with connection.cursor() as cursor:
        cursor.execute(
            _TABLES,
            [
                settings.DATABASES["default"]["USER"],
                [*listed, *policy.exempt_tables()],
                OF_THE_LOG,
            ],
        )
        return [Unlisted(*row) for row in cursor.fetchall()]

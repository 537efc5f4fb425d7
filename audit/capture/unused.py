"""Tables of packages that we use without these tables: nobody can insert a row into them.

They are not audited, so nobody would learn of a permission in one of them. The policy page lists
them, with `Use.REFUSED`. Rows may be deleted: Django deletes from every table that refers to a
deleted row, whether it has such rows or not.
"""

from __future__ import annotations

from django.db.backends.base.base import BaseDatabaseWrapper

from audit import policy
from audit.policy import Use

_FUNCTION = """
CREATE OR REPLACE FUNCTION audit_refuse_use() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit: % is not used', TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege',
        HINT = 'Its rows would not be audited; audit/policy.py says what is used instead.';
END $$
"""


def refuse(connection: BaseDatabaseWrapper) -> None:
    """Keep every table empty that the policy calls unused; safe to run again."""
    there = connection.introspection.table_names()
    with connection.cursor() as cursor:
        cursor.execute(_FUNCTION)
        for table, exempt in policy.exempt_tables().items():
            if table not in there:
                continue
            cursor.execute(f'DROP TRIGGER IF EXISTS audit_unused ON "{table}"')
            if exempt.use is Use.REFUSED:
                cursor.execute(
                    f'CREATE TRIGGER audit_unused BEFORE INSERT OR UPDATE ON "{table}"'
                    " FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse_use()"
                )

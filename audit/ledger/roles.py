"""What each of the three database roles may do; granted anew after each `migrate`.

Owner: made the tables. Application: reads and writes the domain, inserts named columns into the
inbox, reads entries through row-level security. Sealer: moves entries from inbox to ledger.
"""

from __future__ import annotations

from django.conf import settings
from django.db.backends.base.base import BaseDatabaseWrapper

from audit.capture import inbox

_AUDIT_TABLES = """
    SELECT string_agg(format('%I', relname), ', ') FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relname LIKE 'audit\\_%'
    AND relkind IN ('r', 'p', 'v')
"""
_IS_DATABASE_OURS = """
    SELECT pg_has_role(datdba, 'USAGE') FROM pg_database WHERE datname = current_database()
"""


def grant(connection: BaseDatabaseWrapper) -> None:
    """Give the application and sealer roles of the settings their rights, and no others."""
    application, sealer = (
        f'"{settings.DATABASES[alias]["USER"]}"' for alias in ("default", "sealer")
    )
    with connection.cursor() as cursor:
        cursor.execute("SELECT quote_ident(current_user)")
        [owner] = cursor.fetchone()
        cursor.execute(_AUDIT_TABLES)
        [audit_tables] = cursor.fetchone()
        roles = [role for role in (application, sealer) if role.strip('"') != owner.strip('"')]
        for role in roles:
            cursor.execute(f"REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {role}")
            cursor.execute(f"GRANT USAGE ON SCHEMA public TO {role}")
        cursor.execute("REVOKE EXECUTE ON FUNCTION audit_flush_repeats() FROM PUBLIC")
        cursor.execute("REVOKE EXECUTE ON FUNCTION audit_enter_sealing(text) FROM PUBLIC")
        cursor.execute("REVOKE EXECUTE ON FUNCTION audit_state(integer) FROM PUBLIC")
        cursor.execute(
            "REVOKE EXECUTE ON FUNCTION audit_ensure_partitions(timestamptz, timestamptz)"
            " FROM PUBLIC"
        )
        # Neither role needs any, and what is in it shadows what a session finds by name.
        cursor.execute("SELECT quote_ident(current_database())")
        [database] = cursor.fetchone()
        cursor.execute(f"REVOKE TEMPORARY ON DATABASE {database} FROM PUBLIC")
        cursor.execute(_IS_DATABASE_OURS)
        if cursor.fetchone() == (True,):
            # It takes a second where executing takes milliseconds: each statement here is short,
            # and servers before 18 count a kind of plan that is switched off as a huge cost.
            cursor.execute(f"ALTER DATABASE {database} SET jit = off")
        if application in roles:
            _grant_application(cursor, application, audit_tables)
        if sealer in roles:
            for statement in _SEALER:
                cursor.execute(statement.format(role=sealer))


def _grant_application(cursor: object, role: str, audit_tables: str) -> None:
    execute = cursor.execute  # type: ignore[attr-defined]
    execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}")
    execute(f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {role}")
    execute(f"REVOKE ALL ON {audit_tables} FROM {role}")
    # What a permission is called decides what its holders may do, and only `migrate` says it.
    execute(
        "REVOKE INSERT, UPDATE, DELETE ON auth_permission, django_content_type, django_migrations"
        f" FROM {role}"
    )
    execute(f"GRANT INSERT ({inbox.COLUMNS}) ON audit_inbox TO {role}")
    execute(
        f"GRANT SELECT ON audit_inbox, audit_ledger, audit_label, audit_log, audit_field TO {role}"
    )
    execute(f"GRANT SELECT ON audit_entry, audit_name, audit_count, audit_sealing TO {role}")
    # The one table of ours that is no evidence; its changes are guarded as those of the domain.
    execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON audit_savedview TO {role}")
    execute(f"GRANT SELECT ON audit_hold, audit_removal TO {role}")
    execute(f"GRANT EXECUTE ON FUNCTION audit_state(integer) TO {role}")
    # Not what is repeated: no wall between tenants stands there.
    execute(
        "GRANT SELECT (key, minute, repeats), INSERT (key, minute, entry), UPDATE (repeats)"
        f" ON audit_repeat TO {role}"
    )


_SEALER = (
    "GRANT SELECT, DELETE ON audit_inbox TO {role}",
    "GRANT SELECT, INSERT ON audit_ledger TO {role}",
    "GRANT SELECT, INSERT, UPDATE ON audit_log, audit_subject, audit_count, audit_field,"
    " audit_sealing TO {role}",
    "GRANT SELECT, INSERT ON audit_label TO {role}",
    "GRANT EXECUTE ON FUNCTION audit_flush_repeats() TO {role}",
    "GRANT EXECUTE ON FUNCTION audit_enter_sealing(text) TO {role}",
    "GRANT EXECUTE ON FUNCTION audit_ensure_partitions(timestamptz, timestamptz) TO {role}",
)

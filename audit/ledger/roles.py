"""What each of the three database roles may do; granted anew after each `migrate`.

Owner: made the tables. Application: reads and writes the domain, inserts named columns into the
inbox, reads entries through row-level security. Sealer: calls the owner's functions that move
entries from inbox to ledger and those that keep their evidence, and has no right to any table.

Rights are given to tables that the policy page lists, and to those of the log. Others, which other
software may have in the same schema, are left as they are.
"""

from __future__ import annotations

from collections.abc import Iterable

from django.conf import settings
from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper

from audit import policy
from audit.capture import inbox
from audit.policy import Use

OF_THE_LOG = (
    "^audit_((archive|block|checkpoint|cosignature|count|erasure|field|fork|head|hold|inbox|label|leaf_kept"
    "|ledger|left|log|name|naming|place|proving|removal|repeat|round|round_place|salt|salt_kept|sealing"
    "|signing_key|stamp|stop|subject|tile|unsealed_place)$"
    "|ledger_|merging_|kept_|removed_)"
)
"""The names of the log's own tables: what entries lie in, and what is known of them."""

_TABLES = """
    SELECT relname FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v')
    AND pg_has_role(relowner, 'USAGE') AND (relname = ANY (%s) OR relname ~ %s)
    ORDER BY relname
"""
_RUN_AS_OWNER = """
    SELECT oid::regprocedure::text FROM pg_proc
    WHERE pronamespace = 'public'::regnamespace AND prosecdef AND proname ~ '^audit_'
    AND pg_has_role(proowner, 'USAGE')
"""
_SEQUENCES = """
    SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'S'
    AND pg_has_role(relowner, 'USAGE')
"""
_RIGHTS = {
    Use.READ: "SELECT",
    Use.WRITE: "SELECT, INSERT, UPDATE, DELETE",
    # Django asks that every table below a row that goes be emptied of what refers to it.
    Use.REFUSED: "SELECT, DELETE",
}
_IS_SCHEMA_OURS = """
    SELECT pg_has_role(nspowner, 'USAGE') FROM pg_namespace WHERE nspname = 'public'
"""
_EXCESS = """
    SELECT CASE WHEN rolsuper THEN 'is a superuser: make it NOSUPERUSER'
        ELSE format('is a member of %%I: REVOKE %%1$I FROM %%I', current_user, rolname) END
    FROM pg_roles WHERE rolname = %(role)s AND rolname <> current_user
    AND (rolsuper OR pg_has_role(oid, current_user, 'MEMBER'))
    UNION ALL
    SELECT format('has %%s: make it NO%%1$s', attribute)
    FROM pg_roles, LATERAL (VALUES (rolbypassrls, 'BYPASSRLS'), (rolcreaterole, 'CREATEROLE'),
        (rolreplication, 'REPLICATION')) AS a (has, attribute)
    WHERE has AND NOT rolsuper AND rolname = %(role)s AND rolname <> current_user
    UNION ALL
    SELECT format('can create in the schema %%I: REVOKE CREATE ON SCHEMA %%1$I FROM PUBLIC, %%I',
        nspname, rolname)
    FROM pg_namespace n, pg_roles r
    WHERE rolname = %(role)s AND rolname <> current_user AND NOT rolsuper
    AND NOT pg_has_role(r.oid, current_user, 'MEMBER') AND nspname !~ '^pg_(toast|temp)'
    AND has_schema_privilege(r.oid, n.oid, 'CREATE')
    UNION ALL
    SELECT format('can create schemas: REVOKE CREATE ON DATABASE %%I FROM PUBLIC, %%I',
        current_database(), rolname)
    FROM pg_roles r WHERE rolname = %(role)s AND rolname <> current_user AND NOT rolsuper
    AND NOT pg_has_role(r.oid, current_user, 'MEMBER')
    AND has_database_privilege(r.oid, current_database(), 'CREATE')
"""
_IS_DATABASE_OURS = """
    SELECT pg_has_role(datdba, 'USAGE') FROM pg_database WHERE datname = current_database()
"""


def grant(connection: BaseDatabaseWrapper) -> None:
    """Give the application and sealer roles of the settings their rights, and no others.

    In one transaction: who works meanwhile is not without rights.
    """
    application, sealer = (
        f'"{settings.DATABASES[alias]["USER"]}"' for alias in ("default", "sealer")
    )
    with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
        cursor.execute("SELECT quote_ident(current_user)")
        [owner] = cursor.fetchone()
        rights = _rights()
        cursor.execute(_TABLES, [list(rights), OF_THE_LOG])
        tables = [table for (table,) in cursor.fetchall()]
        roles = [role for role in (application, sealer) if role.strip('"') != owner.strip('"')]
        cursor.execute(_IS_SCHEMA_OURS)
        if cursor.fetchone() == (True,):
            # PostgreSQL before 15 gave everybody the right to create in it, and a cluster that is
            # upgraded keeps it so.
            cursor.execute(f"REVOKE CREATE ON SCHEMA public FROM {', '.join(('PUBLIC', *roles))}")
        for role in roles:
            cursor.execute(f"REVOKE ALL ON {_listed(tables)} FROM {role}")
            cursor.execute(f"GRANT USAGE ON SCHEMA public TO {role}")
        _revoke_functions(cursor, roles)
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
            for use, right in _RIGHTS.items():
                of_use = [table for table in tables if rights.get(table) is use]
                cursor.execute(f"GRANT {right} ON {_listed(of_use)} TO {application}")
            cursor.execute(_SEQUENCES)
            sequences = _listed(name for (name,) in cursor.fetchall())
            cursor.execute(f"GRANT USAGE ON SEQUENCE {sequences} TO {application}")
            _grant_log(cursor, application)
        if sealer in roles:
            for statement in _SEALER:
                cursor.execute(statement.format(role=sealer))


def excess(connection: BaseDatabaseWrapper) -> list[str]:
    """What the application's and the sealer's role can do that would undo what the log promises,
    whatever their rights to tables: complaints, each with the remedy.

    Whoever can create a function finds one that a trigger, which runs as the owner, calls with
    arguments that fit theirs better.
    """
    found = []
    with connection.cursor() as cursor:
        for alias in ("default", "sealer"):
            role = settings.DATABASES[alias]["USER"]
            cursor.execute(_EXCESS, {"role": role})
            found += [f"the role {role} {what}" for (what,) in cursor.fetchall()]
    return found


def _revoke_functions(cursor: CursorWrapper, roles: Iterable[str]) -> None:
    """Let nobody call what runs as the owner. The migration did too, but a dump may have been
    restored without privileges, and then PostgreSQL lets everybody."""
    cursor.execute(_RUN_AS_OWNER)
    functions = ", ".join(function for (function,) in cursor.fetchall())
    cursor.execute(f"REVOKE EXECUTE ON FUNCTION {functions} FROM {', '.join(('PUBLIC', *roles))}")


def _rights() -> dict[str, Use]:
    """What the application does with each table that the policy page lists."""
    audited = (spec.model_class()._meta.db_table for spec in policy.AUDITED)
    exempt = policy.exempt_tables()
    return dict.fromkeys(audited, Use.WRITE) | {name: exempt[name].use for name in exempt}


def _listed(tables: Iterable[str]) -> str:
    return ", ".join(f'"{table}"' for table in tables)


def _grant_log(cursor: CursorWrapper, role: str) -> None:
    execute = cursor.execute
    execute(f"GRANT INSERT ({inbox.COLUMNS}) ON audit_inbox TO {role}")
    execute(
        "GRANT SELECT ON audit_inbox, audit_ledger, audit_label, audit_place, audit_log,"
        f" audit_field TO {role}"
    )
    execute(f"GRANT SELECT ON audit_naming, audit_unsealed_place TO {role}")
    execute(f"GRANT SELECT ON audit_name, audit_count, audit_sealing TO {role}")
    execute(f"GRANT SELECT ON audit_hold, audit_removal TO {role}")
    execute(
        "GRANT SELECT ON audit_tile, audit_salt, audit_block, audit_head, audit_leaf_kept,"
        f" audit_checkpoint, audit_signing_key, audit_erasure, audit_salt_kept,"
        f" audit_fork TO {role}"
    )
    execute(
        "GRANT SELECT ON audit_cosignature, audit_stamp, audit_stop, audit_round,"
        f" audit_round_place TO {role}"
    )
    execute(
        "GRANT EXECUTE ON FUNCTION audit_cosign(uuid, bigint, text, text, timestamptz),"
        " audit_keep_stamp(uuid, bigint, bytea, timestamptz),"
        f" audit_stop_signing(uuid, text, bigint, text) TO {role}"
    )
    execute(f"GRANT EXECUTE ON FUNCTION audit_state(integer), audit_evidence_state() TO {role}")
    execute(f"GRANT EXECUTE ON FUNCTION audit_last_verified() TO {role}")
    execute(f"GRANT EXECUTE ON FUNCTION audit_keep_checkpoint(uuid, bigint) TO {role}")
    # Not what is repeated: no tenant scope holds there.
    execute(
        "GRANT SELECT (key, minute, repeats), INSERT (key, minute, entry), UPDATE (repeats)"
        f" ON audit_repeat TO {role}"
    )


_SEALER = (
    "GRANT EXECUTE ON FUNCTION audit_seal(integer) TO {role}",
    "GRANT EXECUTE ON FUNCTION audit_flush_repeats() TO {role}",
    "GRANT EXECUTE ON FUNCTION audit_enter_sealing(text) TO {role}",
    "GRANT EXECUTE ON FUNCTION audit_ensure_partitions(timestamptz, timestamptz) TO {role}",
    "GRANT EXECUTE ON FUNCTION audit_unproved(integer) TO {role}",
    "GRANT EXECUTE ON FUNCTION audit_entries_to_prove(uuid[], bigint[], bigint[], uuid[])"
    " TO {role}",
    "GRANT EXECUTE ON FUNCTION audit_removed_numbers(uuid, bigint, bigint) TO {role}",
    "GRANT EXECUTE ON FUNCTION audit_forks() TO {role}",
    "GRANT EXECUTE ON FUNCTION audit_kept_leaves(uuid[], bigint[], bigint[]) TO {role}",
    "GRANT EXECUTE ON FUNCTION audit_extend(jsonb, jsonb, jsonb, jsonb) TO {role}",
    "GRANT EXECUTE ON FUNCTION audit_unsigned(double precision, integer, integer, uuid[])"
    " TO {role}",
    "GRANT EXECUTE ON FUNCTION audit_signed_heads() TO {role}",
    "GRANT EXECUTE ON FUNCTION audit_tile_hashes(uuid, smallint, bigint) TO {role}",
    "GRANT EXECUTE ON FUNCTION audit_sign(jsonb) TO {role}",
    "GRANT EXECUTE ON FUNCTION audit_announce_key(integer, bytea, text) TO {role}",
    "GRANT EXECUTE ON FUNCTION audit_signing_keys() TO {role}",
    "GRANT EXECUTE ON FUNCTION audit_stops(), audit_last_round() TO {role}",
    "GRANT EXECUTE ON FUNCTION audit_add_round(bigint, timestamptz, text, jsonb, jsonb, jsonb)"
    " TO {role}",
    "GRANT EXECUTE ON FUNCTION audit_proved(timestamptz, boolean, boolean, integer, text)"
    " TO {role}",
)

"""A database for one benchmark run: the embedded server in a directory of its own, thrown away.

It is as durable as production's (fsync, synchronous_commit), and written to as the application's
role, through the guards and the row-level security that production has.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_COPY = """
CREATE TABLE {table} (LIKE {original} INCLUDING ALL);
DO $$
DECLARE c record;
BEGIN
    FOR c IN SELECT conname, pg_get_constraintdef(oid) AS body FROM pg_constraint
             WHERE conrelid = '{original}'::regclass AND contype = 'f'
    LOOP
        EXECUTE format('ALTER TABLE {table} ADD CONSTRAINT %I %s', c.conname,
                       replace(c.body, 'organizations_environment(', '{environment}('));
    END LOOP;
END $$;
"""
_BELOW = """
SELECT DISTINCT conrelid::regclass::text FROM pg_constraint
WHERE confrelid = 'organizations_environment'::regclass AND contype = 'f'
"""


@contextmanager
def temporary() -> Iterator[None]:
    """Inside, Django is set up on a fresh, migrated database."""
    directory = Path(tempfile.mkdtemp(prefix="dotenv-bench-"))
    try:
        with kept(directory):
            yield
    finally:
        # The server ends a moment after its last user has gone, and writes its log until then.
        for _ in range(50):
            time.sleep(0.2)
            shutil.rmtree(directory, ignore_errors=True)
            if not directory.exists():
                break


@contextmanager
def kept(directory: Path) -> Iterator[None]:
    """Inside, Django is set up on the migrated database in `directory`, which stays."""
    directory.mkdir(parents=True, exist_ok=True)
    directory.chmod(0o711)  # the server's own user passes through
    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "benchmarks.settings",
        "DOTENV_DEMO": "1",
        "DATA_DIR": str(directory),
        "LOG_LEVEL": "WARNING",
    }
    for variable in ("DATABASE_URL", "DATABASE_OWNER_URL", "DATABASE_SEALER_URL", "DOTENV_TEST"):
        os.environ.pop(variable, None)

    import django

    django.setup()
    from django.conf import settings
    from django.core.management import call_command
    from django.db import connections

    from dotenv_cloud.demo import embedded

    server = settings.EMBEDDED_SERVER
    assert server is not None
    embedded.start(server)
    try:
        _exempt_what_is_measured_beside()
        call_command("migrate", database="owner", verbosity=0)
        yield
    finally:
        connections.close_all()
        embedded.release(server)


def _exempt_what_is_measured_beside() -> None:
    """Copies and other packages are not part of the application, which may write to them."""
    from django.apps import apps

    from audit import policy

    exempt = policy.Exempt("measured beside ours", policy.Use.WRITE)
    for model in apps.get_models(include_auto_created=True):
        is_listed = policy.for_model(model) or model._meta.db_table in policy.exempt_tables()
        if not is_listed and not model._meta.proxy:
            policy.UNAUDITED[model._meta.db_table] = exempt
    policy.UNAUDITED |= {"bench_inbox": exempt, "bench_log": exempt}


def make_subjects() -> None:
    """Make the copies' tables, what the packages need for theirs, and an inbox for hand-written
    entries."""
    from django.db import connections

    from audit.ledger import roles
    from benchmarks.settings import WITH_PACKAGES
    from benchmarks.subjects.models import BELOW, family
    from organizations.models import Environment

    owner = connections["owner"]
    with owner.cursor() as cursor:
        cursor.execute(_BELOW)
        found = {table for (table,) in cursor.fetchall()}
        copied = {model._meta.db_table for model in BELOW[Environment]}
        if found != copied:
            raise RuntimeError(f"benchmarks.subjects copies {copied}, but below are {found}")
        for environment in BELOW.keys() - {Environment}:
            for original, model in family(environment):
                cursor.execute(
                    _COPY.format(
                        table=model._meta.db_table,
                        original=original._meta.db_table,
                        environment=environment._meta.db_table,
                    )
                )
        cursor.execute("CREATE TABLE bench_inbox (LIKE audit_inbox INCLUDING ALL)")
    if WITH_PACKAGES:
        _make_histories()
    roles.grant(owner)


def _make_histories() -> None:
    import pgtrigger
    from django.db import connections

    from benchmarks.subjects.models import PgHistory, SimpleHistory, family

    with connections["owner"].schema_editor() as editor:
        for _, model in family(SimpleHistory):
            editor.create_model(model.history.model)
        for _, model in family(PgHistory):
            editor.create_model(model.pgh_event_models["insert"])
    pgtrigger.install(database="owner")


def server_seconds() -> float:
    """How long the server's process behind Django's connection has computed."""
    from django.db import connections

    connection = connections["default"]
    connection.ensure_connection()
    pid = connection.connection.info.backend_pid
    nanoseconds = Path(f"/proc/{pid}/schedstat").read_text().split()[0]
    return int(nanoseconds) / 1e9

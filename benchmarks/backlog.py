"""A log as many people leave it, put into the inbox: quickly as a backlog, or at a steady pace.

40 organizations, the first ones busier than the last; 2,500 actors and 25,000 resources.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from typing import Any

ENTRIES_A_TRANSACTION = 4

_ENTRIES = """
    INSERT INTO audit_inbox (organization_id, actor_id, resource_id, request_id, ip, actor_type,
        actor_label, action, resource_type, resource_label, interface, user_agent, changes, context)
    SELECT coalesce(%s, audit_bench_id(1, organization)), audit_bench_id(2, actor),
        audit_bench_id(3, resource), gen_random_uuid(), '192.0.2.1', 'user',
        'person-' || actor || '@bench.example',
        (ARRAY['update', 'update', 'update', 'read', 'create', 'delete'])[1 + resource %% 6],
        (ARRAY['environment', 'secret', 'target', 'project'])[1 + resource %% 4],
        'project-' || resource %% 50 || '/production/node-' || resource, 'api',
        'dotenv/1.0 (Linux)',
        CASE WHEN resource %% 3 > 0 THEN '{}'::jsonb ELSE jsonb_build_object(
            'name', jsonb_build_array('Node', 'Node ' || (random() * 1e9)::int)) END,
        CASE WHEN resource %% 4 > 0 THEN '{}'::jsonb
            ELSE jsonb_build_object('key_version', (random() * 9)::int) END
    FROM (
        -- Rows of which each belongs to one organization: an actor and a resource to one only.
        SELECT organization, organization * 100 + (random() * 60)::int AS actor,
            organization * 1000 + (random() * 600)::int AS resource
        FROM (SELECT (40 * random() ^ 2)::int AS organization
              FROM generate_series(1, %s)) AS o
    ) AS e
"""

_ID = """
CREATE OR REPLACE FUNCTION audit_bench_id(kind integer, number integer) RETURNS uuid
LANGUAGE sql IMMUTABLE AS $$
    SELECT overlay(md5(kind || ' ' || number) PLACING '01900000' FROM 1 FOR 8)::uuid
$$
"""

# Each transaction is one of its own, as the sealer would find them.
_BACKLOG = """
DO $$ BEGIN
    PERFORM set_config('synchronous_commit', 'off', false);
    FOR n IN 1..{transactions} LOOP
        {entries};
        COMMIT;
    END LOOP;
END $$
"""


def prepare() -> None:
    from django.db import connections

    with connections["owner"].cursor() as cursor:
        cursor.execute(_ID)


def pile_up(entries: int, organization: uuid.UUID | None = None) -> None:
    """Make a backlog of so many entries, in transactions of a few each; all of `organization`, if
    one is given."""
    from django.db import connections

    whose = f"'{organization}'::uuid" if organization else "NULL"
    inserting = _ENTRIES.replace("%s, audit_bench_id", f"{whose}, audit_bench_id")
    inserting = inserting.replace("%s", str(ENTRIES_A_TRANSACTION)).replace("%%", "%")
    with connections["owner"].cursor() as cursor:
        cursor.execute(
            _BACKLOG.format(transactions=entries // ENTRIES_A_TRANSACTION, entries=inserting)
        )
        cursor.execute("RESET synchronous_commit")
        cursor.execute("VACUUM ANALYZE audit_inbox")


def write_steadily(a_second: int, is_over: Callable[[], bool]) -> int:
    """Enter so many entries a second, in transactions of a few each; returns how many."""
    from django.db import connections

    # As the triggers do: entries with changes are the owner's alone to insert.
    connection: Any = connections["owner"]
    pause = ENTRIES_A_TRANSACTION / a_second
    written, due = 0, time.monotonic()
    with connection.cursor() as cursor:
        while not is_over():
            # Late is caught up with: the rate holds however long a commit takes.
            time.sleep(max(0.0, due - time.monotonic()))
            cursor.execute(_ENTRIES, [None, ENTRIES_A_TRANSACTION])
            written += ENTRIES_A_TRANSACTION
            due += pause
    return written

"""A large log to read: `python -m benchmarks.log --entries 10000000 --data-dir DIR`.

200 organizations of very different sizes over 24 months, as sealing would have left it, the last
4,000 entries unsealed: what two seconds bring at 2,000 a second. The rows are made inside
PostgreSQL, month by month, the indexes of a partition after its rows; where quarters and years are
over they are the partitions, as `audit_pack` leaves them. The same number makes the same log,
but for the ids of organizations. What is in DIR already is used again.
"""

from __future__ import annotations

import argparse
import datetime as dt
import sys
import time
import uuid
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import database
from benchmarks.log_sql import ADD_MONTH, DRAW, INDEXES, MAKE_TABLE, PLACES, PREPARE, SUBJECTS

ORGANIZATIONS = 200
MONTHS = 24
UNSEALED = 4_000
OWNER = "reader@bench.example"


def generate(entries: int) -> None:
    """Fill the migrated, empty database."""
    from django.db import connections

    from organizations import clock

    owner = connections["owner"]
    started = time.perf_counter()
    keys = _organizations()
    until = clock.now().replace(microsecond=0)
    since = until - dt.timedelta(days=MONTHS * 30.4)
    with owner.cursor() as cursor:
        cursor.execute(
            "SET work_mem = '512MB'; SET maintenance_work_mem = '512MB'; SET jit = off;"
            " SET synchronous_commit = off; SET enable_nestloop = off"
        )
        cursor.execute(PREPARE)
        cursor.executemany(
            "INSERT INTO pg_temp.organization VALUES (%s, %s)", list(enumerate(keys, start=1))
        )
        cursor.execute(SUBJECTS)
        made = 0
        partitions: list[Partition] = []
        for first, past in _months(since, until):
            least = _number(max(first, since), since, until, entries)
            most = min(_number(past, since, until, entries), entries - UNSEALED)
            if most > least:
                cursor.execute(DRAW, [least, most, since, until, entries])
                partitions.append(_partition(first, until))
                _add_month(cursor, partitions[-1])
                made += most - least
                print(f"  {first:%Y-%m}  {made:,}", file=sys.stderr, flush=True)
        for partition in dict.fromkeys(partitions):
            _finish(cursor, partition)
        cursor.execute(DRAW, [entries - UNSEALED, entries, since, until, entries])
        cursor.execute(
            "INSERT INTO audit_inbox (id, organization_id, actor_id, resource_id, request_id, ip,"
            " actor_type, actor_label, action, resource_type, resource_label, result, interface,"
            " user_agent, changes, context) SELECT id, organization_id, actor_id, resource_id,"
            " request_id, ip, actor_type, actor_label, action, resource_type, resource_label,"
            " result, interface, user_agent, changes, context FROM pg_temp.drawn ORDER BY id"
        )
        cursor.execute(PLACES)
        cursor.execute("RESET ALL; DROP TABLE pg_temp.drawn")
        cursor.execute("SELECT audit_ensure_partitions(%s, %s)", [since, until + dt.timedelta(92)])
        cursor.execute(
            "VACUUM (ANALYZE) audit_ledger, audit_inbox, audit_label, audit_place, audit_log"
        )
        cursor.execute("CREATE TABLE bench_log AS SELECT %s::bigint AS entries", [entries])
    elapsed = time.perf_counter() - started
    print(f"{entries:,} entries in {elapsed:.0f} s", file=sys.stderr, flush=True)


def _organizations() -> list[uuid.UUID]:
    """The largest first."""
    from organizations.creation import create_organization
    from organizations.models import User

    owner = User.objects.create_user(OWNER, None)
    return [
        create_organization(f"Log {number}", owner=owner).pk
        for number in range(1, ORGANIZATIONS + 1)
    ]


def _months(since: dt.datetime, until: dt.datetime) -> list[tuple[dt.datetime, dt.datetime]]:
    months = []
    first = since.replace(day=1, hour=0, minute=0, second=0)
    while first < until:
        past = (first + dt.timedelta(days=31)).replace(day=1)
        months.append((first, past))
        first = past
    return months


def _number(moment: dt.datetime, since: dt.datetime, until: dt.datetime, entries: int) -> int:
    """The number of the first entry at or after `moment`."""
    return min(entries, -int(-entries * ((moment - since) / (until - since)) // 1))


class Partition(NamedTuple):
    name: str
    since: dt.datetime
    until: dt.datetime


def _partition(month: dt.datetime, now: dt.datetime) -> Partition:
    """Where a month's entries are once `audit_pack` has merged what is over."""
    from audit.ledger import merging

    for name, since, until in merging._calendar(now - dt.timedelta(days=1), [month]):
        if since <= month < until:
            return Partition(f"audit_ledger_{name}", since, until)
    past = (month + dt.timedelta(days=31)).replace(day=1)
    return Partition(f"audit_ledger_{month:%Y_%m}", month, past)


def _add_month(cursor: Any, partition: Partition) -> None:
    """Put what was drawn into the table that will be the partition."""
    name = partition.name
    cursor.execute(
        "SELECT EXISTS (SELECT FROM pg_inherits WHERE inhrelid = to_regclass(%s))",
        [f"public.{name}"],
    )
    if cursor.fetchone()[0]:
        # The current month's, which migrating made; nothing is in it yet.
        cursor.execute(f"ALTER TABLE audit_ledger DETACH PARTITION public.{name}")
        cursor.execute(f"DROP TABLE public.{name}")
    cursor.execute(MAKE_TABLE.format(name=name))
    cursor.execute(ADD_MONTH.format(name=name))


def _finish(cursor: Any, partition: Partition) -> None:
    name = partition.name
    cursor.execute(f"ALTER TABLE public.{name} ADD PRIMARY KEY (id)")
    cursor.execute(INDEXES, [name])
    for (definition,) in cursor.fetchall():
        cursor.execute(definition)
    cursor.execute(
        "SELECT audit_uuid7_floor(%s), audit_uuid7_floor(%s)", [partition.since, partition.until]
    )
    cursor.execute(
        f"ALTER TABLE public.audit_ledger ATTACH PARTITION public.{name}"
        " FOR VALUES FROM (%s) TO (%s)",
        list(cursor.fetchone()),
    )
    cursor.execute(
        f"CREATE TRIGGER audit_no_truncate BEFORE TRUNCATE ON public.{name}"
        " FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse()"
    )


def is_there(entries: int) -> bool:
    """Whether the database holds such a log; one of another size is an error."""
    from django.db import connections

    with connections["owner"].cursor() as cursor:
        cursor.execute("SELECT to_regclass('public.bench_log') IS NOT NULL")
        if not cursor.fetchone()[0]:
            return False
        cursor.execute("SELECT entries FROM bench_log")
        [[held]] = cursor.fetchall()
    if held != entries:
        raise SystemExit(f"The directory holds a log of {held:,} entries; name another one.")
    return True


def ensure(entries: int) -> None:
    if not is_there(entries):
        generate(entries)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.log", description=__doc__)
    parser.add_argument("--entries", type=int, default=1_000_000, help="(1,000,000)")
    parser.add_argument("--data-dir", type=Path, required=True, help="made if it is not there")
    options = parser.parse_args()
    with database.kept(options.data_dir):
        ensure(options.entries)
    return 0


if __name__ == "__main__":
    sys.exit(main())

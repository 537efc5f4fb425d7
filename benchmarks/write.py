"""What auditing costs a write: `python -m benchmarks.write`.

Each figure is a ratio to something measured in the same run, contender by contender in turn.
Prints a table; fails when a budget does not hold. See docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import uuid
from collections.abc import Callable
from functools import partial
from typing import Any

from benchmarks import database
from benchmarks.report import Report, describe_machine
from benchmarks.timing import Contender, race
from benchmarks.world import OPERATIONS, World, as_request, contender

ROWS = 10_000
COMMIT_ROWS = 20_000
AUDITED_TO_HAND_WRITTEN = 1.15
AUDITED_TO_UNAUDITED = 1.6
BULK = 2.0
GUARD_SECONDS = 0.5


class HandWriting:
    """One INSERT of an entry, as one would write it by hand with everything at hand."""

    _SQL = (
        "INSERT INTO bench_inbox (organization_id, actor_id, resource_id, request_id, ip,"
        " actor_type, actor_label, action, resource_type, resource_label, result, interface,"
        " user_agent, changes, context) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s,"
        " %s, %s::jsonb, %s::jsonb)"
    )

    def __init__(self, world: World) -> None:
        self.world = world

    def create(self, row: Any) -> None:
        self._write(row, "create", {name: [None, value] for name, value in self._values(row)})

    def update(self, row: Any) -> None:
        self._write(row, "update", {"name": [row.name, row.name + "!"]})

    def delete(self, row: Any) -> None:
        self._write(row, "delete", {name: [value, None] for name, value in self._values(row)})

    def _values(self, row: Any) -> list[tuple[str, Any]]:
        return [
            ("target_id", str(row.target_id)),
            ("name", row.name),
            ("slug", row.slug),
            ("description", row.description),
            ("status", row.status),
            ("is_production", row.is_production),
        ]

    def _write(self, row: Any, action: str, changes: dict[str, Any]) -> None:
        from django.db import connection, transaction

        world, key = self.world, row.pk
        with transaction.atomic():
            OPERATIONS[action](row)
            with connection.cursor() as cursor:
                cursor.execute(
                    self._SQL,
                    [
                        world.organization.pk,
                        world.user.pk,
                        key,
                        uuid.uuid4(),
                        "192.0.2.1",
                        "user",
                        world.user.email,
                        action,
                        "environment",
                        f"bench/bench/{row.slug}",
                        "success",
                        "web",
                        "Mozilla/5.0",
                        json.dumps(changes),
                        "{}",
                    ],
                )


# -- Measurements


def single_rows(world: World, report: Report, repetitions: int) -> None:
    """Save and delete of one row in a transaction of its own."""
    from django.db import connection

    from benchmarks.subjects.models import HandWritten, Unaudited
    from organizations.models import Environment

    by_hand = HandWriting(world)
    for setting in ("on", "off"):
        with connection.cursor() as cursor:
            cursor.execute(f"SET synchronous_commit = {setting}")
        waits = "waiting for the disk" if setting == "on" else "not waiting for the disk"
        report.heading(f"One row, commit {waits} (synchronous_commit = {setting})")
        for name, operation in OPERATIONS.items():
            contenders = [
                contender(world, "unaudited", Unaudited, name, operation),
                contender(world, "hand-written INSERT", HandWritten, name, getattr(by_hand, name)),
                contender(world, "audited", Environment, name, operation),
            ]
            timings = race(contenders, repetitions, repetitions // 10)
            report.timings(name, timings)
            audited = timings["audited"].median
            # The budgets are meant for commits as they are in production.
            durable = setting == "on"
            report.ratio(
                f"{name}: audited / hand-written",
                audited / timings["hand-written INSERT"].median,
                AUDITED_TO_HAND_WRITTEN if durable else None,
            )
            report.ratio(
                f"{name}: audited / unaudited",
                audited / timings["unaudited"].median,
                AUDITED_TO_UNAUDITED if durable else None,
            )
    with connection.cursor() as cursor:
        cursor.execute("RESET synchronous_commit")


def bulk(world: World, report: Report, repetitions: int) -> None:
    """bulk_create and QuerySet.update of 10,000 rows."""
    from django.db import transaction

    from benchmarks.subjects.models import Unaudited
    from organizations.models import Environment

    report.heading(f"{ROWS:,} rows in one transaction")

    def rows(model: Any) -> list[Any]:
        _clear(model)
        return [world.new(model) for _ in range(ROWS)]

    def create(made: Any) -> None:
        with transaction.atomic():
            type(made[0]).objects.bulk_create(made)

    def stored(model: Any) -> Any:
        create(rows(model))
        return model

    def update(model: Any) -> None:
        with transaction.atomic():
            model.objects.filter(target_id=world.target.pk).update(description="Changed at once")

    for name, prepare, run in (("bulk_create", rows, create), ("update", stored, update)):
        contenders = [
            Contender("unaudited", partial(prepare, Unaudited), run),
            Contender("audited", partial(prepare, Environment), run),
        ]
        timings = race(contenders, repetitions, 1)
        report.timings(name, timings)
        ratio = timings["audited"].median / timings["unaudited"].median
        report.ratio(f"{name}: audited / unaudited", ratio, BULK)
    for model in (Unaudited, Environment):
        _clear(model)


def commit(world: World, report: Report, repetitions: int) -> None:
    """The guard's share of committing 20,000 audited rows: how long its checks alone take."""
    from django.db import connection, transaction

    from organizations.models import Environment

    report.heading(f"Commit of {COMMIT_ROWS:,} audited rows in one transaction")
    seconds = []
    for _ in range(repetitions):
        _clear(Environment)
        with transaction.atomic():
            Environment.objects.bulk_create([world.new(Environment) for _ in range(COMMIT_ROWS)])
            with connection.cursor() as cursor:
                started = time.perf_counter()
                cursor.execute("SET CONSTRAINTS audit_guard, audit_guard_update IMMEDIATE")
                seconds.append(time.perf_counter() - started)
    median = sorted(seconds)[len(seconds) // 2]
    report.figure(f"{'the guard checks them in':<54}", f"{median:6.2f} s", median, GUARD_SECONDS)
    _clear(Environment)


def statements(world: World, report: Report) -> None:
    """How many statements auditing adds."""
    from django.db import connection, transaction
    from django.test.utils import CaptureQueriesContext

    from benchmarks.subjects.models import Unaudited
    from organizations.models import Environment

    report.heading("Statements that auditing adds")

    def bulk_create(model: Any) -> None:
        model.objects.bulk_create([world.new(model) for _ in range(100)])

    def bulk_update(model: Any) -> None:
        model.objects.filter(target_id=world.target.pk).update(description="Changed")

    deeds: dict[str, Callable[[Any], object]] = {
        "create": lambda model: OPERATIONS["create"](world.new(model)),
        "update": lambda model: OPERATIONS["update"](model.objects.first()),
        "delete": lambda model: OPERATIONS["delete"](model.objects.first()),
        "bulk_create of 100": bulk_create,
        "QuerySet.update of 100": bulk_update,
        "QuerySet.delete of 100": lambda model: model.objects.all()._raw_delete("default"),
    }
    for name, deed in deeds.items():
        counts = []
        for model in (Unaudited, Environment):
            world.saved(model)
            with transaction.atomic(), CaptureQueriesContext(connection) as queries:
                deed(model)
            counts.append(len([q for q in queries if "SAVEPOINT" not in q["sql"]]))
        report.figure(f"{name:<54}", f"{counts[1] - counts[0]:6}", counts[1] - counts[0], 1)


def _clear(model: Any) -> None:
    """Empty the model's table and the inbox, so that no round is slower for the one before."""
    from django.db import connections

    from organizations.models import Environment

    with connections["owner"].cursor() as cursor:
        if model is Environment:
            cursor.execute("BEGIN; SET LOCAL audit.reason = 'benchmark';")
            cursor.execute(f"DELETE FROM {model._meta.db_table}; COMMIT")
            _seal()
        else:
            cursor.execute(f"TRUNCATE {model._meta.db_table} CASCADE")  # with the empty ones below
        cursor.execute(f"VACUUM ANALYZE {model._meta.db_table}")
        cursor.execute("VACUUM ANALYZE audit_inbox")


def _seal() -> None:
    from audit.ledger import sealing

    while sealing.seal().is_behind:
        pass


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.write", description=__doc__)
    parser.add_argument("--repetitions", type=int, default=400, help="of single rows (400)")
    parser.add_argument("--bulk-repetitions", type=int, default=7, help="of 10,000 rows (7)")
    parser.add_argument("--only", choices=["single", "bulk", "commit"])
    options = parser.parse_args()
    report = Report()
    with database.temporary():
        database.make_subjects()
        describe_machine()
        world = World()
        with as_request(world):
            statements(world, report)
            if options.only in (None, "single"):
                single_rows(world, report, options.repetitions)
            if options.only in (None, "bulk"):
                bulk(world, report, options.bulk_repetitions)
            if options.only in (None, "commit"):
                commit(world, report, options.bulk_repetitions)
    return report.conclude()


if __name__ == "__main__":
    sys.exit(main())

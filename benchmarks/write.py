"""What auditing costs a write: `python -m benchmarks.write`.

Each figure is a ratio to something measured in the same run, contender by contender in turn.
Prints a table; fails when a budget does not hold. See docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import json
import statistics
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
CHANGES_OF_ONE_ROW = 2_000

AUDITED_TO_HAND_WRITTEN = 1.0
AUDITED_TO_UNAUDITED = 1.25
BULK_CREATE = 1.3
UPDATE_OF_MANY = 1.8
MANY_UPDATES = 1.5
SIGNAL_SHARE = 0.02


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
            timings = race(contenders, repetitions, repetitions // 10, database.server_seconds)
            report.timings(name, timings)
            # The budgets are meant for commits as they are in production.
            durable = setting == "on"
            by_hand_budget = AUDITED_TO_HAND_WRITTEN if durable else None
            report.compare(name, timings, "hand-written INSERT", by_hand_budget)
            report.compare(name, timings, "unaudited", AUDITED_TO_UNAUDITED if durable else None)
            if name == "update" and durable:
                saving = timings["audited"].median
    with connection.cursor() as cursor:
        cursor.execute("RESET synchronous_commit")
    signal(report, saving)


def signal(report: Report, saving: float) -> None:
    """What announcing a write and making its words cost of a save, which takes `saving` seconds."""
    from audit.capture import words
    from organizations.models import Environment
    from organizations.signals import Operation, words_for

    def seconds(run: Callable[[], object], times: int = 20_000) -> float:
        started = time.perf_counter()
        for _ in range(times):
            run()
        return (time.perf_counter() - started) / times

    report.heading("The signal")
    rounds = [
        (
            seconds(lambda: words_for(Environment, Operation.UPDATE)),
            seconds(lambda: words.of_write(Environment)),
        )
        for _ in range(9)
    ]
    announced, made = (statistics.median(each) for each in zip(*rounds, strict=True))
    sending = announced - made
    text = "sending rows_written, of an audited save"
    shown = f"{sending * 1e6:6.2f} µs, {sending / saving:.2%}"
    report.figure(f"{text:<54}", shown, sending / saving, SIGNAL_SHARE)
    print(f"  {'making the words':<54} {made * 1e6:6.2f} µs, {made / saving:.2%}")


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

    for name, prepare, run, budget in (
        ("bulk_create", rows, create, BULK_CREATE),
        ("update", stored, update, UPDATE_OF_MANY),
    ):
        contenders = [
            Contender("unaudited", partial(prepare, Unaudited), run),
            Contender("audited", partial(prepare, Environment), run),
        ]
        timings = race(contenders, repetitions, 1, database.server_seconds)
        report.timings(name, timings)
        report.compare(name, timings, "unaudited", budget)
    for model in (Unaudited, Environment):
        _clear(model)


def one_row(world: World, report: Report, repetitions: int) -> None:
    """The same row changed 2,000 times in one transaction."""
    from django.db import transaction

    from benchmarks.subjects.models import Unaudited
    from organizations.models import Environment

    report.heading(f"{CHANGES_OF_ONE_ROW:,} changes of one row in one transaction")

    def prepare(model: Any) -> Any:
        _clear(model)
        return world.saved(model)

    def change(row: Any) -> None:
        rows = type(row).objects.filter(pk=row.pk)
        with transaction.atomic():
            for n in range(CHANGES_OF_ONE_ROW):
                rows.update(name=f"Change {n}")

    contenders = [
        Contender("unaudited", partial(prepare, Unaudited), change),
        Contender("audited", partial(prepare, Environment), change),
    ]
    timings = race(contenders, repetitions, 1, database.server_seconds)
    report.timings("update", timings)
    report.compare("many updates", timings, "unaudited", MANY_UPDATES)


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
        report.figure(f"{name:<54}", f"{counts[1] - counts[0]:6}", counts[1] - counts[0], 0)


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
    parser.add_argument("--only", choices=["single", "bulk", "one-row"])
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
            if options.only in (None, "one-row"):
                one_row(world, report, options.bulk_repetitions)
    return report.conclude()


if __name__ == "__main__":
    sys.exit(main())

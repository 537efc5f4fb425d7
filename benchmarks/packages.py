"""The same writes beside other audit packages: `python -m benchmarks.packages`.

How long one takes, how many statements, how many bytes an entry, and what of each way to change a
row was recorded. Every contender has the same tables, keys and dependents, writes through the same
calls of Django, and is listened to by its own package alone. Needs `make venv-bench`.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from benchmarks import database
from benchmarks.report import Report, describe_machine
from benchmarks.timing import Contender, race
from benchmarks.world import World, as_request, create, update

ENTRIES = 2_000
"""How many updates the bytes of an entry are measured on."""


@dataclass(frozen=True)
class Package:
    """One way of recording: the model it watches, where it writes, how it learns who acts."""

    name: str
    model: type[Any]
    tables: Sequence[str]
    acting: Callable[[World], AbstractContextManager[Any]]


def contestants() -> list[Package]:
    import pghistory
    from auditlog.context import set_actor

    from benchmarks.subjects import models
    from organizations.models import Environment

    def nobody(_: World) -> AbstractContextManager[Any]:
        return nullcontext()

    return [
        Package("unaudited", models.Unaudited, (), nobody),
        Package("ours", Environment, ("audit_inbox",), nobody),
        Package(
            "django-auditlog",
            models.Auditlog,
            ("auditlog_logentry",),
            lambda world: set_actor(world.user, "192.0.2.1"),
        ),
        Package("django-simple-history", models.SimpleHistory, (_historical(),), nobody),
        Package(
            "django-pghistory",
            models.PgHistory,
            (_events(), "pghistory_context"),
            lambda world: pghistory.context(user=str(world.user.pk), url="/"),
        ),
        Package("django-easy-audit", models.EasyAudit, ("easyaudit_crudevent",), nobody),
    ]


def _historical() -> str:
    from benchmarks.subjects import models

    return str(models.SimpleHistory.history.model._meta.db_table)


def _events() -> str:
    from benchmarks.subjects import models

    events = models.PgHistory.pgh_event_models  # type: ignore[attr-defined]
    return str(events["insert"]._meta.db_table)


def listen_to_their_own() -> None:
    """django-easy-audit listens to every model, which would slow down the others' writes too."""
    from django.db.models import signals
    from easyaudit.signals import model_signals

    from benchmarks.subjects.models import EasyAudit, Unaudited, family

    signals.m2m_changed.disconnect(dispatch_uid="easy_audit_signals_m2m_changed")
    for name in ("pre_save", "post_save", "post_delete"):
        signal = getattr(signals, name)
        signal.disconnect(dispatch_uid=f"easy_audit_signals_{name}")
        for _, model in family(EasyAudit):
            signal.connect(getattr(model_signals, name), sender=model)
        if signal.has_listeners(Unaudited):
            raise RuntimeError(f"{name} of the unaudited copy is listened to")


# -- One row


def delete(row: Any) -> None:
    """With what is below it, as Django finds it: what listens to deletions hears of each."""
    from django.db import transaction

    with transaction.atomic():
        row.delete()


@dataclass(frozen=True)
class Deed:
    """A write of one row, and how the row is made for it beforehand."""

    make: Callable[[World, type[Any]], Any]
    run: Callable[[Any], None]


DEEDS = {
    "create": Deed(World.new, create),
    "update": Deed(World.saved, update),
    "delete": Deed(World.saved, delete),
    "delete with its secret": Deed(World.holding, delete),
}


# -- Time


def times(world: World, packages: Sequence[Package], report: Report, repetitions: int) -> None:
    report.heading("One row in its transaction")
    for name, deed in DEEDS.items():
        before = {package.name: _number_of_entries(package) for package in packages}
        timings = race(
            [_contender(world, package, deed) for package in packages],
            repetitions,
            repetitions // 10,
        )
        report.timings(name, timings)
        for package in packages[1:]:
            if _number_of_entries(package) - before[package.name] < repetitions:
                raise RuntimeError(f"{package.name} did not record every {name}")
        for package in packages[2:]:
            ratio = timings["ours"].median / timings[package.name].median
            report.ratio(f"{name}: ours / {package.name}", ratio, 1.0)


def _contender(world: World, package: Package, deed: Deed) -> Contender:
    def run(row: Any) -> None:
        with package.acting(world):
            deed.run(row)

    return Contender(package.name, lambda: deed.make(world, package.model), run)


# -- Statements


def statements(world: World, packages: Sequence[Package], report: Report) -> None:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    report.heading("Statements: " + ", ".join(DEEDS))
    for package in packages:
        counts = []
        for deed in DEEDS.values():
            row = deed.make(world, package.model)
            with package.acting(world), CaptureQueriesContext(connection) as queries:
                deed.run(row)
            counts.append(len([q for q in queries if "SAVEPOINT" not in q["sql"]]))
        report.figure(f"{package.name:<54}", " ".join(f"{n:3}" for n in counts), 0, None)


# -- Bytes


def sizes(world: World, packages: Sequence[Package], report: Report) -> None:
    """What an entry takes of the disk, indexes included, where it lives for good."""
    report.heading(f"Bytes an entry, of {ENTRIES:,} updates of a name")
    for package in packages[1:]:
        row = world.saved(package.model)
        tables = package.tables
        if package.name == "ours":
            _seal()
            tables = ["audit_ledger", "audit_log", "audit_subject", "audit_label", "audit_field"]
        before = _bytes(tables)
        with package.acting(world):
            for n in range(ENTRIES):
                row.name = f"Environment {n}"
                row.save(update_fields=["name"])
        if package.name == "ours":
            _seal()
        size = (_bytes(tables) - before) / ENTRIES
        report.figure(f"{package.name:<54}", f"{size:6.0f}", size, None)


def _bytes(tables: Sequence[str]) -> int:
    from django.db import connections

    with connections["owner"].cursor() as cursor:
        cursor.execute(
            "SELECT sum(pg_total_relation_size(p.relid)) FROM unnest(%s::text[]) AS t (name),"
            " pg_partition_tree(t.name::regclass) AS p",
            [list(tables)],
        )
        found = cursor.fetchone()[0]
        if found is None:
            cursor.execute(
                "SELECT sum(pg_total_relation_size(t.name::regclass))"
                " FROM unnest(%s::text[]) AS t (name)",
                [list(tables)],
            )
            found = cursor.fetchone()[0]
        return int(found)


def _seal() -> None:
    from audit.ledger import sealing

    while sealing.seal().is_behind:
        pass


# -- What is recorded


def _save_new(model: Any, world: World) -> Any:
    row = world.new(model)
    row.description = "after-value"
    row.save()


def _bulk_create(model: Any, world: World) -> None:
    row = world.new(model)
    row.description = "after-value"
    model.objects.bulk_create([row])


def _stored(model: Any, world: World) -> Any:
    row = world.new(model)
    row.description = "before-value"
    row.save()
    return row


def _save(row: Any) -> None:
    row.description = "after-value"
    row.save()


def _bulk_update(row: Any) -> None:
    row.description = "after-value"
    type(row).objects.bulk_update([row], ["description"])


def _queryset_update(row: Any) -> None:
    type(row).objects.filter(pk=row.pk).update(description="after-value")


def _sql_update(row: Any) -> None:
    _sql(row, "after-value")


def _sql(row: Any, value: str) -> None:
    from django.db import connection, transaction

    with transaction.atomic(), connection.cursor() as cursor:
        table = row._meta.db_table
        cursor.execute(f"UPDATE {table} SET description = %s WHERE id = %s", [value, row.pk])


def _delete(row: Any) -> None:
    row.delete()


def _queryset_delete(row: Any) -> None:
    type(row).objects.filter(pk=row.pk).delete()


MAKING = {"save of a new row": _save_new, "bulk_create": _bulk_create}
CHANGING: dict[str, Callable[[Any], None]] = {
    "save": _save,
    "bulk_update": _bulk_update,
    "QuerySet.update": _queryset_update,
    "UPDATE in SQL": _sql_update,
    "delete": _delete,
    "QuerySet.delete": _queryset_delete,
}


def recorded(world: World, packages: Sequence[Package], report: Report) -> None:
    """Whether there is an entry, and whether it has the value before and the value after."""
    report.heading("What is recorded (b: the value before, a: the value after)")
    for way in (*MAKING, *CHANGING):
        found = []
        for package in packages[1:]:
            found.append(f"{package.name}: {_figures(world, package, way)}")
        print(f"  {way:<22} " + "; ".join(found), flush=True)


def _figures(world: World, package: Package, way: str) -> str:
    from django.db import Error

    row = _stored(package.model, world) if way in CHANGING else None
    seen = _entries(package)
    try:
        with package.acting(world):
            if way in MAKING:
                MAKING[way](package.model, world)
            else:
                CHANGING[way](row)
    except Error:
        return "refused"
    entries = [entry for entry in _entries(package) if entry not in seen]
    if not entries:
        return "nothing"
    text = " ".join(entries)
    has = [mark for mark, value in (("b", "before-value"), ("a", "after-value")) if value in text]
    return "entry " + "+".join(has) if has else "entry, no value"


def _entries(package: Package) -> list[str]:
    """Each entry as text."""
    from django.db import connections

    with connections["owner"].cursor() as cursor:
        cursor.execute(f"SELECT to_jsonb(e)::text FROM {package.tables[0]} AS e")
        return [text for (text,) in cursor.fetchall()]


def _number_of_entries(package: Package) -> int:
    from django.db import connections

    if not package.tables:
        return 0
    with connections["owner"].cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {package.tables[0]}")
        return int(cursor.fetchone()[0])


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.packages", description=__doc__)
    parser.add_argument("--repetitions", type=int, default=400, help="of each write (400)")
    options = parser.parse_args()
    if importlib.util.find_spec("auditlog") is None:
        parser.error("the other packages are not installed; run: make venv-bench")
    os.environ["BENCH_PACKAGES"] = "1"
    report = Report()
    with database.temporary():
        database.make_subjects()
        listen_to_their_own()
        describe_machine()
        world, packages = World(), contestants()
        with as_request(world):
            statements(world, packages, report)
            recorded(world, packages, report)
            times(world, packages, report, options.repetitions)
            sizes(world, packages, report)
    return report.conclude()


if __name__ == "__main__":
    sys.exit(main())

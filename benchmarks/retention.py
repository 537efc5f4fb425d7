"""Detaching a month under load: `python -m benchmarks.retention`.

Eight processes update rows, each its own; another one reads the newest page of the log, and a
sealer is at work. Meanwhile nothing else happens; or an old month is archived; or it is detached
and replaced by what stays of it. For each, the longest transaction of a writer and the longest page
of the reader are printed. Writers do not touch the ledger, so theirs should not change.
"""

from __future__ import annotations

import argparse
import datetime as dt
import statistics
import sys
import tempfile
import time
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from benchmarks import database
from benchmarks.processes import a_sealer, ended, fork
from benchmarks.report import Report, describe_machine
from benchmarks.world import World, as_request

WRITERS = 8
ORGANIZATIONS = 20
RESOURCES = 2_000
"""Of each organization."""
PAUSE = 0.02
"""Seconds between two pages of the reader."""
FIRST_MONTH = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)

# Two in five are changes, one of six fields; resources in turn.
_FILL = """
INSERT INTO audit_ledger (id, organization_id, actor_id, resource_id, request_id, seq,
    resource_seq, actor_seq, ip, actor_type, actor_label, action, resource_type, resource_label,
    result, interface, user_agent, changes, context)
SELECT audit_uuid7(%(since)s::timestamptz + n * interval '27 days' / %(entries)s),
    md5('organization' || n %% {organizations})::uuid, md5('actor' || n %% 97)::uuid,
    md5('resource' || n %% ({organizations} * {resources}))::uuid, gen_random_uuid(),
    %(before)s + (n - 1) / {organizations} + 1, n, n, '192.0.2.1', 'user',
    'person-' || n %% 97 || '@bench.example',
    CASE WHEN n %% 5 < 2 THEN 'update' ELSE 'read' END, 'environment',
    'project-' || n %% 13 || '/target/environment-' || n %% {resources}, 'success', 'api',
    'dotenv-go-sdk/1.0.0',
    CASE WHEN n %% 5 < 2 THEN jsonb_build_object('name', jsonb_build_array('Environment ' || n,
        'Environment ' || n + 1)) ELSE '{{}}' END,
    '{{}}'
FROM generate_series(1, %(entries)s::bigint) AS n
"""


@dataclass(frozen=True)
class Span:
    """When something began and ended, by the monotonic clock."""

    start: float
    end: float


@dataclass(frozen=True)
class Load:
    """What the processes under load did: when each transaction began, and how long it took."""

    writers: list[Span]
    reader: list[Span]

    def during(self, span: Span) -> Load:
        return Load(*(_overlapping(done, span) for done in (self.writers, self.reader)))


def _overlapping(done: list[Span], span: Span) -> list[Span]:
    return [each for each in done if each.end > span.start and each.start < span.end]


def _until_stopped(do: Callable[[], None], stop: Any, file: Path, pause: float = 0.0) -> int:
    """Do it over and over; the times go to `file`."""
    times = array("d")
    while not stop.is_set():
        start = time.monotonic()
        do()
        times.extend((start, time.monotonic()))
        time.sleep(pause)
    file.write_bytes(times.tobytes())
    return len(times)


def _write(row: Any, world: World, stop: Any, file: Path) -> int:
    from django.db import connection, transaction

    def update() -> None:
        with transaction.atomic():
            row.name = "Another" if row.name == "One" else "One"
            row.save()

    connection.ensure_connection()
    with as_request(world):
        return _until_stopped(update, stop, file)


def _read(world: World, stop: Any, file: Path) -> int:
    from django.db import transaction

    from audit.models import Entry
    from audit.questions import paging

    def page() -> None:
        with transaction.atomic():
            paging.page(Entry.objects.visible([world.organization.pk]))  # type: ignore[attr-defined]

    return _until_stopped(page, stop, file, PAUSE)


@contextmanager
def under_load(worlds: list[World], directory: Path) -> Iterator[Callable[[], Load]]:
    """Writers, a reader and a sealer at work inside; call what it gives afterwards."""
    from organizations.models import Environment

    stop = get_context("fork").Event()
    rows = [world.saved(Environment) for world in worlds]
    files = [directory / f"writer-{n}" for n in range(len(worlds))]
    seen = directory / "reader"
    with a_sealer():
        children = [
            fork(partial(_write, row, world, stop, file))
            for row, world, file in zip(rows, worlds, files, strict=True)
        ]
        children.append(fork(lambda: _read(worlds[0], stop, seen)))
        try:
            time.sleep(1.0)
            yield lambda: Load([span for file in files for span in _spans(file)], _spans(seen))
        finally:
            stop.set()
            for _ in ended(children):
                pass


def _spans(file: Path) -> list[Span]:
    times = array("d")
    times.frombytes(file.read_bytes())
    return [Span(start, end) for start, end in zip(times[::2], times[1::2], strict=True)]


def fill(number: int, entries: int) -> None:
    """An old month of the log, sealed."""
    from django.db import connections

    since = FIRST_MONTH.replace(month=number + 1)
    with connections["owner"].cursor() as cursor:
        cursor.execute("SELECT audit_ensure_partitions(%s, %s)", [since, since])
        cursor.execute(
            _FILL.format(organizations=ORGANIZATIONS, resources=RESOURCES),
            {"since": since, "entries": entries, "before": number * entries // ORGANIZATIONS},
        )
        cursor.execute("VACUUM ANALYZE audit_ledger")


def _note_time(times: list[float], message: str) -> None:
    times.append(time.monotonic())


def remove(directory: Path) -> list[tuple[Span, Span]]:
    """Remove every month, oldest first: for each, when it was archived and when it was detached."""
    from audit.retention import months, removal

    done = []
    with months.only_run():
        for prospect in months.prospects(1):
            start = time.monotonic()
            said: list[float] = []
            note = partial(_note_time, said)
            removed = removal.remove(prospect, directory, note)
            assert removed is not None
            end = time.monotonic()
            print(
                f"  {prospect.month.name}: {removed.entries:,} entries removed,"
                f" {removed.kept:,} kept, in {end - start:.0f} s; waited {said[-1] - start:.0f} s"
                f" for the archive, the ledger was locked for {removed.locked * 1000:.0f} ms",
                flush=True,
            )
            done.append((Span(start, said[-1]), Span(said[-1], end)))
    return done


def print_times(what: str, load: Load) -> None:
    """Print how long the transactions of writers and reader took."""
    for name, spans in (("writer", load.writers), ("reader", load.reader)):
        times = sorted(span.end - span.start for span in spans)
        if not times:
            continue
        p99 = times[int(len(times) * 0.99)]
        print(
            f"  {what:<22} {name}: {len(times):7,} transactions, median"
            f" {statistics.median(times) * 1000:6.1f} ms, p99 {p99 * 1000:6.1f} ms, longest"
            f" {times[-1] * 1000:6.1f} ms",
            flush=True,
        )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.retention", description=__doc__)
    parser.add_argument("--entries", type=int, default=1_000_000, help="of a month (1,000,000)")
    parser.add_argument("--months", type=int, default=1, help="that are removed (1)")
    parser.add_argument("--seconds", type=float, default=30, help="without retention (30)")
    options = parser.parse_args()
    report = Report()
    with database.temporary(), tempfile.TemporaryDirectory() as scratch:
        database.make_subjects()
        describe_machine()
        for number in range(options.months):
            fill(number, options.entries)
        worlds = [World(number) for number in range(WRITERS)]
        directory = Path(scratch)
        report.heading(f"{WRITERS} writers, one reader, a sealer; {options.entries:,} entries")
        with under_load(worlds, directory) as load:
            start = time.monotonic()
            time.sleep(options.seconds)
            quiet = Span(start, time.monotonic())
        print_times("without retention", load().during(quiet))
        with under_load(worlds, directory) as load:
            done = remove(directory / "archive")
        for archiving, detaching in done:
            print_times("while archiving", load().during(archiving))
            print_times("while detaching", load().during(detaching))
    return report.conclude()


if __name__ == "__main__":
    sys.exit(main())

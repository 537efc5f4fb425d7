"""Exporting a log: `python -m benchmarks.export`.

Entries a second and memory of NDJSON, CSV and OCSF, straight from the code and over HTTP as
gunicorn sends it, beside COPY of the same rows.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks import backlog, database, server
from benchmarks.processes import ended, fork
from benchmarks.report import Report, describe_machine
from benchmarks.world import World, as_request

A_SECOND = 50_000
"""Entries, at least."""
MEGABYTES = 100
"""Of the process that exports, at most."""


@dataclass(frozen=True)
class Run:
    """One export, by a process of its own. `memory` in megabytes: the most it ever took."""

    entries: int
    bytes: int
    seconds: float
    memory: float


def copy(world: World) -> Iterator[bytes]:
    """The same rows, as PostgreSQL writes them."""
    from django.db import connection, transaction

    from audit.entry import bulk_json
    from audit.questions import tenant_scope

    organization = world.organization.pk
    columns = ", ".join(bulk_json.COLUMNS)
    with transaction.atomic():
        tenant_scope.enter([organization])
        with (
            connection.cursor() as cursor,
            cursor.copy(
                f"COPY (SELECT {columns} FROM audit_entry"  # noqa: S608
                f" WHERE organization_id = '{organization}' ORDER BY id) TO STDOUT"
            ) as sent,
        ):
            for line in sent:
                yield bytes(line)


def ndjson(world: World) -> Iterator[bytes]:
    return _export(world, "ndjson")


def csv(world: World) -> Iterator[bytes]:
    return _export(world, "csv")


def ocsf(world: World) -> Iterator[bytes]:
    return _export(world, "ocsf")


def _export(world: World, name: str) -> Iterator[bytes]:
    from django.db import transaction

    from audit.export import formats
    from audit.models import Entry

    with transaction.atomic():
        asked = Entry.objects.visible([world.organization.pk])  # type: ignore[attr-defined]
    for chunk in formats.written(name, asked):
        yield chunk.encode()


WAYS: dict[str, Callable[[World], Iterator[bytes]]] = {
    "COPY": copy,
    "NDJSON": ndjson,
    "CSV": csv,
    "OCSF": ocsf,
}


def run(way: Callable[[World], Iterator[bytes]], world: World) -> Run:
    """In a process of its own."""

    def measured() -> str:
        _forget_peak()
        started = time.perf_counter()
        lines = size = 0
        with as_request(world):
            for chunk in way(world):
                lines += chunk.count(b"\n")
                size += len(chunk)
        seconds = time.perf_counter() - started
        return json.dumps(asdict(Run(lines, size, seconds, _peak(os.getpid()))))

    [reported] = (os.read(pipe, 1000) for _, pipe in ended([fork(measured)]))
    return Run(**json.loads(reported))


def _forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def _peak(process: int) -> float:
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("this system does not report the peak memory of a process")


def over_http(world: World, token: str, name: str) -> Run:
    """As one client sees it; the memory is that of gunicorn's process, which is started anew."""
    with server.serving(WEB_CONCURRENCY="1") as started:
        connection = http.client.HTTPConnection("127.0.0.1", started.port)
        base = f"/api/v1/organizations/{world.organization.slug}/audit/entries"
        headers = {"Authorization": f"Bearer {token}"}
        connection.request("GET", f"{base}?per_page=1", headers=headers)  # all is imported
        connection.getresponse().read()
        begun = time.perf_counter()
        connection.request("GET", f"{base}/export?format={name}", headers=headers)
        answer = connection.getresponse()
        if answer.status != 200:
            raise RuntimeError(f"the export was answered with {answer.status}")
        lines = size = 0
        while chunk := answer.read(1 << 16):
            lines += chunk.count(b"\n")
            size += len(chunk)
        seconds = time.perf_counter() - begun
        [worker] = started.workers
        return Run(lines, size, seconds, _peak(worker))


def compare(world: World, token: str, repetitions: int, report: Report) -> None:
    runs: dict[str, list[Run]] = {}
    for _ in range(repetitions):
        for name, way in WAYS.items():
            runs.setdefault(name, []).append(run(way, world))
        for name in ("NDJSON", "CSV", "OCSF"):
            sent = over_http(world, token, name.lower())
            runs.setdefault(f"{name} over HTTP", []).append(sent)
    copied = statistics.median(each.seconds for each in runs["COPY"])
    for name, found in runs.items():
        report.heading(name)
        seconds = statistics.median(each.seconds for each in found)
        print(f"  {'entries':<54} {found[0].entries:7,}")
        print(f"  {'bytes an entry':<54} {found[0].bytes / found[0].entries:7.0f}")
        held_to = None if name == "COPY" else A_SECOND
        report.at_least(f"{name}: entries a second", found[0].entries / seconds, held_to)
        report.ratio(f"{name}: seconds / COPY", seconds / copied, None)
        memory = max(each.memory for each in found)
        budget = None if name == "COPY" else MEGABYTES
        report.ratio(f"{name}: megabytes at most", memory, budget)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.export", description=__doc__)
    parser.add_argument("--entries", type=int, default=400_000, help="of the log (400,000)")
    parser.add_argument("--repetitions", type=int, default=3, help="of each way (3)")
    options = parser.parse_args()
    report = Report()
    with database.temporary():
        from audit.ledger import sealing

        describe_machine()
        backlog.prepare()
        world = World()
        token = server.make_token(world)
        backlog.pile_up(options.entries, world.organization.pk)
        while sealing.seal().is_behind:
            pass
        _settle()
        compare(world, token, options.repetitions, report)
    return report.conclude()


def _settle() -> None:
    from django.db import connections

    with connections["owner"].cursor() as cursor:
        cursor.execute("VACUUM ANALYZE audit_ledger, audit_inbox")


if __name__ == "__main__":
    sys.exit(main())

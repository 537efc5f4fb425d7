"""Evidence: `python -m benchmarks.evidence`.

How many entries a second one worker adds to the trees, alone and while the sealer works beside it,
and whether the sealer is slowed; how old entries are when their head is signed; bytes an entry; how
long a pack of a million entries takes to verify, and a filter pack to make.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import backlog, database, sealing, verifying
from benchmarks.processes import fork
from benchmarks.report import Report, describe_machine

A_SECOND = 20_000
"""Entries that are sealed and have a head, at least, of one sealer and one worker."""
PACK_KB, PACK_SECONDS = 100, 1
"""A filter pack of a month, at most."""
BYTES = 70
"""What evidence takes on disk, an entry, at most."""


def making(entries: int, report: Report) -> None:
    report.heading(f"Evidence of {entries:,} sealed entries, made by one worker alone")
    backlog.pile_up(entries)
    for _ in sealing._seal_all():
        pass
    _catch_up()
    backlog.pile_up(entries)
    for _ in sealing._seal_all():
        pass
    started, processor = time.perf_counter(), time.process_time()
    made = _catch_up()
    seconds = time.perf_counter() - started
    report.at_least("entries a second", made / seconds, A_SECOND)
    report.ratio("of the worker, µs an entry", (time.process_time() - processor) / made * 1e6, None)


def _catch_up() -> int:
    """Make evidence of what is sealed; how many entries."""
    from audit.evidence import writing

    worker, made = writing.Worker(), 0
    while True:
        worked = worker.round()
        made += worked.entries
        if not worked.is_behind:
            return made


def beside(entries: int, report: Report) -> None:
    """The sealer's rate alone and with a worker, by turns."""
    report.heading(f"A backlog of {entries:,} entries, sealed alone and with a worker beside")
    alone: list[float] = []
    together: list[float] = []
    heads: list[float] = []
    for _ in range(3):
        backlog.pile_up(entries)
        alone.append(entries / _seconds_of_sealing())
        _catch_up()
        with _worker():
            # Not what it takes to write the entries.
            backlog.pile_up(entries)
            started = time.perf_counter()
            together.append(entries / _seconds_of_sealing())
            while _unproved():
                time.sleep(0.05)
            heads.append(entries / (time.perf_counter() - started))
    report.at_least("sealed alone, entries a second", statistics.median(alone), None)
    report.at_least("sealed with a worker beside", statistics.median(together), A_SECOND)
    report.at_least("with a head, from the first entry on", statistics.median(heads), A_SECOND)


def _seconds_of_sealing() -> float:
    started = time.perf_counter()
    for _ in sealing._seal_all():
        pass
    return time.perf_counter() - started


def _unproved() -> int:
    from audit.evidence import health

    return health.read("owner").unproved_entries


@contextmanager
def _worker() -> Iterator[None]:
    """The command, in a process of its own."""
    import signal

    from django.core.management import call_command

    def work() -> int:
        call_command("audit_evidence")
        return 0

    process, pipe = fork(work)
    time.sleep(1)
    try:
        yield
    finally:
        os.kill(process, signal.SIGTERM)
        os.waitpid(process, 0)
        os.close(pipe)


def age(seconds: float, report: Report) -> None:
    report.heading(f"Age at signing, {sealing.LOAD:,} entries a second for {seconds:.0f} s")
    from audit.evidence import health

    ages: list[float] = []
    with TemporaryDirectory() as directory, sealing.at_load(Path(directory)), _worker():
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            time.sleep(0.2)
            ages.append(health.read("owner").signature_age.total_seconds())
    ages.sort()
    for share in (0.5, 0.99):
        report.ratio(f"p{share * 100:.0f}, s after sealing", ages[int(len(ages) * share)], None)


def filtering(report: Report) -> None:
    """A month of a log of the size that was made, asked for a resource and for what never was."""
    from django.db import connections, transaction

    from audit.evidence import reading
    from audit.export import packs
    from audit.questions import tenant_scope
    from audit.questions.provable import Provable
    from organizations.models import Organization

    with connections["owner"].cursor() as cursor:
        cursor.execute("SELECT organization_id, size FROM audit_head ORDER BY size DESC LIMIT 1")
        log, entries = cursor.fetchone()
        cursor.execute(
            "SELECT n, since, until FROM audit_block WHERE organization_id = %s"
            " ORDER BY until DESC",
            [log],
        )
        blocks = cursor.fetchall()
        # Entries of a benchmark are of one hour: a month of a year is a twelfth of them.
        since, until = blocks[min(len(blocks) // 12, len(blocks) - 1)][1], blocks[0][2]
        cursor.execute(
            "SELECT resource_label, count(*) FROM audit_ledger WHERE organization_id = %s"
            " AND resource_type = 'environment' GROUP BY 1 ORDER BY 2 LIMIT 1",
            [log],
        )
        rarest = cursor.fetchone()
    report.heading(f"A filter pack of a twelfth of {entries:,} entries")
    organization = Organization(pk=log, name="Benchmark", slug="benchmark")
    asked = {"what never was": "no/such/thing"}
    if rarest:
        asked["a resource"] = rarest[0]
    for name, path in asked.items():
        started = time.perf_counter()
        with transaction.atomic():
            tenant_scope.enter([log])
            checkpoint = reading.newest(log)
            assert checkpoint is not None
            proved = Provable((f"path\n{path}",), since, until)
            pack = packs.Pack(organization, None, checkpoint, checkpoint.size, proved)
        size = sum(map(len, pack))
        report.ratio(f"{name}: s, the first time", time.perf_counter() - started, PACK_SECONDS)
        report.ratio(f"{name}: kB", size / 1000, PACK_KB)


def size(report: Report) -> None:
    report.heading("Bytes on disk, an entry")
    from django.db import connections

    with connections["owner"].cursor() as cursor:
        cursor.execute("SELECT sum(size) FROM audit_head")
        entries = int(cursor.fetchone()[0])
        total = 0.0
        for table in ("tile", "salt", "block", "head", "checkpoint"):
            cursor.execute(f"VACUUM FULL audit_{table}")
            cursor.execute("SELECT pg_total_relation_size(%s)", [f"audit_{table}"])
            share = cursor.fetchone()[0] / entries
            total += share
            report.ratio(f"audit_{table}, vacuumed", share, None)
    report.ratio("all of it", total, BYTES)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=200_000)
    parser.add_argument("--seconds", type=float, default=30, help="of load, for the age")
    parser.add_argument(
        "--verified", type=int, default=1_000_000, help="entries of a pack; 0: none"
    )
    options = parser.parse_args()
    report = Report()
    if options.verified:
        verifying.verifying(options.verified, report)
    with database.temporary():
        describe_machine()
        backlog.prepare()
        making(options.entries, report)
        beside(options.entries, report)
        filtering(report)
        if options.seconds:
            age(options.seconds, report)
        size(report)
    return report.conclude()


if __name__ == "__main__":
    sys.exit(main())

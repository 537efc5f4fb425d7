"""Sealing: `python -m benchmarks.sealing`.

How many entries a second one sealer moves, and whether that stays so while the ledger grows; how
old entries are when they are sealed, at 2,000 a second; how long it takes to be up to date again
after a backlog, while 2,000 more come each second.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

from benchmarks import backlog, database
from benchmarks.processes import ended, fork
from benchmarks.report import Report, describe_machine

A_SECOND = 20_000
"""Entries that one sealer moves, at least."""
LOAD = 2_000
"""Entries a second that come."""
WRITERS = 2
AGE = 2.0
"""Seconds at sealing under that load, of 99 in 100 entries, at most."""


def throughput(entries: int, report: Report) -> None:
    report.heading(f"A backlog of {entries:,} entries, sealed by one process")
    backlog.pile_up(entries)
    rates = list(_seal_all())
    for tenth in range(10):
        some = rates[len(rates) * tenth // 10 : len(rates) * (tenth + 1) // 10]
        if some:
            what = f"tenth {tenth + 1:2} of the batches, entries a second"
            print(f"  {what:<54} {statistics.median(some):7,.0f}", flush=True)
    report.at_least("entries a second", statistics.median(rates), A_SECOND)
    third = max(1, len(rates) // 3)
    growth = statistics.median(rates[:third]) / statistics.median(rates[-third:])
    report.ratio("cost of an entry, last third / first third", growth, None)


def _seal_all() -> Iterator[float]:
    """Seal what there is; entries a second of each batch."""
    from audit.ledger import sealing

    is_behind = True
    while is_behind:
        started = time.perf_counter()
        sealed = sealing.seal()
        is_behind = sealed.is_behind
        if sealed.entries:
            yield sealed.entries / (time.perf_counter() - started)


# -- Under load


def _seal_noting(file: Path) -> int:
    """The sealer's own loop; when each round that moved something had committed, to `file`."""
    from django.core.management import call_command

    from audit.ledger import sealing

    seal = sealing.seal

    def noting() -> sealing.Sealed:
        sealed = seal()
        if sealed.entries:
            with file.open("ab") as out:
                array("d", [time.time(), sealed.entries]).tofile(out)
        return sealed

    with mock.patch.object(sealing, "seal", noting):
        call_command("seal")
    return 0


@contextmanager
def at_load(directory: Path) -> Iterator[Callable[[], list[tuple[float, int]]]]:
    """Writers and a sealer at work inside; call what it gives for the sealer's rounds so far:
    when each committed, and how many entries it moved."""
    import signal

    stop: Any = get_context("fork").Event()
    file = directory / "rounds"
    file.touch()
    writers = [
        fork(lambda: backlog.write_steadily(LOAD // WRITERS, stop.is_set)) for _ in range(WRITERS)
    ]
    sealer, pipe = fork(lambda: _seal_noting(file))

    def rounds() -> list[tuple[float, int]]:
        noted = array("d")
        noted.frombytes(file.read_bytes())
        return list(zip(noted[::2], map(int, noted[1::2]), strict=True))

    try:
        yield rounds
    finally:
        stop.set()
        for _ in ended(writers):
            pass
        os.kill(sealer, signal.SIGTERM)
        os.waitpid(sealer, 0)
        os.close(pipe)


def age(seconds: float, report: Report) -> None:
    report.heading(f"Age at sealing, {LOAD:,} entries a second for {seconds:.0f} s")
    last = _last_batch()
    with TemporaryDirectory() as directory, at_load(Path(directory)) as rounds:
        time.sleep(seconds)
        committed = rounds()
    ages = sorted(_ages(last, [when for when, _ in committed]))
    print(f"  {'entries':<54} {len(ages):7,}", flush=True)
    report.at_least("entries a second that came", len(ages) / seconds, None)
    for share, budget in ((0.5, None), (0.99, AGE), (1.0, None)):
        value = ages[min(len(ages) - 1, int(len(ages) * share))]
        name = "longest, s" if share == 1 else f"p{share * 100:.0f}, s"
        report.ratio(name, value, budget)


def _last_batch() -> int:
    """The transaction that sealed last."""
    from django.db import connections

    with connections["owner"].cursor() as cursor:
        cursor.execute("SELECT max(xmin::text::bigint) FROM audit_ledger")
        return cursor.fetchone()[0] or 0


def _ages(last: int, committed: list[float]) -> list[float]:
    """Of each entry sealed after `last`. The transactions that sealed are in the order of
    `committed`, which may end earlier."""
    from django.db import connections

    from organizations import ulid

    ages: list[float] = []
    with connections["owner"].cursor() as cursor:
        cursor.execute(
            "SELECT array_agg(id) FROM audit_ledger WHERE xmin::text::bigint > %s"
            " GROUP BY xmin::text::bigint ORDER BY xmin::text::bigint",
            [last],
        )
        for when, (ids,) in zip(committed, cursor.fetchall(), strict=False):
            ages += [when - ulid.time_of(each).timestamp() for each in ids]
    return ages


def recovery(entries: int, report: Report) -> None:
    minutes = entries / LOAD / 60
    report.heading(
        f"After a backlog of {entries:,} entries ({minutes:.0f} minutes without a sealer),"
        f" {LOAD:,} more each second"
    )
    backlog.pile_up(entries)
    with TemporaryDirectory() as directory, at_load(Path(directory)) as rounds:
        started = time.time()
        while not _is_up_to_date(rounds()):
            time.sleep(0.2)
        done = rounds()
    seconds = done[-1][0] - started
    moved = sum(count for _, count in done)
    print(f"  {'entries moved':<54} {moved:7,}", flush=True)
    report.ratio("seconds until up to date", seconds, None)
    report.at_least("entries a second meanwhile", moved / seconds, None)
    hour = 3600 * LOAD / (moved / seconds - LOAD)
    report.ratio("so, seconds for an hour's backlog", hour, None)


def _is_up_to_date(rounds: list[tuple[float, int]]) -> bool:
    """Whether the last round moved no more than what comes in a second or two."""
    return bool(rounds) and rounds[-1][1] < LOAD * AGE


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sealing", description=__doc__)
    parser.add_argument("--backlog", type=int, default=600_000, help="entries (600,000)")
    parser.add_argument("--seconds", type=float, default=40, help="of load (40)")
    parser.add_argument(
        "--recovery", type=int, default=1_200_000, help="entries; an hour's are 7,200,000"
    )
    options = parser.parse_args()
    report = Report()
    with database.temporary():
        describe_machine()
        backlog.prepare()
        throughput(options.backlog, report)
        if options.seconds:
            age(options.seconds, report)
        if options.recovery:
            recovery(options.recovery, report)
    return report.conclude()


if __name__ == "__main__":
    sys.exit(main())

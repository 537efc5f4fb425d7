"""Many writers at once: `python -m benchmarks.writers`.

1, 8 and 32 processes update rows, each its own, for some seconds, with a sealer at work: on one
organization and spread over many, audited and not, by turns. In each transaction a writer computes
for 5 ms, as a request does; or waits for 5 ms, as for another service; or does neither. Prints
the throughput, and its ratio.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from benchmarks import database
from benchmarks.processes import a_sealer, ended, fork
from benchmarks.report import Report, describe_machine
from benchmarks.world import World, as_request

WRITERS = (1, 8, 32)
THROUGHPUT = 0.85
"""Audited / unaudited, at least: of 32 writers on one organization with 5 ms of work each."""
WORK = 0.005
"""Seconds."""


def compute() -> None:
    """Keep a processor busy for as long as WORK, however long it takes to get one."""
    until = time.process_time() + WORK
    while time.process_time() < until:
        pass


def wait() -> None:
    time.sleep(WORK)


def nothing() -> None:
    pass


@dataclass(frozen=True)
class Round:
    """What the writers of one round do; `work` in each transaction."""

    writers: int
    organizations: int
    work: Callable[[], None]

    def __str__(self) -> str:
        where = "one organization" if self.organizations == 1 else "one organization each"
        what = {compute: "computing for 5 ms", wait: "waiting for 5 ms", nothing: "nothing else"}
        return f"{self.writers} writers, {where}, {what[self.work]} in each transaction"


ROUNDS = [
    Round(writers, organizations, work)
    for work in (compute, wait, nothing)
    for writers in WRITERS
    for organizations in sorted({1, writers})
]


def compare(worlds: list[World], seconds: float, repetitions: int, report: Report) -> None:
    from benchmarks.subjects.models import Unaudited
    from organizations.models import Environment

    models: dict[str, type[Any]] = {"unaudited": Unaudited, "audited": Environment}
    for each in ROUNDS:
        report.heading(str(each))
        throughput: dict[str, list[float]] = {name: [] for name in models}
        for repetition in range(repetitions):
            order = list(models) if repetition % 2 else list(reversed(models))
            for name in order:
                throughput[name].append(run(each, models[name], worlds, seconds))
        medians = {name: statistics.median(found) for name, found in throughput.items()}
        for name, found in throughput.items():
            spread = (max(found) - min(found)) / 2 / medians[name]
            print(f"  {name:<54} {medians[name]:7.0f} a second ±{spread * 100:.0f} %", flush=True)
        is_budgeted = each == Round(32, 1, compute)
        report.at_least(
            "audited / unaudited",
            medians["audited"] / medians["unaudited"],
            THROUGHPUT if is_budgeted else None,
        )


def run(each: Round, model: type[Any], worlds: list[World], seconds: float) -> float:
    """Transactions a second that the writers of one round committed together."""
    chosen = worlds[: each.organizations]
    rows = [chosen[n % len(chosen)].saved(model) for n in range(each.writers)]
    start = time.monotonic() + 0.5 + each.writers * 0.02
    writers = [
        fork(partial(_write, row, chosen[n % len(chosen)], start, seconds, each.work))
        for n, row in enumerate(rows)
    ]
    return sum(int(os.read(pipe, 20) or b"0") for _, pipe in ended(writers)) / seconds


def _write(row: Any, world: World, start: float, seconds: float, work: Callable[[], None]) -> int:
    """How many transactions one writer committed."""
    from django.db import connection, transaction

    connection.ensure_connection()
    time.sleep(max(0.0, start - time.monotonic()))
    committed = 0
    with as_request(world):
        while time.monotonic() < start + seconds:
            with transaction.atomic():
                row.name = f"Environment {committed}"
                row.save()
                work()
            committed += 1
    return committed


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.writers", description=__doc__)
    parser.add_argument("--seconds", type=float, default=4, help="of each round (4)")
    parser.add_argument("--repetitions", type=int, default=3, help="of each round (3)")
    options = parser.parse_args()
    report = Report()
    with database.temporary():
        database.make_subjects()
        describe_machine()
        worlds = [World(number) for number in range(max(WRITERS))]
        with a_sealer():
            compare(worlds, options.seconds, options.repetitions, report)
    return report.conclude()


if __name__ == "__main__":
    sys.exit(main())

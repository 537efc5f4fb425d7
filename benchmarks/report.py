"""The table a benchmark prints: figures, ratios, and which budgets did not hold."""

from __future__ import annotations

import os
import platform

from benchmarks.timing import Timing


class Report:
    """Lines of the table, and which budgets did not hold."""

    def __init__(self) -> None:
        self.missed: list[str] = []

    def heading(self, text: str) -> None:
        print(f"\n{text}\n{'-' * len(text)}", flush=True)

    def timings(self, what: str, timings: dict[str, Timing]) -> None:
        for name, timing in timings.items():
            print(f"  {what:<22} {name:<24} {timing}", flush=True)

    def ratio(self, what: str, value: float, budget: float | None) -> None:
        self.figure(f"{what:<54}", f"{value:6.2f}", value, budget)

    def compare(
        self, what: str, timings: dict[str, Timing], base: str, budget: float | None
    ) -> None:
        """The ratio of `audited` to `base`, and that of the server's own time beside it."""
        audited, other = timings["audited"], timings[base]
        self.ratio(f"{what}: audited / {base}", audited.median / other.median, budget)
        if audited.server is not None and other.server:
            self.ratio(f"{what}: the same of the server", audited.server / other.server, None)

    def at_least(self, what: str, value: float, budget: float | None) -> None:
        print(f"  {what:<54} {value:6.2f}", end="" if budget else "\n", flush=True)
        if budget:
            print(f"   at least {budget:g}: {'held' if value >= budget else 'MISSED'}", flush=True)
            if value < budget:
                self.missed.append(f"{what}: {value:.2f} (at least {budget:g})")

    def figure(self, what: str, shown: str, value: float, budget: float | None) -> None:
        if budget is None:
            print(f"  {what} {shown}", flush=True)
            return
        held = value <= budget
        print(f"  {what} {shown}   budget {budget:g}: {'held' if held else 'MISSED'}", flush=True)
        if not held:
            self.missed.append(f"{what.strip()}: {shown.strip()} (budget {budget:g})")

    def conclude(self) -> int:
        """Name the budgets that did not hold; returns the exit code."""
        if self.missed:
            print("\nBudgets missed:", *self.missed, sep="\n  ")
        return 1 if self.missed else 0


def describe_machine() -> None:
    from django.db import connections

    with connections["owner"].cursor() as cursor:
        cursor.execute(
            "SELECT current_setting('server_version'), current_setting('fsync'),"
            " current_setting('synchronous_commit')"
        )
        version, fsync, synchronous_commit = cursor.fetchone()
    print(
        f"PostgreSQL {version}, fsync {fsync}, synchronous_commit {synchronous_commit};"
        f" Python {platform.python_version()}, {os.cpu_count()} processors"
    )

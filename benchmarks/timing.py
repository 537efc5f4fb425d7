"""Side-by-side timing: contenders take turns, so that what slows the machine slows all of them."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Contender:
    """`prepare` is not timed; what it returns is handed to `run`, which is."""

    name: str
    prepare: Callable[[], object]
    run: Callable[[object], object]


@dataclass(frozen=True)
class Timing:
    """Seconds: the median, and the quarters around it. server: median of its own processor time."""

    median: float
    lower: float
    upper: float
    server: float | None = None

    @property
    def spread(self) -> float:
        """Half the distance between the quarters, as a share of the median."""
        return (self.upper - self.lower) / 2 / self.median

    def __str__(self) -> str:
        server = f", server {self.server * 1000:8.3f} ms" if self.server is not None else ""
        return f"{self.median * 1000:8.3f} ms ±{self.spread * 100:2.0f} %{server}"


def race(
    contenders: Sequence[Contender],
    repetitions: int,
    warm_up: int,
    server_clock: Callable[[], float] | None = None,
) -> dict[str, Timing]:
    """Time each contender `repetitions` times, in a new random order each round.

    server_clock: how long the server has computed so far.
    """
    order = random.Random(1)
    seconds: dict[str, list[float]] = {contender.name: [] for contender in contenders}
    computed: dict[str, list[float]] = {contender.name: [] for contender in contenders}
    read = server_clock or float
    for repetition in range(warm_up + repetitions):
        for contender in order.sample(contenders, len(contenders)):
            subject = contender.prepare()
            begun, started = read(), time.perf_counter()
            contender.run(subject)
            elapsed = time.perf_counter() - started
            if repetition >= warm_up:
                seconds[contender.name].append(elapsed)
                computed[contender.name].append(read() - begun)
    return {
        name: _summary(times, statistics.median(computed[name]) if server_clock else None)
        for name, times in seconds.items()
    }


def _summary(times: list[float], server: float | None) -> Timing:
    lower, median, upper = statistics.quantiles(times, n=4)
    return Timing(median, lower, upper, server)

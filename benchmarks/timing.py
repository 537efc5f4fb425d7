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
    """Seconds: the median, and the quarters around it."""

    median: float
    lower: float
    upper: float

    @property
    def spread(self) -> float:
        """Half the distance between the quarters, as a share of the median."""
        return (self.upper - self.lower) / 2 / self.median

    def __str__(self) -> str:
        return f"{self.median * 1000:8.3f} ms ±{self.spread * 100:2.0f} %"


def race(contenders: Sequence[Contender], repetitions: int, warm_up: int) -> dict[str, Timing]:
    """Time each contender `repetitions` times, in a new random order each round."""
    order = random.Random(1)
    seconds: dict[str, list[float]] = {contender.name: [] for contender in contenders}
    for repetition in range(warm_up + repetitions):
        for contender in order.sample(contenders, len(contenders)):
            subject = contender.prepare()
            started = time.perf_counter()
            contender.run(subject)
            elapsed = time.perf_counter() - started
            if repetition >= warm_up:
                seconds[contender.name].append(elapsed)
    return {name: _summary(times) for name, times in seconds.items()}


def _summary(times: list[float]) -> Timing:
    lower, median, upper = statistics.quantiles(times, n=4)
    return Timing(median, lower, upper)

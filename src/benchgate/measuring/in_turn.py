"""Two pieces of work called in turn, so that the machine's moods meet both: how much longer does ours take?

Each pair is called in an order drawn at random. What is compared are the ratios of the pairs, by their median.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from benchgate.core import Lapped, Work, stats
from benchgate.measuring.timing import warm_up

ClockName = Literal["wall", "CPU"]
# Where other processes took more than a tenth of the time of work on one thread, its CPU time is what it costs.
UNDISTURBED = 0.9


@dataclass(frozen=True)
class Ratio:
    """The median of ours / theirs over `n` pairs, with its 95 % interval (None where the pairs are too few)."""

    value: float
    low: float | None
    high: float | None
    n: int

    def __str__(self) -> str:
        if self.low is None or self.high is None:
            return f"{self.value:.4f} (n={self.n}, too few for an interval)"
        return f"{self.value:.4f} (95 %: {self.low:.4f} to {self.high:.4f}, n={self.n})"


@dataclass(frozen=True)
class Times:
    """Seconds of one call, by the clock on the wall and by the processor."""

    wall: float
    cpu: float


@dataclass(frozen=True)
class Limits:
    """At least `pairs` pairs; then more, for at most `budget_s`, until the interval says which side of `at` it is on.

    `at` None asks for no decision: `pairs` pairs are made.
    """

    pairs: int = 20
    budget_s: float = 60.0
    at: float | None = None


@dataclass(frozen=True)
class InTurn:
    """Ours against theirs. `clock` is the one that `ratio` was taken by; seconds are medians on the wall."""

    ratio: Ratio
    clock: ClockName
    ours_s: float
    theirs_s: float
    difference_s: float
    laps: Mapping[str, Ratio]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.ratio} of the other's {self.clock} time"


def ratio_of(ours: Sequence[float], theirs: Sequence[float]) -> Ratio:
    """Return the median of the pairs' ratios with its interval."""
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    try:
        found = stats.percentile(ratios, 0.5)
    except stats.TooFewSamples:
        return Ratio(statistics.median(ratios), None, None, len(ratios))
    return Ratio(statistics.median(ratios), found.low, found.high, found.n)


def clock_of(ours: Sequence[Times], theirs: Sequence[Times], one_thread: bool) -> ClockName:
    """Return the clock that decides: the wall, but for work on one thread beside busy neighbours the CPU."""
    shares = [(a.cpu + b.cpu) / (a.wall + b.wall) for a, b in zip(ours, theirs, strict=True)]
    return "CPU" if one_thread and statistics.median(shares) < UNDISTURBED else "wall"


def compared(ours: Sequence[Times], theirs: Sequence[Times], one_thread: bool) -> tuple[Ratio, ClockName]:
    """Return the ratio by the clock that decides."""
    clock = clock_of(ours, theirs, one_thread)
    return ratio_of(*([t.wall if clock == "wall" else t.cpu for t in side] for side in (ours, theirs))), clock


def is_decided(ratio: Ratio, at: float | None) -> bool:
    """Return True where the whole interval is on one side of `at`, or nothing is to be decided."""
    if at is None:
        return True
    return ratio.low is not None and ratio.high is not None and (ratio.high <= at or ratio.low > at)


def in_turn(
    ours: Work,
    theirs: Work,
    limits: Limits = Limits(),
    *,
    one_thread: bool = False,
    clock: Callable[[], float] = time.perf_counter,
    cpu_clock: Callable[[], float] = time.process_time,
    seed: int = 0,
) -> InTurn:
    """Begin and warm both up, then call them in turn within the limits.

    Both see the same turns in the same order. The outputs of both are checked, outside of the timer.
    """
    sides = (_Side(ours, clock, cpu_clock), _Side(theirs, clock, cpu_clock))
    for side in sides:
        side.begin(clock)
    order, end = random.Random(seed), clock() + limits.budget_s
    while True:
        for side in order.sample(sides, 2):
            side.call()
        mine, other = (side.times for side in sides)
        if len(mine) < limits.pairs:
            continue
        ratio, name = compared(mine, other, one_thread)
        if is_decided(ratio, limits.at) or clock() >= end:
            break
    both = sides[0].laps.keys() & sides[1].laps.keys()
    return InTurn(
        ratio,
        name,
        statistics.median(t.wall for t in mine),
        statistics.median(t.wall for t in other),
        statistics.median(a.wall - b.wall for a, b in zip(mine, other, strict=True)),
        {lap: ratio_of(sides[0].laps[lap], sides[1].laps[lap]) for lap in sorted(both)},
    )


class _Side:
    def __init__(self, work: Work, clock: Callable[[], float], cpu_clock: Callable[[], float]) -> None:
        self._work, self._clock, self._cpu_clock = work, clock, cpu_clock
        self._call = work.started()
        self.times: list[Times] = []
        self.laps: dict[str, list[float]] = {name: [] for name in work.laps}

    def begin(self, clock: Callable[[], float]) -> None:
        if self._work.begin is not None:
            self._work.begin()
        warm = self._work.started()

        def once() -> None:
            self._prepare()
            warm()

        warm_up(once, clock)

    def call(self) -> None:
        self._prepare()
        used, start = self._cpu_clock(), self._clock()
        output = self._call()
        wall, cpu = self._clock() - start, self._cpu_clock() - used
        self.times.append(Times(wall, cpu))
        if isinstance(output, Lapped):
            for name, seconds in output.laps.items():
                self.laps[name].append(seconds)
            output = output.output
        if self._work.check is not None:
            self._work.check(output)

    def _prepare(self) -> None:
        if self._work.prepare is not None:
            self._work.prepare()

"""Change points of a line: where a figure moved by more than it scatters, by ruptures' PELT.

Its cost is the sum of distances to a part's median, which one bad run does not move, in units of the line's own
scatter. `benchmarks/history_alarms.py` measures how often it finds a change where there is none; the penalty was chosen
by that.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from benchgate.core import BenchgateError
from benchgate.core.metrics import Row
from benchgate.machine.packages import missing_packages

PENALTY = 20.0
# Runs that a part of a scattering line has at least, and that are needed to know the scatter.
PART, ENOUGH = 3, 8
# Of the differences between neighbouring runs the largest: steps and bad runs, which are no scatter.
TRIMMED = 0.2
# A figure that repeats to this share does not scatter: each other value is a change.
EXACT = 1e-9


@dataclass(frozen=True)
class Step:
    """A change before the figure of index `at`: the medians of the parts on both sides, and their relation.

    `is_worse` by the metric's direction.
    """

    at: int
    before: float
    after: float
    change: float
    is_worse: bool


@dataclass(frozen=True)
class Course:
    """The steps of a line.

    They are relative (0.05 is 5 % more) or, for metrics whose tolerance is absolute and for figures that are not above
    0, differences. `scatter` is how far neighbouring runs lie apart, told as the steps are; None where `reason` says
    why nothing can be told.
    """

    is_relative: bool
    steps: tuple[Step, ...] = ()
    scatter: float | None = None
    reason: str = ""


def require() -> None:
    """Raises BenchgateError, which says how to install it, without ruptures."""
    if reason := missing_packages({"ruptures": "history"}):
        raise BenchgateError(f"change points need ruptures: {reason}")


def course(values: Sequence[float], row: Row) -> Course:
    """Return the steps of a metric's figures, oldest first. Raises BenchgateError without ruptures."""
    require()
    is_relative = not row.absolute and all(value > 0 for value in values)
    scaled = [math.log(value) if is_relative else float(value) for value in values]
    exact = row.group == "size"
    scatter = 0.0 if exact else _scatter(scaled)
    room = EXACT if is_relative else EXACT * max(map(abs, values), default=0.0)
    if len(values) < 2 or scatter is None:
        return Course(is_relative, reason=f"too few runs: {len(values)} of {2 if exact else ENOUGH}")
    if scatter <= room:
        scatter = 0.0
        ends = [at for at in range(1, len(values)) if abs(scaled[at] - scaled[at - 1]) > room] + [len(values)]
    elif len(values) < ENOUGH:
        return Course(is_relative, reason=f"too few runs: {len(values)} of {ENOUGH}")
    else:
        ends = _parts([value / scatter for value in scaled])
    starts = [0, *ends]
    parts = [values[start:end] for start, end in zip(starts, ends, strict=False)]
    middles = [statistics.median(part) for part in parts]
    around = zip(ends, itertools.pairwise(middles), strict=False)
    steps = [_step(at, before, after, row, is_relative) for at, (before, after) in around]
    return Course(is_relative, tuple(steps), math.expm1(scatter) if is_relative else scatter)


def _scatter(scaled: Sequence[float]) -> float | None:
    """Root mean square of the smaller differences between neighbours, of one run's size; None for too few runs."""
    differences = sorted(abs(after - before) for before, after in itertools.pairwise(scaled))
    kept = differences[: len(differences) - math.ceil(TRIMMED * len(differences))]
    return math.sqrt(statistics.fmean(d * d for d in kept) / 2) if kept else None


def _parts(values: Sequence[float]) -> list[int]:
    """The end of each part within which there is no change, by PELT; the last one's is the number of figures."""
    import numpy as np
    import ruptures

    # Around the median, so that a tiny unit does not meet large numbers.
    column = (np.asarray(values) - statistics.median(values)).reshape(-1, 1)
    found = ruptures.Pelt(model="l1", min_size=PART, jump=1).fit(column).predict(pen=PENALTY)
    return [int(end) for end in found]


def _step(at: int, before: float, after: float, row: Row, is_relative: bool) -> Step:
    change = after / before - 1 if is_relative else after - before
    return Step(at, before, after, change, (change > 0) == (row.better == "lower"))

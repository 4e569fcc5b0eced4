"""Intervals and percentiles, with a plain statement of when there are too few samples for them.

Formulas are scipy's; what is here decides which one applies and when the answer is "not enough".
"""

from __future__ import annotations

import functools
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

CONFIDENCE = 0.95
TAIL_CONFIDENCE = 0.99


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval; `low`/`high` are None where n is too small for one."""

    value: float
    low: float | None
    high: float | None
    n: int


class TooFewSamples(ValueError):
    """n is below what the asked percentile needs; `str(error)` tells n and the need."""


def mean(samples: Sequence[float]) -> Estimate:
    """Mean with Student's t interval. The rounds of one run are not independent: read it as a lower bound."""
    n = len(samples)
    value = statistics.fmean(samples)
    if n < 2:
        return Estimate(value, None, None, n)
    from scipy.stats import t

    half = float(t.ppf((1 + CONFIDENCE) / 2, n - 1)) * statistics.stdev(samples) / math.sqrt(n)
    return Estimate(value, value - half, value + half, n)


def proportion(successes: int, n: int) -> Estimate:
    """A share of n trials with Wilson's score interval (Wilson 1927). Raises ValueError when n is 0."""
    if n < 1:
        raise ValueError(f"a proportion needs at least one trial, got {n}")
    from scipy.stats import binomtest

    interval = binomtest(successes, n).proportion_ci(CONFIDENCE, method="wilson")
    return Estimate(successes / n, float(interval.low), float(interval.high), n)


def percentile(samples: Sequence[float], q: float) -> Estimate:
    """The q-quantile (0 < q < 1) by nearest rank, with its distribution-free 95 % interval from order statistics.

    Its ends are x_(l) and x_(u), l the largest rank with P(Bin(n, q) <= l-1) <= 2.5 % and u the smallest with
    P(Bin(n, q) <= u-1) >= 97.5 % (David & Nagaraja, Order Statistics, 7.1). How many samples are enough is a stricter
    rule, that of MLPerf's LoadGen: at least one must lie beyond the one-sided 99 % bound on the tail's side. Raises
    TooFewSamples when there is none.
    """
    from scipy.stats import binom

    n = len(samples)
    needed = samples_needed(q)
    if n < needed:
        raise TooFewSamples(f"n={n}: a 99 % bound for P{q * 100:g} needs n >= {needed}")
    ordered = sorted(samples)
    tail = (1 - CONFIDENCE) / 2
    upper = int(binom.ppf(1 - tail, n, q)) + 1
    below = int(binom.ppf(tail, n, q))
    lower = below + 1 if binom.cdf(below, n, q) <= tail else below
    low = ordered[lower - 1] if lower >= 1 else None
    return Estimate(ordered[math.ceil(q * n) - 1], low, ordered[upper - 1], n)


@functools.cache
def samples_needed(q: float) -> int:
    """Least n whose 99 % upper bound for the q-quantile leaves a sample above it: 64 (P90), 130 (P95), 662 (P99)."""
    from scipy.stats import binom

    n = 2
    while binom.cdf(n - 2, n, q) < TAIL_CONFIDENCE:
        n += 1
    return n


def needed(n: int, half_width: float, margin: float) -> int | None:
    """Observations at which an interval of this half width, which shrinks by the square root of n, no longer reaches
    over `margin`; None where no number can be told."""
    if margin == 0 or not math.isfinite(half_width):
        return None
    return math.ceil(n * (half_width / margin) ** 2)

"""Intervals and percentiles, with a plain statement of when there are too few samples for them.

The two distributions that every run needs, Student's t and the binomial, are written out: scipy.special would take
14 MB of the process that measures, and 143 MB on the disk of who only measures.
"""

from __future__ import annotations

import bisect
import functools
import itertools
import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

CONFIDENCE = 0.95
TAIL_CONFIDENCE = 0.99
# Standard errors from the middle to each end of the 95 % interval of what is normal.
NORMAL_95 = 1.96
# Degrees of freedom up to which the distribution's series is summed.
LONGEST_SERIES = 1000


@functools.lru_cache(1024)
def student_t(probability: float, df: int) -> float:
    """The quantile of Student's t with `df` degrees of freedom at `probability` (0 to 1, both excluded).

    The finite series of the distribution (Abramowitz & Stegun 26.7.3 and 26.7.4), turned round by bisection; beyond
    1,000 degrees their expansion around the normal quantile (26.7.5), which is right to ten digits there.
    """
    if df > LONGEST_SERIES:
        return _nearly_normal(normal(probability), df)
    if probability < 0.5:
        return -student_t(1 - probability, df)
    # By the angle whose tangent is t / sqrt(df): it ends at pi / 2.
    angle = crossing(lambda angle: _within(angle, df) >= 2 * probability - 1, 0.0, math.pi / 2)
    return math.sqrt(df) * math.tan(angle)


def crossing(beyond: Callable[[float], bool], low: float, high: float) -> float:
    """The place where `beyond` turns from False, at `low`, to True, to the last digit; by bisection."""
    while low < (middle := (low + high) / 2) < high:
        low, high = (low, middle) if beyond(middle) else (middle, high)
    return low


def _nearly_normal(z: float, df: int) -> float:
    parts = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return z + sum(part / float(df) ** power for power, part in enumerate(parts, 1))


def _within(angle: float, df: int) -> float:
    """P(|T| < sqrt(df) tan(angle))."""
    sine, square = math.sin(angle), math.cos(angle) ** 2
    odd = df % 2
    term = sine * math.cos(angle) if odd else sine
    total = term if df > 1 else 0.0
    for k in range(2 + odd, df - 1, 2):
        term *= square * (k - 1) / k
        total += term
    return 2 / math.pi * (angle + total) if odd else total


def chi_square(probability: float, df: float) -> float:
    """The quantile of the chi-square distribution with `df` degrees of freedom at `probability` (0 to 1)."""
    from scipy.special import chdtri

    return float(chdtri(df, 1 - probability))


def normal(probability: float) -> float:
    """The quantile of the standard normal distribution at `probability` (0 to 1, both excluded)."""
    return statistics.NormalDist().inv_cdf(probability)


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
    half = student_t((1 + CONFIDENCE) / 2, n - 1) * statistics.stdev(samples) / math.sqrt(n)
    return Estimate(value, value - half, value + half, n)


def proportion(successes: int, n: int) -> Estimate:
    """A share of n trials with Wilson's score interval (Wilson 1927). Raises ValueError when n is 0."""
    if n < 1:
        raise ValueError(f"a proportion needs at least one trial, got {n}")
    if not 0 <= successes <= n:
        raise ValueError(f"{successes} successes of {n} trials: 0 to {n} are possible")
    z, share = normal((1 + CONFIDENCE) / 2), successes / n
    centre, half = share + z**2 / (2 * n), z * math.sqrt(share * (1 - share) / n + (z / (2 * n)) ** 2)
    low, high = ((centre + side) / (1 + z**2 / n) for side in (-half, half))
    # All or none: the end is exact, and rounding must not put the share outside its own interval.
    return Estimate(share, min(max(low, 0.0), share), max(min(high, 1.0), share), n)


def percentile(samples: Sequence[float], q: float) -> Estimate:
    """The q-quantile (0 < q < 1) by nearest rank, with its distribution-free 95 % interval from order statistics.

    Its ends are x_(l) and x_(u), l the largest rank with P(Bin(n, q) <= l-1) <= 2.5 % and u the smallest with
    P(Bin(n, q) <= u-1) >= 97.5 % (David & Nagaraja, Order Statistics, 7.1). How many samples are enough is a stricter
    rule, that of MLPerf's LoadGen: at least one must lie beyond the one-sided 99 % bound on the tail's side. Raises
    TooFewSamples when there is none.
    """
    n = len(samples)
    needed = samples_needed(q)
    if n < needed:
        raise TooFewSamples(f"n={n}: a 99 % bound for P{q * 100:g} needs n >= {needed}")
    ordered = sorted(samples)
    tail = (1 - CONFIDENCE) / 2
    # Terms that are twelve standard deviations from the middle are 1e-13 together.
    middle, reach = n * q, 12 * math.sqrt(n * q * (1 - q))
    first, last = max(int(middle - reach), 0), min(int(middle + reach) + 1, n - 1)
    cumulative = list(itertools.accumulate(binomial(first, last, n, q)))
    upper = first + bisect.bisect_left(cumulative, 1 - tail) + 1
    lower = first + bisect.bisect_right(cumulative, tail)
    low = ordered[lower - 1] if lower >= 1 else None
    return Estimate(ordered[math.ceil(q * n) - 1], low, ordered[upper - 1], n)


@functools.cache
def samples_needed(q: float) -> int:
    """Least n whose 99 % upper bound for the q-quantile leaves a sample above it: 64 (P90), 130 (P95), 662 (P99)."""
    n = 2
    # P(Bin(n, q) >= n - 1): all of them, or all but one.
    while q**n + n * q ** (n - 1) * (1 - q) > 1 - TAIL_CONFIDENCE:
        n += 1
    return n


def binomial(first: int, last: int, n: int, q: float) -> Iterator[float]:
    """P(Bin(n, q) = k) for k = first..last; 0 < q < 1."""
    ways, hit, miss = math.lgamma(n + 1), math.log(q), math.log1p(-q)
    for k in range(first, last + 1):
        yield math.exp(ways - math.lgamma(k + 1) - math.lgamma(n - k + 1) + k * hit + (n - k) * miss)


def needed(n: int, half_width: float, margin: float) -> int | None:
    """Observations at which an interval of this half width, which shrinks by the square root of n, no longer reaches
    over `margin`; None where no number can be told."""
    if margin == 0 or not math.isfinite(half_width):
        return None
    return math.ceil(n * (half_width / margin) ** 2)

"""How much pairs scatter on one machine when nothing changed: variance by level, with its uncertainty.

Of pairs of equal sides the true shift is 0, so that deviations are taken from 0: what a pair is off by is its error.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from benchgate.core import DataError
from benchgate.core.arrays import np
from benchgate.core.stats import chi_square
from benchgate.gate.side_by_side.rule import CLIP_SD, COST_OF_CENTRE, Noise
from benchgate.gate.side_by_side.statistic import MAD_TO_SD

# Pairs that scatter less than clocks can tell are not believed.
LEAST_SD = 0.001
# Six zygote pairs often show no spread of their own where there is one, and what is slower is then called the same more
# often than the rule promises: at least this share of the pairs' spread is believed.
LEAST_ZYGOTE = 0.5


@dataclass(frozen=True)
class Level:
    """Standard deviation of log times or ratios at one level with its 95 % interval; `n` is what it was taken from."""

    sd: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return f"{self.sd:.2%} (95 %: {self.low:.2%} to {self.high:.2%}, n={self.n})"

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def clipped_sd(deviations: Sequence[float]) -> float:
    """Root mean square of deviations from 0, each clipped at three times a robust scale: an outlier in twenty pairs
    must not make the rule blind."""
    values = np.abs(np.asarray(deviations, dtype=np.float64))
    if not len(values) or not np.isfinite(values).all():
        raise DataError(
            f"{len(values)} pairs that count, and finite ones, are no noise: calibrate again with more pairs, or with "
            "less beside it"
        )
    scale = MAD_TO_SD * float(np.median(values))
    clipped = np.minimum(values, CLIP_SD * scale) if scale > 0 else values
    return math.sqrt(float((clipped**2).mean()))


def with_interval(sd: float, n: int) -> Level:
    """A standard deviation of `n` independent deviations with the interval of a normal one (chi-square)."""
    low, high = (sd * math.sqrt(n / chi_square(q, n)) for q in (0.975, 0.025))
    return Level(sd, low, high, n)


def pair_level(groups: Sequence[Sequence[float]]) -> Level:
    """Spread of pairs within their zygote pair: around the group's mean where groups have several pairs, else around
    0. `groups` are the shifts of each zygote pair."""
    several = [group for group in groups if len(group) > 1]
    if not several:
        return with_interval(clipped_sd([x for group in groups for x in group]), sum(map(len, groups)))
    # A deviation from a mean of k is smaller than one from the truth.
    off = [(x - float(np.mean(group))) * math.sqrt(len(group) / (len(group) - 1)) for group in several for x in group]
    return with_interval(clipped_sd(off), sum(len(group) - 1 for group in several))


def zygote_level(groups: Sequence[Sequence[float]]) -> Level:
    """Spread of the zygote pairs' own bias: what their means scatter by beyond what their pairs' scatter explains.

    The upper end is the one-sided 95 % bound; where each zygote pair has one pair the two cannot be told apart, and
    all spread counts as the pairs'.
    """
    several = [group for group in groups if len(group) > 1]
    if len(several) < 2:
        return Level(0.0, 0.0, math.inf, len(several))
    means = [float(np.median(group)) for group in several]
    size = float(np.mean([len(group) for group in several]))
    by_pairs = COST_OF_CENTRE * pair_level(several).sd ** 2 / size
    seen, n = clipped_sd(means) ** 2, len(means)
    value, low, high = (
        math.sqrt(max(seen * factor - by_pairs, 0.0))
        for factor in (1.0, n / chi_square(0.95, n), n / chi_square(0.05, n))
    )
    return Level(value, low, high, n)


def noise_of(groups: Sequence[Sequence[float]], source: str = "calibrated") -> Noise:
    """The noise that the rule is to believe after pairs of equal sides, one group a zygote pair."""
    pair, zygote = pair_level(groups), zygote_level(groups)
    sd = max(pair.sd, LEAST_SD)
    return Noise(sd, max(zygote.sd, LEAST_ZYGOTE * sd), max(pair.n, 1), source)

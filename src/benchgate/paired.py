"""Two models scored on the same passages: is the difference real, and could this many passages have shown it?

Pairing matters: at 40 % accuracy a 1 % relative loss is far below the standard error of either score alone, but only
the passages on which the models disagree carry information about the difference.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchgate.core import DataError
from benchgate.stats import Estimate

ALPHA = 0.05
POWER = 0.80


@dataclass(frozen=True)
class McNemar:
    """`lost`: right before, wrong after; `gained`: the other way; `p_value` is two-sided and exact."""

    n: int
    lost: int
    gained: int
    p_value: float

    @property
    def difference(self) -> float:
        """Accuracy after minus accuracy before."""
        return (self.gained - self.lost) / self.n


def mcnemar(before: Sequence[bool], after: Sequence[bool]) -> McNemar:
    """Exact McNemar test (McNemar 1947; binomial on the discordant pairs) of two models' hits on the same passages.

    With no discordant pair the p-value is 1. Raises DataError when the two are not of one length or empty.
    """
    first, second = _paired(before, after)
    lost, gained = int((first & ~second).sum()), int((~first & second).sum())
    if lost + gained == 0:
        return McNemar(len(first), 0, 0, 1.0)
    from scipy.stats import binomtest

    return McNemar(len(first), lost, gained, float(binomtest(lost, lost + gained, 0.5).pvalue))


def bootstrap_difference(
    before: Sequence[float], after: Sequence[float], seed: int = 0, resamples: int = 10_000
) -> Estimate:
    """Mean of after - before with the 95 % BCa bootstrap interval over passages (Efron 1987), seeded.

    For hits (0 or 1) and for log losses alike. No interval for fewer than 2 passages; where all differences are equal
    it is that single value.
    """
    first, second = np.asarray(before, dtype=np.float64), np.asarray(after, dtype=np.float64)
    _check(len(first), len(second))
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise DataError("scores to compare hold NaN or infinite values; score both models again")
    differences = second - first
    value, n = float(differences.mean()), len(differences)
    if n < 2:
        return Estimate(value, None, None, n)
    if np.ptp(differences) == 0:
        return Estimate(value, value, value, n)
    from scipy.stats import bootstrap

    interval = bootstrap(
        (differences,), np.mean, n_resamples=resamples, method="BCa", rng=np.random.default_rng(seed), batch=1000
    ).confidence_interval
    return Estimate(value, float(interval.low), float(interval.high), n)


def samples_needed(loss: float, discordant: float, alpha: float = ALPHA, power: float = POWER) -> int:
    """Passages that a two-sided McNemar test needs to find an accuracy loss of `loss` (a share, 0.004 = 0.4 points).

    `discordant` is the share of passages on which the two models differ, at least `loss`. Normal approximation of
    Connor 1987 (Biometrics 43): n = (z_a sqrt(d) + z_b sqrt(d - loss^2))^2 / loss^2.
    Raises DataError outside 0 < loss <= discordant <= 1.
    """
    if not 0 < loss <= discordant <= 1:
        raise DataError(f"loss={loss}, discordant={discordant}: 0 < loss <= discordant <= 1 is needed")
    from scipy.stats import norm

    z_alpha, z_beta = float(norm.ppf(1 - alpha / 2)), float(norm.ppf(power))
    return math.ceil((z_alpha * math.sqrt(discordant) + z_beta * math.sqrt(discordant - loss**2)) ** 2 / loss**2)


@dataclass(frozen=True)
class Verdict:
    """What can be said about one accuracy loss. `decidable` tells whether n passages could have shown it."""

    test: McNemar
    interval: Estimate
    loss: float
    needed: int
    decidable: bool

    def __str__(self) -> str:
        n, test = self.test.n, self.test
        found = (
            f"{100 * test.difference:+.2f} points ({test.lost} lost, {test.gained} gained of {n}, exact McNemar "
            f"p={test.p_value:.3g})"
        )
        if self.decidable:
            return found
        return (
            f"{found}; a {100 * self.loss:g} % relative loss is undecidable at n={n}; needs n={self.needed}: "
            f"give --samples {self.needed}"
        )


def judge(before: Sequence[bool], after: Sequence[bool], relative_loss: float = 0.01, seed: int = 0) -> Verdict:
    """McNemar, the paired interval, and whether a loss of `relative_loss` of before's accuracy was in reach.

    The share of discordant passages is what was seen, at least one passage and at least the loss itself: with none
    seen, the need is a lower bound. Raises DataError where `before` has no hit: then there is nothing to lose.
    """
    test = mcnemar(before, after)
    accuracy = sum(before) / test.n
    if not 0 < relative_loss <= 1 or accuracy == 0:
        raise DataError(
            f"relative_loss={relative_loss} of an accuracy of {accuracy:g}: needs 0 < relative_loss <= 1 and at least "
            "one passage that the first model got right"
        )
    loss = relative_loss * accuracy
    needed = samples_needed(loss, max((test.lost + test.gained) / test.n, 1 / test.n, loss))
    interval = bootstrap_difference([float(x) for x in before], [float(x) for x in after], seed)
    return Verdict(test, interval, relative_loss, needed, test.n >= needed)


def _paired(before: Sequence[bool], after: Sequence[bool]) -> tuple[np.ndarray, np.ndarray]:
    _check(len(before), len(after))
    return np.asarray(before, dtype=bool), np.asarray(after, dtype=bool)


def _check(first: int, second: int) -> None:
    if first != second or first == 0:
        raise DataError(f"paired scores need one length of at least 1, got {first} and {second}; use the same passages")

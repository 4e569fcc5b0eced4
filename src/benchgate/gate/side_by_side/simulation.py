"""Error rates of the rule by simulation, through the functions that decide real pairs. Every draw is seeded."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from benchgate.core import stats
from benchgate.core.arrays import np
from benchgate.core.stats import Estimate
from benchgate.gate.side_by_side.rule import FASTER, OPEN, RULE, SAME, SLOWER, Noise, Rule, one_test

# Shifts of (trials, pairs) when nothing changed, for one test.
Draw = Callable[[Any, int, Rule], Any]


@dataclass(frozen=True)
class Rates:
    """Counts of the verdicts over `trials` comparisons, and the mean number of pairs that one took."""

    trials: int
    regressed: int
    improved: int
    same: int
    inconclusive: int
    pairs: float

    def share(self, verdict: str) -> Estimate:
        """The share of one verdict with its 95 % interval."""
        return stats.proportion(getattr(self, verdict), self.trials)

    def of_a_run(self, cells: int) -> float:
        """Chance that at least one of `cells` cells is called regressed, at this rate."""
        return 1 - (1 - self.regressed / self.trials) ** cells


@dataclass(frozen=True)
class Spread:
    """Draws shifts as pairs of zygotes give them: normal, or Student's t with `tail` degrees of freedom and one sd."""

    pair_sd: float
    zygote_sd: float = 0.0
    tail: int | None = None

    def __call__(self, rng: Any, trials: int, rule: Rule) -> Any:
        groups = zygotes_of(rule)
        size = (trials, rule.most)
        if self.tail is None:
            within = rng.normal(0.0, self.pair_sd, size)
        else:
            within = rng.standard_t(self.tail, size) * self.pair_sd / math.sqrt(self.tail / (self.tail - 2))
        return within + rng.normal(0.0, 1.0, (trials, groups[-1] + 1))[:, groups] * self.zygote_sd


@dataclass(frozen=True)
class Resampled:
    """Draws shifts with replacement from measured ones; `swapped` gives each comparison its sides at random."""

    shifts: tuple[float, ...]
    swapped: bool = False

    def __call__(self, rng: Any, trials: int, rule: Rule) -> Any:
        found = rng.choice(np.asarray(self.shifts), (trials, rule.most))
        return found * rng.choice([-1.0, 1.0], (trials, 1)) if self.swapped else found


@dataclass(frozen=True)
class Drawn:
    """Draws measured zygote pairs whole, with replacement, and each comparison's sides at random.

    `groups` are the shifts of each zygote pair, at least one; one with fewer pairs than the rule wants gives some of
    them again. Shifts drawn one by one would lose what the pairs of a zygote have in common (the cluster bootstrap:
    Davison and Hinkley, Bootstrap Methods and their Application, 3.8).
    """

    groups: Sequence[Sequence[float]]

    def __call__(self, rng: Any, trials: int, rule: Rule) -> Any:
        lengths = np.array([len(group) for group in self.groups])
        padded = np.array([np.resize(group, lengths.max()) for group in self.groups])
        needed = math.ceil(rule.most / rule.a_zygote)
        chosen = rng.integers(0, len(lengths), (trials, needed, 1))
        # From a place of its own on, so that of a long group each pair is taken as often.
        places = rng.integers(0, lengths.max(), (trials, needed, 1)) + np.arange(rule.a_zygote)
        shifts = padded[chosen, places % lengths[chosen]].reshape(trials, -1)[:, : rule.most]
        return shifts * rng.choice([-1.0, 1.0], (trials, 1))


def zygotes_of(rule: Rule) -> Any:
    """Number of the zygote pair of each of a test's pairs."""
    return np.arange(rule.most) // rule.a_zygote


def outcomes(first: Any, again: Any, rule: Rule, noise: Noise) -> Rates:
    """Return the verdicts on arrays of shifts (trials, pairs): those of the first test and of the repeat."""
    groups = zygotes_of(rule)
    code, used = one_test(first, groups, rule, noise)
    suspect = (code == SLOWER) | (code == FASTER)
    repeated, more = np.full(code.shape, OPEN), np.zeros_like(used)
    if suspect.any():
        repeated[suspect], more[suspect] = one_test(again[suspect], groups, rule, noise)
    agreed = suspect & (repeated == code)
    regressed, improved = (int((agreed & (code == which)).sum()) for which in (SLOWER, FASTER))
    same, trials = int((code == SAME).sum()), len(code)
    rest = trials - regressed - improved - same
    return Rates(trials, regressed, improved, same, rest, float((used + more).mean()))


def simulate(
    draw: Draw, slowdown: float, rule: Rule = RULE, noise: Noise | None = None, trials: int = 20_000, seed: int = 0
) -> Rates:
    """Return the rates where the candidate is slower by `slowdown` (0.05 is 5 %).

    `noise` is what the rule believes; None where it knows the spread that is drawn.
    """
    if noise is None:
        if not isinstance(draw, Spread):
            raise TypeError("noise is needed for shifts that were measured")
        noise = Noise(draw.pair_sd, draw.zygote_sd, source="known")
    rng = np.random.default_rng(seed)
    first, again = (draw(rng, trials, rule) + math.log1p(slowdown) for _ in range(2))
    return outcomes(first, again, rule, noise)

"""Figures with intervals held against each other: which one is better, and which cell is beaten in everything.

The only place for dominance: `benchgate recommend` and the Pareto picture ask here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from benchgate.core import Better


@dataclass(frozen=True)
class Reading:
    """One figure with its 95 % interval; an exact one (a size) has both ends at its value. `n` counts what is behind
    it. `before` and `after` are the hits of the reference and of the cell where the figure is made of such pairs."""

    value: float
    low: float
    high: float
    better: Better
    n: int = 1
    before: tuple[float, ...] = ()
    after: tuple[float, ...] = ()

    @classmethod
    def exact(cls, value: float, better: Better) -> Reading:
        return cls(value, value, value, better)

    @property
    def goodness(self) -> tuple[float, float, float]:
        """(least, value, most) of what is better the higher it is."""
        ends = (self.low, self.value, self.high)
        return ends if self.better == "higher" else (-self.high, -self.value, -self.low)


def ahead(ours: Reading, theirs: Reading) -> bool:
    """True where ours is better by its value."""
    return ours.goodness[1] > theirs.goodness[1]


def apart(ours: Reading, theirs: Reading) -> bool:
    """True where ours is better and the intervals do not meet."""
    return ours.goodness[0] > theirs.goodness[2]


def beats(ours: Sequence[Reading], theirs: Sequence[Reading]) -> bool:
    """At least as good by value in every figure, and better in one (Pareto dominance of the values)."""
    pairs = list(zip(ours, theirs, strict=True))
    return any(ahead(a, b) for a, b in pairs) and not any(ahead(b, a) for a, b in pairs)


def surely_beats(ours: Sequence[Reading], theirs: Sequence[Reading]) -> bool:
    """`beats`, where every interval bears it: figures are exactly equal, or their intervals separate."""
    pairs = list(zip(ours, theirs, strict=True))
    return beats(ours, theirs) and all(a.goodness[0] >= b.goodness[2] for a, b in pairs)


def ratio(ours: Reading, theirs: Reading) -> Reading | None:
    """Ours / theirs with its 95 % interval from the two, taken as independent; None where one is not above 0.

    On the logarithms, with the ends of each interval in their own direction (MOVER; Zou & Donner 2008, Statistics in
    Medicine 27).
    """
    if min(ours.low, theirs.low) <= 0:
        return None
    up = math.hypot(math.log(ours.high / ours.value), math.log(theirs.value / theirs.low))
    down = math.hypot(math.log(ours.value / ours.low), math.log(theirs.high / theirs.value))
    value = ours.value / theirs.value
    return Reading(value, value * math.exp(-down), value * math.exp(up), ours.better, min(ours.n, theirs.n))

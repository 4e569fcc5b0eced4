"""The largest value of an axis that fits a budget: a search over trials, each of which costs a process and seconds.

    raise      from `start`, geometrically, until three values fit and the ceiling that they foretell is near
    predict    need = a + b x value, by least squares through those; the ceiling is where it meets the budget
    check      that value, and the values beside it, until the largest that fits and the smallest that does not are no
               further apart than the resolution
    confirm    both once more: where an allocator scatters, a value fits in one process and not in the next

Nothing here knows what a trial does: the next value follows from the outcomes alone, so that any trial, and any fake of
one, can be searched.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby, pairwise

# Values that the prediction is made from: a line through two says nothing of how good it is.
FIRST = 3
# A prediction beyond that many times the last value rests on too little: small values' needs are mostly scatter.
GROWTH = 4
# The share by which a need may fall while the value rises, and still be scatter.
SCATTER = 0.05
# Trials beside the prediction, before the middle is tried.
CLOSE = 4


@dataclass(frozen=True)
class Outcome:
    """The end of one trial. `needs` is how much of each resource it took, {} where it ended before that was known.

    `excess` is by how much the value is beyond what the cell can take at all, whatever the budget.
    """

    fits: bool
    needs: Mapping[str, float] = field(default_factory=dict)
    excess: int | None = None


Trial = Callable[[int], Outcome]


@dataclass(frozen=True)
class Line:
    """need = `base` + `slope` x value through some points, with the share of the variance that it explains."""

    base: float
    slope: float
    r2: float
    points: int

    def ceiling(self, budget: float) -> int | None:
        """Return the largest value whose need is within the budget; None where the need does not rise."""
        return math.floor((budget - self.base) / self.slope) if self.slope > 0 else None


@dataclass(frozen=True)
class Forecast:
    """The ceiling as the first trials foretell it, by the resource that ends first."""

    value: int
    resource: str
    line: Line


@dataclass(frozen=True)
class Fall:
    """A need that is smaller at a larger value: the limit need not be monotone, and more than was found may fit."""

    resource: str
    lower: int
    higher: int


@dataclass(frozen=True)
class Plan:
    """The settings of a search. `resolution` is the share of the ceiling that it may be off by, 0 for none."""

    start: int = 1
    lowest: int = 1
    trials: int = 10
    resolution: float = 0.02

    def step(self, value: int) -> int:
        """Return how close two values must be to be told apart no further."""
        return max(1, int(self.resolution * value))


@dataclass(frozen=True)
class Found:
    """The answer: `largest` fits (None: not even the lowest does), `above` does not (None: no trial failed).

    `settled` where the two are as close as was asked for; else the trials were used up, and the ceiling is between
    them. `again` are the ends of these two when they were tried a second time, as far as trials were left.
    """

    largest: int | None
    above: int | None
    settled: bool
    trials: Mapping[int, Outcome]
    forecast: Forecast | None
    falls: tuple[Fall, ...]
    again: Mapping[int, Outcome] = field(default_factory=dict)

    @property
    def unsure(self) -> tuple[int, ...]:
        """The values that fitted once and once did not."""
        return tuple(value for value, outcome in self.again.items() if outcome.fits != self.trials[value].fits)


def search(trial: Trial, budgets: Mapping[str, float], plan: Plan) -> Found:
    """Try values until the largest that fits is known, in at most `plan.trials` trials, confirming ones included."""
    tried: dict[int, Outcome] = {}
    while len(tried) < plan.trials and (value := following(tried, budgets, plan)) is not None:
        tried[value] = trial(value)
    low, high = bracket(tried)
    return Found(
        largest=low,
        above=high,
        settled=following(tried, budgets, plan) is None,
        trials=tried,
        forecast=forecast(tried, budgets),
        falls=tuple(falls(tried, budgets)),
        again={value: trial(value) for value in _doubtful(tried, low, high)[: plan.trials - len(tried)]},
    )


def _doubtful(tried: Mapping[int, Outcome], low: int | None, high: int | None) -> list[int]:
    """The two values beside a ceiling, the one that did not fit first; none where the cell itself says its end."""
    if low is None or high is None or high not in tried or tried[high].excess is not None:
        return []
    return [high, low]


def bracket(tried: Mapping[int, Outcome]) -> tuple[int | None, int | None]:
    """Return the largest value that fits and the smallest that does not, where such are known."""
    low = max((value for value, outcome in tried.items() if outcome.fits), default=None)
    high = min((_first_beyond(value, o) for value, o in tried.items() if not o.fits), default=None)
    return low, high


def _first_beyond(value: int, outcome: Outcome) -> int:
    """The smallest value that a failed trial rules out: lower than its own where it told its excess."""
    return value if outcome.excess is None else value - outcome.excess + 1


def following(tried: Mapping[int, Outcome], budgets: Mapping[str, float], plan: Plan) -> int | None:
    """Return the value to try next, None where the answer is known."""
    if not tried:
        return plan.start
    low, high = bracket(tried)
    if low is None:
        return None if plan.lowest in tried else plan.lowest
    guess = _guess(tried, budgets)
    if high is None:
        fitting = sum(outcome.fits for outcome in tried.values())
        if fitting < FIRST or guess is None:
            return low * GROWTH
        return min(max(guess, low + plan.step(low)), low * GROWTH)
    if high - low <= (1 if high not in tried else plan.step(low)):
        return None
    return _within(low, high, guess, tried, plan)


def _within(low: int, high: int, guess: int | None, tried: Mapping[int, Outcome], plan: Plan) -> int:
    """A value between the two: where the line says, near the end that the line is beyond, at last in the middle."""
    if high not in tried:
        # The cell's own end: everything up to it may fit.
        return high - 1 if guess is None or guess >= high - 1 else max(guess, low + 1)
    middle = max(low + 1, math.isqrt(low * high))
    fits = [outcome.fits for outcome in tried.values()]
    same = len(list(next(groupby(reversed(fits)))[1]))
    since = len(fits) - 1 - fits.index(False)
    if guess is None or since >= CLOSE or (same > 1 and since > 0):
        return middle
    step = plan.step(high)
    return min(max(guess, low + plan.step(low)), max(high - step, middle))


def _guess(tried: Mapping[int, Outcome], budgets: Mapping[str, float]) -> int | None:
    """The ceiling by the two largest values whose needs are known: near the ceiling no bend matters."""
    known = sorted(value for value, outcome in tried.items() if outcome.needs)[-2:]
    found = _soonest({value: tried[value] for value in known}, budgets)
    return None if found is None else found.value


def forecast(tried: Mapping[int, Outcome], budgets: Mapping[str, float]) -> Forecast | None:
    """Return the ceiling as the raised values foretell it; None with fewer than two, or where no need rises."""
    return _soonest(raised(tried), budgets)


def raised(tried: Mapping[int, Outcome]) -> dict[int, Outcome]:
    """Return the fitting trials, in the order they were made, before the first whose value a prediction chose."""
    found: dict[int, Outcome] = {}
    for value, outcome in tried.items():
        was_foretold = len(found) >= FIRST and value < GROWTH * max(found)
        if not outcome.fits or was_foretold:
            break
        found[value] = outcome
    return found


def _soonest(tried: Mapping[int, Outcome], budgets: Mapping[str, float]) -> Forecast | None:
    found = []
    for resource, budget in budgets.items():
        points = [(value, outcome.needs[resource]) for value, outcome in tried.items() if resource in outcome.needs]
        line = fit(points) if len(points) > 1 else None
        ceiling = line.ceiling(budget) if line is not None else None
        if line is not None and ceiling is not None:
            found.append(Forecast(ceiling, resource, line))
    return min(found, key=lambda one: one.value, default=None)


def fit(points: Sequence[tuple[int, float]]) -> Line:
    """Return the least-squares line through at least two points of different values."""
    values, needs = zip(*points, strict=True)
    slope, base = statistics.linear_regression(values, needs)
    mean = statistics.fmean(needs)
    total = sum((need - mean) ** 2 for need in needs)
    left = sum((need - base - slope * value) ** 2 for value, need in points)
    return Line(base, slope, 1.0 if total == 0 else max(0.0, 1 - left / total), len(points))


def falls(tried: Mapping[int, Outcome], budgets: Mapping[str, float]) -> Iterator[Fall]:
    """Each need that is smaller at the next larger value, by more than its scatter."""
    for resource in budgets:
        known = sorted((value, o.needs[resource]) for value, o in tried.items() if resource in o.needs)
        for (lower, more), (higher, less) in pairwise(known):
            if less < (1 - SCATTER) * more:
                yield Fall(resource, lower, higher)

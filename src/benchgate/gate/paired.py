"""Two models scored on the same examples: is the difference real, and could this many examples have shown it?

Pairing matters: at 40 % accuracy a 1 % relative loss is far below the standard error of either score alone, but only
the examples on which the models disagree carry information about the difference.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from benchgate.core import DataError
from benchgate.core.arrays import np
from benchgate.core.metrics import row_of
from benchgate.core.stats import Estimate, binomial, crossing, normal
from benchgate.gate.comparable import comparable, data_of
from benchgate.gate.numbers import need
from benchgate.results import Record

ALPHA = 0.05
POWER = 0.80
# The parameters of what is timed decide no answer.
PAIRED = frozenset({"params"})

Answer = Literal["holds", "fails", "undecidable"]


@dataclass(frozen=True)
class Verdict:
    """Is `value` at least `share` of `reference`? `answer` is "holds", "fails" or "undecidable".

    [`low`, `high`] is the 95 % interval of `margin`, value minus floor, from paired results on `n` examples (`unit` is
    their word): the floor holds when all of it is at or above 0, fails when all is below. `needs` is how many examples
    would decide it, None where it is decided or cannot be told. `how` names the test, `advice` how to get more.
    """

    answer: Answer
    metric: str
    value: float
    reference: float
    share: float
    low: float
    high: float
    n: int
    unit: str
    needs: int | None
    how: str
    advice: str

    @property
    def margin(self) -> float:
        return self.value - self.share * self.reference

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "text": str(self)}

    def __str__(self) -> str:
        text = (
            f"{self.metric} {self.value:.4f} >= {self.share:g} x {self.reference:.4f} {self.answer} at n={self.n} "
            f"{self.unit}: margin {self.margin:+.4f} [{self.low:+.4f}, {self.high:+.4f}] (95 %, {self.how})"
        )
        if self.answer != "undecidable":
            return text
        needs = "more than can be told" if self.needs is None else f"about n={self.needs}"
        return f"{text}; needs {needs}: {self.advice}"


@dataclass(frozen=True)
class McNemar:
    """`lost`: right before, wrong after; `gained`: the other way; `p_value` is two-sided and exact."""

    n: int
    both: int
    lost: int
    gained: int
    p_value: float

    @property
    def difference(self) -> float:
        """Accuracy after minus accuracy before."""
        return (self.gained - self.lost) / self.n

    def __str__(self) -> str:
        return f"{self.lost} lost, {self.gained} gained of {self.n}, exact McNemar p={self.p_value:.3g}"


def mcnemar(before: Sequence[float], after: Sequence[float]) -> McNemar:
    """Exact McNemar test (McNemar 1947; binomial on the discordant pairs) of two models' hits on the same examples.

    With no discordant pair the p-value is 1. Raises DataError when the two are not of one length, empty, or no hits
    (0 and 1).
    """
    first, second = _hits(before), _hits(after)
    _check(len(first), len(second))
    counts = Counter(zip(first, second, strict=True))
    lost, gained = counts[True, False], counts[False, True]
    # Both tails of the binomial distribution with probability 1/2; where they meet they are everything.
    tail = math.fsum(binomial(0, min(lost, gained), lost + gained, 0.5))
    return McNemar(len(first), counts[True, True], lost, gained, min(1.0, 2 * tail))


def bootstrap_difference(
    before: Sequence[float], after: Sequence[float], seed: int = 0, resamples: int = 10_000
) -> Estimate:
    """Mean of after - before with the 95 % BCa bootstrap interval over examples (Efron 1987), seeded.

    For hits (0 or 1) and for log losses alike. No interval for fewer than 2 examples; where all differences are equal
    it is that single value. Raises Unavailable without numpy and scipy.
    """
    need("the bootstrap of paired scores")
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
    """Examples that a two-sided McNemar test needs to find an accuracy loss of `loss` (a share, 0.004 = 0.4 points).

    `discordant` is the share of examples on which the two models differ, at least `loss`. Normal approximation of
    Connor 1987 (Biometrics 43): n = (z_a sqrt(d) + z_b sqrt(d - loss^2))^2 / loss^2.
    Raises DataError outside 0 < loss <= discordant <= 1.
    """
    if not 0 < loss <= discordant <= 1:
        raise DataError(f"loss={loss}, discordant={discordant}: 0 < loss <= discordant <= 1 is needed")
    z_alpha, z_beta = normal(1 - alpha / 2), normal(power)
    return math.ceil((z_alpha * math.sqrt(discordant) + z_beta * math.sqrt(discordant - loss**2)) ** 2 / loss**2)


def ratio_score(test: McNemar, ratio: float) -> float:
    """The score statistic of "accuracy after = `ratio` x accuracy before" (Tang, Tang & Chan 2003, Statistics in
    Medicine 22): standard normal where that is so, above 0 where after is better. Right, unlike a bootstrap, also
    where the two models differ on few examples or none.

    The variance is that of the likeliest probabilities under the hypothesis; q, that of a lost example, is the larger
    root of (1+r) S q^2 - [(1+r) d (both + lost) + s (lost + gained)] q + lost d s = 0 with S = both + lost + gained,
    s = S / n, d = (1 - r) s.
    """
    n, right = test.n, test.both + test.lost + test.gained
    share = right / n
    d = (1 - ratio) * share
    a = (1 + ratio) * right
    b = (1 + ratio) * d * (test.both + test.lost) + share * (test.lost + test.gained)
    q = (b + math.sqrt(max(b * b - 4 * a * test.lost * d * share, 0.0))) / (2 * a)
    both = (share - (1 + ratio) * q) / ratio
    variance = n * ratio * ((ratio - 1) * both + (1 + ratio) * q)
    difference = (test.both + test.gained) - ratio * (test.both + test.lost)
    if variance <= 0:
        return math.copysign(math.inf, difference) if difference else 0.0
    return difference / math.sqrt(variance)


def ratio_interval(test: McNemar) -> tuple[float, float]:
    """The 95 % interval of accuracy after / accuracy before: all ratios that `ratio_score` does not reject."""
    z = normal(1 - ALPHA / 2)
    value = (test.both + test.gained) / (test.both + test.lost)
    least, most = 1e-9, 1e9
    # The score falls as the ratio rises, and is 0 at the ratio that was seen.
    seen = max(value, least)
    low = 0.0 if ratio_score(test, least) <= z else crossing(lambda r: ratio_score(test, r) < z, least, seen)
    return low, crossing(lambda r: ratio_score(test, r) < -z, seen, most)


def judge(before: Sequence[float], after: Sequence[float], share: float, metric: str = "top1") -> Verdict:
    """The verdict on the accuracy of hits `after` being at least `share` of that of `before`, on the same examples.

    `needs` is the number of examples that would show a loss of 1 - share with 80 % power, with the share of discordant
    examples that was seen; where there are as many already, the loss is too close to the floor for any number to be
    told. Raises DataError for a share outside 0 < share < 1, or where `before` has no hit: there is nothing to lose.
    """
    test = mcnemar(before, after)
    accuracy = (test.both + test.lost) / test.n
    if not 0 < share < 1 or accuracy == 0:
        raise DataError(
            f"share={share} of an accuracy of {accuracy:g}: needs 0 < share < 1 and at least one example that the "
            "reference got right"
        )
    low, high = ratio_interval(test)
    answer: Answer = "holds" if low >= share else "fails" if high < share else "undecidable"
    loss = (1 - share) * accuracy
    needs = samples_needed(loss, max((test.lost + test.gained) / test.n, 1 / test.n, loss))
    in_reach = needs > test.n
    return Verdict(
        answer, metric, (test.both + test.gained) / test.n, accuracy, share,
        *bounded((low - share) * accuracy, (high - share) * accuracy, share, accuracy), test.n, "passages",
        needs if answer == "undecidable" and in_reach else None, f"paired score test of the ratio; {test}",
        "score more of them" if in_reach else "the loss is about as large as what is allowed",
    )  # fmt: skip


def bounded(low: float, high: float, share: float, reference: float) -> tuple[float, float]:
    """Return the ends of a margin's interval, none beyond what a value from 0 to 1 can be away from its floor."""
    least, most = -share * reference, 1 - share * reference
    return min(max(low, least), most), max(min(high, most), least)


def floor(record: Record, reference: Record, share: float, metric: str) -> Verdict:
    """`judge` on the hits of two records. Raises DataError where they cannot be paired: see `examples_of`."""
    before, after = examples_of(reference, record, metric)
    return judge(before, after, share, metric)


def examples_of(first: Record, second: Record, metric: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The single results of one metric in two records, pairwise of the same example.

    Raises DataError where one has none, or where they were scored on different data or data that no record tells.
    """
    for record in (first, second):
        if metric not in record.metrics or not record.metrics[metric].examples:
            raise DataError(f"{record.key}: no single results of {metric} to pair; score it again with this benchgate")
    check_same_data(first, second, metric)
    return first.metrics[metric].examples, second.metrics[metric].examples


def check_same_data(first: Record, second: Record, metric: str) -> None:
    """Raise DataError where a metric of two records is of different data, or of data that no record tells."""
    row = row_of(metric, first.metrics[metric])
    reason = comparable(row, second, first, PAIRED)
    if reason is None and data_of(first, metric) is None:
        reason = "data not told"
    if reason is not None:
        raise DataError(
            f"{first.key} and {second.key} were scored on different data or models ({reason}); score both on one sample"
        )


def _hits(values: Sequence[float]) -> list[bool]:
    if not set(map(float, values)) <= {0.0, 1.0}:
        raise DataError("McNemar's test compares hits, 0 or 1 for each example; compare other scores by their mean")
    return [bool(value) for value in values]


def _check(first: int, second: int) -> None:
    if first != second or first == 0:
        raise DataError(f"paired scores need one length of at least 1, got {first} and {second}; use the same examples")

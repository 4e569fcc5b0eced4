"""The share of an accuracy that a cell loses against its reference, with its interval; paired where it can be."""

from __future__ import annotations

import math
import statistics

from benchgate.core import DataError, Metric
from benchgate.core.stats import NORMAL_95, Estimate, needed
from benchgate.gate.paired import bootstrap_difference, check_same_data, examples_of, judge, mcnemar, ratio_interval
from benchgate.report.dominance import Reading, ratio
from benchgate.results import Record

# The mean of the examples, or its exponential, is the metric up to the six digits that an example is stored with.
CLOSE = 1e-4


def loss(reference: Record, record: Record, metric: str, ours: Reading, theirs: Reading) -> Reading:
    """The loss of `record` in `metric`: 0.01 where it is 1 % worse than `reference`, below 0 where it is better.

    `ours` and `theirs` are its figures, for the interval where the two have no single results of the same examples.
    Raises DataError where no loss can be told: an accuracy of 0, or on other data.
    """
    pair = _paired(reference, record, metric)
    if pair is None:
        drawn = _drawn_alike(reference, record, metric)
        return _unpaired(ours, theirs, metric) if drawn is None else drawn
    before, after = pair
    if {*before, *after} <= {0.0, 1.0}:
        test = mcnemar(before, after)
        if not test.both + test.lost:
            raise DataError(f"the reference has no example of {metric} right: there is nothing to lose")
        low, high = ratio_interval(test)
        kept = (test.both + test.gained) / (test.both + test.lost)
        return Reading(1 - kept, 1 - high, 1 - low, "lower", test.n, before, after)
    return _of_means(bootstrap_difference(before, after), record.metrics[metric], reference.metrics[metric])


def more_needed(reading: Reading, bound: float) -> int | None:
    """Examples or rounds beyond those there are that would decide if the figure keeps `bound`, were it to stay where it
    is; None where no number can be told."""
    if reading.before:
        share = 1 - bound
        total = judge(reading.before, reading.after, share).needs if 0 < share < 1 else None
    else:
        # The end of the interval that reaches over the bound.
        end = reading.high if reading.value < bound else reading.low
        total = needed(reading.n, abs(end - reading.value), bound - reading.value)
    return None if total is None else max(1, total - reading.n)


def _paired(reference: Record, record: Record, metric: str) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """The single results of both, or None where there are none whose mean makes the metric."""
    theirs, ours = reference.metrics[metric], record.metrics[metric]
    if not (theirs.examples and ours.examples and _is_mean(ours) | _is_exponential(ours)):
        return None
    return examples_of(reference, record, metric)


def _drawn_alike(reference: Record, record: Record, metric: str) -> Reading | None:
    """The loss by the values of both on the same samples of the data, None where they have none of them.

    Normal, with the standard deviation of the samples' losses (Efron and Tibshirani, An Introduction to the Bootstrap,
    13.3 and 16.2).
    """
    theirs, ours = reference.metrics[metric], record.metrics[metric]
    if len(ours.resamples) < 2 or len(ours.resamples) != len(theirs.resamples):
        return None
    check_same_data(reference, record, metric)
    if min(theirs.value, *theirs.resamples) <= 0:
        raise DataError(f"the reference's figure is {theirs.value:g}: a share of it cannot be told")
    worse = 1.0 if ours.better == "higher" else -1.0
    losses = [worse * (1 - after / before) for before, after in zip(theirs.resamples, ours.resamples, strict=True)]
    value, half = worse * (1 - ours.value / theirs.value), NORMAL_95 * statistics.stdev(losses)
    return Reading(value, value - half, value + half, "lower", min(ours.n, theirs.n))


def _is_mean(metric: Metric) -> bool:
    return math.isclose(statistics.fmean(metric.examples), metric.value, rel_tol=CLOSE, abs_tol=CLOSE)


def _is_exponential(metric: Metric) -> bool:
    """True for a perplexity, whose examples are log losses."""
    return metric.value > 0 and math.isclose(statistics.fmean(metric.examples), math.log(metric.value), rel_tol=CLOSE)


def _of_means(change: Estimate, ours: Metric, theirs: Metric) -> Reading:
    if change.low is None or change.high is None:
        raise DataError(f"n={change.n}: no interval of the loss from so few examples; score more of them")
    worse = -1.0 if ours.better == "higher" else 1.0
    ends = [change.value, change.low, change.high]
    if _is_mean(ours):
        if theirs.value <= 0:
            raise DataError(f"the reference's figure is {theirs.value:g}: a share of it cannot be told")
        value, *bounds = (worse * end / theirs.value for end in ends)
    else:
        value, *bounds = (worse * math.expm1(end) for end in ends)
    return Reading(value, min(bounds), max(bounds), "lower", change.n)


def _unpaired(ours: Reading, theirs: Reading, metric: str) -> Reading:
    kept = ratio(ours, theirs)
    if kept is None:
        raise DataError(f"{metric} {ours.value:g} against {theirs.value:g}: a share of it cannot be told")
    if ours.better == "higher":
        return Reading(1 - kept.value, 1 - kept.high, 1 - kept.low, "lower", kept.n)
    return Reading(kept.value - 1, kept.low - 1, kept.high - 1, "lower", kept.n)

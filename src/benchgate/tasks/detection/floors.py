"""Is a compressed model's AP at least a share of the full model's? A paired answer that may be "undecidable"."""

from __future__ import annotations

import math

from benchgate.core import DataError
from benchgate.core.stats import NORMAL_95, needed
from benchgate.gate.paired import Answer, Verdict, bounded
from benchgate.tasks.detection.scoring import Evaluation, spread


def floor(evaluation: Evaluation, reference: Evaluation, share: float, metric: str = "ap") -> Verdict:
    """The verdict on `metric` of `evaluation` being at least `share` of that of `reference`, both on the same images.

    The margin's standard error comes from the paired resamples. It holds when the 95 % interval of the margin lies at
    or above 0, fails when it lies below, and is undecidable otherwise, or when there are fewer than two photographs.
    Raises DataError when the two were not scored on the same number of images.
    """
    if (evaluation.images, evaluation.groups) != (reference.images, reference.groups):
        raise DataError(
            f"a floor compares the same images, got {evaluation.images} against {reference.images}; "
            "score both on one data set in one session"
        )
    value, base = evaluation.stats[metric], reference.stats[metric]
    margin = value - share * base
    error = _standard_error(evaluation, reference, share, metric)
    low, high = margin - NORMAL_95 * error, margin + NORMAL_95 * error
    answer: Answer = "holds" if low >= 0 else "fails" if high < 0 else "undecidable"
    low, high = bounded(low, high, share, base)
    needs = needed(evaluation.groups, NORMAL_95 * error, margin) if answer == "undecidable" else None
    return Verdict(
        answer, metric, value, base, share, low, high, evaluation.groups, "photographs", needs,
        "paired bootstrap", "pass a larger set with --cell-coco DIR",
    )  # fmt: skip


def _standard_error(evaluation: Evaluation, reference: Evaluation, share: float, metric: str) -> float:
    if evaluation.groups < 2:
        return math.inf
    drawn = evaluation.resamples[metric] - share * reference.resamples[metric]
    return spread(drawn)

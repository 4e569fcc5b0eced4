"""Is a compressed model's AP at least a share of the full model's? A paired answer that may be "undecidable"."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from benchgate.core import DataError
from benchgate.tasks.detection.scoring import Evaluation, spread

Z = 1.96


@dataclass(frozen=True)
class Verdict:
    """`answer` is "holds", "fails" or "undecidable"; `str(verdict)` is the whole sentence for an assertion's message.

    `margin` is AP minus the floor, with its 95 % interval; `needs` the number of images at which a margin of this
    size would show, None where it shows already.
    """

    answer: Literal["holds", "fails", "undecidable"]
    metric: str
    value: float
    reference: float
    share: float
    low: float
    high: float
    images: int
    needs: int | None = None

    @property
    def margin(self) -> float:
        return self.value - self.share * self.reference

    def __str__(self) -> str:
        text = (
            f"{self.metric} {self.value:.4f} >= {self.share:g} x {self.reference:.4f} {self.answer}: "
            f"margin {self.margin:+.4f} [{self.low:+.4f}, {self.high:+.4f}] (95 %, paired bootstrap)"
        )
        if self.answer != "undecidable":
            return f"{text} at {self.images} images"
        needs = "more than can be told" if self.needs is None else f"about {self.needs}"
        return f"{text} at {self.images} images, needs {needs}; pass a larger set with --coco DIR"


def floor(evaluation: Evaluation, reference: Evaluation, share: float, metric: str = "ap") -> Verdict:
    """Whether `metric` of `evaluation` is at least `share` of that of `reference`, both on the same images.

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
    low, high = margin - Z * error, margin + Z * error
    needs = None
    answer: Literal["holds", "fails", "undecidable"]
    if low >= 0:
        answer = "holds"
    elif high < 0:
        answer = "fails"
    else:
        answer = "undecidable"
        needs = _needed(evaluation.groups, Z * error, margin)
    return Verdict(answer, metric, value, base, share, low, high, evaluation.groups, needs)


def _standard_error(evaluation: Evaluation, reference: Evaluation, share: float, metric: str) -> float:
    if evaluation.groups < 2:
        return math.inf
    drawn = evaluation.resamples[metric] - share * reference.resamples[metric]
    return spread(drawn)


def _needed(images: int, half_width: float, margin: float) -> int | None:
    """Images at which the interval, shrinking by the square root of n, no longer holds 0."""
    if margin == 0 or not math.isfinite(half_width):
        return None
    return math.ceil(images * (half_width / margin) ** 2)

"""The loss against a reference: paired hits, paired log losses, independent intervals; how many more would decide."""

from __future__ import annotations

import math
import statistics
from dataclasses import replace

import pytest

from benchgate.core import DataError
from benchgate.core.metrics import metric
from benchgate.report.dominance import Reading
from benchgate.report.losses import loss, more_needed
from benchgate.results import Record
from tests.builders import a_record

DATA = {"threads": 4, "data": {"name": "cloze", "n": 100, "sha256": "a" * 64}}
NONE = Reading.exact(1.0, "higher")


def scored(name: str, value: float, examples: list[float], data: dict = DATA) -> Record:
    found = metric(name, value, n=len(examples), examples=tuple(examples))
    return replace(a_record(details=data), metrics={name: found})


def hits(right: int, n: int = 100) -> list[float]:
    return [1.0] * right + [0.0] * (n - right)


def test_equal_hits_lose_nothing_and_few_of_them_prove_little():
    same = scored("top1", 0.4, hits(40))
    found = loss(same, same, "top1", NONE, NONE)
    assert found.value == 0
    assert found.low < -0.05
    assert found.high > 0.05
    assert more_needed(found, 0.01) > 1000
    # of a loss that may be nothing at all no number can be told
    assert more_needed(found, 0.0) is None


def test_lost_hits_are_a_share_of_those_of_the_reference():
    found = loss(scored("top1", 0.4, hits(40)), scored("top1", 0.3, hits(30)), "top1", NONE, NONE)
    assert found.value == pytest.approx(0.25)
    assert 0.1 < found.low < 0.25 < found.high < 0.5


def test_the_loss_of_a_perplexity_is_that_of_its_log_losses():
    before = [1.0, 2.0, 3.0, 4.0] * 10
    after = [loss_ + 0.1 for loss_ in before]
    found = loss(
        scored("perplexity", math.exp(2.5), before),
        scored("perplexity", math.exp(2.6), after),
        "perplexity",
        NONE,
        NONE,
    )
    assert (found.value, found.low) == (pytest.approx(math.expm1(0.1)), pytest.approx(math.expm1(0.1)))


def drawn(value: float, resamples: list[float], data: dict = DATA) -> Record:
    found = metric("ap", value, n=100, low=value - 0.05, high=value + 0.05, resamples=tuple(resamples))
    return replace(a_record(details=data), metrics={"ap": found})


SAMPLES = [0.18, 0.20, 0.22, 0.19, 0.21]


def test_values_on_the_same_samples_make_a_paired_loss():
    """An average precision is no mean of single results; its own interval is ten times wider than that of its loss."""
    after = [0.9 * value + 0.001 * (i % 2) for i, value in enumerate(SAMPLES)]
    found = loss(drawn(0.2, SAMPLES), drawn(0.18, after), "ap", NONE, NONE)
    losses = [1 - b / a for a, b in zip(SAMPLES, after, strict=True)]
    half = 1.96 * statistics.stdev(losses)
    assert (found.value, found.low, found.high) == pytest.approx((0.1, 0.1 - half, 0.1 + half))
    assert found.high - found.low < 0.02
    assert (found.better, found.n) == ("lower", 100)


def test_equal_values_on_the_same_samples_lose_nothing():
    same = drawn(0.2, SAMPLES)
    assert loss(same, same, "ap", NONE, NONE) == Reading(0.0, 0.0, 0.0, "lower", 100)


def test_other_samples_are_not_paired():
    other = {"threads": 4, "data": {"name": "cloze", "n": 100, "sha256": "b" * 64}}
    with pytest.raises(DataError, match="scored on different data"):
        loss(drawn(0.2, SAMPLES), drawn(0.2, SAMPLES, other), "ap", NONE, NONE)
    ours = Reading(0.18, 0.13, 0.23, "higher", 100)
    fewer = loss(drawn(0.2, SAMPLES), drawn(0.18, SAMPLES[:3]), "ap", ours, Reading(0.2, 0.15, 0.25, "higher", 100))
    assert fewer.high - fewer.low > 0.3
    with pytest.raises(DataError, match="a share of it cannot be told"):
        loss(drawn(0.2, [0.0, *SAMPLES[1:]]), drawn(0.2, SAMPLES), "ap", NONE, NONE)


def test_without_single_results_both_intervals_count():
    ours, theirs = Reading(0.30, 0.28, 0.32, "higher"), Reading(0.40, 0.38, 0.42, "higher")
    found = loss(a_record({"ap": 0.4}), a_record({"ap": 0.3}), "ap", ours, theirs)
    assert found.value == pytest.approx(0.25)
    assert found.low < 0.25 - 0.04
    assert found.high > 0.25 + 0.04


def test_other_data_and_nothing_to_lose_are_said():
    other = {"threads": 4, "data": {"name": "cloze", "n": 100, "sha256": "b" * 64}}
    with pytest.raises(DataError, match="different data"):
        loss(scored("top1", 0.4, hits(40)), scored("top1", 0.4, hits(40), other), "top1", NONE, NONE)
    with pytest.raises(DataError, match="nothing to lose"):
        loss(scored("top1", 0.0, hits(0)), scored("top1", 0.4, hits(40)), "top1", NONE, NONE)
    zero = Reading.exact(0.0, "higher")
    with pytest.raises(DataError, match="cannot be told"):
        loss(a_record({"ap": 0.0}), a_record({"ap": 0.0}), "ap", zero, zero)


def test_rounds_that_would_decide_grow_with_the_square():
    figure = Reading(1.0, 0.8, 1.2, "lower", 10)
    assert more_needed(figure, 1.1) == 30
    assert more_needed(figure, 0.9) == 30
    assert more_needed(figure, 1.0) is None

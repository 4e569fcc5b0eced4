"""Paired comparisons: exact binomial tails, closed forms, and power that simulation confirms."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchgate.core import DataError
from benchgate.paired import bootstrap_difference, judge, mcnemar, samples_needed


def hits(both, lost, gained, neither):
    before = [True] * (both + lost) + [False] * (gained + neither)
    after = [True] * both + [False] * lost + [True] * gained + [False] * neither
    return before, after


@pytest.mark.parametrize(
    ("lost", "gained", "p_value"),
    [(0, 0, 1.0), (5, 0, 0.0625), (6, 0, 0.03125), (1, 1, 1.0), (8, 2, 0.109375), (121, 59, 4.435e-6)],
)
def test_exact_p_values(lost, gained, p_value):
    """Twice the binomial tail of the discordant pairs, 1 at most."""
    test = mcnemar(*hits(50, lost, gained, 40))
    assert test.p_value == pytest.approx(p_value, rel=2e-3)
    assert (test.lost, test.gained, test.n) == (lost, gained, 90 + lost + gained)
    assert test.difference == pytest.approx((gained - lost) / test.n)


@given(st.integers(0, 30), st.integers(0, 30))
def test_the_test_is_symmetric(lost, gained):
    forth, back = mcnemar(*hits(3, lost, gained, 2)), mcnemar(*hits(3, gained, lost, 2))
    assert forth.p_value == pytest.approx(back.p_value)
    assert forth.difference == -back.difference


def test_the_bootstrap_holds_the_mean_and_is_seeded():
    generator = np.random.default_rng(0)
    before = generator.normal(3, 1, 400)
    after = before + generator.normal(0.1, 0.2, 400)
    first = bootstrap_difference(before.tolist(), after.tolist())
    assert first == bootstrap_difference(before.tolist(), after.tolist())
    assert first.low < first.value < first.high
    # Nearly the t interval: the mean of 400 is normal.
    half = 1.96 * float(np.std(after - before)) / 20
    assert (first.low, first.high) == pytest.approx((first.value - half, first.value + half), abs=0.15 * half)


def test_differences_that_are_all_equal_have_no_spread():
    assert bootstrap_difference([1.0, 2.0, 3.0], [2.0, 3.0, 4.0]).low == 1.0
    assert bootstrap_difference([1.0], [2.0]).low is None


@pytest.mark.parametrize(("loss", "discordant", "n"), [(0.2, 0.4, 77), (0.1, 0.2, 155), (0.02, 0.1, 1960)])
def test_samples_needed(loss, discordant, n):
    assert samples_needed(loss, discordant) == pytest.approx(n, rel=0.02)


def test_as_many_samples_as_needed_find_the_loss_as_often_as_said():
    """Simulated at 80 % power; the exact test is a little more cautious than the formula's approximation."""
    loss, discordant = 0.05, 0.15
    n = samples_needed(loss, discordant)
    generator = np.random.default_rng(4)
    lost, gained = (discordant + loss) / 2, (discordant - loss) / 2
    found = 0
    for _ in range(400):
        both, a, b, neither = generator.multinomial(n, [0.4, lost, gained, 0.6 - discordant])
        found += mcnemar(*hits(both, a, b, neither)).p_value < 0.05
    assert 0.70 <= found / 400 <= 0.88


def test_a_loss_that_so_few_passages_cannot_show_is_called_undecidable():
    verdict = judge(*hits(76, 4, 3, 117))
    assert not verdict.decidable
    text = str(verdict)
    assert "a 1 % relative loss is undecidable at n=200; needs n=" in text
    assert f"--samples {verdict.needed}" in text
    assert "-0.50 points (4 lost, 3 gained of 200" in text


def test_a_loss_in_reach_is_decided():
    verdict = judge(*hits(300, 80, 5, 115), relative_loss=0.2)
    assert verdict.decidable
    assert verdict.test.p_value < 1e-6
    assert "undecidable" not in str(verdict)
    assert verdict.interval.high < 0


def test_models_that_never_differ_still_need_enough_passages():
    assert not judge(*hits(80, 0, 0, 120)).decidable
    assert judge(*hits(80_000, 0, 0, 120_000)).decidable


@pytest.mark.parametrize(
    "call",
    [
        lambda: mcnemar([True], [True, False]),
        lambda: mcnemar([], []),
        lambda: bootstrap_difference([1.0], []),
        lambda: bootstrap_difference([1.0, float("nan")], [1.0, 2.0]),
        lambda: samples_needed(0.0, 0.5),
        lambda: samples_needed(0.3, 0.2),
        lambda: judge([False, False], [True, False]),
        lambda: judge([True, False], [True, False], relative_loss=0.0),
    ],
)
def test_what_cannot_be_compared(call):
    with pytest.raises(DataError):
        call()

"""Paired comparisons: exact binomial tails, closed forms, and power that simulation confirms."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchgate.core import DataError, Metric
from benchgate.gate.paired import (
    bootstrap_difference,
    floor,
    judge,
    mcnemar,
    ratio_interval,
    ratio_score,
    samples_needed,
)
from benchgate.results import parse_record
from tests.builders import a_record


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


def likeliest(n, both, lost, gained, ratio):
    """The probabilities of (both, lost, gained, neither) under the hypothesis, by brute force."""
    from scipy.optimize import minimize_scalar

    counts = np.array([both, lost, gained, n - both - lost - gained])

    def given_lost(q):
        share = (n - counts[3]) / n
        p = np.array([(share - (1 + ratio) * q) / ratio, q, 0, 1 - share])
        p[2] = share - p[0] - q
        return p

    def surprise(q):
        p = given_lost(q)
        return np.inf if (p < -1e-15).any() else -(counts * np.log(p.clip(1e-300))).sum()

    share = (both + lost + gained) / n
    bounds = (max(0.0, (1 - ratio) * share), share / (1 + ratio))
    return given_lost(minimize_scalar(surprise, bounds=bounds, method="bounded", options={"xatol": 1e-13}).x)


@pytest.mark.parametrize("ratio", [0.9, 0.99, 1.0, 1.1])
@pytest.mark.parametrize(("both", "lost", "gained"), [(30, 5, 3), (50, 1, 9), (3, 2, 2), (40, 12, 1), (36, 0, 4)])
def test_the_score_statistic_against_the_likelihood_maximized_by_brute_force(both, lost, gained, ratio):
    n = 100
    p11, p01, p10, _ = likeliest(n, both, lost, gained, ratio)
    variance = n * (p10 + ratio**2 * p01 + (1 - ratio) ** 2 * p11)
    expected = ((both + gained) - ratio * (both + lost)) / np.sqrt(variance)
    found = ratio_score(mcnemar(*hits(both, lost, gained, n - both - lost - gained)), ratio)
    assert found == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_at_ratio_one_the_score_is_mcnemars_own():
    assert ratio_score(mcnemar(*hits(30, 9, 4, 57)), 1.0) == pytest.approx((4 - 9) / np.sqrt(13))


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 40))
def test_the_interval_holds_the_ratio_and_turns_round(both, lost, gained):
    if not (both + lost and both + gained):
        return
    low, high = ratio_interval(mcnemar(*hits(both, lost, gained, 7)))
    assert low <= (both + gained) / (both + lost) <= high
    swapped = ratio_interval(mcnemar(*hits(both, gained, lost, 7)))
    assert swapped == (pytest.approx(1 / high, rel=1e-6), pytest.approx(1 / low, rel=1e-6) if low else np.inf)


@pytest.mark.parametrize(("share", "lost", "gained"), [(0.9, 0.08, 0.04), (0.99, 0.05, 0.046)])
def test_at_the_floor_itself_either_answer_is_wrong_as_seldom_as_said(share, lost, gained):
    """Accuracy before 0.4, after exactly share x 0.4: each of "holds" and "fails" in about 2.5 % of the draws."""
    assert 0.4 - lost + gained == pytest.approx(share * 0.4)
    generator = np.random.default_rng(5)
    answers = Counter(
        judge(*hits(*generator.multinomial(500, [0.4 - lost, lost, gained, 0.6 - gained])), share).answer
        for _ in range(600)
    )
    assert answers["holds"] <= 27
    assert answers["fails"] <= 27
    assert answers["undecidable"] >= 540


def test_a_loss_that_so_few_passages_cannot_show_is_called_undecidable():
    verdict = judge(*hits(76, 4, 3, 117), 0.99)
    assert verdict.answer == "undecidable"
    assert verdict.needs > 200
    text = str(verdict)
    assert "top1 0.3950 >= 0.99 x 0.4000 undecidable at n=200 passages: margin -0.0010 [" in text
    assert "4 lost, 3 gained of 200, exact McNemar p=1" in text
    assert f"needs about n={verdict.needs}: score more of them" in text


@pytest.mark.parametrize(
    ("table", "share", "answer"),
    [((300, 80, 5, 115), 0.9, "fails"), ((380, 2, 2, 116), 0.9, "holds"), ((80, 60, 5, 55), 0.6, "undecidable")],
)
def test_floors_in_reach_are_decided(table, share, answer):
    verdict = judge(*hits(*table), share)
    assert verdict.answer == answer, str(verdict)
    assert verdict.low < verdict.margin < verdict.high
    assert (verdict.answer == "holds") == (verdict.low >= 0)
    assert ("needs" in str(verdict)) == (answer == "undecidable")


def test_too_close_to_the_floor_no_number_of_passages_is_promised():
    verdict = judge(*hits(80, 60, 5, 55), 0.6)
    assert (verdict.answer, verdict.needs) == ("undecidable", None)
    assert "needs more than can be told: the loss is about as large as what is allowed" in str(verdict)


def test_models_that_never_differ_still_need_enough_passages():
    assert judge(*hits(80, 0, 0, 120), 0.99).answer == "undecidable"
    assert judge(*hits(80_000, 0, 0, 120_000), 0.99).answer == "holds"


def test_a_model_that_lost_everything_fails():
    assert judge(*hits(0, 40, 0, 60), 0.9).answer == "fails"


# Records


def scored(values, name="top1", data=None):
    value = Metric(sum(values) / len(values), "1", "higher", len(values), examples=tuple(map(float, values)))
    details = {"data": data or {"sha256": "ab", "n": len(values), "batch": 8}}
    return replace(a_record(details=details), metrics={name: value})


def test_a_floor_of_two_records_also_from_a_file():
    before, after = hits(300, 80, 5, 115)
    reference, record = scored(before), scored(after, data={"sha256": "ab", "n": 500, "batch": 1})
    again = [parse_record(json.loads(json.dumps(r.as_dict())), "x") for r in (record, reference)]
    assert floor(*again, 0.9, "top1") == floor(record, reference, 0.9, "top1") == judge(before, after, 0.9)


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (scored([1, 0], data={"sha256": "cd", "n": 2}), "scored on different data"),
        (scored([1, 0], name="top5"), "no single results of top1"),
        (a_record({"top1": 0.5}), "no single results of top1"),
    ],
)
def test_records_that_cannot_be_paired(other, said):
    with pytest.raises(DataError, match=said):
        floor(scored([1, 1]), other, 0.9, "top1")


@pytest.mark.parametrize(
    "call",
    [
        lambda: mcnemar([True], [True, False]),
        lambda: mcnemar([], []),
        lambda: bootstrap_difference([1.0], []),
        lambda: bootstrap_difference([1.0, float("nan")], [1.0, 2.0]),
        lambda: samples_needed(0.0, 0.5),
        lambda: samples_needed(0.3, 0.2),
        lambda: mcnemar([0.5, 1.0], [1.0, 1.0]),
        lambda: judge([False, False], [True, False], 0.9),
        lambda: judge([True, False], [True, False], 0.0),
        lambda: judge([True, False], [True, False], 1.0),
    ],
)
def test_what_cannot_be_compared(call):
    with pytest.raises(DataError):
        call()


@pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
def test_a_margins_interval_ends_where_an_accuracy_can(share):
    """A value of 1 is the most: on few examples the interval of the ratio goes beyond it."""
    verdict = judge([1.0] * 9 + [0.0], [1.0] * 10, share)
    assert verdict.high <= 1 - share * verdict.reference + 1e-12
    assert verdict.low >= -share * verdict.reference
    assert verdict.low <= verdict.margin <= verdict.high


@pytest.mark.parametrize(("lost", "gained"), [(0, 1), (3, 3), (1, 9), (950, 1050), (9_900, 10_100), (0, 40)])
def test_mcnemars_p_is_that_of_scipys_exact_test(lost, gained):
    """Also of thousands, where whole numbers of thousands of digits would take minutes."""
    from scipy.stats import binomtest

    before = [1.0] * lost + [0.0] * gained
    found = mcnemar(before, [1 - hit for hit in before])
    assert found.p_value == pytest.approx(float(binomtest(lost, lost + gained, 0.5).pvalue), rel=1e-9)

"""Intervals and percentiles against published values and against simulation."""

from __future__ import annotations

import math
import statistics
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchgate.core import stats

numbers = st.floats(-1e6, 1e6)


# P90 to P99 as MLPerf's rule gives them; P50 by hand: P(Bin(n, 1/2) >= n - 1) = (n + 1) / 2^n <= 1 % first at n = 11.
@pytest.mark.parametrize(("q", "needed"), [(0.50, 11), (0.90, 64), (0.95, 130), (0.99, 662)])
def test_samples_needed_is_the_published_number(q, needed):
    assert stats.samples_needed(q) == needed


@pytest.mark.parametrize("q", [0.50, 0.90, 0.95, 0.99])
def test_a_percentile_needs_its_samples_and_one_less_is_refused_with_both_numbers(q):
    needed = stats.samples_needed(q)
    assert stats.percentile(range(needed), q).n == needed
    with pytest.raises(stats.TooFewSamples, match=rf"n={needed - 1}: .* P{q * 100:g} needs n >= {needed}"):
        stats.percentile(range(needed - 1), q)


@pytest.mark.parametrize(("q", "n", "rank"), [(0.5, 100, 50), (0.9, 100, 90), (0.95, 140, 133), (0.99, 700, 693)])
def test_percentile_is_the_nearest_rank_whatever_the_order(q, n, rank):
    shuffled = np.random.default_rng(1).permutation(np.arange(1, n + 1)).tolist()
    assert stats.percentile(shuffled, q).value == rank


@pytest.mark.parametrize(
    ("q", "n", "low", "high"),
    # Exact binomial sums. Bin(100, 1/2): P(<= 39) = 0.0176, P(<= 40) = 0.0284; P(<= 59) = 0.9716, P(<= 60) = 0.9824.
    # Bin(64, 0.9): P(<= 52) = 0.0236, P(<= 53) = 0.0516; P(<= 61) = 0.9610, P(<= 62) = 0.9904.
    [(0.5, 100, 40, 61), (0.9, 64, 53, 63)],
)
def test_percentile_bounds_are_the_tabulated_order_statistics(q, n, low, high):
    estimate = stats.percentile(range(1, n + 1), q)
    assert (estimate.low, estimate.high) == (low, high)


@pytest.mark.parametrize(("q", "n"), [(0.5, 20), (0.9, 64), (0.9, 300), (0.95, 130), (0.99, 662)])
def test_each_end_of_a_percentiles_interval_holds_in_at_least_97_5_percent_of_simulated_runs(q, n):
    rng = np.random.default_rng(20240601)
    runs = 3000
    true = -math.log(1 - q)
    ordered = np.sort(rng.exponential(size=(runs, n)), axis=1)
    ranks = stats.percentile(range(n), q)
    # Three standard errors of a share of 2.5 % below what is promised.
    allowed = 0.975 - 3 * math.sqrt(0.025 * 0.975 / runs)
    assert (ordered[:, ranks.high] >= true).mean() >= allowed
    assert (ordered[:, ranks.low] <= true).mean() >= allowed


@given(st.lists(numbers, min_size=64, max_size=120))
def test_percentile_bounds_enclose_the_value_and_are_samples(samples):
    estimate = stats.percentile(samples, 0.9)
    assert estimate.low <= estimate.value <= estimate.high
    assert {estimate.low, estimate.value, estimate.high} <= set(samples)
    # At least one sample lies beyond the upper bound's rank.
    assert sorted(samples)[-1] >= estimate.high


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    # Newcombe 1998, table I (method 3, Wilson's score interval).
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_proportion_is_wilsons_interval_as_published(successes, n, low, high):
    share = stats.proportion(successes, n)
    assert share.value == successes / n
    assert (share.low, share.high) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_proportion_stays_within_zero_and_one_and_encloses_its_value(trial):
    share = stats.proportion(*trial)
    assert -1e-12 <= share.low <= share.value + 1e-12
    assert share.value - 1e-12 <= share.high <= 1 + 1e-12


@pytest.mark.parametrize("n", [0, -1])
def test_proportion_of_no_trials_is_refused(n):
    with pytest.raises(ValueError, match="at least one trial"):
        stats.proportion(0, n)


def test_mean_has_students_interval():
    # Student's t at 97.5 % with 9 degrees of freedom is 2.262; the deviation of 1..10 is 3.0277.
    estimate = stats.mean(range(1, 11))
    half = 2.262157 * 3.0276504 / math.sqrt(10)
    assert estimate.value == 5.5
    assert (estimate.low, estimate.high) == (pytest.approx(5.5 - half, abs=1e-5), pytest.approx(5.5 + half, abs=1e-5))


def test_mean_of_one_sample_has_no_interval():
    assert stats.mean([3.0]) == stats.Estimate(3.0, None, None, 1)


@given(st.lists(numbers, min_size=2, max_size=30))
def test_mean_lies_in_the_middle_of_its_interval(samples):
    estimate = stats.mean(samples)
    assert estimate.value == pytest.approx(statistics.fmean(samples))
    assert estimate.low <= estimate.value <= estimate.high


def test_mean_interval_holds_the_mean_in_95_percent_of_simulated_runs():
    rng = np.random.default_rng(7)
    estimates = [stats.mean(sample) for sample in rng.normal(10, 2, size=(1000, 8)).tolist()]
    hits = sum(e.low <= 10 <= e.high for e in estimates) / len(estimates)
    assert abs(hits - 0.95) < 3 * math.sqrt(0.05 * 0.95 / len(estimates))


@given(st.floats(0.001, 0.999), st.integers(1, 3000))
def test_quantiles_are_those_of_scipys_distributions(probability, df):
    from scipy.stats import chi2, norm, t

    assert stats.student_t(probability, df) == pytest.approx(float(t.ppf(probability, df)), rel=1e-6, abs=1e-6)
    assert stats.chi_square(probability, df) == pytest.approx(float(chi2.ppf(probability, df)), rel=1e-6)
    assert stats.normal(probability) == pytest.approx(float(norm.ppf(probability)), rel=1e-6, abs=1e-6)


@given(st.floats(0.001, 0.999), st.integers(0, 30_000))
def test_a_percentiles_ranks_are_those_of_scipys_binomial_distribution(q, more):
    from scipy.special import bdtr

    needed = stats.samples_needed(q)
    assert bdtr(needed - 2, needed, q) >= stats.TAIL_CONFIDENCE
    assert needed == 2 or bdtr(needed - 3, needed - 1, q) < stats.TAIL_CONFIDENCE
    n = needed + more
    cumulative = bdtr(range(n), n, q)
    found = stats.percentile(range(1, n + 1), q)
    assert found.high == int(cumulative.searchsorted(0.975)) + 1
    assert (found.low or 0) == int(cumulative.searchsorted(0.025, side="right"))


@pytest.mark.parametrize("df", [1001, 1500, 10_000, 10**6])
@pytest.mark.parametrize("probability", [0.001, 0.01, 0.5, 0.6, 0.975, 0.995, 0.9999])
def test_beyond_the_series_students_t_is_scipys_to_ten_digits(probability, df):
    from scipy.special import stdtrit

    assert stats.student_t(probability, df) == pytest.approx(float(stdtrit(df, probability)), rel=1e-10, abs=1e-10)


@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_proportion_is_scipys(trial):
    from scipy.stats import binomtest

    interval, share = binomtest(*trial).proportion_ci(stats.CONFIDENCE, method="wilson"), stats.proportion(*trial)
    assert (share.low, share.high) == pytest.approx((interval.low, interval.high), abs=1e-9)


def test_a_share_of_more_than_all_is_refused():
    with pytest.raises(ValueError, match=r"6 successes of 5 trials: 0 to 5"):
        stats.proportion(6, 5)


def test_a_measured_cell_needs_no_scipy():
    """Its statistics take half a second and 50 MB in each process."""
    told = "import sys; from benchgate.core import stats; stats.mean([1, 2]); stats.proportion(1, 2)\n"
    told += "stats.percentile(range(700), 0.99); sys.exit('scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", told], check=False).returncode == 0

"""Variance by level from pairs of equal sides: known spreads are found again, with intervals that hold them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchgate.core import DataError
from benchgate.gate.side_by_side.calibration import (
    LEAST_SD,
    clipped_sd,
    noise_of,
    pair_level,
    with_interval,
    zygote_level,
)
from benchgate.gate.side_by_side.simulation import Spread, simulate


def groups(pair_sd, zygote_sd, zygotes, pairs, seed):
    rng = np.random.default_rng(seed)
    return [list(rng.normal(rng.normal(0, zygote_sd), pair_sd, pairs)) for _ in range(zygotes)]


@pytest.mark.parametrize(("pair_sd", "zygote_sd"), [(0.012, 0.0), (0.012, 0.008), (0.03, 0.01)])
def test_known_spreads_are_found_again(pair_sd, zygote_sd):
    found = [groups(pair_sd, zygote_sd, 300, 4, seed) for seed in range(3)]
    assert np.mean([pair_level(g).sd for g in found]) == pytest.approx(pair_sd, rel=0.05)
    assert np.mean([zygote_level(g).sd for g in found]) == pytest.approx(zygote_sd, abs=0.0025)


def test_the_interval_of_a_spread_holds_it_in_95_of_100_cases():
    held = [level.low <= 0.02 <= level.high for level in (pair_level(groups(0.02, 0, 8, 4, s)) for s in range(400))]
    assert 0.90 <= np.mean(held) <= 0.99


def test_the_bound_of_the_zygotes_spread_is_above_it_in_most_cases():
    above = [zygote_level(groups(0.012, 0.01, 12, 4, seed)).high >= 0.01 for seed in range(300)]
    assert np.mean(above) >= 0.90


def test_one_pair_a_zygote_counts_all_spread_as_the_pairs():
    shifts = [[x] for x in np.random.default_rng(0).normal(0, 0.02, 500)]
    assert pair_level(shifts).sd == pytest.approx(0.02, rel=0.05)
    assert (zygote_level(shifts).sd, zygote_level(shifts).high) == (0.0, math.inf)


def test_an_outlier_does_not_make_the_rule_blind():
    shifts = [*np.random.default_rng(0).normal(0, 0.02, 19), -0.56]
    assert clipped_sd(shifts) < 0.035 < float(np.std(shifts))


def test_the_interval_is_the_chi_squares():
    """At 10 degrees of freedom: 10 / 20.483 and 10 / 3.247 of the variance."""
    found = with_interval(0.02, 10)
    assert found.low == pytest.approx(0.02 * math.sqrt(10 / 20.4832), rel=1e-4)
    assert found.high == pytest.approx(0.02 * math.sqrt(10 / 3.24697), rel=1e-4)
    assert str(found).startswith("2.00% (95 %: 1.40% to 3.51%, n=10)")


@pytest.mark.parametrize("shifts", [[], [[math.nan]], [[math.inf, 0.1]]])
def test_no_noise_comes_from_nothing_or_from_what_is_no_number(shifts):
    with pytest.raises(DataError, match="calibrate again"):
        noise_of(shifts)


@given(st.lists(st.lists(st.floats(-0.5, 0.5), min_size=1, max_size=5), min_size=1, max_size=8))
def test_swapped_sides_have_the_same_noise_and_it_is_never_nothing(found):
    noise, mirrored = noise_of(found), noise_of([[-x for x in group] for group in found])
    assert (noise.pair_sd, noise.zygote_sd) == pytest.approx((mirrored.pair_sd, mirrored.zygote_sd))
    assert noise.pair_sd >= LEAST_SD


def test_zygotes_that_show_no_spread_by_chance_are_not_believed():
    """Over many calibrations of the default size, what is 3 % slower is rarely called the same."""
    same, trials = 0, 300
    for seed in range(40):
        noise = noise_of(groups(0.012, 0.0055, 6, 4, seed))
        assert noise.zygote_sd >= 0.5 * noise.pair_sd
        same += simulate(Spread(0.012, 0.0055), 0.03, noise=noise, trials=trials, seed=seed).same
    assert same / (40 * trials) < 0.008

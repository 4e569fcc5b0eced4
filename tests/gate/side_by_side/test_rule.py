"""The rule: its numbers at one look by hand, its properties, and its error rates by simulation (seeded)."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t

from benchgate.core import DataError
from benchgate.gate.side_by_side.rule import (
    FASTER,
    OPEN,
    SAME,
    SLOWER,
    Noise,
    Rule,
    centre,
    look,
    one_test,
    pairs_needed,
    t_of,
)

QUIET = Noise(0.012, 0.0)
BOTH = Rule(both_sides=True)
MIRROR = {OPEN: OPEN, SAME: SAME, SLOWER: FASTER, FASTER: SLOWER}
shifts = st.lists(st.floats(-0.2, 0.2), min_size=3, max_size=15)
noises = st.builds(Noise, st.floats(0.002, 0.08), st.floats(0, 0.02))


def test_the_centre_of_three_by_hand():
    """Walsh averages of 0, 1, 5: 0, .5, 2.5, 1, 3, 5; their median is 1.75."""
    found = centre([0.0, 0.01, 0.05], 1, Noise(0.04, 0.01))
    assert found.shift == pytest.approx(0.0175)
    # The variance seen is below the calibrated one, which then holds.
    assert found.se == pytest.approx(math.sqrt(1.06 * 0.04**2 / 3 + 0.01**2))
    assert found.df == 14


def test_a_variance_above_twice_the_calibrated_counts_alone():
    calm, wild = centre([0.0, 0.012, 0.024], 1, QUIET), centre([0.0, 0.0175, 0.035], 1, QUIET)
    assert (calm.df, wild.df) == (14, 2)
    assert calm.sd == pytest.approx(0.012)
    assert wild.sd == pytest.approx(0.0175)


def test_zygotes_own_spread_is_not_averaged_out_by_pairs():
    few, many = (centre([0.0] * n, 1, Noise(0.01, 0.008)).se for n in (4, 1000))
    assert many >= 0.008
    assert centre([0.0] * 4, 2, Noise(0.01, 0.008)).se < few


@pytest.mark.parametrize("df", [2, 14, 26])
def test_t_is_students(df):
    assert t_of(0.01, np.array([df, df])) == pytest.approx(np.full(2, t.isf(0.01, df)))


@given(shifts, noises)
def test_swapped_sides_mirror_the_answer(values, noise):
    n = len(values)
    there, back = (int(look(np.array(values) * sign, -(-n // 4), BOTH, noise)) for sign in (1, -1))
    assert MIRROR[there] == back
    one_sided = int(look(np.array(values), 1, Rule(), noise))
    mirrored = int(look(-np.array(values), 1, Rule(), noise))
    assert (one_sided == SLOWER) == (mirrored == FASTER)


@given(shifts, noises, st.floats(1.0, 20.0))
def test_more_noise_never_turns_open_into_an_answer(values, noise, factor):
    """Pairs that scatter more around the same centre."""
    array = np.array(values)
    middle = float(centre(array, 1, noise).shift)
    wider = middle + factor * (array - middle)
    if look(array, 1, BOTH, noise) == OPEN:
        assert look(wider, 1, BOTH, noise) == OPEN
    same = look(array, 1, Rule(), noise) == SAME
    if not same:
        assert look(wider, 1, Rule(), noise) != SAME


@given(shifts, noises, st.floats(0.0, 0.2))
def test_a_slower_candidate_is_never_seen_as_faster(values, noise, added):
    order = {FASTER: 0, SAME: 1, OPEN: 2, SLOWER: 3}
    codes = [int(look(np.array(values) + shift, 1, Rule(), noise)) for shift in (0.0, added)]
    assert order[codes[0]] <= order[codes[1]]


def test_one_trial_and_many_go_through_the_same_code():
    rng = np.random.default_rng(5)
    trials = rng.normal(0.02, 0.012, (50, 15))
    groups = np.arange(15) // 4
    codes, used = one_test(trials, groups, Rule(), QUIET)
    assert set(codes) >= {SAME, SLOWER}
    for trial, code, pairs in zip(trials, codes, used, strict=True):
        alone = one_test(trial, groups, Rule(), QUIET)
        assert (int(alone[0]), int(alone[1])) == (code, pairs)


def test_no_look_is_taken_before_its_pairs_are_there():
    assert [int(x) for x in one_test([0.5, 0.5], [0, 0], Rule(), QUIET)] == [OPEN, 0]
    assert [int(x) for x in one_test([0.5] * 3, [0] * 3, Rule(), QUIET)] == [SLOWER, 3]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"margin": 0.03}, "margin 0.03"),
        ({"margin": -0.01}, "margin -0.01"),
        ({"looks": ()}, "looks"),
        ({"looks": (4, 3)}, "looks"),
        ({"looks": (1, 3)}, "looks"),
        ({"a_zygote": 0}, "a_zygote 0"),
        ({"same_alpha": 0.5}, "0.5"),
    ],
)
def test_a_rule_that_cannot_be_is_refused(fields, said):
    with pytest.raises(DataError, match=said):
        Rule(**fields)


@pytest.mark.parametrize("fields", [(0.0, 0.0, 12), (0.01, -0.1, 12), (0.01, 0.0, 0), (math.nan, 0.0, 12)])
def test_a_noise_that_cannot_be_is_refused(fields):
    with pytest.raises(DataError, match="benchgate calibrate"):
        Noise(*fields)


def test_a_projects_tolerance_is_the_margin():
    found = Rule().for_tolerance(0.05)
    assert (found.margin, found.excluded) == (0.05, pytest.approx(0.07))


def test_the_pairs_that_would_decide():
    """The first number of pairs at which a look would decide, all shifts being at the centre that was found."""
    noise = Noise(0.025, 0.004)
    found = pairs_needed(centre([0.0] * 4, 1, noise), Rule(), noise)
    decided = [n for n in range(3, 30) if look([0.0] * n, -(-n // 4), Rule(), noise) != OPEN]
    assert found == decided[0] > 3


def test_no_number_of_pairs_decides_on_the_edge():
    noise = Noise(0.1, 0.02)
    assert pairs_needed(centre([math.log1p(0.02)] * 15, 4, noise), Rule(), noise) is None

"""The search for a limit, over trials that are functions."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchgate.measuring.limit_search import Outcome, Plan, fit, search

BUDGET = {"memory": 1000.0}


def linear(base, slope, budget=BUDGET["memory"], seen=None):
    """A cell whose need is a line; beyond the budget it ends before its need is known, as out of memory does."""

    def trial(value):
        if seen is not None:
            seen.append(value)
        need = base + slope * value
        return Outcome(True, {"memory": need}) if need <= budget else Outcome(False)

    return trial


@given(st.integers(1, 100_000), st.integers(1, 10))
def test_any_monotone_limit_is_bracketed_by_trials_that_were_made(limit, slope):
    seen = []
    budget = 50.0 + slope * limit
    found = search(linear(50.0, slope, budget, seen), {"memory": budget}, Plan(trials=40))
    assert found.settled
    assert found.largest <= limit < found.above
    assert found.above - found.largest <= Plan().step(found.largest)
    assert len(seen) <= 40
    assert sorted(seen) == sorted([*found.trials, *found.again])
    assert found.largest in seen


@given(st.integers(1, 5_000))
def test_a_line_is_found_within_ten_trials_and_foretold(limit):
    budget = 100.0 + limit
    found = search(linear(100.0, 1.0, budget), {"memory": budget}, Plan())
    assert len(found.trials) <= 10
    assert found.settled
    if found.forecast is not None and found.forecast.line.points > 1:
        assert found.forecast.value == pytest.approx(limit, abs=1)


@given(st.integers(1, 3_000))
def test_a_need_that_bends_still_ends_with_the_true_limit_between(limit):
    def trial(value):
        fits = value <= limit
        return Outcome(fits, {"memory": 10.0 + math.sqrt(value)} if fits else {})

    found = search(trial, {"memory": 10.0 + math.sqrt(limit)}, Plan(trials=40))
    assert found.largest <= limit < found.above


def test_both_sides_of_a_ceiling_are_tried_again_and_one_that_ends_otherwise_is_unsure():
    seen = []

    def trial(value):
        seen.append(value)
        scatters = value == 64 and seen.count(64) == 1
        fits = value <= 80 and not scatters
        return Outcome(True, {"memory": 10.0 * value}) if fits else Outcome(False)

    found = search(trial, {"memory": 640.0}, Plan(resolution=0.0, trials=20))
    assert found.again.keys() == {found.largest, found.above}
    assert found.unsure == (64,)
    assert search(linear(0.0, 1.0), BUDGET, Plan()).unsure == ()


def test_a_ceiling_is_tried_again_only_with_trials_that_are_left():
    seen = []
    found = search(linear(100.0, 1.0, seen=seen), BUDGET, Plan(trials=9))
    assert len(seen) <= 9
    assert len(found.again) == len(seen) - len(found.trials)


def test_no_more_trials_than_are_allowed_and_it_is_said_that_they_did_not_settle_it():
    seen = []
    found = search(linear(0.0, 1.0, 1e6, seen), {"memory": 1e6}, Plan(trials=3))
    assert len(seen) == 3
    assert not found.settled


def test_where_nothing_fits_the_lowest_was_tried():
    found = search(linear(2000.0, 1.0), BUDGET, Plan(start=8))
    assert found.largest is None
    assert list(found.trials) == [8, 1]


def test_a_cell_that_says_by_how_much_it_is_too_large_ends_at_its_own_end():
    def trial(value):
        return Outcome(True, {"memory": 1.0 * value}) if value <= 77 else Outcome(False, {}, excess=value - 77)

    found = search(trial, {"memory": 1e9}, Plan())
    assert (found.largest, found.above) == (77, 78)


def test_a_need_that_falls_is_told():
    needs = {1: 100.0, 4: 200.0, 16: 120.0, 64: 2000.0}

    def trial(value):
        need = needs.get(value, 10.0 * value)
        return Outcome(need <= 1000, {"memory": need})

    assert ("memory", 4, 16) in [
        (fall.resource, fall.lower, fall.higher) for fall in search(trial, BUDGET, Plan()).falls
    ]


def test_needs_that_scatter_at_small_values_are_not_relied_on():
    """What loading leaves hides a line's slope until values are large."""
    needs = {1: 1050.0, 4: 1070.0, 16: 1060.0, 64: 1768.0}

    def trial(value):
        need = needs.get(value, 1000.0 + 12.0 * value)
        return Outcome(True, {"memory": need}) if need <= 2048 else Outcome(False)

    found = search(trial, {"memory": 2048.0}, Plan())
    assert (found.largest, found.above) == (87, 88)
    assert found.forecast.line.points == 4
    assert found.forecast.value == pytest.approx(87, rel=0.15)


def test_the_resource_that_ends_first_is_foretold():
    def trial(value):
        needs = {"memory": 10.0 * value, "latency": 0.1 * value}
        return Outcome(needs["latency"] <= 1.0, needs)

    found = search(trial, {"memory": 1000.0, "latency": 1.0}, Plan())
    assert (found.largest, found.forecast.resource, found.forecast.value) == (10, "latency", 10)


def test_a_line_through_points_is_that_of_least_squares():
    line = fit([(1, 12.0), (2, 14.0), (4, 18.0)])
    assert (line.base, line.slope, line.r2, line.points) == (pytest.approx(10), pytest.approx(2), pytest.approx(1), 3)
    assert line.ceiling(20.0) == 5
    assert fit([(1, 5.0), (2, 5.0)]).ceiling(20.0) is None

"""One figure of a pair: what moves it and what must not."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchgate.core import DataError
from benchgate.gate.side_by_side.statistic import (
    CORRECTED,
    CPU,
    DEVICE,
    WALL,
    hodges_lehmann,
    p25,
    pair_of,
    rounds_of,
    shifts,
    trend,
    unequally_disturbed,
)
from tests.gate.side_by_side.builders import a_block

seconds = st.floats(1e-5, 10.0)
blocks = st.lists(st.lists(seconds, min_size=1, max_size=9).map(a_block), min_size=1, max_size=5)


@pytest.mark.parametrize(
    ("values", "expected"),
    [([3.0], 3.0), ([2.0, 1.0], 1.0), ([4, 3, 2, 1], 1), ([5, 4, 3, 2, 1], 2), (list(range(1, 101)), 25)],
)
def test_the_25th_percentile_is_by_nearest_rank(values, expected):
    assert p25(values) == expected


@pytest.mark.parametrize("values", [[], [0.0], [-1.0, 2.0], [math.nan], [math.inf]])
def test_rounds_that_cannot_be_are_refused(values):
    with pytest.raises(DataError):
        p25(values)


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=8), st.lists(st.floats(-1, 1), min_size=1, max_size=8))
def test_the_shift_mirrors_when_sides_are_swapped(ours, theirs):
    assert hodges_lehmann(ours, theirs) == pytest.approx(-hodges_lehmann(theirs, ours))


@given(blocks, blocks, st.floats(0.1, 10.0))
def test_the_unit_of_time_changes_nothing(baseline, candidate, factor):
    scaled = [[a_block([factor * x for x in block.wall]) for block in side] for side in (baseline, candidate)]
    assert shifts(*scaled) == pytest.approx(shifts(baseline, candidate), abs=1e-9)


@given(blocks, st.floats(1.01, 2.0))
def test_a_factor_on_every_round_is_found_whatever_the_rounds(baseline, factor):
    """Between a block and itself slowed down; others of the side spread around it."""
    one = baseline[:1]
    slower = [a_block([factor * x for x in one[0].wall])]
    assert shifts(one, slower)[WALL] == pytest.approx(math.log(factor))


def test_one_slow_block_moves_nothing():
    steady = [a_block([1.0] * 8) for _ in range(8)]
    found = shifts(steady, [*steady[:7], a_block([5.0] * 8)])
    assert found == {WALL: 0.0, CORRECTED: 0.0, CPU: 0.0}


def test_queueing_is_taken_out_and_a_sleep_is_not():
    quiet = [a_block([0.010] * 4)] * 4
    queued = [a_block([0.020] * 4, cpu=(0.010,) * 4, delay=(0.010,) * 4)] * 4
    asleep = [a_block([0.020] * 4, cpu=(0.010,) * 4)] * 4
    assert shifts(quiet, queued) == pytest.approx({WALL: math.log(2), CORRECTED: 0.0, CPU: 0.0})
    # It slept half of the time: what it cost the CPU says nothing of what a call takes.
    assert shifts(quiet, asleep) == pytest.approx({WALL: math.log(2), CORRECTED: math.log(2)})


def test_work_of_other_threads_leaves_the_wall_alone():
    block = a_block([0.010] * 4, elsewhere=0.021)
    assert set(shifts([a_block([0.010])], [block])) == {WALL}
    assert set(shifts([block], [a_block([0.010])])) == {WALL}
    assert set(shifts([a_block([0.010])], [a_block([0.010], elsewhere=0.02)])) == {WALL, CORRECTED, CPU}


def test_threads_that_fall_asleep_in_the_first_block_decide_nothing():
    asleep = [a_block([0.010] * 4, elsewhere=0.3), *[a_block([0.010] * 4)] * 15]
    assert set(shifts(asleep, [a_block([0.010] * 4)] * 16)) == {WALL, CORRECTED, CPU}
    assert set(shifts(asleep[:8], [a_block([0.010] * 4)] * 16)) == {WALL}


def test_without_the_systems_counter_the_wall_decides():
    assert set(shifts([a_block([0.010])], [a_block([0.010], delay=None)])) == {WALL}


def test_waiting_is_never_more_than_what_was_not_computed():
    block = a_block([0.010], cpu=(0.009,), delay=(0.005,))
    assert rounds_of(block, CORRECTED) == [0.009]


@pytest.mark.parametrize(
    ("ours", "theirs", "said"),
    [
        ({}, {}, ""),
        ({"delay": (0.100,)}, {"delay": (0.0,)}, ""),
        ({"delay": (0.102,)}, {"delay": (0.0,)}, "waited for a CPU 10% (baseline), 0% (candidate)"),
        ({"delay": (0.5,)}, {"delay": (0.45,)}, ""),
        ({"throttled": 3}, {"throttled": 0}, "throttled by its cgroup 3 times (baseline), 0 times"),
        ({"throttled": 3}, {"throttled": 1}, ""),
        ({"steal_s": 0.02}, {"steal_s": 0.0}, ""),
        ({"steal_s": 0.021}, {"steal_s": 0.0}, "the host took 2%"),
        ({"steal_s": None}, {"delay": None}, ""),
    ],
)
def test_a_pair_is_dropped_only_where_the_sides_were_disturbed_differently(ours, theirs, said):
    found = unequally_disturbed([a_block([1.0], **ours)], [a_block([1.0], **theirs)])
    assert found.startswith(said)
    assert bool(found) == bool(said)


def test_ticks_of_stolen_time_say_nothing_over_a_short_time():
    assert unequally_disturbed([a_block([0.9], steal_s=0.5)], [a_block([0.9])]) == ""


@given(blocks, blocks, st.floats(1.0, 3.0))
def test_how_much_slower_the_candidate_is_never_drops_a_pair(baseline, candidate, factor):
    slower = [a_block([factor * x for x in block.wall]) for block in candidate]
    assert unequally_disturbed(baseline, slower) == unequally_disturbed(baseline, candidate)


def test_a_side_that_slows_down_shows_a_trend():
    steady = [a_block([1.0])] * 9
    slowing = [a_block([1.1**i]) for i in range(9)]
    assert trend(steady, slowing) == pytest.approx(6 * math.log(1.1))
    assert trend(slowing, slowing) == 0.0
    assert trend(steady[:2], slowing[:2]) == 0.0


def test_a_pair_tells_growth_and_calls():
    growing = [a_block([1.0, 1.0], calls=3, rss_bytes=10 + i) for i in range(4)]
    unknown = [a_block([1.0], rss_bytes=None)]
    found = pair_of(growing, unknown, 2, "ABBA", 1.5)
    assert (found.grown, found.calls, found.zygote, found.order, found.wall_s) == ((3, 0), (24, 1), 2, "ABBA", 1.5)


def test_a_pair_tells_how_its_blocks_scatter():
    """Deviations 0, 0.1, 0.1 of one side and 0, 0, 0 of the other: their median is 0; of 0.1, 0, 0.1 and 0.2, 0, 0.2
    it is 0.1."""
    at = [a_block([math.exp(x)]) for x in (-0.1, 0.0, 0.1)]
    wide = [a_block([math.exp(x)]) for x in (-0.2, 0.0, 0.2)]
    assert pair_of(at, [a_block([1.0])] * 3, 0).block_sd == pytest.approx(0.0)
    assert pair_of(at, wide, 0).block_sd == pytest.approx(1.4826 * 0.1)


def test_where_a_device_computes_the_wall_decides_and_its_own_time_is_beside_it():
    """It works on while the thread queues: the delay is not in the wall, and must not be taken out of it."""
    baseline = [a_block([0.010] * 4, device=(0.008,) * 4)]
    candidate = [a_block([0.011] * 4, delay=(0.001,) * 4, device=(0.0088,) * 4)]
    found = shifts(baseline, candidate)
    assert found == {WALL: pytest.approx(math.log(1.1)), DEVICE: pytest.approx(math.log(1.1))}


def test_events_of_a_call_that_is_too_short_for_them_say_nothing():
    baseline = [a_block([0.010] * 4, device=(0.008,) * 4)]
    assert shifts(baseline, [a_block([0.010] * 4, device=(0.0, 0.008, 0.008, 0.008))]).keys() == {WALL}


@pytest.mark.parametrize(
    ("ours", "theirs", "said"),
    [
        (("power cap",), (), "the device was slowed by power cap (baseline), nothing (candidate)"),
        ((), ("a", "b"), "the device was slowed by nothing (baseline), a, b (candidate)"),
        (("power cap",), ("thermal",), ""),
        (None, None, ""),
        ((), (), ""),
    ],
)
def test_a_pair_of_which_one_side_ran_on_a_slowed_device_is_dropped(ours, theirs, said):
    blocks = [[a_block([0.010] * 4, device=(0.008,) * 4, slowed=slowed)] for slowed in (ours, theirs)]
    assert unequally_disturbed(*blocks) == said

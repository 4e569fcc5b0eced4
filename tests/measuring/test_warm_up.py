"""Warm-up by a scripted clock."""

from __future__ import annotations

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchgate.measuring.timing import warm_up
from tests.measuring.clock import Clock


class Slower(Clock):
    """Every call takes 20 % longer than the one before."""

    def call(self):
        self.now += self.seconds[0] * 1.2**self.calls
        self.calls += 1


@pytest.mark.parametrize(
    ("seconds", "calls", "call_s"),
    [
        # steady from the start: three calls, or as many as 10 ms take
        ([0.1], 3, 0.1),
        ([5.0], 3, 5.0),
        ([0.004], 3, 0.004),
        ([0.002], 5, 0.002),
        # a slow start: until the last three are as the good half
        ([0.5, 0.1], 3, 0.1),
        ([0.5, 0.4, 0.1], 4, 0.1),
        # at the limit of 10 % and past it
        ([0.10, 0.11, 0.11], 3, 0.11),
        ([0.10, 0.1101], 4, 0.1101),
    ],
)
def test_warm_up_ends_when_the_last_calls_are_as_fast_as_the_good_ones(seconds, calls, call_s):
    clock = Clock(*seconds)
    warm = warm_up(clock.call, clock, budget_s=100)
    assert (warm.calls, warm.steady) == (calls, True)
    assert warm.call_s == pytest.approx(call_s)
    assert warm.seconds == pytest.approx(clock.now)
    assert clock.calls == calls


@pytest.mark.parametrize("budget_s", [0.1, 2.0])
def test_what_never_gets_steady_ends_with_the_budget_and_says_so(budget_s):
    clock = Slower(0.01)
    warm = warm_up(clock.call, clock, budget_s)
    assert not warm.steady
    assert budget_s <= warm.seconds <= 1.5 * budget_s
    assert warm.calls == clock.calls


def test_warm_up_of_a_very_short_call_is_long_enough_and_ends():
    clock = Clock(1e-6)
    warm = warm_up(clock.call, clock)
    assert warm.steady
    assert warm.seconds >= 0.010
    assert warm.calls == pytest.approx(10_000, abs=2)


@pytest.mark.parametrize(("seconds", "calls"), [([2.0], 1), ([1.9, 0.2], 2), ([1.0], 2), ([0.6], 3)])
def test_calls_so_long_that_they_use_the_budget_up_are_fewer_and_say_nothing_of_steadiness(seconds, calls):
    clock = Clock(*seconds)
    warm = warm_up(clock.call, clock, budget_s=2.0)
    assert (warm.calls, warm.steady) == (calls, None if calls < 3 else True)
    assert warm.call_s == pytest.approx(statistics.median((seconds * 3)[:calls] if len(seconds) == 1 else seconds))


@given(st.lists(st.floats(1e-4, 0.5), min_size=1, max_size=20))
def test_warm_up_always_ends_near_its_budget(seconds):
    clock = Clock(*seconds)
    warm = warm_up(clock.call, clock, budget_s=1.0)
    assert warm.calls >= 3 or warm.seconds >= 1.0
    assert warm.seconds <= 1.0 + 0.5

"""Calls repeated over a window, on a scripted clock."""

from __future__ import annotations

import pytest

from benchgate.core import InvalidOutput, Lapped, Work
from benchgate.measuring.meters.repeated import LOOK_S, MOST_CALLS, Repeated, repeat
from tests.measuring.clock import Clock


def run(work_of, *seconds, call_s=1.0, least_s=3.0, synchronize=None):
    clock = Clock(*seconds)
    return repeat(work_of(clock), call_s, least_s, synchronize, clock, lambda: 2 * clock.now)


@pytest.mark.parametrize(("seconds", "least_s", "calls"), [(1.0, 3.0, 3), (0.9, 3.0, 4), (10.0, 3.0, 1), (1.0, 0.0, 1)])
def test_it_calls_until_the_window_is_over_and_at_least_once(seconds, least_s, calls):
    found = run(lambda clock: Work(clock.call), seconds, least_s=least_s)
    assert found == Repeated(calls, pytest.approx(calls * seconds), 0.0, pytest.approx(2 * calls * seconds))


@pytest.mark.parametrize(
    ("call_s", "in_a_row"), [(1.0, 1), (LOOK_S, 1), (LOOK_S / 10, 10), (1e-9, MOST_CALLS), (0.0, MOST_CALLS)]
)
def test_short_calls_come_in_rows_so_that_the_clock_is_no_part_of_them(call_s, in_a_row):
    assert run(lambda clock: Work(clock.call), 0.0001, call_s=call_s, least_s=0.00001).calls == in_a_row


def test_turns_are_made_whole():
    seen = []

    def work(clock):
        def call(turn):
            seen.append(turn)
            clock.call()

        return Work(call, turns="abc")

    assert run(work, 1.0, least_s=4.0).calls == 6
    assert "".join(seen) == "abcabc"


def test_what_prepares_a_call_is_told_and_the_device_is_waited_for():
    waits = []

    def work(clock):
        def prepare():
            clock.now += 0.25

        return Work(clock.call, prepare=prepare)

    found = run(work, 1.0, call_s=1e-6, least_s=2.0, synchronize=lambda: waits.append(1))
    assert (found.calls, found.wall_s, found.preparing_s) == (2, 2.5, 0.5)
    assert len(waits) == 4


@pytest.mark.parametrize("output", [5, Lapped(5, {"ttft_s": 1.0})])
def test_the_last_output_is_checked(output):
    def wrong(value):
        assert value == 5
        raise InvalidOutput("NaN")

    def work(clock):
        def call():
            clock.call()
            return output

        return Work(call, check=wrong)

    with pytest.raises(InvalidOutput):
        run(work, 1.0)

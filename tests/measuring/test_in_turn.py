"""Two pieces of work in turn, by a scripted clock that only they move; the statistics as pure functions."""

from __future__ import annotations

import pytest

from benchgate.core import InvalidOutput, Lapped, Work
from benchgate.measuring.in_turn import Limits, Ratio, Times, clock_of, compared, in_turn, is_decided, ratio_of


class Machine:
    """A wall clock and a CPU clock. `mood` makes both sides slow for a while; waiting costs no CPU time."""

    def __init__(self):
        self.wall, self.cpu, self.calls = 0.0, 0.0, 0

    def work(self, seconds, waiting=0.0):
        mood = 3.0 if self.calls // 10 % 2 else 1.0
        self.calls += 1
        self.cpu += seconds * mood
        self.wall += (seconds + waiting) * mood


def timed(machine, ours, theirs, *limits, one_thread=False, **more):
    clocks = {"clock": lambda: machine.wall, "cpu_clock": lambda: machine.cpu}
    return in_turn(ours, theirs, Limits(*limits, **more), one_thread=one_thread, **clocks)


def test_a_machine_that_changes_its_mood_meets_both():
    machine = Machine()
    found = timed(machine, Work(lambda: machine.work(0.012)), Work(lambda: machine.work(0.010)), 101)
    assert found.ratio.value == pytest.approx(1.2)
    assert found.ratio.low <= 1.2 <= found.ratio.high
    assert (found.ratio.n, found.clock) == (101, "wall")
    assert found.difference_s > 0


def test_both_are_begun_prepared_and_see_the_same_turns_in_an_order_drawn_by_lot():
    machine, log = Machine(), []

    def side(name):
        def call(turn):
            machine.work(0.01)
            log.append((name, turn))

        return Work(
            call,
            turns=[1, 2, 3],
            begin=lambda: log.append((name, "begin")),
            prepare=lambda: log.append((name, "prepare")),
        )

    timed(machine, side("ours"), side("theirs"), 30)
    assert log.count(("ours", "begin")) == log.count(("theirs", "begin")) == 1
    asked = [entry for entry in log if entry[1] in (1, 2, 3)][-60:]
    for name in ("ours", "theirs"):
        assert [turn for who, turn in asked if who == name] == [1, 2, 3] * 10
    first = [asked[i][0] for i in range(0, 60, 2)]
    assert 5 < first.count("ours") < 25
    assert all(log[i - 1] == (who, "prepare") for i, (who, what) in enumerate(log) if what in (1, 2, 3))


def test_work_on_one_thread_beside_a_busy_neighbour_goes_by_the_cpu():
    machine = Machine()
    sides = Work(lambda: machine.work(0.02, waiting=0.03)), Work(lambda: machine.work(0.01, waiting=0.001))
    found = timed(machine, *sides, 20, one_thread=True)
    assert (found.clock, found.ratio.value) == ("CPU", pytest.approx(2.0))
    assert timed(machine, *sides, 20).clock == "wall"


def test_laps_of_both_are_compared_and_every_output_is_checked():
    machine, seen = Machine(), []

    def side(seconds):
        def call():
            machine.work(seconds)
            return Lapped(seconds, {"forward_s": seconds, "step_s": 1.0})

        return Work(call, laps=("forward_s", "step_s"), check=seen.append)

    found = timed(machine, side(0.03), side(0.01), 12)
    assert {name: ratio.value for name, ratio in found.laps.items()} == {"forward_s": pytest.approx(3), "step_s": 1.0}
    assert sorted(seen) == [0.01] * 12 + [0.03] * 12


def test_a_wrong_answer_of_either_side_stops():
    machine = Machine()

    def wrong(output):
        raise InvalidOutput("NaN")

    fine = Work(lambda: machine.work(0.01))
    with pytest.raises(InvalidOutput):
        timed(machine, fine, Work(lambda: machine.work(0.01), check=wrong), 5)


def test_it_goes_on_until_it_is_decided_or_the_budget_is_over():
    machine = Machine()
    equal = Work(lambda: machine.work(0.01))
    assert timed(machine, equal, equal, 20, at=1.03).ratio.n == 20
    few = timed(machine, equal, equal, 5, 0.5, at=1.03)
    assert few.ratio.n == 11
    assert few.ratio.high == pytest.approx(1.0)
    start = machine.wall
    # Not decided while there are too few for an interval: the budget ends it.
    assert timed(machine, Work(lambda: machine.work(0.2)), equal, 1, 0.1, at=1.03).ratio.low is None
    assert machine.wall > start


@pytest.mark.parametrize(
    ("low", "high", "at", "decided"),
    [
        (0.9, 1.02, 1.03, True),
        (0.9, 1.03, 1.03, True),
        (1.02, 1.04, 1.03, False),
        (1.03, 1.1, 1.03, False),
        (1.031, 1.1, 1.03, True),
        (None, None, 1.03, False),
        (None, None, None, True),
    ],
)
def test_decided_is_an_interval_on_one_side(low, high, at, decided):
    assert is_decided(Ratio(1.0, low, high, 20), at) is decided


@pytest.mark.parametrize(
    ("cpu", "one_thread", "clock"),
    [(0.95, True, "wall"), (0.9, True, "wall"), (0.89, True, "CPU"), (0.5, False, "wall")],
)
def test_the_clock_that_decides(cpu, one_thread, clock):
    times = [Times(1.0, cpu)] * 3
    assert clock_of(times, times, one_thread) == clock
    assert compared(times, times, one_thread) == (Ratio(1.0, None, None, 3), clock)


def test_a_ratio_of_few_pairs_has_no_interval_and_says_so():
    assert str(ratio_of([2.0] * 10, [1.0] * 10)) == "2.0000 (n=10, too few for an interval)"
    assert str(ratio_of([2.0] * 11, [1.0] * 11)) == "2.0000 (95 %: 2.0000 to 2.0000, n=11)"

"""Blocks on a scripted clock: when one is tried again, which make the figure, when it is marked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from benchgate.machine.gpu import DeviceTaken
from benchgate.machine.neighbours import Counters
from benchgate.machine.throttling import ON_BATTERY, Conditions
from benchgate.measuring import blocks
from benchgate.measuring.blocks import Instruments

BUSY, QUIET = 1.0, 0.0


class Script:
    """A machine on which each block takes `seconds` and others use so much of a CPU meanwhile."""

    def __init__(
        self,
        others: Sequence[float],
        references: Sequence[float] = (),
        seconds: float = 1.0,
        looks: Sequence[Conditions] = (),
    ) -> None:
        self.now, self.used, self.block = 0.0, 0.0, 0
        self.others, self.seconds = others, seconds
        self._references = iter(references)
        self.slept: list[float] = []
        self.looks = iter(looks)

    def rounds(self) -> tuple[list[float], int]:
        self.now += self.seconds
        self.used += self.others[min(self.block, len(self.others) - 1)] * self.seconds
        self.block += 1
        return [float(self.block)] * 2, 3

    def read(self) -> Counters:
        return Counters(self.now, self.now, 0.0, self.used, 0.0, 0, 0)

    def conditions(self) -> Conditions:
        return next(self.looks, Conditions())

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def measure(self, count: int, patience_s: float, best: float | None = 1.0, watch: Any = None) -> blocks.Blocks:
        tools = Instruments(
            lambda: self.now, self.sleep, self.read, lambda: next(self._references, 1.0), self.conditions
        )
        return blocks.measure(self.rounds, count, patience_s, best, tools, watch)


@pytest.mark.parametrize(
    ("others", "count", "patience_s", "tried", "samples", "marked"),
    [
        ([QUIET], 1, 10, 1, [1, 1], False),
        ([QUIET], 3, 10, 3, [1, 1, 2, 2, 3, 3], False),
        ([BUSY, QUIET], 1, 10, 2, [2, 2], False),
        ([BUSY, BUSY, QUIET], 1, 10, 3, [3, 3], False),
        ([BUSY], 1, 0, 1, [1, 1], True),
        # One block of 1 s and a pause of 0.2 s fit into 2.5 s twice.
        ([BUSY], 1, 2.5, 3, [1, 1, 2, 2, 3, 3], True),
        ([QUIET, BUSY], 2, 0, 2, [1, 1], False),
        ([QUIET, BUSY, QUIET], 2, 5, 3, [1, 1, 3, 3], False),
    ],
)
def test_disturbed_blocks_are_tried_again_and_left_out(others, count, patience_s, tried, samples, marked):
    found = Script(others).measure(count, patience_s)
    assert len(found.all) == tried
    assert found.samples == samples
    assert bool(found.disturbed) is marked


def test_a_block_longer_than_the_patience_is_not_tried_again():
    assert len(Script([BUSY], seconds=30).measure(1, 10).all) == 1


def test_a_slow_reference_marks_what_no_counter_sees():
    found = Script([QUIET], references=[1.3, 1.0]).measure(1, 0)
    assert found.disturbed == ("fixed arithmetic took 1.30 times its best here (limit 1.25)",)


def test_the_best_reference_is_kept_and_becomes_better():
    assert Script([QUIET], references=[0.8, 0.9]).measure(1, 0).best_reference_s == 0.8
    assert Script([QUIET], references=[2.0, 2.1]).measure(1, 0, best=None).best_reference_s == 2.0


def test_what_trying_again_took_is_told():
    assert Script([QUIET]).measure(1, 10).again_s == 0
    assert Script([BUSY, BUSY, QUIET]).measure(1, 10).again_s == pytest.approx(2.4)


def test_what_was_taken_is_that_of_the_kept_blocks():
    found = Script([BUSY, QUIET, QUIET]).measure(2, 10)
    assert found.taken.wall_s == 2.0
    assert found.taken.others_s == 0.0
    assert {block.iterations for block in found.all} == {3}


def test_blocks_as_data_are_plain():
    (block,) = Script([BUSY]).measure(1, 0).all
    found = block.as_dict()
    assert found["rounds"] == 2
    assert found["others_s"] == 1.0
    assert found["disturbed"] == ["other processes used 100% of a CPU (limit 10%)"]


def test_what_slowed_the_device_marks_a_block_and_its_own_time_is_kept():
    taken = iter([DeviceTaken(0.25, ("power cap",)), DeviceTaken(0.5, ())])
    tools = Script([QUIET])
    found = tools.measure(1, 10, watch=lambda: lambda: next(taken))
    assert [block.reasons for block in found.all] == [("the device was slowed: power cap",), ()]
    assert found.all[0].as_dict()["device_s"] == 0.25
    assert found.all[1].as_dict()["device_slowed"] == []
    assert found.disturbed == ()


def events(*counts):
    return [Conditions(mhz=1000.0 + count, throttle_events=count) for count in counts]


def test_a_throttled_block_is_tried_again_and_keeps_both_looks():
    found = Script([QUIET], looks=events(4, 6, 6, 6)).measure(1, 10)
    throttled = "the processor was throttled for its heat (thermal_throttle counters rose by 2)"
    assert [block.reasons for block in found.all] == [(throttled,), ()]
    assert found.disturbed == ()
    kept = found.all[0].as_dict()
    assert kept["conditions_before"] == {"mhz": 1004.0, "throttle_events": 4}
    assert kept["conditions_after"] == {"mhz": 1006.0, "throttle_events": 6}


def test_a_run_on_a_battery_is_marked_and_not_tried_again():
    found = Script([QUIET], looks=[Conditions(on_battery=True)] * 9).measure(2, 10)
    assert len(found.all) == 2
    assert found.disturbed == (ON_BATTERY,)
    assert found.again_s == 0

"""Blocks timed in this process by a scripted clock: rounds, warm-up, and what is left out of the time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from benchgate.gate.side_by_side import timed
from benchgate.machine.gpu import DeviceTaken
from benchgate.machine.neighbours import Counters


class Scripted:
    """A clock that only work moves. `wait(s)` is time in the run queue, `work(s)` on the CPU, `sleep(s)` neither."""

    def __init__(self) -> None:
        self.wall = self.cpu = self.waited = 0.0

    def work(self, seconds: float) -> None:
        self.wall += seconds
        self.cpu += seconds

    def sleep(self, seconds: float) -> None:
        self.wall += seconds

    def wait(self, seconds: float) -> None:
        self.wall += seconds
        self.waited += seconds


@pytest.fixture
def script(monkeypatch) -> Iterator[Scripted]:
    found = Scripted()
    for name, value in (("perf_counter", "wall"), ("thread_time", "cpu"), ("process_time", "cpu")):
        monkeypatch.setattr(timed.time, name, lambda value=value: getattr(found, value))
    monkeypatch.setattr(timed._Queue, "waited_s", lambda self: found.waited)
    monkeypatch.setattr(
        timed.neighbours, "read", lambda: Counters(found.wall, found.cpu, found.waited, None, 0.0, 0, 0)
    )
    yield found
    timed._Loaded.call = None


def begun(call: Callable[[], None]) -> timed.Begun:
    return timed.begin(lambda: call)


def test_calls_of_20_us_are_timed_in_rounds(script):
    found = begun(lambda: script.work(20e-6))
    assert found.call_s == pytest.approx(20e-6)
    assert found.warm_up_s >= timed.WARM_UP_S
    block = timed.block(0.0399)
    assert block.calls == 25
    assert block.wall == pytest.approx([20e-6] * 80)
    assert block.delay == pytest.approx([0.0] * 80)
    assert block.seconds == pytest.approx(0.040)


def test_a_call_of_20_s_is_warmed_up_once_and_is_a_block(script):
    calls = []
    begun(lambda: (calls.append(1), script.work(20.0)))
    assert len(calls) == 1
    block = timed.block(0.0399)
    assert (block.calls, block.wall) == (1, (20.0,))
    # No untimed call before it: it is long.
    assert len(calls) == 2


def test_a_short_call_is_made_once_more_before_a_block(script):
    calls = []
    begun(lambda: (calls.append(1), script.work(0.004)))
    before = len(calls)
    block = timed.block(0.0399)
    assert len(calls) - before == len(block.wall) + 1 == 11


def test_what_a_call_waited_and_slept_is_told_apart(script):
    def call() -> None:
        script.work(0.010)
        script.wait(0.005)
        script.sleep(0.002)

    begun(call)
    block = timed.block(0.099)
    assert block.wall == pytest.approx([0.017] * len(block.wall))
    assert block.cpu == pytest.approx([0.010] * len(block.wall))
    assert block.delay == pytest.approx([0.005] * len(block.wall))
    assert block.elsewhere == 0.0


def test_a_step_of_the_systems_clock_changes_nothing(script, monkeypatch):
    steps = iter(range(10**9, 0, -(10**6)))
    monkeypatch.setattr(time, "time", lambda: float(next(steps)))
    begun(lambda: (time.time(), script.work(0.01)))
    assert timed.block(0.0499).wall == pytest.approx([0.01] * 5)


def test_without_schedstat_there_is_no_delay(monkeypatch):
    monkeypatch.setattr(timed, "SCHEDSTAT", "/nowhere")
    timed.begin(lambda: lambda: sum(range(1000)))
    assert timed.block(0.001).delay is None


def test_a_block_of_real_calls_tells_all(monkeypatch):
    found = timed.begin(lambda: lambda: sum(range(20_000)))
    block = timed.block(0.01)
    assert found.rss_bytes > 10**6
    assert found.threads >= 1
    assert block.seconds >= 0.01
    assert len(block.cpu) == len(block.wall) == len(block.delay or block.wall)


def test_a_block_before_the_beginning_is_refused(monkeypatch):
    monkeypatch.setattr(timed._Loaded, "call", None)
    with pytest.raises(RuntimeError, match="nothing is loaded"):
        timed.block(0.01)


def test_what_is_prepared_before_each_call_is_not_timed():
    done = []

    def load():
        return timed.Prepared(lambda: done.append("call"), lambda: done.append("prepare"))

    timed.begin(load)
    found = timed.block(0.0)
    assert found.calls == 1
    assert set(done[::2]) == {"prepare"}
    assert set(done[1::2]) == {"call"}


def test_the_devices_own_time_of_each_round_is_kept_and_what_slowed_it(script):
    taken, log = iter(range(1, 99)), []

    def watch():
        log.append("begun")

        def ended():
            log.append("ended")
            return DeviceTaken(next(taken) * 0.010, ())

        return ended

    timed.begin(lambda: timed.Prepared(lambda: (log.append("call"), script.work(0.020)), watch=watch))
    assert "begun" not in log
    log.clear()
    block = timed.block(0.0399)
    assert log == ["begun", "call", "ended"] * 2
    assert (block.wall, block.device) == (pytest.approx((0.020, 0.020)), pytest.approx((0.010, 0.020)))
    assert block.slowed == ()


@pytest.mark.parametrize(
    ("told", "slowed"),
    [
        ([("power cap",), ()], ("power cap",)),
        ([("thermal",), ("power cap",)], ("power cap", "thermal")),
        ([(), ()], ()),
        ([None, ("power cap",)], None),
    ],
)
def test_what_slowed_the_device_in_a_block_is_all_that_did_in_its_rounds(script, told, slowed):
    answers = iter(told)
    watch = lambda: lambda: DeviceTaken(0.010, next(answers))  # noqa: E731
    timed.begin(lambda: timed.Prepared(lambda: script.work(0.020), watch=watch))
    assert timed.block(0.0399).slowed == slowed


def test_without_a_clock_of_its_own_a_device_has_no_time_of_its_own(script):
    begun(lambda: script.work(0.020))
    block = timed.block(0.0399)
    assert (block.device, block.slowed) == (None, None)


def test_of_a_round_of_short_calls_each_has_its_share_of_the_devices_time(script):
    timed.begin(lambda: timed.Prepared(lambda: script.work(20e-6), watch=lambda: lambda: DeviceTaken(250e-6, ())))
    block = timed.block(0.0399)
    assert block.calls == 25
    assert block.device == pytest.approx([10e-6] * len(block.wall))


def test_neither_preparing_nor_the_watch_is_in_either_time(script):
    log = []

    def watch():
        log.append("begun")
        script.work(0.005)

        def ended():
            log.append("ended")
            script.work(0.007)
            return DeviceTaken(0.010, ())

        return ended

    call, prepare = (
        lambda: (log.append("call"), script.work(0.020)),
        lambda: (log.append("prepare"), script.work(0.003)),
    )
    timed.begin(lambda: timed.Prepared(call, prepare, watch))
    log.clear()
    block = timed.block(0.0399)
    assert log == ["prepare", "begun", "call", "ended"] * 2
    assert (block.wall, block.cpu) == (pytest.approx((0.020, 0.020)), pytest.approx((0.020, 0.020)))

"""Readings become joules exactly, and a reading that cannot be right is absent with its reason."""

from __future__ import annotations

import math
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchgate.core import Unavailable
from benchgate.machine.counters import MOST_W, Channel, Counting, Sampling, Source, area, counted, number, total
from tests.machine.counter_trees import Clock

PLAIN = Channel("package-0", lambda: 0.0)
TURNING = Channel("package-0", lambda: 0.0, turns_at=262143.0)


@pytest.mark.parametrize(
    ("channel", "before", "after", "found"),
    [
        (PLAIN, 10.0, 25.5, 15.5),
        (TURNING, 10.0, 25.5, 15.5),
        (TURNING, 262140.0, 12.0, 15.0),
        # The most that a turn may mean, 1000 W for 1 s.
        (TURNING, 262143.0, MOST_W, MOST_W),
    ],
)
def test_a_counter_gives_the_difference_also_where_it_began_anew(channel, before, after, found):
    assert counted(channel, before, after, 1.0) == pytest.approx(found, rel=1e-12)


@pytest.mark.parametrize(
    ("channel", "before", "after", "seconds", "said"),
    [
        (PLAIN, 10.0, 10.0, 1.5, "package-0 read 10 J before and after 1.5 s: it does not count"),
        (PLAIN, 0.0, 0.0, 1.0, "it does not count"),
        (PLAIN, 10.0, 9.0, 1.0, "went backwards, from 10 J to 9 J: it was set back meanwhile"),
        (TURNING, 10.0, 9.0, 1.0, "went backwards, from 10 J to 9 J"),
        (TURNING, 262143.0, MOST_W + 1, 1.0, "went backwards"),
        (TURNING, 0.0, 5.0, 262.2, "may have been more than once in 262 s; measure a shorter call"),
    ],
)
def test_a_counter_that_did_not_count_upwards_is_no_figure(channel, before, after, seconds, said):
    with pytest.raises(Unavailable, match="package-0") as reason:
        counted(channel, before, after, seconds)
    assert said in str(reason.value)


@given(start=st.floats(0, 1000), taken=st.floats(0.001, MOST_W), turns_at=st.floats(2000, 1e6))
def test_any_amount_below_a_turn_is_found_wherever_the_counter_stood(start, taken, turns_at):
    channel = Channel("any", lambda: 0.0, turns_at=turns_at)
    before = turns_at - start
    after = before + taken - (turns_at if before + taken >= turns_at else 0.0)
    assert counted(channel, before, after, 1.0) == pytest.approx(taken, rel=1e-6, abs=1e-6)


def raising(error):
    def read():
        raise error

    return read


@pytest.mark.parametrize(
    ("read", "said"),
    [
        (raising(FileNotFoundError(2, "No such file or directory")), "can no longer be read: No such file"),
        (raising(ValueError("invalid literal for int(): 'n/a'")), "reads what is no number: .*n/a"),
        (lambda: math.nan, "reads nan, which cannot be"),
        (lambda: math.inf, "reads inf, which cannot be"),
        (lambda: -1.0, "reads -1, which cannot be"),
    ],
)
@pytest.mark.parametrize("when", ["before", "after"])
def test_what_a_counter_must_not_read_is_its_reason_at_either_end(read, said, when):
    reads = iter([read] if when == "before" else [lambda: 1.0, read])
    reader = Counting([Channel("package-0", lambda: next(reads)())])
    with pytest.raises(Unavailable, match=f"package-0 {said}"):
        reader.begin()()


def test_parts_are_given_and_not_added_and_one_that_stands_still_is_left_out():
    values = {"package-0": [1.0, 11.0], "package-0 core": [1.0, 5.0], "package-0 uncore": [2.0, 2.0]}
    series = {name: iter(pair) for name, pair in values.items()}
    channels = [Channel(name, lambda name=name: next(series[name]), name == "package-0") for name in values]
    joules = Counting(channels).begin()()
    assert joules == {"package-0": 10.0, "package-0 core": 4.0}
    assert total(channels, joules) == 10.0


@pytest.mark.parametrize(("refresh_s", "window_s"), [(0.001, 1.0), (0.1, 1.0), (0.101, 1.01), (2.0, 20.0)])
def test_a_window_is_ten_refreshes_and_at_least_a_second(refresh_s, window_s):
    assert Source("s", "package", frozenset(), refresh_s, lambda root: Counting([])).window_s == window_s


class Gauge:
    """Watts one after the other, a second apart; `read_all` is set when the last but one was read."""

    def __init__(self, clock: Clock, *watts: float | Exception) -> None:
        self.clock, self.watts, self.reads = clock, list(watts), 0
        self.read_all = threading.Event()

    def __call__(self) -> float:
        value = self.watts[min(self.reads, len(self.watts) - 1)]
        self.reads += 1
        if self.reads < len(self.watts):
            self.clock.now = float(self.reads)
        if self.reads >= len(self.watts) - 1:
            self.read_all.set()
        if isinstance(value, Exception):
            raise value
        return value


def sampled(*watts):
    """The joules of a reader whose thread has read all of these."""
    gauge = Gauge(clock := Clock(), *watts)
    end = Sampling([Channel("VDD_IN", gauge)], 1e-6, clock).begin()
    assert gauge.read_all.wait(10)
    return end()


def test_a_gauge_is_read_by_a_thread_until_the_end_and_the_area_below_it_is_its_joules():
    before = threading.active_count()
    # Trapezoids of 10, 20 and 40 W: 15 J and 30 J; what is read after that is at the same moment.
    assert sampled(10.0, 20.0, 40.0) == {"VDD_IN": pytest.approx(45.0)}
    assert threading.active_count() == before


def test_a_gauge_that_disappears_while_it_is_read_is_no_figure():
    with pytest.raises(Unavailable, match="VDD_IN can no longer be read: unplugged"):
        sampled(10.0, 20.0, OSError("unplugged"), OSError("unplugged"))


def test_a_gauge_that_cannot_be_read_at_first_starts_no_thread():
    before = threading.active_count()
    with pytest.raises(Unavailable, match="reads -1"):
        Sampling([Channel("VDD_IN", lambda: -1.0)], 1.0).begin()
    assert threading.active_count() == before


@pytest.mark.parametrize("watts", [0.0, 12.5])
def test_a_gauge_that_never_moves_is_no_figure_but_a_part_may_stand_still(watts):
    taken = [(float(at), {"rail": watts}) for at in range(11)]
    with pytest.raises(Unavailable, match=rf"rail read {watts:g} W in all of 11 samples: it is not refreshed"):
        area(Channel("rail", lambda: 0.0), taken)
    assert area(Channel("rail", lambda: 0.0, counts=False), taken) == pytest.approx(10 * watts)


def test_a_file_of_millionths_is_a_number(tmp_path):
    file = tmp_path / "energy_uj"
    file.write_text("1234567\n")
    assert number(file, 1e-6) == pytest.approx(1.234567, rel=1e-12)

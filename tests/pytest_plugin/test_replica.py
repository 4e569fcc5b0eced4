"""Replicas of pytest-benchmark's fixture: each of its options keeps its meaning."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from typing import Any

import pytest
from pytest_benchmark.utils import NameWrapper, SecondsDecimal

from benchgate.pytest_plugin import replica
from benchgate.pytest_plugin.replica import Options


class Clock:
    """A timer that moves by `step` seconds at each call of `work`, and not by itself."""

    def __init__(self, step: float = 0.01) -> None:
        self.now, self.step, self.calls = 0.0, step, 0

    def __call__(self) -> float:
        # A clock that never moves has no precision: pytest-benchmark would look for it for ever.
        self.now += 1e-9
        return self.now

    def work(self) -> int:
        self.calls += 1
        self.now += self.step
        return self.calls


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def options(request: pytest.FixtureRequest, clock: Clock) -> Options:
    """What this session's own fixture would be made with, on the scripted clock."""
    session: Any = request.config.pluginmanager.getplugin("pytest-benchmark")
    values = {**session.options, "timer": NameWrapper(clock), "max_time": SecondsDecimal("0.1"), "min_rounds": 3}
    return Options("test_it", "test_file.py::test_it", False, values)


def rounds(options: Options, clock: Clock) -> replica.Rounds:
    return replica.timing(options, None, lambda fixture: fixture(clock.work))()


def test_max_time_and_min_rounds_decide_how_many(options, clock):
    assert len(rounds(options, clock).samples) == 10
    assert len(rounds(options.with_values(max_time=SecondsDecimal("0.5")), clock).samples) == 50
    assert len(rounds(options.with_values(min_rounds=20), clock).samples) == 20


def test_samples_are_seconds_a_call_by_the_given_timer(options, clock):
    found = rounds(options, clock)
    assert found.iterations == 1
    assert found.samples == pytest.approx([0.01] * 10, rel=1e-3)


def test_min_time_makes_a_round_of_many_calls_and_a_sample_their_mean(options, clock):
    clock.step = 1e-6
    found = rounds(options.with_values(min_time=SecondsDecimal("0.001")), clock)
    assert found.iterations == 1000
    assert found.samples == pytest.approx([1e-6] * len(found.samples), rel=0.01)


def test_warmup_calls_more_often_and_measures_no_more(options, clock):
    measured = len(rounds(options, clock).samples)
    plain, clock.calls = clock.calls, 0
    assert len(rounds(options.with_values(warmup=True, warmup_iterations=100), clock).samples) == measured
    assert clock.calls > plain


@pytest.mark.parametrize("off", [True, False])
def test_disable_gc(options, clock, off):
    seen = []

    def work():
        seen.append(gc.isenabled())
        clock.work()

    replica.timing(options.with_values(disable_gc=off), None, lambda fixture: fixture(work))()
    # The last call, which gives the value, is not timed.
    assert set(seen[:-1]) == {not off}


def test_disabled_calls_once_and_measures_nothing(options, clock):
    off = Options(options.name, options.fullname, True, options.values)
    assert (rounds(off, clock).samples, clock.calls) == ((), 1)


def test_cprofile_is_brought_back(options, clock):
    found = rounds(options.with_values(cprofile=True), clock)
    assert any(name == "work" for _, _, name in found.cprofile_stats.stats)


def test_a_group_is_taken(options):
    assert replica.replica(options.with_values(group="decode")).group == "decode"


class Own:
    """A fixture as pytest-benchmark makes it for a test, and what it gave to its session."""

    def __init__(self, options: Options) -> None:
        self.given: list[Any] = []
        self.fixture = replica.replica(options)
        self.fixture._add_stats = self.given.append


@pytest.fixture
def own(options: Options) -> Own:
    return Own(options)


def test_the_tests_own_fixture_is_as_if_it_had_measured(options, clock, own):
    blocks = [rounds(options, clock) for _ in range(3)]
    replica.absorb(own.fixture, blocks)
    (stats,) = own.given
    assert own.fixture.stats is stats
    assert stats.stats.data == [sample for block in blocks for sample in block.samples]
    assert stats.as_dict()["stats"]["rounds"] == 30
    assert own.fixture._mode == "in a worker"


def test_samples_of_many_iterations_are_not_divided_again(options, clock, own):
    clock.step = 1e-6
    found = rounds(options.with_values(min_time=SecondsDecimal("0.001")), clock)
    replica.absorb(own.fixture, [found])
    assert own.fixture.stats.stats.data == pytest.approx(found.samples)
    assert own.fixture.stats.iterations == 1000


def test_nothing_measured_leaves_no_stats_and_no_warning(options, own):
    replica.absorb(own.fixture, [replica.Rounds()])
    assert own.given == []
    assert own.fixture.stats is None
    assert own.fixture._mode


def test_real_time_is_measured_in_a_worker(options):
    from benchgate.machine import workers

    real = options.with_values(timer=NameWrapper(time.perf_counter), max_time=SecondsDecimal("0.001"))
    call: Callable[[], Any] = sum
    with workers.start() as worker:
        found = worker.call(lambda: replica.timing(real, None, lambda fixture: fixture(call, range(1000)))())
    assert found.samples
    assert all(sample > 0 for sample in found.samples)

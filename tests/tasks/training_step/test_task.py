"""The operations of a training step on a session of paper, by a clock that only its parts move."""

from __future__ import annotations

import math
import statistics
import time
from types import SimpleNamespace

import pytest

from benchgate.core import DataError, InvalidOutput, tasks
from benchgate.machine.devices import devices
from benchgate.measuring import timing
from benchgate.measuring.meters.flops import FlopsMeter
from benchgate.measuring.meters.latency import Latency
from benchgate.pytest_plugin import benchmark_adapter
from benchgate.pytest_plugin.rounds import BlockRounds
from benchgate.tasks.training_step.task import OPERATIONS, Flops, Setting, TrainingTask, parse_setting

# What a part takes: no two sums of them are equal.
SECONDS = {"clear": 1000.0, "forward": 1.0, "backward": 20.0, "update": 300.0}
EXPECTED = {"forward": 1.0, "backward": 20.0, "forward_backward": 21.0, "step": 321.0}


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


CLOCK = Clock()


class PaperSession:
    kernel = {"paper": True}  # noqa: RUF012

    def __init__(self, loss=2.5):
        self.log, self.setting, self._loss = [], None, loss

    def begin(self, setting):
        self.setting = setting

    def run(self, *parts):
        for part in parts:
            self.log.append(part)
            CLOCK.now += SECONDS[part]

    def loss(self):
        return self._loss

    def flops(self):
        return Flops(forward=100, forward_backward=300)

    def matmul_peak(self):
        return 500.0


@pytest.fixture(autouse=True)
def scripted(monkeypatch):
    monkeypatch.setattr(time, "perf_counter", CLOCK)
    monkeypatch.setattr(timing, "warm_up", lambda call: [call(), timing.WarmUp(1, 0.1, None, 0.1)][1])


@pytest.fixture
def rounds(request, benchmark):
    """Four rounds by pytest-benchmark, in one block."""
    options = benchmark_adapter.options(request.node, benchmark)
    return BlockRounds(options.with_values(max_time=0.0, min_rounds=4), patience_s=0.0)


def measured(operation, rounds, session, **options):
    """The subject that the flops meter sees, with what latency found; and that reading."""
    model = SimpleNamespace(name="paper")
    of = SimpleNamespace(device=devices["cpu"], runtime=SimpleNamespace(name="paper"))
    subject = SimpleNamespace(
        work=tasks["training"].operations[operation](session, model, **options),
        asked=SimpleNamespace(name=operation),
        loaded=SimpleNamespace(of=of, session=session),
        rounds=rounds,
    )
    reading = Latency().measure(subject)
    subject.metrics = reading.metrics
    return subject, reading


@pytest.mark.benchmark(timer=CLOCK)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_each_operation_is_timed_without_what_comes_before_it(operation, rounds, benchmark):
    """pytest-benchmark itself on the scripted clock: backward has neither the forward pass nor the clearing in it."""
    found = measured(operation, rounds, PaperSession())[1].metrics
    assert found["latency_median_s"].value == EXPECTED[operation]
    assert found["latency_mean_s"].n == 4
    assert found["first_call_s"].value == EXPECTED[operation]
    rounds.give_to(benchmark)
    assert list(benchmark.stats.stats.data) == [EXPECTED[operation]] * 4
    assert found["training_tokens_per_s"].value == pytest.approx(4 * 256 / EXPECTED[operation])


@pytest.mark.benchmark(timer=CLOCK)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_call_begins_cleared_and_runs_its_parts_in_order(operation, rounds):
    session = PaperSession()
    measured(operation, rounds, session)
    parts = {
        "forward": ["clear", "forward"],
        "backward": ["clear", "forward", "backward"],
        "forward_backward": ["clear", "forward", "backward"],
        "step": ["clear", "forward", "backward", "update"],
    }[operation]
    assert session.log == parts * (len(session.log) // len(parts))
    assert len(session.log) == len(parts) * (1 + 1 + 4)


@pytest.mark.benchmark(timer=CLOCK)
@pytest.mark.parametrize(
    ("operation", "laps"),
    [
        ("forward", {}),
        ("backward", {}),
        ("forward_backward", {"forward_s": 1.0, "backward_s": 20.0}),
        ("step", {"forward_s": 1.0, "backward_s": 20.0, "update_s": 300.0, "forward_backward_s": 21.0}),
    ],
)
def test_operations_of_several_parts_tell_each_of_the_timed_rounds(operation, laps, rounds):
    reading = measured(operation, rounds, PaperSession())[1]
    assert {name: reading.metrics[name].value for name in laps} == laps
    assert reading.details.get("laps", {}) == {name: [seconds] * 4 for name, seconds in laps.items()}
    assert all(statistics.mean(samples) == laps[name] for name, samples in reading.details.get("laps", {}).items())


@pytest.mark.benchmark(timer=CLOCK)
@pytest.mark.parametrize(
    ("operation", "work"), [("forward", 100), ("backward", 200), ("forward_backward", 300), ("step", 300)]
)
def test_flops_are_those_of_the_operations_own_passes(operation, work, rounds):
    subject, _ = measured(operation, rounds, PaperSession())
    found = FlopsMeter().measure(subject).metrics
    assert found["flops_per_call"].value == work
    assert found["flops_per_s"].value == pytest.approx(work / EXPECTED[operation])
    assert found["mfu"].value == pytest.approx(work / EXPECTED[operation] / 500.0)


@pytest.mark.benchmark(timer=CLOCK)
def test_flops_of_a_run_without_timing_have_no_rate(rounds):
    subject, _ = measured("forward", rounds, PaperSession())
    subject.metrics = {}
    reading = FlopsMeter().measure(subject)
    assert set(reading.metrics) == {"flops_forward", "flops_forward_backward", "flops_per_call"}
    assert set(reading.missing) >= {"flops_per_s", "mfu"}


@pytest.mark.benchmark(timer=CLOCK)
def test_a_peak_that_the_cell_exceeds_is_none(rounds, monkeypatch):
    monkeypatch.setattr(PaperSession, "matmul_peak", lambda self: 1e-9)
    subject, _ = measured("forward", rounds, PaperSession())
    reading = FlopsMeter().measure(subject)
    assert "flops_per_s" in reading.metrics
    assert not reading.metrics.keys() & {"mfu", "matmul_peak_flops_per_s"}
    assert "measure again on a quiet one" in reading.missing["mfu"]


@pytest.mark.benchmark(timer=CLOCK)
@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_loss_that_is_no_number_stops_the_cell(loss, benchmark):
    with pytest.raises(InvalidOutput, match="paper: the loss is"):
        measured("step", benchmark, PaperSession(loss))


@pytest.mark.parametrize(
    ("options", "setting"),
    [
        ({}, Setting(4, 256)),
        ({"batch": 1, "context": 1}, Setting(1, 1)),
        ({"memory_limit": "2GB"}, Setting(memory_limit=2_000_000_000)),
        ({"memory_limit": None, "timeout_s": 60}, Setting(timeout_s=60)),
    ],
)
def test_options_become_a_setting(options, setting):
    assert parse_setting(options) == setting
    assert setting.isolated == (setting.memory_limit is not None or setting.timeout_s is not None)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch": 0}, "batch 0 and context 256 must be at least 1"),
        ({"context": -1}, "context -1 must be"),
        ({"bacth": 4}, "unknown option of a training step 'bacth'; did you mean 'batch'"),
        ({"attention": "flush"}, "did you mean 'flash'"),
        ({"memory_limit": "much"}, "memory limit 'much' is no size"),
        ({"timeout_s": 0}, "timeout_s 0"),
    ],
)
def test_options_that_cannot_be_are_named(options, message):
    with pytest.raises(DataError, match=message):
        parse_setting(options)


def test_there_is_no_sample_and_no_accuracy():
    with pytest.raises(DataError, match="name an operation: step, forward"):
        TrainingTask().sample(SimpleNamespace(name="paper"), 1)
    assert TrainingTask().score(PaperSession(), SimpleNamespace(name="paper"), None) == {}

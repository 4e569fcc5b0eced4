"""The metrics of seconds per call with what is missing of them, and the meter with rounds of paper."""

from __future__ import annotations

import math
import statistics
from types import SimpleNamespace

import pytest

from benchgate.core import BenchgateError, InvalidOutput, Lapped, Unavailable, Work
from benchgate.machine.devices import devices
from benchgate.measuring import timing
from benchgate.measuring.meters.latency import Latency, latency_metrics
from benchgate.measuring.timing import Loop, Samples, time_work
from tests.measuring.clock import Clock

# Metrics of samples

ALWAYS = {"latency_mean_s", "latency_min_s", "latency_median_s"}
PERCENTILES = ["latency_p50_s", "latency_p90_s", "latency_p95_s", "latency_p99_s"]


def ramp(n):
    return [(i + 1) / 1000 for i in range(n)]


@pytest.mark.parametrize(
    ("n", "percentiles"),
    [(1, 0), (2, 0), (10, 0), (11, 1), (63, 1), (64, 2), (129, 2), (130, 3), (661, 3), (662, 4), (2000, 4)],
)
def test_each_percentile_appears_with_its_samples_and_not_one_before(n, percentiles):
    found, missing = latency_metrics(ramp(n))
    there, absent = PERCENTILES[:percentiles], PERCENTILES[percentiles:]
    deviation = {"latency_std_s"}
    assert set(found) == ALWAYS | set(there) | (deviation if n > 1 else set())
    assert set(missing) == set(absent) | (set() if n > 1 else deviation)


@pytest.mark.parametrize(
    ("n", "name", "reason"),
    [
        (1, "latency_std_s", "one round has no deviation"),
        (5, "latency_p50_s", "n=5: a 99 % bound for P50 needs n >= 11"),
        (100, "latency_p99_s", "n=100: a 99 % bound for P99 needs n >= 662"),
    ],
)
def test_what_is_missing_has_its_reason(n, name, reason):
    assert latency_metrics(ramp(n))[1][name] == reason


def test_a_round_of_several_calls_has_no_percentiles_of_single_calls():
    found, missing = latency_metrics(ramp(1000), iterations=7)
    assert set(found) == {*ALWAYS, "latency_std_s"}
    assert missing == dict.fromkeys(PERCENTILES, "a round is the mean of 7 calls; percentiles need single calls")


def test_the_figures_are_those_of_the_samples():
    samples = [0.4, 0.1, 0.3, 0.2, 5.0] * 20
    found, _ = latency_metrics(samples)
    assert found["latency_min_s"].value == 0.1
    assert found["latency_median_s"].value == 0.3
    assert found["latency_mean_s"].value == pytest.approx(1.2)
    assert found["latency_std_s"].value == pytest.approx(statistics.stdev(samples))
    assert found["latency_p90_s"].value == 5.0
    assert {m.n for m in found.values()} == {100}
    assert {(m.unit, m.better) for m in found.values()} == {("s", "lower")}


@pytest.mark.parametrize(("n", "interval"), [(10, False), (11, True)])
def test_a_median_has_an_interval_when_there_are_rounds_enough_and_says_if_not(n, interval):
    median = latency_metrics(ramp(n))[0]["latency_median_s"]
    assert (median.low is not None, median.high is not None) == (interval, interval)
    assert ("too few rounds" in median.method) is not interval


# The meter, with rounds of paper


class Paper:
    """Rounds that last as long as told: `untimed` calls to size them, one call for each sample, one more at the end."""

    def __init__(self, samples=(0.1, 0.2, 0.3), iterations=1, untimed=2, off=False):
        self.samples, self.iterations, self.untimed, self.off, self.plan = samples, iterations, untimed, off, None

    def run(self, call, prepare, after, plan):
        self.plan = plan

        def once():
            if prepare is not None:
                prepare()
            call()

        if self.off:
            once()
            return None
        for _ in range(self.untimed):
            once()
        for _ in self.samples:
            for _ in range(self.iterations):
                once()
            if after is not None:
                after(self.iterations)
        once()
        return Samples(tuple(self.samples), self.iterations)


def a_subject(work, rounds=None, device=devices["cpu"], session=None):
    of = SimpleNamespace(device=device)
    session = session or SimpleNamespace(kernel={"dtype": "fp32"})
    return SimpleNamespace(work=work, loaded=SimpleNamespace(of=of, session=session), rounds=rounds or Paper())


def read(work, rounds=None, **fields):
    return Latency().measure(a_subject(work, rounds, **fields))


@pytest.fixture(autouse=True)
def short_warm_up(monkeypatch):
    monkeypatch.setattr(timing, "warm_up", lambda call: [call(), timing.WarmUp(1, 0.25, True, 0.25)][1])


def test_the_meter_gives_first_call_latency_and_throughput():
    found = read(Work(lambda: "answer", units=6, throughput="prefill_tokens_per_s"))
    assert found.metrics["first_call_s"].value > 0
    assert found.metrics["latency_median_s"].value == 0.2
    assert found.metrics["prefill_tokens_per_s"].value == pytest.approx(30)
    assert found.details["warm_up"] == {"calls": 1, "seconds": 0.25, "steady": True, "call_s": 0.25}
    assert set(found.missing) == set(PERCENTILES)


def test_a_throughputs_interval_is_the_latencys_turned_round():
    found = read(Work(lambda: None, units=2), Paper(ramp(100))).metrics
    median, through = found["latency_median_s"], found["throughput_per_s"]
    assert (through.low, through.high) == (pytest.approx(2 / median.high), pytest.approx(2 / median.low))
    assert through.low < through.value < through.high


@pytest.mark.parametrize("iterations", [1, 2])
def test_laps_are_those_of_the_timed_rounds_alone(iterations):
    calls = []

    def call():
        calls.append(1)
        return Lapped("answer", {"ttft_s": float(len(calls))})

    found = read(Work(call, laps=("ttft_s",)), Paper(iterations=iterations, untimed=2))
    # First call, warm-up, two calls to size the rounds; one more comes after them.
    timed = [float(n) for n in range(5, 5 + 3 * iterations)]
    assert found.details["laps"] == {"ttft_s": timed}
    assert found.metrics["ttft_s"].value == statistics.median(timed)
    assert len(calls) == 5 + 3 * iterations


def test_what_has_to_begin_is_part_of_the_first_call_and_comes_once():
    log = []
    clock = Clock(1.0)
    work = Work(lambda: log.append("call"), begin=lambda: [log.append("begin"), clock.call()])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(timing.time, "perf_counter", clock)
        found = read(work).metrics["first_call_s"]
    assert log[:2] == ["begin", "call"]
    assert log.count("begin") == 1
    assert found.value == 1.0
    assert "come before it" in found.method


def test_prepare_runs_before_every_call():
    log = []
    read(Work(lambda: log.append("call"), prepare=lambda: log.append("prepare")))
    assert len(log) == 2 * (1 + 1 + 2 + 3 + 1)
    assert log == ["prepare", "call"] * (len(log) // 2)


def test_the_device_is_waited_for_in_every_call():
    log = []
    device = SimpleNamespace(synchronize=lambda: log.append("wait"), watch=None)
    read(Work(lambda: log.append("call")), device=device)
    assert len(log) == 2 * (1 + 1 + 2 + 3 + 1)
    assert log == ["call", "wait"] * (len(log) // 2)


@pytest.mark.parametrize("iterations", [1, 2])
@pytest.mark.parametrize("bad", [1, *range(3, 9)])
def test_a_wrong_answer_in_any_call_stops_the_cell(bad, iterations):
    """The first, those that size the rounds, every timed one, the last; of the warm-up only the time counts."""
    calls = []

    def call():
        calls.append(1)
        return math.nan if len(calls) == bad else 1.0

    def check(output):
        if math.isnan(output):
            raise InvalidOutput("NaN")

    with pytest.raises(InvalidOutput):
        read(Work(call, check=check), Paper(iterations=iterations))
    assert bad <= len(calls) <= bad + 3


def test_checking_is_outside_the_timer_and_lets_outputs_go():
    """pytest-benchmark's own rounds: between the two readings of its clock there is the call and one append."""
    inside, log = [], []
    work = Work(lambda: inside.append(1), check=lambda output: log.append(len(inside)))
    looped = time_work(work, Loop(min_rounds=4))
    assert len(looped.samples.seconds) == 4
    assert log == [1, 3, 4, 5, 6]


@pytest.mark.parametrize(("min_rounds", "rounds"), [(1, 3), (3, 3), (4, 6)])
def test_turns_begin_anew_after_the_warm_up_and_rounds_are_whole_passes(min_rounds, rounds):
    asked = []
    time_work(Work(asked.append, turns=["a", "b", "c"]), Loop(min_rounds))
    assert asked[2:] == ["a", "b", "c"] * (rounds // 3)


def test_timing_that_is_switched_off_is_missing_not_zero():
    found = read(Work(lambda: None), Paper(off=True))
    assert set(found.metrics) == {"first_call_s"}
    assert "timing is switched off" in found.missing["latency_median_s"]


def test_a_timer_that_does_not_move_is_an_error():
    with pytest.raises(BenchgateError, match="the timer does not move"):
        read(Work(lambda: None), Paper([0.0, 0.0, 0.0]))


def test_a_session_tells_its_kernels_from_one_call_that_is_not_timed():
    calls = []
    session = SimpleNamespace(kernel={"dtype": "int8"}, observe=lambda call: {"ops": call()})
    found = read(Work(lambda: calls.append(1) or len(calls)), session=session)
    assert found.kernel == {"ops": 3}
    assert session.kernel == {"dtype": "int8"}


def test_a_session_that_cannot_be_observed_says_why():
    def observe(call):
        raise Unavailable("no profiler")

    found = read(Work(lambda: None), session=SimpleNamespace(kernel={}, observe=observe))
    assert found.details["observe"] == "no profiler"

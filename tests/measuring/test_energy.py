"""The energy meter on scripted counters, clock and neighbours: figures exact, faults absent with their reason."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from benchgate.core import Unavailable, Work
from benchgate.core.metrics import MODELLED, TABLE, bad_tolerance, metric
from benchgate.machine.counters import Channel, Counting, Source
from benchgate.machine.neighbours import Counters
from benchgate.machine.throttling import ON_BATTERY, Conditions
from benchgate.measuring.meters.base import Asked, Subject
from benchgate.measuring.meters.energy import Energy, Tools
from benchgate.measuring.meters.modelled_energy import ModelledEnergy
from benchgate.measuring.timing import Loop
from tests.machine.counter_trees import Clock

MEDIAN = {"latency_median_s": metric("latency_median_s", 0.5)}


class Machine:
    """A machine that takes 10 W when idle and 40 W while a call runs, half a second each; dram a tenth more.

    `readings` replace what the package's counter says, one after the other.
    """

    def __init__(self, readings=(), others=0.0, on_battery=None) -> None:
        self.clock, self.busy_s = Clock(), 0.0
        self.readings, self.others, self.on_battery = iter(readings), others, on_battery

    def joules(self) -> float:
        return 10.0 * self.clock.now + 30.0 * self.busy_s

    def package(self) -> float:
        value = next(self.readings, None)
        if isinstance(value, Exception):
            raise value
        return self.joules() if value is None else value

    def call(self) -> str:
        self.clock.sleep(0.5)
        self.busy_s += 0.5
        return "answer"

    def readable(self, device: str):
        package = Channel("package-0", self.package)
        dram = Channel("package-0 dram", lambda: 0.1 * self.joules())
        core = Channel("package-0 core", lambda: 0.5 * self.joules(), counts=False)
        whole = Channel("whole", lambda: 2 * self.joules())
        everywhere = frozenset({device})
        return [
            (Source("RAPL", "package", everywhere, 0.3, None), Counting([package, dram, core], self.clock)),
            (Source("same by perf", "package", everywhere, 0.1, None), Counting([whole], self.clock)),
            (Source("meter", "machine", everywhere, 0.1, None), Counting([whole], self.clock)),
            (Source("stuck", "machine", everywhere, 0.1, None), Counting([Channel("x", lambda: 1.0)], self.clock)),
            (Source("slow", "machine", everywhere, 9.0, None), Counting([whole], self.clock)),
        ]

    def counters(self) -> Counters:
        return Counters(self.clock.now, self.busy_s, 0.0, self.others * self.clock.now, 0.0, 0, 0)

    def tools(self) -> Tools:
        looks = lambda: Conditions(on_battery=self.on_battery)  # noqa: E731
        return Tools(self.readable, self.clock, self.clock.sleep, self.counters, looks)

    def measure(self, work=None, metrics=MEDIAN):
        return Energy(self.tools()).measure(a_subject(work or Work(self.call), metrics))


def a_subject(work, metrics=MEDIAN, device="cpu"):
    of = SimpleNamespace(device=SimpleNamespace(name=device, synchronize=None))
    asked = Asked("call", lambda *_: work, None, {})
    return Subject(SimpleNamespace(of=of), asked, work, Loop(), metrics)


def test_joules_a_call_mean_and_idle_power():
    """A window of 3 s is 6 calls of 20 J; with dram's tenth 22 J. Idle, the same takes 11 W."""
    machine = Machine()
    reading = machine.measure()
    values = {name: found.value for name, found in reading.metrics.items()}
    assert values == pytest.approx({"energy_j_per_call": 22.0, "power_w": 44.0, "power_idle_w": 11.0}, rel=1e-12)
    assert reading.missing == {}
    told = reading.details["energy"]
    assert (told["source"], told["scope"], told["calls"]) == ("RAPL", "package", 6)
    assert told["window_s"] == pytest.approx(3.0)
    assert told["channels"] == pytest.approx({"package-0": 120.0, "package-0 dram": 12.0, "package-0 core": 60.0})
    assert told["joules"] == pytest.approx(132.0)
    assert "energy_disturbed" not in reading.details
    method = reading.metrics["energy_j_per_call"].method
    assert method == "RAPL, scope package: package-0, package-0 dram; 6 calls in 3 s, idle power included"


def test_sources_of_another_scope_are_kept_beside_it_where_the_window_is_long_enough():
    beside = Machine().measure().details["energy"]["beside"]
    assert set(beside) == {"meter", "stuck"}
    assert beside["meter"] == pytest.approx(240.0)
    assert "does not count" in beside["stuck"]


@pytest.mark.parametrize(
    ("throughput", "units", "name", "value"),
    [
        ("decode_tokens_per_s", 1, "energy_j_per_token", 22.0),
        ("prefill_tokens_per_s", 128, "energy_j_per_token", 22.0 / 128),
        ("throughput_per_s", 4, "energy_j_per_item", 5.5),
        ("somebodys_own", 2, "energy_j_per_item", 11.0),
    ],
)
def test_joules_a_token_or_an_item(throughput, units, name, value):
    machine = Machine()
    found = machine.measure(Work(machine.call, units=units, throughput=throughput)).metrics
    assert found[name].value == pytest.approx(value)
    assert len(found) == 4


def test_one_item_a_call_is_the_call():
    assert set(Machine().measure().metrics) == {"energy_j_per_call", "power_w", "power_idle_w"}


GONE = FileNotFoundError(2, "No such file or directory")


@pytest.mark.parametrize(
    ("readings", "said"),
    [
        ((0, 30, 30, 30), "RAPL: package-0 read 30 J before and after 3 s: it does not count"),
        ((0, 30, 30, 29), "RAPL: package-0 went backwards"),
        ((0, 30, 30, GONE), "RAPL: package-0 can no longer be read: No such file or directory"),
        ((0, 30, GONE), "package-0 can no longer be read"),
        ((0, 30, 30, float("nan")), "RAPL: package-0 reads nan"),
    ],
    ids=["constant", "backwards", "gone meanwhile", "gone before", "nan"],
)
def test_a_fault_in_the_window_leaves_no_figure(readings, said):
    with pytest.raises(Unavailable, match=said):
        Machine(readings).measure()


def test_a_fault_of_the_idle_window_leaves_the_figure():
    reading = Machine(readings=(5.0, 5.0)).measure()
    assert "does not count" in reading.missing["power_idle_w"]
    assert set(reading.metrics) == {"energy_j_per_call", "power_w"}


def test_switched_off_timing_measures_no_energy():
    with pytest.raises(Unavailable, match="timing is switched off"):
        Machine().measure(metrics={})


def test_an_error_of_the_call_is_told_as_itself_and_the_readers_end():
    ended = []

    class Reader:
        channels = (Channel("a", lambda: 1.0),)

        def begin(self):
            return lambda: ended.append(1) or {"a": 1.0}

    machine = Machine()
    tools = Tools(
        lambda device: [(Source("s", "package", frozenset(), 0.1, None), Reader())],
        machine.clock, machine.clock.sleep, machine.counters, Conditions,
    )  # fmt: skip

    def broken():
        raise MemoryError("no more")

    with pytest.raises(MemoryError):
        Energy(tools).measure(a_subject(Work(broken)))
    assert len(ended) == 2


@pytest.mark.parametrize(("seconds", "is_figure"), [(0.005, True), (0.006, False)])
def test_calls_that_need_preparation_have_a_figure_only_below_a_hundredth(seconds, is_figure):
    machine = Machine()
    work = Work(machine.call, prepare=lambda: machine.clock.sleep(seconds))
    if is_figure:
        assert machine.measure(work).metrics
    else:
        with pytest.raises(Unavailable, match=r"preparing the calls took 1% of the window"):
            machine.measure(work)


def test_neighbours_and_a_battery_mark_the_figure():
    assert "other processes used 20% of a CPU" in Machine(others=0.2).measure().details["energy_disturbed"][0]
    assert Machine(on_battery=True).measure().details["energy_disturbed"] == [ON_BATTERY]


def test_a_modelled_energy_is_cpu_time_times_the_stated_watts_and_says_so():
    calls = []
    reading = ModelledEnergy(10.0).measure(a_subject(Work(lambda: calls.append(sum(range(10_000))))))
    [(name, found)] = reading.metrics.items()
    assert name == "modelled_energy_j_per_call"
    each_s = reading.details["modelled_energy"]["cpu_s_per_call"]
    assert 0 < each_s < 1
    assert found.value == pytest.approx(10.0 * each_s)
    assert found.method.startswith("estimate, modelled and not measured: ")
    assert found.method.endswith("x 10 W a core as stated")


@pytest.mark.parametrize(
    ("device", "metrics", "said"), [("cuda", MEDIAN, "computes on cuda"), ("cpu", {}, "timing is switched off")]
)
def test_what_cannot_be_modelled_has_its_reason(device, metrics, said):
    with pytest.raises(Unavailable, match=said):
        ModelledEnergy(10.0).measure(a_subject(Work(lambda: None), metrics, device))


def test_a_modelled_figure_takes_no_tolerance():
    assert MODELLED
    for name in MODELLED:
        assert TABLE[name].tolerance is None
        assert "modelled" in TABLE[name].title
        assert "never gated" in bad_tolerance(TABLE[name], 0.1)

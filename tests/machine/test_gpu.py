"""A GPU's own time and what slows it, on stand-ins of the two interfaces: no device was at hand."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import pytest

from benchgate.machine import gpu
from benchgate.machine.gpu import DeviceTaken


class Clock:
    now = 0.0


class Event:
    """As torch.cuda.Event and torch.mps.event.Event: recorded in the order of commands, milliseconds between two."""

    def __init__(self, log: list[str]) -> None:
        self.log, self.at = log, 0.0

    def record(self) -> None:
        self.at = Clock.now
        self.log.append("record")

    def elapsed_time(self, end: Event) -> float:
        assert self.log[-1] == "wait", "events have times only when the device is done"
        return 1e3 * (end.at - self.at)


@pytest.fixture
def log() -> list[str]:
    return []


def an_interval(log, told):
    found = iter(told)
    end = gpu.between_events(lambda: Event(log), lambda: log.append("wait"), lambda: next(found))
    Clock.now += 0.125
    return end()


def test_seconds_are_the_devices_own_and_both_ends_tell_what_slowed_it(log):
    assert an_interval(log, [("power cap",), ("power brake",)]) == DeviceTaken(0.125, ("power brake", "power cap"))
    assert log == ["record", "record", "wait"]


def test_a_device_that_does_not_tell_is_not_unslowed(log):
    taken = an_interval(log, [None, ()])
    assert taken.slowed is None
    assert taken.as_dict() == {"device_s": 0.125}


@pytest.mark.parametrize(
    ("bits", "names"),
    [(None, None), (0, ()), (0x01, ()), (0x02, ()), (0x60, ("software thermal slowdown", "hardware thermal slowdown"))],
)
def test_idle_and_the_users_own_clocks_are_no_slowing(bits, names):
    assert gpu.slowed_by(bits) == names


class NVMLError(Exception):
    pass


@pytest.mark.parametrize(("broken", "found"), [(False, 0x44), (True, None)])
def test_nvml_is_asked_for_the_device_that_torch_uses(monkeypatch, broken, found):
    def handle(uuid: str) -> str:
        if broken:
            raise NVMLError("driver not loaded")
        return f"handle of {uuid}"

    nvml = ModuleType("pynvml")
    nvml.NVMLError = NVMLError
    nvml.nvmlInit = lambda: None
    nvml.nvmlDeviceGetHandleByUUID = handle
    nvml.nvmlDeviceGetCurrentClocksEventReasons = lambda of: {"handle of GPU-1234": 0x44}[of]
    torch = ModuleType("torch")
    torch.cuda = SimpleNamespace(
        current_device=lambda: 1, get_device_properties=lambda index: SimpleNamespace(uuid={1: "1234"}[index])
    )
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    monkeypatch.setitem(sys.modules, "torch", torch)
    assert gpu.nvml_reasons() == found


def test_without_the_package_there_is_no_answer(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert gpu.nvml_reasons() is None

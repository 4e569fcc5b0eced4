"""The fingerprint that decides whether times may be compared."""

from __future__ import annotations

import json

import pytest

from benchgate.machine import fingerprint as machine
from benchgate.machine import spinning
from benchgate.machine.devices import devices, usable_cores


def test_the_fingerprint_is_flat_json_and_complete():
    found = dict(machine.fingerprint("cpu"))
    assert json.loads(json.dumps(found)) == found
    assert set(found) == {"system", "arch", "cpu", "cores", "memory_gib", "python", *spinning.in_force()}
    assert all(found.values())
    assert found["cores"] == usable_cores()


def test_a_devices_own_parts_are_in_the_fingerprint():
    assert machine.fingerprint("mps")["gpu"] == "apple-mps"


def test_a_machine_does_not_differ_from_itself():
    assert machine.differences(machine.fingerprint("cpu"), dict(machine.fingerprint("cpu"))) == []


@pytest.mark.parametrize(
    ("ours", "theirs", "said"),
    [
        ({"cores": 8}, {"cores": 2}, ["cores 2 -> 8"]),
        ({"gpu": "H100"}, {}, ["gpu None -> H100"]),
        ({}, {"gpu": "H100"}, ["gpu H100 -> None"]),
        ({"b": 1, "a": 1, "c": 0}, {"b": 2, "a": 2, "c": 0}, ["a 2 -> 1", "b 2 -> 1"]),
        ({}, {}, []),
    ],
)
def test_differences_go_from_the_baseline_to_now(ours, theirs, said):
    assert machine.differences(ours, theirs) == said


CPUINFO = """processor\t: 0
cpu family\t: 6
model\t\t: 143
model name\t: Quiet(R) CPU 9000

processor\t: 1
cpu family\t: 6
model\t\t: 143
model name\t: Quiet(R) CPU 9000
"""


@pytest.mark.parametrize(
    ("cpuinfo", "expected"),
    [
        (CPUINFO, "Quiet(R) CPU 9000 (family 6, model 143)"),
        ("processor\t: 0\nBogoMIPS\t: 50\n", " (family ?, model ?)"),
    ],
)
def test_the_cpu_is_named_with_family_and_model(monkeypatch, tmp_path, cpuinfo, expected):
    file = tmp_path / "cpuinfo"
    file.write_text(cpuinfo)
    monkeypatch.setattr(machine, "Path", lambda path: file)
    assert machine.cpu_model.__wrapped__().endswith(expected)


def test_noise_tells_the_load_and_the_governor():
    found = machine.noise()
    assert {"load", "governor"} <= set(found)
    assert all(isinstance(text, str) and text for text in found.values())


@pytest.mark.parametrize(("load", "noisy"), [(0.0, False), (1000.0, True)])
def test_a_busy_machine_is_called_noisy(monkeypatch, load, noisy):
    monkeypatch.setattr(machine.os, "getloadavg", lambda: (load, load, load))
    assert ("noisy" in machine.noise()["load"]) is noisy


def test_the_cpu_is_always_there_and_returns_when_the_work_is_done():
    cpu = devices["cpu"]
    assert (cpu.missing(), cpu.synchronize, cpu.peak_bytes) == (None, None, None)

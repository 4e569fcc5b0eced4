"""Which source speaks for a cell, and what is said where none can."""

from __future__ import annotations

import pytest

from benchgate.core import Unavailable
from benchgate.machine import energy_counters
from benchgate.machine.counters import Channel, Counting, Refused, Source
from benchgate.machine.energy_counters import SOURCES, can_be_read, readable, states
from benchgate.measuring import meters

CPU = frozenset({"cpu"})


def source(name, found, devices=CPU):
    def find(root):
        if isinstance(found, Exception):
            raise found
        return found

    return Source(name, "package", devices, 0.001, find)


READER = Counting([Channel("package-0", lambda: 1.0), Channel("core", lambda: 1.0, counts=False)])


def test_the_best_source_of_the_device_comes_first(tmp_path):
    rows = [
        source("gpu", READER, frozenset({"cuda"})),
        source("none", Unavailable("no")),
        source("a", READER),
        source("b", READER),
    ]
    assert [found.name for found, _ in readable("cpu", tmp_path, rows)] == ["a", "b"]
    assert [found.name for found, _ in readable("cuda", tmp_path, rows)] == ["gpu"]


def test_where_there_is_none_a_refusal_is_told_and_else_the_command(tmp_path):
    rows = [source("a", Unavailable("no such folder")), source("b", Refused("may not be read: sudo chmod"))]
    with pytest.raises(Unavailable, match=r"^no energy counter can be read here: b: may not be read: sudo chmod$"):
        readable("cpu", tmp_path, rows)
    with pytest.raises(Unavailable, match=r"here: `benchgate doctor` says"):
        readable("cpu", tmp_path, rows[:1])


def test_the_whole_table_on_an_empty_machine(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pynvml", None)
    monkeypatch.setitem(__import__("sys").modules, "amdsmi", None)
    found, missing = states(tmp_path)
    assert found == {}
    assert list(missing) == [row.name for row in SOURCES]
    assert all(missing.values())
    assert not can_be_read("cpu", tmp_path)


def test_the_whole_table_on_a_machine_with_counters(tree):
    tree.zone("0", "package-0", 1.0)
    tree.zone("0:0", "core", 1.0)
    tree.battery(power_now=5_000_000)
    found, _ = states(tree.root)
    assert found == {
        "RAPL (powercap)": "package: package-0; windows of 1 s",
        "battery": "machine: BAT0; windows of 20 s",
    }
    assert can_be_read("cpu", tree.root)
    assert [row.name for row, _ in readable("mps", tree.root)] == ["battery"]


@pytest.mark.parametrize("there", [True, False])
def test_energy_is_a_default_meter_only_where_something_can_be_read(monkeypatch, there):
    monkeypatch.setattr(meters, "can_be_read", lambda device: there)
    assert ("energy" in meters.chosen(None, "cpu")) is there
    assert list(meters.chosen(None, "cpu"))[:3] == ["latency", "size", "memory"]
    assert list(meters.chosen(("energy",), "cpu")) == ["latency", "energy"], "who asks for it gets its reason"


def test_every_source_is_documented(pytestconfig):
    page = (pytestconfig.rootpath / "docs" / "energy.md").read_text(encoding="utf-8")
    assert SOURCES
    assert [row.name for row in SOURCES if f"| {row.name} |" not in page] == []
    assert energy_counters.hwmon.CHOSEN_RAILS in page

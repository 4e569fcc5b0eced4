"""RAPL by powercap and by perf, on made-up trees: what is added, what is a part, and what a fault says."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchgate.core import Unavailable
from benchgate.machine import rapl
from benchgate.machine.counters import Refused, total
from tests.machine.counter_trees import Clock, joules


def between(reader, change):
    """(the sum, joules by channel) of a second in which `change()` happens."""
    end = replace(reader, clock=(clock := Clock())).begin()
    clock.sleep(1.0)
    change()
    found = end()
    return total(reader.channels, found), found


def test_packages_and_dram_are_added_and_core_uncore_and_psys_are_not(tree):
    files = {
        number: tree.zone(number, name, at)
        for number, name, at in [
            ("0", "package-0", 100.0), ("0:0", "core", 50.0), ("0:1", "uncore", 5.0), ("0:2", "dram", 20.0),
            ("1", "package-1", 300.0), ("1:0", "dram", 30.0), ("2", "psys", 900.0),
        ]
    }  # fmt: skip
    after = {"0": 110.0, "0:0": 57.0, "0:1": 5.5, "0:2": 22.0, "1": 301.25, "1:0": 30.5, "2": 990.0}

    def change():
        for number, value in after.items():
            joules(files[number], value)

    added, found = between(rapl.powercap(tree.root), change)
    assert added == pytest.approx(10 + 2 + 1.25 + 0.5, rel=1e-9)
    assert found == pytest.approx(
        {
            "package-0": 10.0, "package-0 core": 7.0, "package-0 uncore": 0.5, "package-0 dram": 2.0,
            "package-1": 1.25, "package-1 dram": 0.5, "psys": 90.0,
        }
    )  # fmt: skip


def test_the_same_packages_by_memory_mapped_registers_are_not_counted_again(tree):
    file = tree.zone("0", "package-0", 1.0)
    tree.put("sys/class/powercap/intel-rapl-mmio:0/name", "package-0")
    tree.put("sys/class/powercap/intel-rapl-mmio:0/energy_uj", 5)
    tree.put("sys/class/powercap/intel-rapl/enabled", 1)
    assert between(rapl.powercap(tree.root), lambda: joules(file, 4.0)) == (3.0, {"package-0": 3.0})


def test_a_counter_that_begins_anew_at_its_own_range_is_unwound(tree):
    file = tree.zone("0", "package-0", 65532.0, range_j=65536.0)
    added, _ = between(rapl.powercap(tree.root), lambda: joules(file, 3.0))
    assert added == pytest.approx(7.0)


def test_a_dram_domain_that_never_counted_is_no_counter(tree):
    file = tree.zone("0", "package-0", 1.0)
    tree.zone("0:0", "dram", 0.0)
    assert between(rapl.powercap(tree.root), lambda: joules(file, 2.0)) == (1.0, {"package-0": 1.0})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda file: None, "package-0 read 100 J before and after .* it does not count"),
        (lambda file: joules(file, 99.0), "package-0 went backwards"),
        (lambda file: file.unlink(), "package-0 can no longer be read: No such file"),
        (lambda file: file.write_text("\n"), "package-0 reads what is no number"),
        (lambda file: file.write_text("-5\n"), "package-0 reads -5e-06, which cannot be"),
    ],
    ids=["constant", "backwards", "gone", "empty", "negative"],
)
def test_a_fault_is_the_reason(tree, change, said):
    file = tree.zone("0", "package-0", 100.0)
    with pytest.raises(Unavailable, match=said):
        between(rapl.powercap(tree.root), lambda: change(file))


def test_one_package_of_two_that_stands_still_is_a_fault_and_not_half_a_figure(tree):
    moving = tree.zone("0", "package-0", 1.0)
    tree.zone("1", "package-1", 1.0)
    with pytest.raises(Unavailable, match="package-1 read 1 J before and after"):
        between(rapl.powercap(tree.root), lambda: joules(moving, 2.0))


def test_no_zones_say_the_module_and_what_a_container_needs(tree):
    with pytest.raises(Unavailable, match=r"modprobe intel_rapl_msr.*systempaths=unconfined"):
        rapl.powercap(tree.root)
    tree.zone("0", "psys", 1.0)
    with pytest.raises(Unavailable, match="no RAPL zone"):
        rapl.powercap(tree.root)


def test_a_counter_that_may_not_be_read_says_the_command(tree, monkeypatch):
    tree.zone("0", "package-0", 1.0)

    def refusing(path, unit=1.0):
        if path.name == "energy_uj":
            raise PermissionError(13, "Permission denied")
        return 1.0

    monkeypatch.setattr(rapl, "number", refusing)
    with pytest.raises(Refused, match=r"package-0 may not be read: .*sudo chmod a\+r /sys/class/powercap"):
        rapl.powercap(tree.root)


UNIT = 2.0**-32


class Kernel:
    """perf_event_open of a made-up kernel: counts by (type, config, CPU)."""

    def __init__(self, refuses: OSError | None = None) -> None:
        self.counts: dict[tuple[int, int, int], int] = {}
        self.refuses = refuses

    def open_event(self, kind, config, cpu):
        if self.refuses:
            raise self.refuses
        self.counts.setdefault((kind, config, cpu), 10**12)
        return lambda: self.counts[kind, config, cpu]


def test_perf_events_of_every_package_are_scaled_and_added(tree):
    tree.events("0,18", pkg="event=0x02", ram="event=0x03", cores="event=0x01", psys="event=0x05")
    kernel = Kernel()
    taken = {(9, 2, 0): 2**33, (9, 2, 18): 2**34, (9, 3, 0): 2**32, (9, 3, 18): 2**31, (9, 1, 0): 2**32, (9, 5, 0): 1}

    def change():
        for key, count in taken.items():
            kernel.counts[key] += count

    reader = rapl.perf(tree.root, kernel.open_event)
    added, found = between(reader, change)
    assert added == pytest.approx(2 + 4 + 1 + 0.5)
    assert found["energy-cores 0"] == pytest.approx(1.0)
    assert "energy-cores 1" not in found, "a part that stands still is left out"
    assert found["energy-psys 0"] == pytest.approx(UNIT, rel=1e-3)


def test_a_perf_event_that_stands_still_is_a_fault(tree):
    tree.events(pkg="event=0x02")
    with pytest.raises(Unavailable, match=r"energy-pkg 0 read .* it does not count"):
        between(rapl.perf(tree.root, Kernel().open_event), lambda: None)


@pytest.mark.parametrize(
    ("refuses", "kind", "said"),
    [
        (PermissionError(13, "Permission denied"), Refused, "sysctl kernel.perf_event_paranoid=0"),
        (OSError(22, "Invalid argument"), Unavailable, "energy-pkg cannot be opened on CPU 0: Invalid argument"),
    ],
)
def test_a_perf_event_that_cannot_be_opened_says_why(tree, refuses, kind, said):
    tree.events(pkg="event=0x02")
    with pytest.raises(kind, match=said):
        rapl.perf(tree.root, Kernel(refuses).open_event)


def test_no_events_say_the_module_and_a_broken_file_is_named(tree):
    with pytest.raises(Unavailable, match="modprobe rapl"):
        rapl.perf(tree.root)
    tree.events("some", pkg="event=0x02")
    with pytest.raises(Unavailable, match="event_source/devices/power says what is no number"):
        rapl.perf(tree.root)

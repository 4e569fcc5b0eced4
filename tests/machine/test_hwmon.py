"""Rails, ACPI power meters and AMD's sockets, on made-up trees."""

from __future__ import annotations

import pytest

from benchgate.core import Unavailable
from benchgate.machine import hwmon
from benchgate.machine.counters import Refused, now
from tests.machine.counter_trees import joules


def read(reader):
    return {channel.name: now(channel) for channel in reader.channels}


def counting(reader):
    return [channel.name for channel in reader.channels if channel.counts]


def jetson(tree, *labels):
    """An ina3221 with 5 V and 1000, 2000, 3000 mA on its rails, and its own sums."""
    files = {}
    for n, label in enumerate(labels, 1):
        files |= {f"in{n}_label": label, f"in{n}_input": 5000, f"curr{n}_input": 1000 * n}
    tree.chip(1, "ina3221", **files, in7_label="sum of shunt voltages", in7_input=1, curr4_input=6000)


def test_an_ina3221_tells_volts_and_amperes_and_the_boards_input_is_the_sum(tree):
    jetson(tree, "VDD_IN", "VDD_CPU_GPU_CV", "VDD_SOC")
    reader = hwmon.rails(tree.root, {})
    assert read(reader) == pytest.approx({"VDD_IN": 5.0, "VDD_CPU_GPU_CV": 10.0, "VDD_SOC": 15.0})
    assert counting(reader) == ["VDD_IN"]


def test_a_rail_that_is_not_connected_is_none(tree):
    jetson(tree, "POM_5V_IN", "NC", "POM_5V_GPU")
    assert list(read(hwmon.rails(tree.root, {}))) == ["POM_5V_IN", "POM_5V_GPU"]


def test_rails_of_which_nobody_knows_what_feeds_what_are_added_only_as_named(tree):
    jetson(tree, "VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0")
    with pytest.raises(Refused, match=r"VDD_GPU_SOC, VDD_CPU_CV, VIN_SYS_5V0: .*export BENCHGATE_ENERGY_RAILS="):
        hwmon.rails(tree.root, {})
    reader = hwmon.rails(tree.root, {hwmon.CHOSEN_RAILS: "VDD_CPU_CV, VDD_GPU_SOC"})
    assert counting(reader) == ["VDD_GPU_SOC", "VDD_CPU_CV"]
    with pytest.raises(Refused, match=r"no rail 'VDD'; there are VDD_GPU_SOC"):
        hwmon.rails(tree.root, {hwmon.CHOSEN_RAILS: "VDD"})


def test_one_rail_that_tells_power_is_the_board(tree):
    tree.chip(0, "ina226", power1_input=2_500_000, power1_label="5V")
    reader = hwmon.rails(tree.root, {})
    assert read(reader) == pytest.approx({"5V": 2.5})
    assert counting(reader) == ["5V"]


def test_other_chips_with_a_power_are_not_rails(tree):
    tree.chip(0, "BAT0", power1_input=9_000_000)
    tree.chip(1, "corsairpsu", power1_input=9_000_000)
    for find in (lambda root: hwmon.rails(root, {}), hwmon.power_meter, hwmon.amd_sockets):
        with pytest.raises(Unavailable, match="/sys/class/hwmon"):
            find(tree.root)


def test_an_acpi_power_meter_tells_an_average_of_the_machine(tree):
    tree.chip(3, "power_meter", power1_average=231_000_000)
    assert read(hwmon.power_meter(tree.root)) == pytest.approx({"hwmon3 power1": 231.0})


def test_amds_sockets_are_counted_and_their_cores_are_not_read(tree):
    folder = tree.chip(
        2, "amd_energy", energy1_label="Ecore000", energy1_input=5, energy2_label="Esocket0", energy2_input=10**6,
        energy3_label="Esocket1", energy3_input=2 * 10**6,
    )  # fmt: skip
    end = hwmon.amd_sockets(tree.root).begin()
    joules(tree.root / folder / "energy2_input", 4.0)
    joules(tree.root / folder / "energy3_input", 2.5)
    assert end() == pytest.approx({"Esocket0": 3.0, "Esocket1": 0.5})


def test_what_may_not_be_read_says_the_command_and_what_is_broken_its_name(tree, monkeypatch):
    tree.chip(3, "power_meter", power1_average="none")
    with pytest.raises(Unavailable, match="hwmon3 power1 reads what is no number"):
        hwmon.power_meter(tree.root)

    def refusing(path, unit=1.0):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(hwmon, "number", refusing)
    with pytest.raises(Refused, match=r"hwmon3 power1 may not be read: .*sudo chmod a\+r"):
        hwmon.power_meter(tree.root)

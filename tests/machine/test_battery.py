"""A battery's discharge and the machine's supply, on made-up trees."""

from __future__ import annotations

import sys

import pytest

from benchgate.core import Unavailable
from benchgate.machine import battery
from benchgate.machine.battery import on_battery
from benchgate.machine.counters import now


def read(reader):
    return {channel.name: now(channel) for channel in reader.channels}


@pytest.mark.parametrize(
    "files",
    [
        {"power_now": 7_500_000},
        {"power_now": -7_500_000},
        {"current_now": 500_000, "voltage_now": 15_000_000},
        {"current_now": -500_000, "voltage_now": 15_000_000},
    ],
    ids=["power", "power of a driver with signs", "current", "current of a driver with signs"],
)
def test_watts_are_told_or_volts_times_amperes(tree, files):
    tree.battery(**files)
    assert read(battery.discharge(tree.root)) == pytest.approx({"BAT0": 7.5})


def test_of_two_batteries_the_one_that_gives_counts_and_a_mouses_is_none(tree):
    tree.battery("BAT0", status="Not charging", power_now=0)
    tree.battery("BAT1", power_now=9_000_000)
    tree.supply("hidpp_battery_0", type="Battery", scope="Device", status="Discharging", power_now=1)
    assert read(battery.discharge(tree.root)) == pytest.approx({"BAT1": 9.0})


@pytest.mark.parametrize("status", ["Charging", "Full", "Not charging", "Unknown"])
def test_a_battery_that_does_not_discharge_tells_nothing_of_the_machine(tree, status):
    tree.battery(status=status, power_now=7_500_000)
    with pytest.raises(Unavailable, match=rf"no battery discharges \(BAT0 {status}\): unplug the charger"):
        battery.discharge(tree.root)


def test_beside_a_charger_a_discharge_is_not_all(tree):
    tree.battery(power_now=7_500_000)
    tree.supply("AC", type="Mains", online=1)
    with pytest.raises(Unavailable, match="unplug the charger"):
        battery.discharge(tree.root)


def test_a_charger_that_is_plugged_in_meanwhile_is_a_fault(tree):
    folder = tree.battery(power_now=7_500_000)
    reader = battery.discharge(tree.root)
    tree.put(f"{folder}/status", "Charging")
    with pytest.raises(Unavailable, match="BAT0 can no longer be read: it is no longer discharging but Charging"):
        read(reader)


def test_a_driver_that_tells_no_power_and_no_battery_say_so(tree):
    with pytest.raises(Unavailable, match="no battery"):
        battery.discharge(tree.root)
    tree.battery(capacity=80)
    with pytest.raises(Unavailable, match="neither power_now nor current_now and voltage_now"):
        battery.discharge(tree.root)


@pytest.mark.parametrize(
    ("status", "online", "found"),
    [("Discharging", 0, True), ("Discharging", 1, False), ("Charging", 1, False), ("Full", 0, False)],
)
def test_the_machine_is_on_its_battery_where_that_gives_and_no_charger_does(tree, status, online, found):
    tree.battery(status=status)
    tree.supply("AC", type="Mains", online=online)
    assert on_battery(tree.root) is found


def test_a_machine_without_battery_is_on_mains_or_unknown(tree):
    assert on_battery(tree.root) is None
    tree.supply("AC", type="Mains", online=1)
    assert on_battery(tree.root) is False


@pytest.mark.parametrize(("plugged", "found"), [(True, False), (False, True), (None, None), ("absent", None)])
def test_systems_without_sys_are_asked_by_psutil(monkeypatch, tmp_path, plugged, found):
    from types import SimpleNamespace

    monkeypatch.setattr(sys, "platform", "darwin")
    answer = None if plugged == "absent" else SimpleNamespace(power_plugged=plugged)
    monkeypatch.setattr("psutil.sensors_battery", lambda: answer)
    monkeypatch.setattr(battery, "SYSTEM", tmp_path)
    assert on_battery(tmp_path) is found

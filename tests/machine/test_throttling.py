"""Clock, temperature, throttle events and supply, on made-up trees; what they say of an interval."""

from __future__ import annotations

import pytest

from benchgate.machine import throttling
from benchgate.machine.throttling import ON_BATTERY, Conditions, as_details, read, reasons


def cpu(tree, number, **files):
    for name, value in files.items():
        tree.put(f"sys/devices/system/cpu/cpu{number}/{name.replace('__', '/')}", value)


def test_all_that_is_told(tree):
    for number, khz in ((0, 3_000_000), (1, 2_000_000)):
        cpu(tree, number, cpufreq__scaling_cur_freq=khz, thermal_throttle__core_throttle_count=2 + number)
        cpu(tree, number, thermal_throttle__package_throttle_count=7)
    tree.chip(0, "coretemp", temp1_input=61_000, temp2_input=66_000)
    tree.chip(1, "nvme", temp1_input=99_000)
    tree.put("sys/class/thermal/thermal_zone0/type", "x86_pkg_temp")
    tree.put("sys/class/thermal/thermal_zone0/temp", 70_000)
    tree.put("sys/class/thermal/thermal_zone1/type", "iwlwifi_1")
    tree.put("sys/class/thermal/thermal_zone1/temp", 98_000)
    tree.battery(status="Discharging")
    assert read(tree.root) == Conditions(2500.0, 70.0, 2 + 3 + 7 + 7, True)


def test_a_system_that_tells_nothing_gives_none(tree):
    assert read(tree.root) == Conditions()
    assert as_details(read(tree.root), read(tree.root)) == {}


def test_the_clock_of_cpuinfo_is_taken_where_there_is_no_other(tree):
    tree.put("proc/cpuinfo", "processor\t: 0\ncpu MHz\t\t: 2445.406\n\nprocessor\t: 1\ncpu MHz\t\t: 2444.606")
    assert read(tree.root).mhz == 2445.0


def test_a_file_that_is_gone_or_broken_is_not_told_and_half_the_counters_are_none(tree):
    cpu(tree, 0, thermal_throttle__core_throttle_count=2, cpufreq__scaling_cur_freq="<unknown>")
    cpu(tree, 1, thermal_throttle__core_throttle_count="")
    assert read(tree.root) == Conditions()


def test_what_is_kept_is_what_is_told():
    assert as_details(Conditions(mhz=1.0), Conditions(mhz=2.0, on_battery=False)) == {
        "conditions_before": {"mhz": 1.0},
        "conditions_after": {"mhz": 2.0, "on_battery": False},
    }


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (Conditions(), Conditions(), []),
        (Conditions(throttle_events=4), Conditions(throttle_events=4), []),
        (Conditions(throttle_events=4), Conditions(throttle_events=5), ["counters rose by 1"]),
        (Conditions(throttle_events=4), Conditions(), []),
        (Conditions(on_battery=False), Conditions(on_battery=False), []),
        (Conditions(on_battery=False), Conditions(on_battery=True), [ON_BATTERY]),
        (Conditions(on_battery=True), Conditions(on_battery=None), [ON_BATTERY]),
        (Conditions(celsius=50), Conditions(celsius=105), []),
    ],
)
def test_throttle_events_and_the_battery_are_reasons(before, after, said):
    found = reasons(before, after)
    assert len(found) == len(said)
    assert all(part in reason for part, reason in zip(said, found, strict=True))


def test_a_battery_is_not_waited_for_and_heat_is():
    assert not throttling.worth_again(("waited", ON_BATTERY))
    assert throttling.worth_again(("waited",))

"""What reading energy counters costs beside the window that they are read for, on trees of files in their place.

The files are a disk's, not the kernel's: to open and parse them is in here, what a driver needs to answer is not.
"""

import statistics
import time

import pytest

from benchgate.machine import battery, hwmon, rapl, throttling
from benchgate.machine.counters import LEAST_WINDOW_S
from tests.machine.counter_trees import MICRO, Tree

SHARE = 0.001
REPEATS = 50


@pytest.fixture
def tree(tmp_path):
    """Two packages with their subdomains, a board of three rails, a battery, 64 CPUs that tell clock and throttling."""
    found = Tree(tmp_path)
    for package in range(2):
        found.zone(str(package), f"package-{package}", 1.0)
        for number, name in enumerate(("core", "uncore", "dram")):
            found.zone(f"{package}:{number}", name, 1.0)
    rails = {f"in{n}_label": f"rail{n}" if n > 1 else "VDD_IN" for n in (1, 2, 3)}
    found.chip(
        0, "ina3221", **rails, **{f"in{n}_input": 5000 for n in (1, 2, 3)}, **{f"curr{n}_input": n for n in (1, 2, 3)}
    )
    found.battery(power_now=5 * MICRO)
    for cpu in range(64):
        folder = f"sys/devices/system/cpu/cpu{cpu}"
        found.put(f"{folder}/cpufreq/scaling_cur_freq", 3_000_000)
        for name in throttling.COUNTERS:
            found.put(f"{folder}/thermal_throttle/{name}", 0)
    return found


def seconds(act):
    """The median of so many times of `act()`."""
    taken = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        act()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def test_reading_takes_less_than_a_thousandth_of_a_window(tree):
    """Counters are read twice a window, gauges once a period, by a thread."""
    counters = rapl.powercap(tree.root)
    costs = {"RAPL (powercap)": 2 * seconds(counters.begin) / LEAST_WINDOW_S}
    for name, reader in (("INA rails (hwmon)", hwmon.rails(tree.root, {})), ("battery", battery.discharge(tree.root))):
        costs[name] = seconds(lambda reader=reader: [channel.read() for channel in reader.channels]) / reader.period_s
    throttling.read(tree.root)
    look_s = seconds(lambda: throttling.read(tree.root))
    print("", *(f"{name:20} {share:.4%} of a window" for name, share in costs.items()), sep="\n")
    print(f"{'64 CPUs, untimed':20} {1e3 * look_s:.1f} ms a look at clock, heat and throttling")
    assert len(counters.channels) == 8
    assert all(share < SHARE for share in costs.values()), costs

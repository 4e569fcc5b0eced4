"""Real cells, measured again and again: what is printed must not depend on who else computes, or what ran before.

Needs a machine that is otherwise idle, and minutes; `pytest benchmarks/test_neighbours.py --full -s` prints the tables.
"""

import json
import math
import random
import statistics
import subprocess
import sys

import pytest
from busy import busy

from benchgate.core import Cell
from benchgate.core.metrics import row_of
from benchgate.gate.disturbed import disturbance
from benchgate.gate.side_by_side import calibrated
from benchgate.machine.fingerprint import fingerprint
from benchgate.results import records_of

pytestmark = pytest.mark.full
TESTS = (
    "benchmarks/test_language_model.py::test_decode",
    "benchmarks/test_training_step.py::test_operations",
)
SCHEMES = ["--cell-scheme=fp32", "--cell-scheme=int8-weight-only", "--cell-scheme=int4-weight-only"]
TIME = "latency_median_s"
RIGHT = 0.15
MARKED_WHEN_QUIET = 0.05
ORDERS = 5
SDS = 3.0
PEAK = 0.02


def measured(root, out, *options, tests=TESTS, neighbours=0):
    """Records by key of a run of its own, beside so many busy processes; no cell fails for its time."""
    command = [sys.executable, "-m", "pytest", *tests, "--benchmark-only", "-q"]
    command += [f"--benchmark-json={out}", "-p", "no:cacheprovider", *options]
    command += SCHEMES
    with busy(neighbours):
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    records = records_of(json.loads(out.read_text(encoding="utf-8")), str(out))
    return {record.key: record for record in records if TIME in record.metrics}


def is_marked(record):
    return disturbance(row_of(TIME, record.metrics[TIME]), record) is not None


def test_a_time_beside_a_busy_process_is_right_or_marked(pytestconfig, tmp_path):
    root = pytestconfig.rootpath
    quiet = measured(root, tmp_path / "quiet.json", "--cell-meters=size")
    neighboured = measured(root, tmp_path / "busy.json", "--cell-meters=size", neighbours=1)
    assert quiet
    assert quiet.keys() == neighboured.keys()
    wrong = []
    print(f"\n{'cell':70} {'quiet ms':>9} {'busy ms':>9} {'ratio':>6}")
    for key, before in quiet.items():
        alone, beside = before.metrics[TIME].value, neighboured[key].metrics[TIME].value
        marks = ("~" if is_marked(before) else " ") + ("~" if is_marked(neighboured[key]) else " ")
        print(f"{key.partition('::')[2]:70} {1e3 * alone:9.3f} {1e3 * beside:9.3f} {beside / alone:6.2f} {marks}")
        if not is_marked(before) and not is_marked(neighboured[key]) and abs(beside / alone - 1) > RIGHT:
            wrong.append(key)
    marked = sum(map(is_marked, quiet.values()))
    print(
        f"marked: {marked} of {len(quiet)} quiet, {sum(map(is_marked, neighboured.values()))} beside one busy process"
    )
    assert wrong == []
    assert marked <= MARKED_WHEN_QUIET * len(quiet)


def between_processes(record):
    """Relative standard deviation of a cell's times from process to process, as calibrated here; assumed where not.

    A pair's log ratio has two processes in it, so that one alone varies by its sd over the root of two. It must not be
    taken from the times under test: no five values are 3 of their own sds apart.
    """
    name, machine = f"{Cell(**record.cell)} {record.operation}", fingerprint(record.cell["device"])
    noise = calibrated.noise_for(name, machine)
    return math.hypot(noise.pair_sd, noise.zygote_sd) / math.sqrt(2)


def test_the_order_of_cells_does_not_matter(pytestconfig, tmp_path):
    """Five random orders: medians within three calibrated standard deviations between processes, or marked."""
    root, runs = pytestconfig.rootpath, []
    collected = subprocess.run(
        [sys.executable, "-m", "pytest", *TESTS, "--collect-only", "-q", *SCHEMES],
        cwd=root, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    tests = [line for line in collected.splitlines() if "::" in line]
    assert tests
    for number in range(ORDERS):
        random.Random(number).shuffle(tests)
        runs.append(measured(root, tmp_path / f"{number}.json", "--cell-meters=memory", tests=tests))
    for key in runs[0]:
        own = [run[key] for run in runs]
        times = [record.metrics[TIME].value for record in own if not is_marked(record)]
        if len(times) > 2:
            middle, spread = statistics.median(times), between_processes(own[0])
            seen = statistics.stdev(times) / middle
            print(f"{key.partition('::')[2]:70} {1e3 * middle:9.3f} ms, sd {seen:.1%}, calibrated {spread:.1%}")
            assert all(abs(math.log(time / middle)) <= SDS * spread for time in times), key
        peaks = [record.metrics["peak_rss_bytes"].value for record in own if "peak_rss_bytes" in record.metrics]
        assert not peaks or max(peaks) <= (1 + PEAK) * min(peaks), key

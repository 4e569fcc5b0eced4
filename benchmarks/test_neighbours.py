"""Whether what is printed depends on who else computes, or on what ran before: real cells, measured again and again.

Needs a machine that is otherwise idle, and minutes; `pytest benchmarks/test_neighbours.py --full -s` prints the tables.
"""

import json
import random
import statistics
import subprocess
import sys
from contextlib import ExitStack

import pytest

from benchgate.core.metrics import row_of
from benchgate.gate.disturbed import disturbance
from benchgate.results import records_of

pytestmark = pytest.mark.full
TESTS = (
    "benchmarks/test_language_model.py::test_decode",
    "benchmarks/test_training_step.py::test_operations",
)
SCHEMES = ["--cell-scheme=fp32", "--cell-scheme=int8-weight-only", "--cell-scheme=int4-weight-only"]
BUSY = "while 1: pass"
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
    with ExitStack() as busy:
        for _ in range(neighbours):
            process = busy.enter_context(subprocess.Popen([sys.executable, "-c", BUSY]))
            busy.callback(process.kill)
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    records = records_of(json.loads(out.read_text(encoding="utf-8")), str(out))
    return {record.key: record for record in records if TIME in record.metrics}


def is_marked(record):
    return disturbance(row_of(TIME, record.metrics[TIME]), record) is not None


def test_a_time_beside_a_busy_process_is_right_or_marked(pytestconfig, tmp_path):
    root = pytestconfig.rootpath
    quiet = measured(root, tmp_path / "quiet.json", "--cell-meters=size")
    busy = measured(root, tmp_path / "busy.json", "--cell-meters=size", neighbours=1)
    assert quiet
    assert quiet.keys() == busy.keys()
    wrong = []
    print(f"\n{'cell':70} {'quiet ms':>9} {'busy ms':>9} {'ratio':>6}")
    for key, before in quiet.items():
        alone, beside = before.metrics[TIME].value, busy[key].metrics[TIME].value
        marks = ("~" if is_marked(before) else " ") + ("~" if is_marked(busy[key]) else " ")
        print(f"{key.partition('::')[2]:70} {1e3 * alone:9.3f} {1e3 * beside:9.3f} {beside / alone:6.2f} {marks}")
        if not is_marked(before) and not is_marked(busy[key]) and abs(beside / alone - 1) > RIGHT:
            wrong.append(key)
    marked = sum(map(is_marked, quiet.values()))
    print(f"marked: {marked} of {len(quiet)} quiet, {sum(map(is_marked, busy.values()))} beside one busy process")
    assert wrong == []
    assert marked <= MARKED_WHEN_QUIET * len(quiet)


def test_the_order_of_cells_does_not_matter(pytestconfig, tmp_path):
    """Five random orders: medians within three standard deviations between processes, or marked."""
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
            middle, spread = statistics.median(times), statistics.stdev(times)
            print(f"{key.partition('::')[2]:70} {1e3 * middle:9.3f} ms, sd {spread / middle:.1%}, n={len(times)}")
            assert all(abs(time - middle) <= SDS * max(spread, 0.01 * middle) for time in times), key
        peaks = [record.metrics["peak_rss_bytes"].value for record in own if "peak_rss_bytes" in record.metrics]
        assert not peaks or max(peaks) <= (1 + PEAK) * min(peaks), key

"""What a cell costs on a Ray cluster, and what many of them cost the driver; null cells, real nodes on this machine.

`pytest benchmarks/test_fleet.py --full -s` prints the figures; CELLS cells on NODES nodes take minutes on two cores.
"""

import contextlib
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

ray = pytest.importorskip("ray", reason="ray is not installed; pip install 'benchgate[ray]'")
from ray.cluster_utils import Cluster  # noqa: E402

pytestmark = pytest.mark.full
ROOT = Path(__file__).parents[1]
FEW, CELLS, NODES = 20, int(os.environ.get("FLEET_CELLS", "300")), 8
ADDED_S, DRIVER_S, DRIVER_BYTES = 2.0, 0.02, 500e6
SUITE = """
import pytest

@pytest.mark.cells(model="null-spin", scheme="none", runtime="null")
@pytest.mark.parametrize("number", range({cells}))
def test_null(cell, number):
    cell.measure(meters=(), duration_s=0.0002)
"""


@dataclass(frozen=True)
class Taken:
    """A run: seconds to its end, of its own process the CPU seconds and the peak resident set in bytes."""

    seconds: float
    cpu_s: float
    peak_bytes: int


def run(folder, cells, *options):
    """pytest of so many null cells in `folder`."""
    (folder / "test_null.py").write_text(SUITE.format(cells=cells), encoding="utf-8")
    (folder / "conftest.py").write_text('pytest_plugins = ["fixtures.null"]\n', encoding="utf-8")
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-q", "-p", "no:randomly", "-p", "no:cacheprovider"]
    command += ["--benchmark-max-time=0.02", "--cell-patience=0", *options]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    begun = time.perf_counter()
    process = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, f"pytest ended with {status}"
    return Taken(time.perf_counter() - begun, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


@contextlib.contextmanager
def cluster(nodes):
    """The address of a cluster of this many nodes that measure."""
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        for _ in range(nodes):
            made.add_node(num_cpus=1, resources={"bench_slot": 1}, object_store_memory=80 * 2**20)
        made.wait_for_nodes()
        yield made.address
    finally:
        made.shutdown()


def a_cell(folder, *options):
    """Seconds that one more cell takes: start and end fall out."""
    one, many = run(folder, 1, *options), run(folder, 1 + FEW, *options)
    return (many.seconds - one.seconds) / FEW


def test_added_cost_of_a_cell(tmp_path):
    """On one node, against a run without a cluster; nodes and driver share this machine's cores."""
    run(tmp_path, 1)  # byte code and file cache
    alone = a_cell(tmp_path)
    with cluster(1) as address:
        away = a_cell(tmp_path, f"--cell-executor=ray={address}")
    print(f"\na null cell takes {alone:.2f} s in a process of its own, {away:.2f} s on a node")
    assert away - alone < ADDED_S


def test_what_many_cells_cost_the_driver(tmp_path):
    """CPU seconds of the driver for each cell, and its memory."""
    with cluster(NODES) as address:
        options = [f"--cell-executor=ray={address}", f"--benchmark-json={tmp_path / 'out.json'}"]
        one, many = run(tmp_path, 1, *options), run(tmp_path, CELLS, *options)
    each = (many.cpu_s - one.cpu_s) / (CELLS - 1)
    peaks = f"{many.peak_bytes / 1e6:.0f} MB at most ({one.peak_bytes / 1e6:.0f} MB for one cell)"
    print(f"\n{CELLS} null cells on {NODES} nodes of this machine took {many.seconds:.0f} s")
    print(f"the driver takes {1e3 * each:.1f} ms of CPU a cell and {peaks}")
    assert each < DRIVER_S
    assert many.peak_bytes < DRIVER_BYTES

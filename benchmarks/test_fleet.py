"""What a cell costs on a Ray cluster, and what many of them cost the driver; null cells, real nodes on this machine.

`pytest benchmarks/test_fleet.py --full -s` prints the figures; CELLS cells on NODES nodes take minutes on two cores.
"""

import contextlib
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

ray = pytest.importorskip("ray", reason="ray is not installed; pip install 'benchgate[ray]'")
from ray.cluster_utils import Cluster  # noqa: E402

from benchgate.executors.fleet import PRIORITY  # noqa: E402
from benchgate.executors.peer import Peer, PeerLoad, PeerTeam, Start  # noqa: E402
from benchgate.gate.side_by_side.driver import side_by_side  # noqa: E402
from benchgate.gate.side_by_side.pairs import Side  # noqa: E402
from benchgate.gate.side_by_side.rule import Rule  # noqa: E402
from benchgate.machine.devices import usable_cores  # noqa: E402

pytestmark = pytest.mark.full
ROOT = Path(__file__).parents[1]
FEW, CELLS, NODES = 20, int(os.environ.get("FLEET_CELLS", "300")), 8
ADDED_S, DRIVER_S, DRIVER_BYTES, TIMES_FASTER = 2.0, 0.02, 500e6, 1.7
# More pairs than a gate makes, so that a bad hour can be told too; with more looks, each is asked for more.
PATIENT = Rule(looks=(4, 8, 12, 18, 25, 35), same_alpha=0.004)
SUITE = """
import pytest

@pytest.mark.cells(model="null-spin", scheme="none", runtime="null")
@pytest.mark.parametrize("number", range({cells}))
def test_null(cell, number):
    cell.measure(meters=(), duration_s=0.0002)
"""

# The driver alone has the variable: nodes are given others.
CONFTEST = """
import os, pathlib, time

pytest_plugins = ["fixtures.{fixtures}"]

def pytest_unconfigure():
    if place := os.environ.get("DRIVER_CPU"):
        pathlib.Path(place).write_text(str(time.thread_time()))
"""
# One thread, so that two parts at once have a core each.
SCORED = """
import pytest

@pytest.mark.cells(model="smollm2-135m", scheme="fp32", runtime="torch")
def test_scored(cell, passages):
    cell.measure("decode", data=passages, threads=1, meters=(), context=8)
"""
TIMED = """
import pytest

@pytest.mark.cells(model="smollm2-135m", scheme=["fp32", "int8-dynamic", "int4-weight-only"], runtime="torch")
def test_decode(cell):
    cell.measure("decode", meters=())

@pytest.mark.cells(model="smollm2-135m", runtime="torch")
def test_prefill(cell):
    cell.measure("prefill", meters=())
"""
SAME = 3


@dataclass(frozen=True)
class Taken:
    """A run: seconds to its end; of its own process the CPU seconds, those of its first thread, which is pytest's and
    ours while the others are Ray's, and the peak resident set in bytes."""

    seconds: float
    cpu_s: float
    own_cpu_s: float
    peak_bytes: int


def suite(folder, text, fixtures):
    """A project of one test file in `folder`."""
    folder.mkdir(exist_ok=True)
    (folder / "test_it.py").write_text(text, encoding="utf-8")
    (folder / "conftest.py").write_text(CONFTEST.format(fixtures=fixtures), encoding="utf-8")
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")


def run(folder, cells, *options):
    """pytest of so many null cells in `folder`."""
    suite(folder, SUITE.format(cells=cells), "null")
    return measured(folder, *options)


def measured(folder, *options):
    """pytest of the project in `folder`."""
    command = [sys.executable, "-m", "pytest", "-q", "-q", "-p", "no:randomly", "-p", "no:cacheprovider"]
    command += ["--benchmark-max-time=0.02", "--cell-patience=0", *options]
    own = folder / "cpu"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "DRIVER_CPU": str(own)}
    begun = time.perf_counter()
    process = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, f"pytest ended with {status}"
    seconds = time.perf_counter() - begun
    return Taken(seconds, usage.ru_utime + usage.ru_stime, float(own.read_text()), usage.ru_maxrss * 1024)


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
    """CPU of the driver for each cell, and its memory. What Ray's threads take goes with time, not with cells."""
    with cluster(NODES) as address:
        options = [f"--cell-executor=ray={address}", f"--benchmark-json={tmp_path / 'out.json'}"]
        run(tmp_path, 1, *options)  # byte code and file cache
        one, many = run(tmp_path, 1, *options), run(tmp_path, CELLS, *options)
    each = (many.own_cpu_s - one.own_cpu_s) / (CELLS - 1)
    of_ray = (many.cpu_s - many.own_cpu_s - (one.cpu_s - one.own_cpu_s)) / (many.seconds - one.seconds)
    peaks = f"{many.peak_bytes / 1e6:.0f} MB at most ({one.peak_bytes / 1e6:.0f} MB for one cell)"
    print(f"\n{CELLS} null cells on {NODES} nodes of this machine took {many.seconds:.0f} s")
    print(f"the driver takes {1e3 * each:.1f} ms of CPU a cell, Ray in it {of_ray:.1%} of a core, and {peaks}")
    assert each < DRIVER_S
    assert many.peak_bytes < DRIVER_BYTES


def seconds_a_passage(folder, *options):
    """Seconds that one more passage takes to be scored: start, load and timing fall out. And the record of all."""
    few, many = 20, 100
    one = measured(folder, f"--cell-samples={few}", *options)
    out = folder / "scored.json"
    other = measured(folder, f"--cell-samples={many}", f"--benchmark-json={out}", *options)
    (bench,) = json.loads(out.read_text(encoding="utf-8"))["benchmarks"]
    return (other.seconds - one.seconds) / (many - few), bench["extra_info"]["benchgate"]


def test_two_parts_at_once_are_scored_faster(tmp_path):
    """A cell of one thread on one node of two cores: the same figures, in nearly half of the time."""
    suite(tmp_path, SCORED, "language_model")
    with cluster(1) as address:
        options = [f"--cell-executor=ray={address}"]
        measured(tmp_path, "--cell-samples=20", *options)  # builds
        whole, expected = seconds_a_passage(tmp_path, *options)
        parts, found = seconds_a_passage(tmp_path, "--cell-shards=8", *options)
    print(f"\na passage takes {whole:.3f} s whole and {parts:.3f} s in parts: {whole / parts:.2f} times as fast")
    assert len(found["details"]["fleet"]["shards"]) == 8
    for name in ("top1", "top5", "perplexity"):
        assert found["metrics"][name] == expected["metrics"][name]
    assert whole / parts >= TIMES_FASTER


class OnNode:
    """A pytest of a node, in a process of Ray's, as a side of a comparison has it."""

    def __init__(self, folder, environment):
        os.environ.update(environment)
        self._peer = started(folder)

    def ask(self, do, timeout_s, parts):
        return self._peer.ask(do, timeout_s, **parts)

    def close(self):
        self._peer.close()


class Remote:
    """What `PeerTeam` asks of a peer, of one that is on a node."""

    def __init__(self, actor):
        self._actor = actor

    def ask(self, do, timeout_s=None, **parts):
        return ray.get(self._actor.ask.remote(do, timeout_s, parts))

    def tell(self, do, **parts):
        self.ask(do, **parts)


def started(folder):
    """A pytest that answers as a side does."""
    options = ("-q", "-p", "no:randomly", "-p", "no:cacheprovider")
    peer = Peer(Start("side", sys.executable, folder, options, {"PYTHONPATH": str(ROOT)}))
    peer.greet()
    return peer


def test_times_on_a_node_are_those_of_a_process(tmp_path):
    """Four cells, each measured in turn by workers of a pytest here and of one on a node: "same" for three, and for
    what scatters too much to be told no difference."""
    suite(tmp_path, TIMED, "language_model")
    measured(tmp_path)  # builds
    with cluster(1) as address:
        given = {"PYTHONPATH": os.pathsep.join(sys.path), **PRIORITY}
        ray.init(address, log_to_driver=False, logging_level="ERROR", runtime_env={"env_vars": given})
        here = started(tmp_path)
        actor = ray.remote(OnNode).options(resources={"bench_slot": 1}).remote(tmp_path, dict(os.environ))
        try:
            found = {}
            for number, test in enumerate(here.tests):
                sides = [Side(PeerLoad(test), device="cpu", threads=usable_cores()) for _ in range(2)]
                peers = dict(zip(map(id, sides), (here, Remote(actor)), strict=True))
                for peer in peers.values():
                    peer.ask("capture", 600.0, tests=[test])
                found[test] = side_by_side(
                    *sides,
                    rule=PATIENT,
                    crew=lambda side, seed, peers=peers: PeerTeam(peers[id(side)], side, seed),
                    budget_s=900.0,
                )
                print(f"\n{number + 1}: {test}: {found[test]}")
        finally:
            here.close()
            ray.get(actor.close.remote())
            ray.shutdown()
    kinds = [verdict.kind for verdict in found.values()]
    assert set(kinds) <= {"same", "inconclusive"}
    assert kinds.count("same") >= SAME

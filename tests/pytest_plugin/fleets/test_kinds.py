"""A fleet of two kinds in one command, and artifacts between machines that share no folder."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import pytest

from tests.pytest_plugin.fake_project import CONFTEST
from tests.pytest_plugin.fleets.clusters import DEADLINE_S, added, marks, node_elsewhere, sessions, until


@pytest.fixture(scope="module")
def kinds(cluster):
    """A node of each of two kinds."""
    added(cluster, "left", "right")


@pytest.fixture
def fleet(suite, kinds, cluster, monkeypatch):
    """A function that calls `benchgate fleet` in the project, whose inventory has both kinds."""
    suite.write("fleet.toml", f'''address = "{cluster.address}"\n[kinds.left]\n[kinds.right]\nprice = 3600\n''')
    monkeypatch.chdir(suite.path)

    def call(*arguments):
        command = [sys.executable, "-m", "benchgate.commands.main", "fleet", *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S, check=False)

    return call


def test_both_kinds_measure_at_once_and_the_gate_holds_each_against_its_own(fleet, suite, kinds):
    done = fleet("run", "-o", "all.json", "--", "-k", "fake-a")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "left: " in done.stdout
    assert "right: " in done.stdout
    merged = suite.json("all.json")["benchmarks"]
    found = [(bench["extra_info"]["benchgate"]["machine"]["kind"], bench["name"]) for bench in merged]
    assert sorted(found) == [
        (kind, f"test_speed[fake-a-{scheme}-fake-cpu]") for kind in ("left", "right") for scheme in ("bf16", "fp32")
    ]
    assert "fake-a-fp32" in suite.compare("all.json")
    gate = [sys.executable, "-m", "benchgate.commands.main", "gate", "all.json", "all.left.json"]
    compared = subprocess.run(gate, capture_output=True, text=True, timeout=60, check=False)
    assert compared.returncode in (0, 2), compared.stderr
    planned = fleet("plan", "--", "-k", "fake-a")
    assert planned.returncode == 0, planned.stderr
    assert "left: 2 of 2 cells are in no stored run" in planned.stdout
    suite.path.joinpath(".benchmarks", "here").mkdir(parents=True, exist_ok=True)
    suite.path.joinpath("all.json").rename(suite.path / ".benchmarks" / "here" / "0001_all.json")
    planned = fleet("plan", "--", "-k", "fake-a and fp32")
    (row,) = [line.split() for line in planned.stdout.splitlines() if line.startswith("right ")]
    assert row[1:3] == ["1", "1"]
    assert float(row[-1]) > 0


def test_the_state_names_who_is_missing(fleet, suite):
    done = fleet("status")
    assert done.returncode == 0, done.stderr
    assert "0 of 2 slots are taken" in done.stdout
    suite.write("more.toml", suite.path.joinpath("fleet.toml").read_text() + "machines = 3\n")
    done = fleet("status", "--inventory", "more.toml")
    assert done.returncode == 1
    assert "right: 1 of 3 machines are there" in done.stdout


def test_ctrl_c_ends_both_and_keeps_what_is_finished(fleet, suite, kinds, tmp_path, monkeypatch):
    monkeypatch.setenv("FAKE_PAUSE", "1")
    command = [sys.executable, "-m", "benchgate.commands.main", "fleet", "run", "-o", "all.json"]
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    finally:
        signal.signal(signal.SIGINT, before)
    until(lambda: len(marks(tmp_path)) >= 4)
    run.send_signal(signal.SIGINT)
    _, error = run.communicate(timeout=DEADLINE_S)
    assert run.returncode == 130, error
    assert "interrupted; what was finished is kept" in error
    until(lambda: not sessions(suite))
    assert len(suite.journals()) == 2


@pytest.fixture
def far(cluster):
    """Two nodes with host names of their own, so that nothing is shared with the driver or with each other."""
    with node_elsewhere(cluster, "one", "far"), node_elsewhere(cluster, "two", "far"):
        yield


def test_what_one_machine_built_the_other_takes(suite, far, cluster, tmp_path):
    own = """
import os, socket
os.environ["BENCHGATE_CACHE"] = os.path.join(os.environ["FAKE_CACHES"], socket.gethostname())
"""
    suite.write("conftest.py", own + CONFTEST)
    given = [f"--cell-executor=ray={cluster.address}", "--cell-kind=far", "--cell-shards=8", "-k", "fake-a-fp32"]
    suite.write("test_it.py", """
import pytest, suite

@pytest.mark.cells(model="fake-a", scheme="fp32", runtime="fake")
def test_scored(cell):
    cell.measure(data=suite.Numbers(16), threads=1, meters=("size",))
""")  # fmt: skip
    result = suite.run(*given, "--benchmark-json=out.json", process=True, CACHES=tmp_path / "caches", SCORE_PAUSE=0.5)
    result.assert_outcomes(passed=1)
    (record,) = suite.records("out.json").values()
    assert {one["node"] for one in record["details"]["fleet"]["shards"]} == {"one", "two"}
    manifests = sorted((tmp_path / "caches").glob("*/artifacts/fake-a-fp32-fake-*/benchgate.json"))
    assert [path.parts[-4] for path in manifests] == ["one", "two"]
    built = {json.loads(path.read_text())["built"] for path in manifests}
    assert len(built) == 1

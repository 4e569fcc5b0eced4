"""`--cell-executor ray`: real nodes of a real cluster, killed and out of reach; each cell is finished exactly once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.pytest_plugin.fake_project import CONFTEST

ray = pytest.importorskip("ray", reason="ray is not installed; pip install 'benchgate[ray]'")
from ray.cluster_utils import Cluster  # noqa: E402

DEADLINE_S = 180.0
# Each call leaves its node's mark, so that a test sees where what runs; a line a measurement, so that none is twice.
SUITE = """
import os, pathlib, time
import pytest

@pytest.mark.cells(model=["fake-a", "fake-b", "fake-c"], scheme=["fp32", "bf16"], runtime="fake")
def test_speed(cell, request):
    with pathlib.Path(os.environ["FAKE_MARKS"]).open("a") as marks:
        marks.write(f"{os.getppid()} {request.node.name}\\n")
    time.sleep(float(os.environ.get("FAKE_PAUSE", 0)))
    cell.measure(meters=("size",))

def test_plain():
    with pathlib.Path(os.environ["FAKE_MARKS"]).open("a") as marks:
        marks.write(f"{os.getppid()} test_plain\\n")
"""
CELLS = sorted(f"test_speed[fake-{m}-{s}-fake-cpu]" for m in "abc" for s in ("fp32", "bf16"))


@pytest.fixture
def suite(project, tmp_path, monkeypatch):
    """The project with the suite above; its marks go into a file of their own."""
    project.write("test_it.py", SUITE)
    project.write("conftest.py", CONFTEST)
    monkeypatch.setenv("FAKE_MARKS", str(tmp_path / "marks"))
    monkeypatch.setenv("RAY_ADDRESS", "")
    return project


@pytest.fixture(scope="module")
def cluster():
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    yield cluster
    cluster.shutdown()


@pytest.fixture
def nodes(cluster):
    """Three nodes that measure, one of them of a kind."""
    kinds = ({}, {}, {"kind:board": 1})
    found = [cluster.add_node(num_cpus=1, resources={"bench_slot": 1, **kind}) for kind in kinds]
    cluster.wait_for_nodes()
    yield found
    for node in found:
        if node in cluster.list_all_nodes():
            cluster.remove_node(node)


def started(project, *options, **settings):
    environment = {**os.environ, **{f"FAKE_{name}": str(value) for name, value in settings.items()}}
    command = [sys.executable, "-m", "pytest", "-p", "no:randomly", *options]
    return subprocess.Popen(
        command, cwd=project.path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def marks(tmp_path):
    path = tmp_path / "marks"
    return [line.split(" ", 1) for line in path.read_text().splitlines()] if path.exists() else []


def until(condition):
    end = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def sessions():
    """The sessions of nodes that run."""
    found = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if "--cell-node" in place.read_text():
                found.append(int(place.parent.name))
        except OSError:
            continue
    return found


def test_without_an_address_a_cluster_of_this_machine_measures_and_is_gone_afterwards(suite, tmp_path):
    result = suite.run("--cell-executor=ray", "--benchmark-json=out.json", process=True)
    result.assert_outcomes(passed=7)
    result.stdout.fnmatch_lines(["benchgate: 6 cells for 1 machine of a Ray cluster"])
    assert sorted(name for _, name in marks(tmp_path)) == sorted(["test_plain", *CELLS])
    records = suite.records("out.json")
    assert sorted(records) == CELLS
    assert {record["outcome"] for record in records.values()} == {"passed"}
    assert {record["details"]["fleet"]["attempt"] for record in records.values()} == {1}
    assert all(len(bench["stats"]["data"]) >= 20 for bench in suite.json("out.json")["benchmarks"])
    assert "fake-a-fp32" in suite.compare("out.json")
    assert suite.journals() == []
    until(lambda: not sessions())


def test_what_fails_skips_or_ends_early_on_a_node_does_so_here(suite, nodes, cluster):
    for event, outcome, word in (("error", "failed", "the fake broke"), ("unavailable", "skipped", "no such kernel")):
        result = suite.run(
            f"--cell-executor=ray={cluster.address}", "--benchmark-json=out.json", "-k", "fake-b", "-rs",
            process=True, EVENT=f"fake-b-bf16={event}",
        )  # fmt: skip
        result.assert_outcomes(passed=1, **{outcome: 1})
        assert suite.outcomes("out.json")["test_speed[fake-b-bf16-fake-cpu]"] == outcome
        assert word in result.stdout.str()


def test_the_gate_of_the_driver_judges_what_a_node_measured(suite, nodes, cluster):
    address = f"--cell-executor=ray={cluster.address}"
    suite.run(address, "--benchmark-json=base.json", process=True).assert_outcomes(passed=7)
    result = suite.run(address, "--benchmark-compare=base.json", "--benchmark-json=out.json", process=True, BYTES=9000)
    result.assert_outcomes(failed=6, passed=1)
    assert "size" in result.stdout.str()
    assert set(suite.outcomes("out.json").values()) == {"failed"}


def test_a_node_that_dies_while_it_measures_loses_nothing(suite, nodes, cluster, tmp_path):
    address = f"--cell-executor=ray={cluster.address}"
    run = started(suite, address, "--benchmark-json=out.json", "-v", PAUSE=4)
    until(lambda: len(marks(tmp_path)) >= 3)
    cluster.remove_node(nodes[0], allow_graceful=False)
    out, _ = run.communicate(timeout=DEADLINE_S)
    assert run.returncode == 0, out
    assert sorted(suite.outcomes("out.json")) == CELLS
    told = [record["details"]["fleet"] for record in suite.records("out.json").values()]
    again = [one for one in told if one["attempt"] == 2]
    assert len(again) == 1
    assert again[0]["lost"]
    assert [one["attempt"] for one in told].count(1) == 5
    assert [out.count(f"{cell} PASSED") for cell in CELLS] == [1] * 6


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_driver_that_dies_leaves_no_session_and_takes_up_what_is_done(suite, nodes, cluster, tmp_path, number):
    address = f"--cell-executor=ray={cluster.address}"
    # A background job ignores SIGINT, and so would what it starts.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        run = started(suite, address, PAUSE=2)
    finally:
        signal.signal(signal.SIGINT, before)
    until(lambda: len(suite.journals()) == 1 and len(suite.journal()) >= 2)
    run.send_signal(number)
    run.communicate(timeout=DEADLINE_S)
    until(lambda: not sessions())
    kept = {entry["record"]["key"].partition("::")[2] for entry in suite.journal()}
    begun = len(marks(tmp_path))
    result = suite.run(address, "--cell-resume", "--benchmark-json=out.json", process=True)
    result.assert_outcomes(passed=7 - len(kept), skipped=len(kept))
    assert sorted(suite.outcomes("out.json")) == CELLS
    assert {name for _, name in marks(tmp_path)[begun:]}.isdisjoint(kept)


def test_a_kind_is_measured_where_it_is(suite, nodes, cluster):
    address = f"--cell-executor=ray={cluster.address}"
    result = suite.run(address, "--cell-kind=board", "--benchmark-json=out.json", process=True)
    result.assert_outcomes(passed=7)
    result.stdout.fnmatch_lines(["benchgate: 6 cells for 1 machine of a Ray cluster"])
    assert len({record["details"]["fleet"]["id"] for record in suite.records("out.json").values()}) == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--cell-kind=pie"], "no node of kind 'pie' (there are: board) has bench_slot; start a node with: ray start"),
        (["--cell-executor=ray=127.0.0.1:1"], "ray=127.0.0.1:1: nobody answers there"),
        (["--cell-executor=ray=nowhere"], "ray=nowhere: HOST:PORT, ray://HOST:PORT or auto is needed"),
        (["--cell-executor=rya"], "'rya' is none of process, inline, ray and ray=ADDRESS"),
        (["--cell-executor=process", "--cell-kind=board"], "--cell-kind chooses machines of a cluster"),
        (["--gate-against=main"], "side by side is measured on one machine; leave --cell-executor ray out"),
    ],
)
def test_what_cannot_be_placed_is_said_at_once(suite, nodes, cluster, options, said):
    result = suite.run(f"--cell-executor=ray={cluster.address}", *options, process=True)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    output = result.stdout.str() + result.stderr.str()
    assert said in output
    assert "Traceback" not in output


def test_when_the_last_node_is_gone_what_is_left_fails_and_says_so(suite, cluster, tmp_path):
    node = cluster.add_node(num_cpus=1, resources={"bench_slot": 1})
    cluster.wait_for_nodes()
    run = started(suite, f"--cell-executor=ray={cluster.address}", "--benchmark-json=out.json", "-k", "fake-a", PAUSE=4)
    until(lambda: marks(tmp_path))
    cluster.remove_node(node, allow_graceful=False)
    out, _ = run.communicate(timeout=DEADLINE_S)
    assert run.returncode == 1
    assert "it can be placed nowhere any more: no node has bench_slot" in out
    outcomes = json.loads((suite.path / "out.json").read_text())["benchgate"]["untimed"]
    assert [record["outcome"] for record in outcomes] == ["crash", "crash"]


def test_without_ray_the_command_to_install_it_is_said(suite, monkeypatch):
    from benchgate.executors import fleet

    monkeypatch.setattr(fleet, "missing_packages", lambda needs: "ray is not installed; pip install 'benchgate[ray]'")
    result = suite.run("--cell-executor=ray")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--cell-executor ray: ray is not installed; pip install 'benchgate?ray?'"])


@pytest.fixture
def elsewhere(cluster):
    """A node that has another host name, so that the project is sent to it."""
    command = f"hostname other && exec ray start --block --num-cpus=1 --address={cluster.address} --resources="
    run = ["unshare", "--uts", "sh", "-c", command + """'{"bench_slot": 1}'"""]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    node = subprocess.Popen(run, env={**os.environ, "PATH": path}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    until(lambda: node.poll() is not None or len(_slots(cluster)) == 1)
    if node.poll() is not None:
        pytest.skip(f"no host name of its own here: {node.stdout.read().decode()[-200:]}")
    yield
    node.terminate()
    node.wait(60)


def _slots(cluster):
    return [node for node in cluster.global_state.node_table() if node["Alive"] and "bench_slot" in node["Resources"]]


def test_another_machine_is_sent_the_project(suite, elsewhere, cluster):
    suite.write("data/values.txt", "sent along")
    suite.write("test_sent.py", '''
import os, pathlib, socket
import pytest

@pytest.mark.cells(model="fake-a", scheme="fp32", runtime="fake")
def test_sent(cell):
    assert socket.gethostname() == "other"
    assert pathlib.Path("data/values.txt").read_text() == "sent along"
    assert str(pathlib.Path(__file__).parent) == os.getcwd() != os.environ["FAKE_HOME"]
    cell.measure(meters=("size",))
''')  # fmt: skip
    given = [f"--cell-executor=ray={cluster.address}", f"{suite.path}/test_sent.py", "--benchmark-json=out.json"]
    suite.run(*given, process=True, HOME=suite.path).assert_outcomes(passed=1)
    assert suite.records("out.json")["test_sent[fake-a-fp32-fake-cpu]"]["details"]["fleet"]["node"] == "other"

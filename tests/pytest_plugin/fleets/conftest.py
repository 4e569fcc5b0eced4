"""A cluster for all tests of a module, nodes of kinds, and the project that is measured on them."""

from __future__ import annotations

import pytest

from tests.pytest_plugin.fake_project import CONFTEST, SETTINGS
from tests.pytest_plugin.fleets.clusters import added

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


@pytest.fixture(scope="module")
def ray():
    return pytest.importorskip("ray", reason="ray is not installed; pip install 'benchgate[ray]'")


@pytest.fixture
def suite(ray, project, tmp_path, monkeypatch):
    """The project with the suite above; its marks go into a file of their own."""
    project.write("test_it.py", SUITE)
    project.write("conftest.py", CONFTEST)
    project.write("pyproject.toml", SETTINGS + '[tool.benchgate.fleet]\npass_env = ["FAKE_*"]\n')
    monkeypatch.setenv("FAKE_MARKS", str(tmp_path / "marks"))
    monkeypatch.setenv("RAY_ADDRESS", "")
    return project


@pytest.fixture(scope="module")
def cluster(ray):
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    yield cluster
    cluster.shutdown()


@pytest.fixture(scope="module")
def board(cluster):
    """The options for a node of the kind "board", which is there for all tests."""
    added(cluster, "board")
    return [f"--cell-executor=ray={cluster.address}", "--cell-kind=board", "--benchmark-json=out.json"]


@pytest.fixture
def three(cluster):
    """Three nodes of one kind."""
    made = added(cluster, *["rack"] * 3)
    yield made
    for node in made:
        if node in cluster.list_all_nodes():
            cluster.remove_node(node)

"""What is larger than a cluster's object store, with a disk behind it and with one that has no room left."""

from __future__ import annotations

import hashlib
import os

import pytest

from benchgate.executors.shelf import OnShelf, of_ray

# The least that Ray takes.
STORE_BYTES = 75 * 2**20
LARGE = 120 * 2**20
# Captured output comes back with a test's reports.
TALKS = f"""
import pytest

@pytest.mark.cells(model=["fake-a", "fake-b"], scheme="fp32", runtime="fake")
def test_speed(cell, request):
    cell.measure(meters=("size",))
    if "fake-a" in request.node.name:
        print("early " + "x" * {LARGE} + " late")
        assert False, "the end"
"""


@pytest.fixture
def small(ray):
    """Make a cluster of one node with a small store, and settings of the system's own."""
    from ray.cluster_utils import Cluster

    made = []

    def make(**system):
        head = {"num_cpus": 0, "include_dashboard": False, "object_store_memory": STORE_BYTES, "_system_config": system}
        cluster = Cluster(initialize_head=True, head_node_args=head)
        made.append(cluster)
        cluster.add_node(num_cpus=1, object_store_memory=STORE_BYTES, resources={"bench_slot": 1})
        cluster.wait_for_nodes()
        return cluster

    yield make
    for cluster in made:
        cluster.shutdown()


def test_what_a_test_prints_comes_back_by_its_end(suite, small):
    suite.write("test_it.py", TALKS)
    result = suite.run(f"--cell-executor=ray={small().address}", "--benchmark-json=out.json", process=True)
    result.assert_outcomes(passed=1, failed=1)
    said = result.stdout.str()
    assert len(said) < 3 * 2**20
    assert "x late" in said
    assert "early xx" not in said
    assert f"[{LARGE + len('early  late') + 1 - 2**20} characters before this are left out]" in said
    assert suite.outcomes("out.json")["test_speed[fake-b-fp32-fake-cpu]"] == "passed"


@pytest.fixture
def parcel(tmp_path):
    path = tmp_path / "parcel"
    path.write_bytes(os.urandom(LARGE))
    return path


def connected(ray, cluster):
    ray.init(cluster.address, log_to_driver=False, logging_level="ERROR")
    return of_ray(ray)


def test_an_artifact_larger_than_the_store_reaches_another_machine(ray, small, parcel, tmp_path):
    shelf = connected(ray, small())
    try:
        one, other = OnShelf(ray, shelf, "one"), OnShelf(ray, shelf, "other")
        assert one.get("parcel", tmp_path / "none") is False
        one.put("parcel", parcel)
        assert other.get("parcel", tmp_path / "copy") is True
    finally:
        ray.shutdown()
    digests = {hashlib.sha256(path.read_bytes()).hexdigest() for path in (parcel, tmp_path / "copy")}
    assert len(digests) == 1


def test_an_artifact_that_no_disk_takes_is_an_error_of_the_store(ray, small, parcel, tmp_path):
    shelf = connected(ray, small(local_fs_capacity_threshold=0.0001, oom_grace_period_s=1))
    try:
        one = OnShelf(ray, shelf, "one")
        assert one.get("parcel", tmp_path / "none") is False
        with pytest.raises(OSError, match="the cluster's object store: "):
            one.put("parcel", parcel)
        one.give_up("parcel")
        assert OnShelf(ray, shelf, "other").get("parcel", tmp_path / "none") is False
    finally:
        ray.shutdown()

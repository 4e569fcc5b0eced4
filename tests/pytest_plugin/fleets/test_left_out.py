"""A node that neighbours disturb again and again gets nothing more, unless it is the last."""

from __future__ import annotations

import os
import time
from collections import Counter
from types import SimpleNamespace

import pytest

from benchgate.executors.fleet import Job, Wanted, connected
from benchgate.pytest_plugin.fleet import FleetHooks
from benchgate.pytest_plugin.fleet_errands import Finished
from tests.builders import a_record
from tests.pytest_plugin.fleets.clusters import rack


def here(seconds):
    """Runs on a node: its id, after so long."""
    import ray

    time.sleep(seconds)
    return ray.get_runtime_context().get_node_id()


@pytest.fixture
def joined(three, cluster, tmp_path):
    address = rack(cluster)[0].partition("=ray=")[2]
    with connected(Wanted(address, "rack", tmp_path)) as fleet:
        yield fleet


def used(fleet, jobs):
    for number in range(jobs):
        fleet.send(here, Job(f"test_{number}", 0.3))
    return Counter(node for _, node in fleet.answers(here))


def priority(_):
    """Runs on a node: its niceness."""
    return os.nice(0)


def test_what_is_timed_on_a_node_does_not_give_way_to_all_else(joined):
    joined.send(priority, Job("test_priority", None))
    assert [nice for _, nice in joined.answers(priority)] == [os.nice(0)]


def test_nothing_more_is_placed_on_a_node_that_is_left_out(joined, three, cluster):
    assert set(used(joined, 12)) == {node.node_id for node in three}
    bad, other, last = (node.node_id for node in three)
    assert joined.leave_out(bad)
    assert not joined.leave_out(bad)
    # What holds its slot is on its way there.
    used(joined, 4)
    assert set(used(joined, 9)) == {other, last}
    assert joined.leave_out(other)
    assert not joined.leave_out(last)
    used(joined, 4)
    assert set(used(joined, 4)) == {last}
    for number in range(2):
        joined.send(here, Job(f"test_{number}", 2.0))
    cluster.remove_node(three[2], allow_graceful=False)
    # Marked times are better than none: those that were left out are asked again.
    assert {node for _, node in joined.answers(here)} <= {bad, other}


@pytest.fixture
def judged():
    """A function that has cells of a node judged, disturbed or not, and gives (the nodes left out, the notes)."""

    def judge(cells, allowed=True):
        out = []
        fleet = SimpleNamespace(leave_out=lambda node: bool(out.append(node)) or allowed)
        suite = SimpleNamespace(records={}, notes=[])
        hooks = SimpleNamespace(_suite=suite, _disturbed=Counter())
        for number, (node, disturbed) in enumerate(cells):
            test = f"test_{number}"
            details = {"disturbed": ["others used 90% of a CPU"]} if disturbed else {}
            suite.records[test] = a_record(key=test, outcome="passed", details=details)
            done = Finished(test, {}, {"node": "rack-3", "id": node, "attempt": 1, "lost": []})
            FleetHooks._look_at_node(hooks, fleet, done)
        return out, suite.notes

    return judge


def test_three_disturbed_cells_one_after_the_other_leave_a_node_out(judged):
    bad = [("a" * 56, True)] * 4
    out, notes = judged(bad)
    assert out == ["a" * 56]
    assert notes == [
        "benchgate: rack-3 (aaaaaaaa) is left out of the rest: neighbours disturbed 3 cells one after the other on it"
    ]


@pytest.mark.parametrize(
    "cells",
    [
        [("a", True), ("a", True), ("a", False), ("a", True), ("a", True)],
        [("a", True), ("b", True), ("a", True), ("b", True)],
    ],
)
def test_a_busy_moment_leaves_no_node_out(judged, cells):
    assert judged(cells) == ([], [])


def test_the_last_node_stays_in_silence(judged):
    assert judged([("a", True)] * 3, allowed=False)[1] == []

"""Scoring in shards on a real cluster: to the digit what is scored whole, each item once, whoever dies."""

from __future__ import annotations

import signal
from collections import Counter

import pytest

from tests.pytest_plugin.fleets.clusters import DEADLINE_S, marks, rack, sessions, started, until

SUITE = """
import pytest, suite

@pytest.fixture(scope="session")
def data():
    return suite.Numbers(24)

@pytest.mark.cells(model=["fake-a", "fake-b"], scheme="fp32", runtime="fake")
def test_scored(cell, data):
    assert cell.measure(data=data, threads=1, meters=("size",))["accuracy"] > 0
"""
FLOOR = """
import pytest, suite

@pytest.mark.cells(model="fake-a", scheme="fp32", runtime="fake")
def test_reference(cell):
    cell.measure(data=suite.Numbers(24), meters=("size",))

# A test of another name: its node has no record of the reference that it could take.
@pytest.mark.cells(model="fake-a", scheme="bf16", runtime="fake")
def test_scored(cell):
    data = suite.Numbers(24)
    result = cell.measure(data=data, meters=("size",))
    assert result["accuracy"] >= 0.9 * cell.reference(data=data)["accuracy"]
"""
CELLS = ["test_scored[fake-a-fp32-fake-cpu]", "test_scored[fake-b-fp32-fake-cpu]"]


@pytest.fixture
def scored(suite):
    suite.write("test_it.py", SUITE)
    return suite


def accuracy(suite, name):
    """The figures by test, with each item's."""
    return {key: record["metrics"]["accuracy"] for key, record in suite.records(name).items()}


def items(tmp_path):
    """How often each item of each cell was answered in a shard."""
    return Counter(mark for _, mark in marks(tmp_path) if not mark.startswith("1 "))


def test_shards_give_to_the_digit_what_is_scored_whole(scored, board, tmp_path):
    scored.run("--cell-executor=process", "--benchmark-json=whole.json", process=True).assert_outcomes(passed=2)
    assert not items(tmp_path)
    scored_whole = len(marks(tmp_path))
    scored.run(*board, "--cell-shards=4", process=True).assert_outcomes(passed=2)
    assert accuracy(scored, "out.json") == accuracy(scored, "whole.json")
    assert set(items(tmp_path).values()) == {1}
    assert len(items(tmp_path)) == 48
    assert len(marks(tmp_path)) == scored_whole + 48
    assert len({process for process, mark in marks(tmp_path) if mark.startswith("4 ")}) == 8
    for record in scored.records("out.json").values():
        assert sorted(one["shard"] for one in record["details"]["fleet"]["shards"]) == [0, 1, 2, 3]


def test_a_floor_is_held_against_the_parts_of_the_reference(scored, board, tmp_path):
    scored.write("test_it.py", FLOOR)
    scored.run(*board, "--cell-shards=4", process=True).assert_outcomes(passed=2)
    assert len(marks(tmp_path)) == 48
    assert len(items(tmp_path)) == 48


def test_what_fails_in_a_shard_fails_in_its_own_test(scored, board):
    result = scored.run(*board, "--cell-shards=3", process=True, EVENT="fake-a-fp32=nan-score")
    # Whole, its only shard is number 0, which this fake can.
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["benchgate: *fake-a*: scored whole, not in shards: *the answer is NaN"])


def test_a_node_that_dies_while_it_scores_loses_nothing(scored, three, cluster, tmp_path):
    run = started(scored, *rack(cluster), "--cell-shards=6", SCORE_PAUSE=0.5)
    until(lambda: len(items(tmp_path)) >= 3)
    cluster.remove_node(three[0], allow_graceful=False)
    out, _ = run.communicate(timeout=DEADLINE_S)
    assert run.returncode == 0, out
    assert sorted(scored.outcomes("out.json")) == CELLS
    assert len(items(tmp_path)) == 48
    told = [one for record in scored.records("out.json").values() for one in record["details"]["fleet"]["shards"]]
    assert len(told) == 12
    lost = [one for one in told if one["attempt"] == 2]
    assert lost
    assert all(one["lost"] for one in lost)
    scored.run("--cell-executor=process", "--benchmark-json=whole.json", process=True).assert_outcomes(passed=2)
    assert accuracy(scored, "out.json") == accuracy(scored, "whole.json")


def test_a_driver_that_dies_while_it_scores_takes_up_the_shards_that_are_done(scored, board, tmp_path):
    given = [*board, "--cell-shards=8", "-k", "fake-a"]
    run = started(scored, *given, SCORE_PAUSE=0.5)
    until(lambda: len(items(tmp_path)) >= 10)
    run.send_signal(signal.SIGKILL)
    run.communicate(timeout=DEADLINE_S)
    until(lambda: not sessions(scored))
    before = items(tmp_path)
    scored.run(*given, "--cell-resume", process=True).assert_outcomes(passed=1)
    again = items(tmp_path) - before
    assert 0 < len(again) < 24 - 3
    assert len(items(tmp_path)) == 24
    (record,) = scored.records("out.json").values()
    assert record["metrics"]["accuracy"]["n"] == 24


def test_shards_without_a_cluster_are_refused(scored):
    result = scored.run("--cell-shards=4", "--cell-executor=process")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--cell-shards spreads scoring over a cluster; give --cell-executor ray=ADDRESS too"])


@pytest.mark.parametrize("number", ["0", "-1", "two"])
def test_a_number_of_shards_that_is_none_is_refused(scored, number):
    result = scored.run("--cell-shards", number)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*{number!r} is no number of parts; write for example 8"])

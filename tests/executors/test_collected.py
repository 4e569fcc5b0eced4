"""Cells that tests ask for, as sides to calibrate."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchgate.core import BenchgateError
from benchgate.executors import collected
from benchgate.executors.collected import cells_of_tests
from benchgate.gate.side_by_side.calibrate import Effort, calibrate
from benchgate.gate.side_by_side.driver import side_by_side
from benchgate.gate.side_by_side.workloads import slowed
from tests.executors.sides import ASKED, Script, ScriptedPeer
from tests.pytest_plugin.versions_project import VersionsProject


@pytest.fixture
def scripted(monkeypatch):
    """Collected cells of two scripted pytests: `scripted(script)` enters them."""

    def peers(script):
        def start(start):
            peer = ScriptedPeer(start.name, script)
            monkeypatch.setattr(peer, "greet", lambda: None)
            monkeypatch.setattr(peer, "close", lambda: None)
            return peer

        monkeypatch.setattr(collected, "Peer", start)
        return cells_of_tests(["tests"], "", ".")

    return peers


def test_tests_of_one_cell_and_operation_are_one(scripted):
    with scripted(Script(tests=("first", "second"))) as found:
        assert list(found.sides) == ["m-fp32-r-cpu answer"]
        assert found.sides["m-fp32-r-cpu answer"].load.test == "first"


def test_where_no_test_asks_it_is_said_why(scripted):
    script = Script(why={"t": "needs torch"}, skips=True, failed={"other.py": "ImportError: none"})
    with pytest.raises(BenchgateError, match=r"other.py: ImportError: none; t: needs torch"):
        scripted(script).__enter__()


def test_what_is_injected_is_measured(scripted):
    """The same sides, of which the candidate is slowed in the process that loads it."""
    with scripted(Script(asked=replace(ASKED, threads=2))) as found:
        side = found.sides["m-fp32-r-cpu answer"]
        assert side.threads == 2
        same = side_by_side(side, side, crew=found.crew, seed=1)
        slower = side_by_side(side, replace(side, load=slowed(side.load, 0.1, "spin")), crew=found.crew, seed=1)
    assert (same.kind, slower.kind) == ("same", "regressed")
    assert slower.change.value == pytest.approx(0.1, abs=0.01)


def test_the_cells_of_a_real_suite(tmp_path):
    """Two pytests collect the project; its cell is loaded, slowed and timed by workers of theirs."""
    project = VersionsProject(tmp_path / "project", tmp_path / "cache")
    with cells_of_tests(["test_cells.py"], "alpha", project.path) as found:
        assert list(found.sides) == ["alpha-fp32-plain-cpu answer"]
        side = found.sides["alpha-fp32-plain-cpu answer"]
        told = calibrate("alpha", side, effort=Effort(zygotes=2, pairs=2, trials=0), crew=found.crew)
        slow = found.crew(replace(side, load=slowed(side.load, 1.0, "spin")), 1)
        worker = slow.worker()
        try:
            took = worker.begin(60).call_s
        finally:
            worker.close()
            slow.close()
    assert told.pair.n > 0
    assert took > 0.0035

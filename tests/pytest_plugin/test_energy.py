"""Energy in a run: no apology where nothing can be read, and a model only of what somebody stated."""

from __future__ import annotations

import pytest

from benchgate.machine import energy_counters
from benchgate.machine.counters import Source
from tests.pytest_plugin.fake_project import TWO_CELLS

DEFAULTS = """
import pytest

@pytest.mark.cells(model="fake-a", runtime="fake")
def test_speed(cell):
    cell.measure()
"""
KEY = "test_speed[fake-a-fp32-fake-cpu]"


@pytest.fixture
def light(monkeypatch):
    """Without the meter of memory, whose processes take seconds."""
    monkeypatch.setattr("benchgate.measuring.meters.ALWAYS", ("size",))


def test_where_nothing_can_be_read_a_record_and_a_summary_do_not_speak_of_energy(project, light):
    project.write("test_it.py", DEFAULTS)
    result = project.run("-v", "--benchmark-json=out.json")
    result.assert_outcomes(passed=1)
    record = project.records("out.json")[KEY]
    assert "energy" not in " ".join([*record["metrics"], *record["missing"], *record["details"]])
    result.stdout.no_fnmatch_line("missing: *energy*")


def test_where_a_counter_can_be_read_it_is_measured(project, light, monkeypatch):
    """A counter that counts by one joule a reading."""
    from itertools import count

    from benchgate.machine.counters import Channel, Counting

    numbers = count(1)
    source = Source(
        "made-up",
        "machine",
        frozenset({"cpu"}),
        0.0,
        lambda root: Counting([Channel("a", lambda: float(next(numbers)))]),
    )
    monkeypatch.setattr(energy_counters, "SOURCES", (source,))
    monkeypatch.setattr("benchgate.machine.counters.LEAST_WINDOW_S", 0.01)
    project.write("test_it.py", DEFAULTS)
    project.run("--benchmark-json=out.json").assert_outcomes(passed=1)
    record = project.records("out.json")[KEY]
    told = record["details"]["energy"]
    assert (told["source"], told["joules"]) == ("made-up", 1.0)
    assert record["metrics"]["energy_j_per_call"]["value"] == pytest.approx(1 / told["calls"])
    assert record["rows"]["energy_j_per_call"]["tolerance"] == 0.2


def test_a_model_is_an_estimate_of_its_own_that_is_never_gated(project):
    project.write("test_it.py", TWO_CELLS)
    options = ("--cell-energy=model=20", "--cell-model=fake-a", "--cell-scheme=fp32")
    first = project.run(*options, "--benchmark-json=one.json", SPIN=0.0002)
    first.assert_outcomes(passed=1)
    first.stdout.fnmatch_lines(["fake-a fp32 fake *  energy modelled * mJ^", "^ estimate"])
    record = project.records("one.json")[KEY]
    found = record["metrics"]["modelled_energy_j_per_call"]
    assert found["value"] > 0
    assert found["method"].startswith("estimate, modelled")
    assert "energy_j_per_call" not in record["metrics"]
    assert record["rows"]["modelled_energy_j_per_call"]["tolerance"] is None
    again = project.run(*options, "--benchmark-compare=one.json", SPIN=0.002)
    assert "modelled_energy_j_per_call regressed" not in again.stdout.str()


@pytest.mark.parametrize(
    "text", ["model", "model=", "model=0", "model=-4", "model=nan", "model=inf", "measure=4", "15"]
)
def test_a_model_without_its_watts_is_a_usage_error(project, text):
    project.write("test_it.py", TWO_CELLS)
    result = project.run(f"--cell-energy={text}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "states no model; write model= and the watts of one busy core" in result.stderr.str()


def test_a_tolerance_for_a_model_is_refused(project):
    project.write("test_it.py", TWO_CELLS)
    path = project.path / "pyproject.toml"
    path.write_text(path.read_text() + "\n[tool.benchgate.gate]\nmodelled_energy_j_per_call = 0.1\n")
    result = project.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "it is modelled, not measured, and is never gated" in result.stderr.str()

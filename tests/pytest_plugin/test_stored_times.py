"""Stored times in a run: suspicious by default, explained by this machine's calibrated noise, accepted on purpose.

The baseline's own numbers are doctored, so that nothing hangs on a clock.
"""

from __future__ import annotations

import json

import pytest

from benchgate.gate.side_by_side.calibrated import Calibrated, file_of, keep
from benchgate.gate.side_by_side.calibration import Level
from benchgate.gate.side_by_side.rule import Noise
from benchgate.machine.fingerprint import fingerprint
from tests.pytest_plugin.fake_project import TWO_CELLS

COMPARE = "--benchmark-compare=base.json"
CELL = "test_speed[fake-a-fp32-fake-cpu]"


@pytest.fixture
def faster(project):
    """The project, with base.json in which both cells took no time at all."""
    project.write("test_it.py", TWO_CELLS)
    project.run("--benchmark-json=base.json").assert_outcomes(passed=2)
    document = project.json("base.json")
    assert len(document["benchmarks"]) == 2
    for bench in document["benchmarks"]:
        metrics = bench["extra_info"]["benchgate"]["metrics"]
        metrics["latency_median_s"]["value"] = 1e-9
        del metrics["throughput_per_s"]
    project.write("base.json", json.dumps(document))
    return project


def test_a_slower_time_passes_is_said_with_the_next_command_and_fails_strictly(faster):
    result = faster.run(COMPARE, "--benchmark-json=now.json")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(
        [
            "gate: * 2 suspicious*",
            "  test_it.py::test_speed?fake-a-fp32*: latency_median_s suspicious: 1 ns -> *, allowed 20 %, noise *",
            "  suspicious: 2 times of 2 cells: *`pytest ... --benchmark-compare --gate-confirm main`",
        ]
    )
    assert faster.outcomes("now.json")[CELL] == "passed"
    row = faster.records("now.json")[CELL]["rows"]["latency_median_s"]
    assert row["suspect"] is True
    strict = faster.run(COMPARE, "--gate-strict")
    strict.assert_outcomes(failed=2)
    strict.stdout.fnmatch_lines([f"FAILED *{CELL.replace('[', '?').replace(']', '?')} - *--gate-confirm main*"])


def test_an_accepted_time_is_where_drift_starts_anew(faster):
    faster.run(COMPARE, "--gate-accept", "--benchmark-json=now.json").assert_outcomes(passed=2)
    assert set(faster.outcomes("now.json").values()) == {"accepted"}


def test_the_machines_calibrated_noise_explains_it_and_stands_in_the_record(faster):
    level = Level(1.0, 0.5, 2.0, 12)
    noise = Noise(1e3, 0.0, source="calibrated on x")
    machine = fingerprint("cpu")
    keep(Calibrated("x", "wall", level, level, level, noise, 0.0, 3.0, 0.1, (), 1.0, 1.0), machine)
    assert file_of(machine).is_file()
    faster.run(COMPARE, "--benchmark-json=now.json")
    assert faster.records("now.json")[CELL]["rows"]["latency_median_s"]["noise"] == pytest.approx(99)


def test_a_broken_calibration_is_said_and_not_used(faster):
    path = file_of(fingerprint("cpu"))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{")
    result = faster.run(COMPARE)
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["benchgate: noise is assumed, not calibrated: *run `benchgate calibrate`*"])
    assert sum("noise is assumed" in line for line in result.outlines) == 1

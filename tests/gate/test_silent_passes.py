"""Every way in which something wrong was seen to pass, or something right to fail: a row each, by issue and item.

To add one: a `Stored` row of stored_rows.py where records are all it takes (what lies there, what was measured now, the
verdict by metric), a `Runs` row where pytest has to run (arguments and fake settings of each run, what the last one
must say).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from benchgate.gate import compare as gate
from benchgate.gate.baselines import Baselines
from benchgate.gate.findings import failing
from benchgate.gate.policy import Policy, resolved
from tests.gate.stored_rows import STORED, TIME
from tests.pytest_plugin.conftest import project  # noqa: F401
from tests.pytest_plugin.fake_project import SETTINGS, TWO_CELLS

WORSE = {"regressed", "drifted"}
QUIET = Policy(stored_times="fail")
QUIET_PROJECT = {"pyproject.toml": SETTINGS + '[tool.benchgate.gate]\nstored_times = "fail"\n'}


@pytest.mark.parametrize("row", STORED, ids=lambda row: row.what)
def test_a_stored_run_gives_this_verdict(row):
    """On a machine that is declared quiet: elsewhere times that are worse are suspicious."""
    findings = gate.compare(resolved(row.now, QUIET), Baselines(row.stored, newest=not row.named))
    assert {f.metric: f.kind for f in findings} == row.expected
    assert row.said in "; ".join(f.reason for f in findings)
    must_fail = not {"regressed", "drifted", "no longer measured"}.isdisjoint(row.expected.values())
    assert bool(failing(findings)) is must_fail
    assert bool(failing(findings, strict=True)) is row.strict


@pytest.mark.parametrize("row", [r for r in STORED if r.expected.get(TIME) in WORSE], ids=lambda row: row.what)
def test_elsewhere_a_worse_time_is_suspicious_and_fails_strictly(row):
    findings = gate.compare(resolved(row.now, Policy()), Baselines(row.stored, newest=not row.named))
    assert {f.metric: f.kind for f in findings} == {**row.expected, TIME: "suspicious"}
    assert TIME not in {f.metric for f in failing(findings)}
    assert TIME in {f.metric for f in failing(findings, strict=True)}


@dataclass(frozen=True)
class Runs:
    """pytest runs of the fake suite: (arguments, FAKE_* settings) each; the last one's outcomes and a line of it."""

    what: str
    runs: Sequence[tuple[Sequence[str], Mapping[str, object]]]
    outcomes: Mapping[str, int]
    said: str
    suite: str = TWO_CELLS
    files: Mapping[str, str] = field(default_factory=dict)


SAVE = "--benchmark-autosave"
COMPARE = "--benchmark-compare"
CPU_TIME = "--benchmark-timer=time.process_time"
LONGER = "--benchmark-max-time=0.1"
UNSTABLE = """
import pytest

class Data: ...

@pytest.mark.parametrize("data", [Data()], ids=["d"])
@pytest.mark.cells(model="fake-a", runtime="fake")
def test_speed(cell, data):
    cell.measure(meters=("size",))
"""

RUNS = [
    Runs(
        "11.1 a saved run without times launders nothing",
        [
            ((SAVE, CPU_TIME, LONGER), {"SPIN": 0.002}),
            ((SAVE, "--benchmark-disable"), {}),
            ((COMPARE, CPU_TIME, LONGER), {"SPIN": 0.02}),
        ],
        {"failed": 2},
        "*latency_median_s regressed*",
        files=QUIET_PROJECT,
    ),
    Runs(
        "11.38 a worse time is suspicious, which strictly fails and names the next command",
        [((SAVE, CPU_TIME, LONGER), {"SPIN": 0.002}), ((COMPARE, CPU_TIME, LONGER, "--gate-strict"), {"SPIN": 0.02})],
        {"failed": 2},
        "*latency_median_s suspicious*pytest ... --benchmark-compare --gate-confirm main*",
    ),
    Runs(
        "11.5 a parameter that shows its address",
        [((SAVE,), {}), ((COMPARE, "--gate-strict"), {})],
        {"failed": 1},
        "*not compared: parameter data=<*Data object> shows*",
        UNSTABLE,
    ),
    Runs(
        "11.6 another timer",
        [((SAVE, CPU_TIME), {}), ((COMPARE, "--gate-strict"), {})],
        {"failed": 2},
        "*not compared: other timer: 'time.process_time' -> 'time.perf_counter'*",
    ),
    Runs(
        "11.6 with and without the garbage collector",
        [((SAVE,), {}), ((COMPARE, "--gate-strict", "--benchmark-disable-gc"), {})],
        {"failed": 2},
        "*other timer: 'time.perf_counter' -> 'time.perf_counter, no garbage collection'*",
    ),
    Runs(
        "11.7 a tolerance that never fails",
        [((), {})],
        {"errors": 0},
        "*throughput_per_s: higher is better: *",
        TWO_CELLS.replace('runtime="fake")', 'runtime="fake", tolerance={"throughput_per_s": 9})'),
    ),
]


@pytest.mark.parametrize("row", RUNS, ids=lambda row: row.what)
def test_runs_end_with_this_verdict(project, row):  # noqa: F811
    project.write("test_it.py", row.suite)
    for name, text in row.files.items():
        project.write(name, text)
    for arguments, settings in row.runs:
        result = project.run(*arguments, **settings)
    result.assert_outcomes(**row.outcomes)
    assert result.ret != 0
    assert any(_fits(line, row.said) for line in [*result.outlines, *result.errlines]), row.said


def _fits(line: str, pattern: str) -> bool:
    words = pattern.split("*")
    position = 0
    for word in words:
        position = line.find(word, position)
        if position < 0:
            return False
        position += len(word)
    return True

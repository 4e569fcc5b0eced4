"""`--cell-dry-run`: what it tells, and that it does nothing of it."""

from __future__ import annotations

import json

import pytest

from benchgate.core.durations import spoken
from benchgate.pytest_plugin import dry_run  # noqa: F401  else each inner run leaves its own in the package
from tests.pytest_plugin.fake_project import TWO_CELLS

SUITE = (
    TWO_CELLS
    + """
@pytest.mark.skipif(True, reason="not today")
@pytest.mark.cells(model="fake-b", runtime="fake")
def test_marked(cell):
    cell.measure()

@pytest.mark.cells(model="fake-b", runtime="fake", device="fpga")
def test_elsewhere(cell):
    cell.measure()

@pytest.mark.cells(model="fake-c", runtime="fake", measure=False)
def test_session(cell):
    raise SystemExit("it ran")

def test_plain():
    raise SystemExit("it ran")
"""
)


def test_it_tells_the_plan_and_runs_measures_and_builds_nothing(project):
    project.write("test_it.py", SUITE)
    result = project.run("--cell-dry-run")
    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(
        [
            "  would measure 2; 2 of them are in no stored run of this machine:",
            "    test_it.py::test_speed[[]fake-a-fp32-fake-cpu]: time not known",
            "  would skip or fail 2:",
            "    test_it.py::test_marked[[]fake-b-fp32-fake-cpu]: not today",
            "    test_it.py::test_elsewhere[[]fake-b-fp32-fake-fpga]: no FPGA card in this machine",
            "  would use and not measure 1:",
            "    test_it.py::test_session[[]fake-c-fp32-fake-cpu]",
            "  would build 3:",
            "    fake-a-fp32-fake-cpu",
            "    fake-a-bf16-fake-cpu",
            "    fake-c-fp32-fake-cpu",
            "  would also run 1 test without a cell",
            "*no tests ran in *",
        ]
    )
    again = project.run("--cell-dry-run")
    again.stdout.fnmatch_lines(["  would build 3:"])
    assert not list(project.path.glob(".benchmarks/**/*.jsonl"))


def test_stored_runs_tell_the_time_and_what_is_built_needs_no_build(project):
    project.write("test_it.py", TWO_CELLS)
    project.run("--benchmark-autosave", "-k", "fp32").assert_outcomes(passed=1)
    (stored,) = project.path.glob(".benchmarks/*/0001_*.json")
    document = json.loads(stored.read_text(encoding="utf-8"))
    document["benchmarks"][0]["extra_info"]["benchgate"]["details"]["test_s"] = 200.0
    stored.write_text(json.dumps(document), encoding="utf-8")
    result = project.run("--cell-dry-run")
    result.stdout.fnmatch_lines(
        [
            "  would measure 2 in about 3 min 20 s, builds not counted; 1 of them is in no stored run of this machine:",
            "    test_it.py::test_speed[[]fake-a-fp32-fake-cpu]: 3 min 20 s",
            "  would build 1:",
            "    fake-a-bf16-fake-cpu",
        ]
    )
    document["benchmarks"][0]["extra_info"]["benchgate"]["machine"]["cpu"] = "another"
    stored.write_text(json.dumps(document), encoding="utf-8")
    project.run("--cell-dry-run").stdout.fnmatch_lines(["  would measure 2; 2 of them are in no stored run *"])


def test_a_needed_cell_that_cannot_run_is_told_as_a_failure(project):
    project.write("test_it.py", SUITE)
    result = project.run("--cell-dry-run", "--cell-need=fpga")
    result.stdout.fnmatch_lines(["*fake-fpga]: fails (--cell-need): no FPGA card in this machine"])


CODES = {
    "an error of the collection": ("import nothing_of_the_kind", (), pytest.ExitCode.INTERRUPTED),
    "the same, gone on with": (
        "import nothing_of_the_kind",
        ("--continue-on-collection-errors",),
        pytest.ExitCode.TESTS_FAILED,
    ),
    "no test": ("", (), pytest.ExitCode.NO_TESTS_COLLECTED),
    "a name that nobody has": (TWO_CELLS, ("--cell-model=nobody",), pytest.ExitCode.USAGE_ERROR),
    "another version beside it": (TWO_CELLS, ("--gate-against=main",), pytest.ExitCode.USAGE_ERROR),
}


@pytest.mark.parametrize(("text", "args", "code"), CODES.values(), ids=CODES)
def test_the_exit_code_is_pytests(project, text, args, code):
    project.write("test_it.py", text)
    assert project.run("--cell-dry-run", *args).ret == code


def test_an_interrupted_run_stays_to_be_resumed(project, sigint_is_heard):
    project.write("test_it.py", TWO_CELLS)
    project.run(EVENT="fake-a-bf16=interrupt")
    left = list(project.path.glob(".benchmarks/**/*.jsonl"))
    assert left
    result = project.run("--cell-dry-run", "--cell-resume")
    result.stdout.fnmatch_lines(["  would keep from the interrupted run, where nothing changed 1:"])
    assert list(project.path.glob(".benchmarks/**/*.jsonl")) == left


SPOKEN = ((0.2, "1 s"), (59.4, "59 s"), (59.6, "1 min"), (200, "3 min 20 s"), (3600, "1 h"), (3900, "1 h 5 min"))


@pytest.mark.parametrize(("seconds", "text"), SPOKEN)
def test_durations_are_told_to_the_second(seconds, text):
    assert spoken(seconds) == text

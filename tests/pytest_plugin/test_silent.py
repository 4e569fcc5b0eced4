"""What used to pass in silence: a scenario and what the run has to say of it, one row each."""

from __future__ import annotations

import pytest

from tests.pytest_plugin.fake_project import SETTINGS, TWO_CELLS

USAGE, FAILED, OK = pytest.ExitCode.USAGE_ERROR, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.OK

MARK = """
import pytest
cells = pytest.mark.cells

@cells(model="fake-a", runtime="fake"MORE)
def test_it(ARGUMENTS):
    BODY
"""


def one_test(body: str, more: str = "", arguments: str = "cell") -> str:
    return MARK.replace("BODY", body).replace("MORE", more).replace("ARGUMENTS", arguments)


LEFT = TWO_CELLS + TWO_CELLS.replace("test_speed", "test_more")

SILENT = {
    "a test that measures nothing fails": (
        one_test("assert str(cell)"),
        (),
        FAILED,
        "*the test passed without cell.measure(): nothing was measured; call it, or write measure=False in the cells *",
    ),
    "a mark that is no truth value": (
        one_test("...", ', measure="no"'),
        (),
        USAGE,
        "ERROR: test_it.py::test_it: cells(measure=...) is True or False, got 'no'",
    ),
    "a mark without the fixture": (
        one_test("...", arguments=""),
        (),
        USAGE,
        "ERROR: test_it.py::test_it: has a cells mark and no `cell` argument: nothing is measured; add it, or *",
    ),
    "the fixture without a mark": (
        TWO_CELLS + "\ndef test_other(cell): ...\n",
        (),
        USAGE,
        "ERROR: test_it.py::test_other: the cell fixture needs a cells mark",
    ),
    "a selection that every runtime refuses": (
        LEFT,
        ("--cell-scheme=int8-static",),
        USAGE,
        "ERROR: no cell is left by --cell-scheme int8-static\n  1 x fake has no int8-static compression\n"
        "  no cells mark has scheme int8-static; they have bf16, fp32",
    ),
    "a selection for another task": (
        LEFT,
        ("--cell-model=foreign", "--cell-scheme=fp32"),
        USAGE,
        "ERROR: no cell is left by --cell-model foreign --cell-scheme fp32\n  no cells mark has model foreign; *fake-a",
    ),
    "a selection where no test has cells": (
        "def test_plain(): ...",
        ("--cell-runtime=fake",),
        USAGE,
        "ERROR: no cell is left by --cell-runtime fake\n  no test has a cells mark",
    ),
    "an unknown name where no test has cells": (
        "def test_plain(): ...",
        ("--cell-runtime=fakr",),
        USAGE,
        "ERROR: unknown runtime 'fakr'; did you mean 'fake'*",
    ),
}


@pytest.mark.parametrize("name", SILENT)
def test_it_is_said(project, name):
    text, arguments, code, line = SILENT[name]
    project.write("test_it.py", text)
    suite = (project.path / "suite.py").read_text(encoding="utf-8")
    project.write("suite.py", suite + '\nbenchgate.model(FakeModel("foreign", "another"))\n')
    result = project.run(*arguments)
    assert result.ret == code
    stream = result.stderr if code == USAGE else result.stdout
    stream.fnmatch_lines(line.splitlines())
    assert "Traceback" not in result.stderr.str() + result.stdout.str()


def test_a_test_may_say_that_it_only_uses_the_session(project):
    project.write("test_it.py", one_test("assert cell.session(2) == 2", ", measure=False"))
    # Without a warning that the benchmark fixture was not used.
    project.run("-W", "error").assert_outcomes(passed=1)


def test_a_mark_of_a_file_asks_nothing_of_tests_without_the_fixture(project):
    own = one_test("cell.measure(meters=())").replace("@cells(", "pytestmark = cells(")
    project.write("test_it.py", own + "\ndef test_plain(): ...\n")
    project.run().assert_outcomes(passed=2)


GLOBS = (
    '[tool.benchgate.gate.cells]\n"*[fake-a-bf61*" = { size_bytes = 0.05 }\n"*[fake-a-bf16*" = { size_bytes = 0.05 }\n'
)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), True),
        (("-k", "fp32"), True),
        (("test_it.py",), False),
        (("--cell-scheme=fp32",), False),
        (("--lf",), False),
    ],
)
def test_a_tolerance_for_no_cell_is_told_where_all_are_collected(project, arguments, told):
    project.write("test_it.py", TWO_CELLS)
    project.write("pyproject.toml", SETTINGS.replace("-p no:cacheprovider", "") + GLOBS)
    result = project.run("--collect-only", *arguments)
    assert result.ret == OK
    lines = [line for line in result.stdout.lines if "tolerances hold for nothing" in line]
    assert lines == (
        [
            'benchgate: [tool.benchgate.gate.cells] "*[fake-a-bf61*" matches none of 2 cells: its tolerances hold for '
            "nothing; mend it in pyproject.toml"
        ]
        if told
        else []
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ("--cell-scheme=fp32",),
        ("--cell-scheme=fp32", "-k", "fp32"),
        ("--lf",),
        ("--ignore=folder",),
        ("--ignore-glob=*/test_far.py",),
        ("--deselect=folder/test_far.py::test_speed",),
        ("-m", "not slow"),
    ],
)
def test_what_was_not_selected_is_not_gone(project, arguments):
    many = "tolerance={'latency_median_s': 99, 'throughput_per_s': 0.99}, runtime="
    project.write("pyproject.toml", SETTINGS.replace("-p no:cacheprovider", ""))
    project.write("test_it.py", TWO_CELLS.replace("runtime=", many))
    project.write("folder/test_far.py", TWO_CELLS.replace("runtime=", many).replace("@", "@pytest.mark.slow\n@", 1))
    marker = ("-o", "markers=slow")
    project.run(*marker, "--benchmark-json=base.json").assert_outcomes(passed=4)
    if "--lf" in arguments:
        project.run(*marker, EVENT="fake-a-fp32=error")
    result = project.run(*marker, "--benchmark-compare=base.json", "--gate-strict", *arguments)
    assert result.ret == OK
    result.stdout.no_fnmatch_line("*: gone*")


def test_cells_that_are_all_gone_are_missed(project):
    """Also where nothing is left that has a mark."""
    project.write("test_it.py", TWO_CELLS)
    project.run("--benchmark-json=base.json").assert_outcomes(passed=2)
    project.write("test_it.py", "def test_plain(): ...\n")
    result = project.run("--benchmark-compare=base.json", "--gate-strict")
    assert result.ret == FAILED
    result.stdout.fnmatch_lines(["gate: 2 gone"])


BREAKS_AFTER = """
import pytest

@pytest.fixture
def broken():
    yield
    raise RuntimeError("could not\\nclean up")

@pytest.mark.cells(model="fake-a", runtime="fake")
def test_speed(broken, cell):
    cell.measure(meters=("size",))
"""


def test_a_teardown_that_fails_spoils_the_record(project):
    """It is no baseline, and --cell-resume measures it again."""
    project.write("test_it.py", BREAKS_AFTER + "\n@pytest.mark.cells(model='fake-b', runtime='fake')\n"
                  "def test_z(cell):\n    cell.measure(meters=())\n")  # fmt: skip
    result = project.run("--benchmark-json=out.json", EVENT="fake-b-fp32=interrupt")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    record = project.records("out.json")["test_speed[fake-a-fp32-fake-cpu]"]
    assert (record["outcome"], record["reason"]) == ("error", "teardown: could not")
    assert [e["record"]["outcome"] for e in project.journal()] == ["error"]
    project.run("--cell-resume").assert_outcomes(passed=2, errors=1)


FLAKY = """
import pytest

tries = []

@pytest.mark.cells(model="fake-a", runtime="fake", tolerance={"latency_median_s": 99, "throughput_per_s": 0.99})
def test_speed(cell, monkeypatch):
    tries.append(1)
    WORSE
    cell.measure(meters=("size",))
    ASSERT
"""


@pytest.fixture
def rerunning(project):
    """pytest-rerunfailures is switched off for the tests of this repository, not in the run within."""
    pytest.importorskip("pytest_rerunfailures")
    return project


def test_a_rerun_leaves_one_record_that_is_no_baseline(rerunning):
    project = rerunning
    project.write("test_it.py", FLAKY.replace("WORSE", "").replace("ASSERT", "assert len(tries) > 1"))
    result = project.run("--reruns=2", "--benchmark-json=out.json", process=True)
    assert result.ret == OK
    [bench] = project.json("out.json")["benchmarks"]
    record = bench["extra_info"]["benchgate"]
    assert (record["outcome"], record["details"]["attempts"]) == ("passed", 2)
    assert project.json("out.json")["benchgate"]["untimed"] == []
    again = project.run("--benchmark-compare=out.json", "--reruns=2", process=True)
    again.stdout.fnmatch_lines(["gate: 1 new"])


def test_a_rerun_does_not_take_back_a_regression(rerunning):
    project = rerunning
    project.write("test_it.py", FLAKY.replace("WORSE", "").replace("ASSERT", ""))
    assert project.run("--benchmark-json=base.json").ret == OK
    worse = "len(tries) == 1 and monkeypatch.setenv('FAKE_ACCURACY', '0.5')"
    project.write("test_it.py", FLAKY.replace("WORSE", worse).replace("ASSERT", ""))
    result = project.run("--reruns=1", "--benchmark-compare=base.json", process=True)
    assert result.ret == FAILED
    result.stdout.fnmatch_lines(["*a rerun does not take that back: accuracy regressed: 0.900 -> 0.500*"])


def test_a_parameter_that_no_worker_can_be_given_fails_its_cell(project):
    """A skip would have a gate stay green that measures nothing, on every machine."""
    project.write(
        "test_it.py",
        """
import threading

import pytest, suite

@pytest.mark.cells(model="fake-a", scheme="fp32", runtime="fake")
def test_speed(cell):
    cell.measure(data=threading.Lock())
""",
    )
    result = project.run("--cell-executor=process", process=True)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*cannot be sent to a process of its own*lock*"])

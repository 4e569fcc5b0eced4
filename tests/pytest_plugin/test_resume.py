"""The journal: what a killed run keeps, and what --cell-resume makes of it."""

import os
import subprocess
import sys

import pytest

from tests.pytest_plugin.fake_project import TWO_CELLS

SIX = TWO_CELLS.replace('"fake-a"', '["fake-a", "fake-b", "fake-c"]')
KEYS = [f"test_speed[fake-{m}-{s}-fake-cpu]" for m in "abc" for s in ("fp32", "bf16")]
FOURTH = "fake-b-bf16"
FIRST = "test_it.py::test_speed[fake-a-fp32-fake-cpu]"
CUT = {"EVENT": "fake-a-bf16=interrupt"}


def names(document):
    return [b["name"] for b in document["benchmarks"]]


def test_killed_in_the_fourth_of_six(project):
    """The journal has three; --cell-resume measures the rest; the file is whole, and as a baseline as good as any."""
    project.write("test_it.py", SIX)
    project.run("--benchmark-json=out.json", process=True, EVENT=f"{FOURTH}=kill")
    assert not (project.path / "out.json").exists() or not (project.path / "out.json").read_text()
    assert [e["record"]["key"].partition("::")[2] for e in project.journal()] == KEYS[:3]
    # A line that the kill cut is passed over; a run without cells leaves the journal alone.
    with project.journals()[0].open("a") as stream:
        stream.write('{"record": {"key"')
    project.write("test_plain.py", "def test_plain(): ...")
    project.run("test_plain.py").assert_outcomes(passed=1)

    resumed = project.run(
        "--cell-resume", "--benchmark-json=out.json", "test_it.py", "-rs", "--benchmark-autosave", process=True
    )
    resumed.assert_outcomes(passed=3, skipped=3)
    resumed.stdout.fnmatch_lines(
        ["benchgate: 3 measured before the interruption", "SKIPPED ?3? *measured before the last run was interrupted*"]
    )
    # The summary has all six, the file too.
    resumed.stdout.fnmatch_lines([f"{m}  cpu*" for m in ("fake-a", "fake-b", "fake-c")])
    assert names(project.json("out.json")) == KEYS
    assert project.outcomes("out.json") == dict.fromkeys(KEYS, "passed")
    assert all(len(b["stats"]["data"]) >= 5 for b in project.json("out.json")["benchmarks"])
    table = project.compare("out.json", "--name=short")
    assert all(key.removeprefix("test_") in table for key in KEYS)
    # It ended: nothing is left to resume.
    assert project.journals() == []
    again = project.run("--cell-resume", "test_it.py", "--benchmark-compare=out.json", "--cell-meters=size")
    assert "skipped" not in again.parseoutcomes()
    again.stdout.no_fnmatch_line("*new*")


def test_nothing_left_to_measure(project):
    """Ctrl-C in the last cell, which is then deselected: pytest-benchmark alone would write no file."""
    project.write("test_it.py", TWO_CELLS)
    result = project.run("--benchmark-json=cut.json", "--benchmark-min-rounds=200", EVENT="fake-a-bf16=interrupt-late")
    # What there is, without the half-measured cell.
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert names(project.json("cut.json")) == ["test_speed[fake-a-fp32-fake-cpu]"]
    assert len(project.journal()) == 1
    rounds = "--benchmark-min-rounds=200"
    result = project.run("--cell-resume", "--benchmark-json=out.json", "--benchmark-autosave", rounds, "-k", "fp32")
    result.assert_outcomes(skipped=1, deselected=1)
    assert names(project.json("out.json")) == ["test_speed[fake-a-fp32-fake-cpu]"]
    assert project.outcomes("out.json") == {"test_speed[fake-a-fp32-fake-cpu]": "passed"}
    assert "speed[fake-a-fp32-fake-cpu]" in project.compare("out.json", "--name=short")
    assert len(list(project.path.glob(".benchmarks/*/0001_*.json"))) == 1


def test_stopped_at_the_first_failure(project):
    """-x leaves the journal open: --cell-resume goes on, and measures the failed cell again."""
    project.write("test_it.py", TWO_CELLS)
    project.run("-x", EVENT="fake-a-bf16=error").assert_outcomes(passed=1, failed=1)
    project.run("--cell-resume").assert_outcomes(passed=1, skipped=1)


def test_resumed_cells_face_the_gate(project):
    """What was measured before is judged against this run's baseline, and measured again where it fails or is stale."""
    project.write("test_it.py", TWO_CELLS)
    project.run("--benchmark-json=base.json", "--benchmark-disable").assert_outcomes(passed=2)
    cut = {**CUT, "ACCURACY": 0.5}
    compare = ("--cell-resume", "--benchmark-compare=base.json", "--benchmark-disable")
    project.run("--benchmark-disable", **cut)
    again = project.run(*compare, ACCURACY=0.5)
    again.assert_outcomes(failed=2)
    again.stdout.fnmatch_lines([f"benchgate: {FIRST}: measured again, not resumed: its record fails the gate"])
    project.run("--benchmark-disable", **cut)
    project.run(*compare).assert_outcomes(passed=2)
    project.run("--benchmark-disable", **cut)
    project.run("--cell-resume", "--benchmark-disable", VERSION="2").assert_outcomes(passed=2)


def rewrite(name, old, new):
    def change(project, patch):
        text = (project.path / name).read_text()
        assert old in text
        project.write(name, text.replace(old, new))

    return change


def add(name, text):
    return lambda project, patch: project.write(name, text)


def environment(name, value):
    return lambda project, patch: patch.setenv(name, value)


def attribute(where, value):
    return lambda project, patch: patch.setattr(where, value)


PYPROJECT = """[tool.benchgate.gate]
accuracy = 0.5
[tool.pytest.ini_options]
addopts = "-p no:cacheprovider --cell-executor=inline"
"""
# What changes after the interruption, the options of the second run, and what is said of the record that is not taken.
CHANGES = {
    "a floor": (rewrite("test_it.py", '("size",))', '("size",))["accuracy"] > 0.8'), (), "the test's source (test_it)"),
    "a parameter": (
        rewrite("test_it.py", 'meters=("size",)', 'meters=("size",), batch=2'), (), "the test's source (test_it)",
    ),
    "a conftest": (rewrite("conftest.py", "import pytest\n", "import pytest\nX = 1\n"), (), "*(conftest)*"),
    "the runtime's code": (rewrite("suite.py", "class FakeRuntime", "# now\nclass FakeRuntime"), (), "*(suite)*"),
    "a helper of the test": (rewrite("helper.py", "1", "2"), (), "*(helper)*"),
    "rounds": (None, ("--benchmark-min-rounds=7",), "options (benchmark_min_rounds)"),
    "disabled": (None, ("--benchmark-disable",), "options (benchmark_disable)"),
    "meters": (None, ("--cell-meters=size",), "options (cell_meters)"),
    "the project's own option": (None, ("--samples=9",), "options (samples)"),
    "a tolerance": (add("pyproject.toml", PYPROJECT), (), "*tolerances (policy)*"),
    "threads in the environment": (environment("OMP_NUM_THREADS", "1"), (), "environment variables (OMP_NUM_THREADS)"),
    "usable cores": (attribute("benchgate.pytest_plugin.dependencies.usable_cores", lambda: 77), (), "threads"),
    "a package": (
        attribute("benchgate.pytest_plugin.dependencies.versions", lambda names: {"numpy": "0"}), (), "packages (*",
    ),
    "the machine": (
        attribute("benchgate.pytest_plugin.dependencies.fingerprint", lambda device: {"cpu": "x"}), (), "machine (*",
    ),
    "benchgate": (attribute("benchgate.__version__", "0.0.0"), (), "*benchgate*"),
    "the artifact": (environment("FAKE_BYTES", "2000"), (), "artifact"),
}  # fmt: skip
OPTION = """
def pytest_addoption(parser):
    parser.addoption("--samples", type=int, default=3)
"""


@pytest.mark.parametrize("row", CHANGES)
def test_a_record_is_resumed_only_where_what_it_depends_on_holds(project, monkeypatch, row):
    change, options, said = CHANGES[row]
    project.write("helper.py", "X = 1\n")
    project.write("test_it.py", TWO_CELLS.replace("import pytest", "import pytest\nimport helper"))
    project.write("conftest.py", (project.path / "conftest.py").read_text() + OPTION)
    project.run(**CUT)
    assert len(project.journal()) == 1
    if change is not None:
        change(project, monkeypatch)
    result = project.run("--cell-resume", *options, "-v")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines([f"benchgate: {FIRST.replace('[', '[[]')}: measured again, not resumed: other {said}"])


@pytest.mark.parametrize(
    "options",
    [(), ("-v",), ("--benchmark-json=o.json",), ("--gate-strict",), ("-k", "speed"), ("--cell-model=fake-a",)],
)
def test_how_it_is_selected_and_shown_is_no_reason_to_measure_again(project, options):
    project.write("test_it.py", TWO_CELLS)
    project.run(**CUT)
    project.run("--cell-resume", *options).assert_outcomes(passed=1, skipped=1)


def test_cells_that_are_not_selected_or_no_longer_exist_are_not_exported(project):
    project.write("test_it.py", SIX)
    project.run(EVENT=f"{FOURTH}=interrupt")
    assert len(project.journal()) == 3
    project.run("--cell-resume", "--cell-model=fake-b", "--benchmark-json=out.json").assert_outcomes(
        passed=1, skipped=1
    )
    assert names(project.json("out.json")) == KEYS[2:4]
    # What was not asked for is still there to be resumed; what no longer exists is not exported.
    gone = SIX.replace('["fake-a", "fake-b", "fake-c"]', '["fake-b"]')
    project.write("test_it.py", gone)
    project.run("--cell-resume", "--benchmark-json=out.json")
    assert names(project.json("out.json")) == KEYS[2:4]


def test_two_runs_at_once_have_a_journal_each(project):
    """The second run starts, measures and ends within the first, which is then killed and resumed."""
    project.write("test_it.py", TWO_CELLS)
    inner = """
import os, signal, subprocess, sys
def pytest_runtest_setup(item):
    if "bf16" in item.name and not os.environ.get("INNER"):
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "--cell-resume", "test_it.py"],
            env={**os.environ, "INNER": "1"}, capture_output=True, text=True,
        )
        print(done.stdout, flush=True)
        assert done.returncode == 0 and "2 passed" in done.stdout, done.stdout
        os.kill(os.getpid(), signal.SIGKILL)
"""
    before = (project.path / "conftest.py").read_text()
    project.write("conftest.py", before + inner)
    killed = subprocess.run(
        [sys.executable, "-m", "pytest", "-s", "test_it.py"],
        cwd=project.path, capture_output=True, text=True, timeout=120, check=False,
        env={k: v for k, v in os.environ.items() if k != "PYTEST_ADDOPTS"},
    )  # fmt: skip
    assert "2 passed" in killed.stdout, killed.stdout
    assert killed.returncode == -9
    assert [e["record"]["key"] for e in project.journal()] == [FIRST]


def test_a_read_only_folder_is_a_warning(project):
    project.write("test_it.py", TWO_CELLS)
    # A file where the folder should be: it stops root as well.
    project.write(".benchmarks/benchgate-journals", "")
    result = project.run("--cell-resume")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(
        ["benchgate: no journal in *should this run be interrupted, all of it is measured again*"]
    )


ODD = {
    "empty": b"",
    "binary": bytes(range(256)) * 10,
    "null": b"null\n",
    "a list": b"[1, 2]\n",
    "deep": b"[" * 100_000 + b"\n",
    "another schema": b'{"journal": 99, "arguments": []}\n{"record": {}}\n',
    "of before there was a schema": b'{"record": {"key": "a"}, "benchmark": null}\n',
    "arguments that are none": b'{"journal": 1, "arguments": 3}\n',
}
LINES = {
    "no JSON": b'{"record"',
    "null": b"null",
    "a list": b"[1]",
    "deep": b'{"record": ' * 100_000,
    "a huge number": b'{"record": ' + b"9" * 5000 + b"}",
    "no record": b'{"record": {}, "benchmark": null, "depends": {}}',
    "binary": bytes(range(128, 256)),
}


@pytest.mark.parametrize("row", ODD)
def test_odd_journals_are_passed_over_and_said(project, row):
    project.write("test_it.py", TWO_CELLS)
    odd = project.write(".benchmarks/benchgate-journals/00000000000000000001-1-odd.jsonl", "")
    odd.write_bytes(ODD[row])
    result = project.run("--cell-resume")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines([f"benchgate: {odd}: cannot be resumed (*what it held is measured again"])


@pytest.mark.parametrize("row", LINES)
def test_odd_lines_are_passed_over_and_said(project, row):
    project.write("test_it.py", TWO_CELLS)
    project.run(**CUT)
    with project.journals()[0].open("ab") as stream:
        stream.write(LINES[row] + b"\n")
    result = project.run("--cell-resume")
    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(["benchgate: *: 1 lines are no entries (line 3); what it held is measured again"])


def test_collecting_only_leaves_the_journal_alone(project):
    project.write("test_it.py", TWO_CELLS)
    project.run(**CUT)
    before = project.journal()
    project.run("--collect-only")
    project.run("--collect-only", "--cell-resume")
    assert project.journal() == before
    project.run("--cell-resume").assert_outcomes(passed=1, skipped=1)

"""The journal: what a killed run keeps, and what --cell-resume makes of it."""

import pytest

from tests.pytest_plugin.fake_project import TWO_CELLS

SIX = TWO_CELLS.replace('"fake-a"', '["fake-a", "fake-b", "fake-c"]')
KEYS = [f"test_speed[fake-{m}-{s}-fake-cpu]" for m in "abc" for s in ("fp32", "bf16")]
FOURTH = "fake-b-bf16"


def names(document):
    return [b["name"] for b in document["benchmarks"]]


def test_killed_in_the_fourth_of_six(project):
    """The journal has three; --cell-resume measures the rest; the file is whole, and as a baseline as good as any."""
    project.write("test_it.py", SIX)
    project.run("--benchmark-json=out.json", process=True, EVENT=f"{FOURTH}=kill")
    assert not (project.path / "out.json").exists() or not (project.path / "out.json").read_text()
    assert [e["record"]["key"].partition("::")[2] for e in project.journal()] == KEYS[:3]
    # A line that the kill cut is passed over; a run without cells leaves the journal alone.
    with (project.path / ".benchmarks" / "benchgate-journal.jsonl").open("a") as stream:
        stream.write('{"record": {"key"')
    project.write("test_plain.py", "def test_plain(): ...")
    project.run("test_plain.py").assert_outcomes(passed=1)

    resumed = project.run("--cell-resume", "--benchmark-json=out.json", "test_it.py", "-rs", "--benchmark-autosave")
    resumed.assert_outcomes(passed=3, skipped=3)
    resumed.stdout.fnmatch_lines(
        ["benchgate: 3 measured before the interruption", "SKIPPED ?3? *measured before the last run was interrupted*"]
    )
    # The summary has all six, the file too.
    resumed.stdout.fnmatch_lines([f"{m} cpu*" for m in ("fake-a", "fake-b", "fake-c")])
    assert names(project.json("out.json")) == KEYS
    assert project.outcomes("out.json") == dict.fromkeys(KEYS, "passed")
    assert all(len(b["stats"]["data"]) >= 5 for b in project.json("out.json")["benchmarks"])
    table = project.compare("out.json", "--name=short")
    assert all(key.removeprefix("test_") in table for key in KEYS)
    # It ended: nothing is left to resume.
    assert project.journal()[-1] == {"end": True}
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
    assert "end" not in project.journal()[-1]
    result = project.run("--cell-resume", "--benchmark-json=out.json", "--benchmark-autosave", "-k", "fp32")
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
    cut = {"EVENT": "fake-a-bf16=interrupt", "ACCURACY": 0.5}
    compare = ("--cell-resume", "--benchmark-compare=base.json", "--benchmark-disable")
    project.run("--benchmark-disable", **cut)
    project.run(*compare, ACCURACY=0.5).assert_outcomes(failed=2)
    project.run("--benchmark-disable", **cut)
    project.run(*compare).assert_outcomes(passed=2)
    project.run("--benchmark-disable", **cut)
    project.run("--cell-resume", VERSION="2").assert_outcomes(passed=2)


def test_a_broken_journal(project):
    project.write("test_it.py", TWO_CELLS)
    journal = project.write(".benchmarks/benchgate-journal.jsonl", '{"record"\n{"record": {}}\n')
    result = project.run("--cell-resume")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [f"ERROR: {journal}, line 1: broken journal *; run without --cell-resume to start anew"]
    )
    project.run().assert_outcomes(passed=2)


def test_collecting_only_leaves_the_journal_alone(project):
    project.write("test_it.py", TWO_CELLS)
    project.run(EVENT="fake-a-bf16=interrupt")
    before = project.journal()
    project.run("--collect-only")
    assert project.journal() == before

"""The promoted baseline in a run: drift fails, alone it stands in for stored runs, broken it ends the run."""

from __future__ import annotations

import pytest

from benchgate.commands import main as cli
from tests.pytest_plugin.fake_project import SETTINGS, TWO_CELLS

CELL = "test_it.py::test_speed[[]fake-a-fp32-fake-cpu]"


@pytest.fixture
def promoted(project, monkeypatch):
    """The project with a run of 100000 bytes a cell as its promoted baseline."""
    project.write("test_it.py", TWO_CELLS)
    project.write("pyproject.toml", SETTINGS + "[tool.benchgate.gate]\n")
    project.run("--benchmark-json=good.json", BYTES=100000).assert_outcomes(passed=2)
    monkeypatch.chdir(project.path)
    assert cli.main(["baseline", "save", "v1", "good.json"]) == 0
    assert cli.main(["baseline", "promote", "v1"]) == 0
    return project


def test_small_steps_against_the_run_before_are_drift_and_offline_says_the_same(promoted, capsys):
    compare = "--benchmark-compare=before.json"
    promoted.run("--benchmark-json=before.json", BYTES=100900).assert_outcomes(passed=2)
    promoted.run(compare, BYTES=100900).assert_outcomes(passed=2)
    result = promoted.run(compare, "--benchmark-json=now.json", BYTES=101800)
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(
        [f"FAILED {CELL} - *size_bytes drifted: 100 kB -> 102 kB*against promoted baseline 'v1' (unversioned)*"]
    )
    details = promoted.records("now.json")["test_speed[fake-a-fp32-fake-cpu]"]["details"]
    assert details["promoted"].startswith("v1@")
    # The red run is no baseline; its cells are worse than the promoted one offline too.
    capsys.readouterr()
    assert cli.main(["gate", "before.json", "now.json"]) == 1


def test_where_no_run_is_stored_the_promoted_one_is_the_baseline(promoted):
    promoted.run("--benchmark-compare", BYTES=100000).assert_outcomes(passed=2)
    result = promoted.run("--benchmark-compare", BYTES=110000)
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines([f"FAILED {CELL} - *size_bytes regressed: * against promoted baseline 'v1' *"])


def test_without_comparing_nothing_is_held_against_it(promoted):
    promoted.run(BYTES=200000).assert_outcomes(passed=2)


def test_a_cell_of_it_that_is_no_more_is_gone(promoted):
    promoted.write("test_it.py", TWO_CELLS.replace('["fp32", "bf16"]', '"fp32"'))
    result = promoted.run("--benchmark-compare", BYTES=100000)
    result.stdout.fnmatch_lines(["  test_it.py::test_speed?fake-a-bf16-fake-cpu?: gone"])


def test_a_broken_one_ends_the_run_with_the_next_command(promoted):
    path = promoted.path / ".benchmarks" / "baselines" / "v1.baseline"
    path.write_text(path.read_text()[:500])
    result = promoted.run("--benchmark-compare")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["ERROR: promoted baseline 'v1' is not what was promoted: *`benchgate baseline promote *"]
    )

"""pytest-benchmark's own table beside the summary of cells."""

from __future__ import annotations

from tests.pytest_plugin.fake_project import TWO_CELLS


def test_the_table_of_pytest_benchmark_is_for_what_is_no_cell_and_for_who_asks(project):
    """A cell has a row of the summary; another test of the same suite keeps the table that it always had."""
    project.write("test_it.py", TWO_CELLS + "\ndef test_plain(benchmark):\n    benchmark(sum, [1])\n")
    arguments = ("--cell-executor=inline", "--cell-patience=0")
    plain = project.run(*arguments)
    plain.assert_outcomes(passed=3)
    plain.stdout.fnmatch_lines(["*- benchmark: 1 tests -*", "test_plain *"])
    asked = project.run(*arguments, "--benchmark-columns=min,mean")
    asked.stdout.fnmatch_lines(["*- benchmark: 3 tests -*"])


def test_the_regressions_of_pytest_benchmark_still_fail_a_run(project):
    project.write("test_it.py", TWO_CELLS)
    arguments = ("--cell-executor=inline", "--cell-patience=0")
    project.run(*arguments, "--benchmark-json=one.json").assert_outcomes(passed=2)
    result = project.run(*arguments, "--benchmark-compare=one.json", "--benchmark-compare-fail=min:1%", SPIN=0.004)
    assert result.ret != 0
    assert "Performance has regressed" in result.stdout.str() + result.stderr.str()

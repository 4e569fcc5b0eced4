"""`benchgate list`, and a model of a test file in other commands: in processes of their own, as they are typed."""

from __future__ import annotations

import json

import pytest

from benchgate.commands import main as cli
from benchgate.core import Cell, metrics, runtimes
from benchgate.pytest_plugin.collecting import Suite
from benchgate.report.grid import rendered
from benchgate.report.listing import REGISTERED, cell_table
from tests.commands.test_main import run

TEST = """
import pytest, benchgate

@benchgate.model
class Own:
    name, version, task = "own-listed", "1", "spam"

    def build(self):
        raise AssertionError("nothing is built by looking")

@pytest.mark.cells(model="own-listed", scheme=["fp32", "gguf-q4_0"], runtime="torch")
def test_own(cell):
    cell.measure()
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A project's folder. Without other people's plugins of pytest, whose imports take seconds."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p benchgate.pytest_plugin.hooks -p pytest_benchmark.plugin")
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "pyproject.toml").write_text("[tool.pytest.ini_options]\n")
    (tmp_path / "benchmarks" / "test_listed.py").write_text(TEST)
    return tmp_path


def test_the_suites_cells_and_an_unknown_models_neighbours(folder):
    done = run("list", "cells", "--json", cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    (table,) = json.loads(done.stdout)
    (row,) = table["rows"]
    assert row["cell"] == "own-listed-fp32-torch-cpu"
    assert row["first test"] == "benchmarks/test_listed.py::test_own[own-listed-fp32-torch-cpu]"
    assert row["tests"] == 1
    assert table["notes"] == ["impossible: 1 x torch has no gguf compression"]
    done = run("build", "own-lsted", cwd=folder)
    assert done.returncode == cli.UNUSABLE
    assert "unknown model 'own-lsted'; did you mean 'own-listed'?" in done.stderr


def test_a_broken_file_is_told_beside_what_there_is(folder):
    (folder / "benchmarks" / "test_broken.py").write_text("import benchgate\n1 / 0\n")
    done = run("list", "models", cwd=folder)
    assert done.returncode == cli.UNUSABLE
    assert "own-listed" in done.stdout
    place = folder / "benchmarks" / "test_broken.py"
    assert done.stderr == f"benchgate: not collected: {place}:2: ZeroDivisionError: division by zero\n"


def test_a_broken_conftest_is_one_line(folder):
    (folder / "conftest.py").write_text("\n1 / 0\n")
    for verb in (["list", "models"], ["gate", "a.json", "b.json"]):
        done = run(*verb, cwd=folder)
        assert (done.returncode, done.stdout) == (cli.UNUSABLE, "")
        assert done.stderr.count("\n") == 1
        assert f"{folder / 'conftest.py'}:2: ZeroDivisionError: division by zero" in done.stderr


@pytest.mark.parametrize("kind", REGISTERED)
def test_each_kind_is_a_table(kind):
    (table,) = json.loads(rendered([REGISTERED[kind]()], "json", 80))
    assert table["title"] == kind
    assert table["rows"]


def test_a_runtime_that_is_missing_says_why():
    known = runtimes["torch"]

    class Gone:
        name, version, format, needs = "gone", "1", "x", {"no_such_package": "torch"}
        missing = known.missing

    with runtimes.extended(Gone()):
        row = next(row for row in REGISTERED["runtimes"]().rows if row[0] == "gone")
    assert row[2] == "no_such_package is not installed; pip install 'benchgate[torch]'"


def test_tolerances_are_told_as_the_gate_has_them():
    rows = {row[0]: row for row in REGISTERED["metrics"]().rows}
    assert set(rows) == set(metrics.TABLE)
    assert rows["top1"][4:] == (0.01, "difference")
    assert rows["size_bytes"][4:] == (0.01, "ratio")
    assert rows["sparsity"][4:] == (None, None)


def test_a_suite_without_cells_says_how_to_ask_for_one(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("benchgate.commands.suite.whole", lambda tests: Suite(tmp_path, {}, {}, (), ()))
    assert cli.main(["list", "cells"]) == 0
    assert "mark one with @pytest.mark.cells(" in capsys.readouterr().out


def test_a_cell_that_cannot_run_says_why():
    grid = cell_table({Cell("nowhere", "fp32", "torch", "cpu"): ["a", "b"]}, ())
    (row,) = grid.rows
    assert row[5:7] == (2, "a")
    assert "unknown model 'nowhere'" in row[7]


def test_a_kind_that_there_is_not(capsys):
    with pytest.raises(SystemExit) as left:
        cli.main(["list", "modles"])
    assert left.value.code == cli.UNUSABLE
    assert "models" in capsys.readouterr().err

"""A suite as the command sees it: what pytest collects, and what of it cannot be collected."""

from __future__ import annotations

import sys
from contextlib import ExitStack

import pytest

from benchgate import core
from benchgate.core import BenchgateError, Cell
from benchgate.pytest_plugin.collecting import collect
from tests.pytest_plugin.fake_project import REGISTRIES

MODEL = """
import pytest, benchgate

@benchgate.model
class Own:
    name, version, task = "own-{name}", "1", "spam"

    def build(self):
        raise AssertionError("nothing is built by looking")

@pytest.mark.cells(model="own-{name}", scheme=["fp32", "int8-dynamic"], runtime="torch")
@pytest.mark.parametrize("batch", [1, 2])
def test_{name}(cell, batch):
    raise AssertionError("nothing is run by looking")
"""
SETTINGS = '[tool.pytest.ini_options]\naddopts = "-p no:hypothesispytest"\n'


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A project's folder; what is registered and imported in it is gone afterwards, but the test modules' names."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "conftest", raising=False)
    project = tmp_path / "project"
    (project / "benchmarks").mkdir(parents=True)
    (project / "pyproject.toml").write_text(SETTINGS)
    monkeypatch.chdir(project)
    with ExitStack() as registered:
        for registry in REGISTRIES:
            registered.enter_context(registry.extended())
        yield project


def test_test_files_register_and_their_marks_are_told(folder, capfd):
    (folder / "benchmarks" / "test_collected_marks.py").write_text(MODEL.format(name="marks"))
    suite = collect(folder)
    assert core.models["own-marks"].task == "spam"
    assert list(suite.asked) == [
        Cell("own-marks", "fp32", "torch", "cpu"), Cell("own-marks", "int8-dynamic", "torch", "cpu"),
    ]  # fmt: skip
    assert {len(tests) for tests in suite.asked.values()} == {2}
    assert (suite.root, suite.failed, suite.skipped) == (folder, (), ())
    assert len(suite.chosen) == 4
    assert capfd.readouterr() == ("", "")


def test_what_a_run_would_have_is_told_beside_what_marks_ask_for(folder):
    (folder / "benchmarks" / "test_collected_chosen.py").write_text(MODEL.format(name="chosen"))
    suite = collect(folder, ["-k", "int8-dynamic and 2"])
    assert len(suite.asked) == 2
    assert [test.partition("[")[2] for test in suite.chosen] == ["own-chosen-int8-dynamic-torch-cpu-2]"]


def test_a_plugin_that_breaks_pytest_is_no_empty_suite(folder):
    broken = "def pytest_collection_modifyitems(items):\n    raise RuntimeError('the plugin broke')\n"
    (folder / "conftest.py").write_text(broken)
    (folder / "benchmarks" / "test_collected_breaks.py").write_text(MODEL.format(name="breaks"))
    with pytest.raises(BenchgateError, match=r"pytest cannot collect this suite.*RuntimeError: the plugin broke"):
        collect(folder)


def test_cells_that_are_deselected_are_asked_for_too(folder):
    (folder / "pyproject.toml").write_text(SETTINGS.replace("-p ", "-m slow -p "))
    (folder / "benchmarks" / "test_collected_slow.py").write_text(MODEL.format(name="slow"))
    assert len(collect(folder).asked) == 2


def test_benchmarks_are_looked_in_from_a_folder_below_too(folder):
    (folder / "pyproject.toml").write_text(f"{SETTINGS}[tool.benchgate]\n")
    (folder / "benchmarks" / "test_collected_below.py").write_text(MODEL.format(name="below"))
    (folder / "src" / "deep").mkdir(parents=True)
    assert len(collect(folder / "src" / "deep").asked) == 2


def test_without_benchmarks_it_is_what_pytest_would_collect(folder):
    (folder / "benchmarks").rmdir()
    (folder / "test_collected_here.py").write_text(MODEL.format(name="here"))
    assert len(collect(folder).asked) == 2


def test_chosen_tests_only(folder):
    for name in ("one", "two"):
        (folder / "benchmarks" / f"test_collected_{name}.py").write_text(MODEL.format(name=name))
    assert {cell.model for cell in collect(folder, ["benchmarks/test_collected_two.py"]).asked} == {"own-two"}
    with pytest.raises(BenchgateError, match="file or directory not found: nowhere"):
        collect(folder, ["nowhere"])


def test_a_file_without_cells_is_not_imported(folder):
    (folder / "benchmarks" / "test_collected_other.py").write_text("raise AssertionError\n")
    assert collect(folder).failed == ()


def test_a_conftest_and_its_plugins_register(folder):
    (folder / "conftest.py").write_text('pytest_plugins = ["collected_plugin"]\n')
    (folder / "collected_plugin.py").write_text(MODEL.format(name="plugin"))
    collect(folder)
    assert "own-plugin" in core.models


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import os\n1 / 0\n", ":2: ZeroDivisionError: division by zero"),
        ("\nimport no_such_module\n", ":2: ModuleNotFoundError: No module named 'no_such_module'"),
        ("x = 1\ndef f(:\n", ":2: SyntaxError: invalid syntax"),
        ("def f():\n    raise KeyError('a\\nb')\nf()\n", ":2: KeyError: 'a\\nb'"),
    ],
)
@pytest.mark.parametrize("place", ["conftest.py", "benchmarks/conftest.py"])
def test_a_broken_conftest_is_one_line_with_its_place(folder, place, text, said):
    (folder / place).write_text(text)
    with pytest.raises(BenchgateError) as refused:
        collect(folder)
    assert str(refused.value) == f"{folder / place}{said}"


def test_a_broken_test_file_is_told_and_the_others_are_there(folder):
    broken, bad_mark = folder / "benchmarks" / "test_collected_broken.py", MODEL.format(name="bad")
    broken.write_text("import benchgate\nraise ValueError('no\\nlines')\n")
    (folder / "benchmarks" / "test_collected_good.py").write_text(MODEL.format(name="good"))
    (folder / "benchmarks" / "test_collected_bad.py").write_text(bad_mark.replace('"torch"', '"trch"'))
    (folder / "benchmarks" / "test_collected_skips.py").write_text("import pytest\npytest.importorskip('no_benchgate')")
    suite = collect(folder)
    assert {cell.model for cell in suite.asked} == {"own-good"}
    assert suite.failed[0] == f"{broken}:2: ValueError: no lines"
    assert suite.failed[1].startswith("benchmarks/test_collected_bad.py::test_bad: unknown runtime 'trch'")
    assert "no_benchgate" in suite.skipped[0]


def test_what_makes_no_sense_is_counted(folder):
    text = MODEL.format(name="senseless").replace('"int8-dynamic"]', '"gguf-q4_0"]')
    (folder / "benchmarks" / "test_collected_senseless.py").write_text(text)
    assert dict(collect(folder).impossible) == {"torch has no gguf compression": 1}


def test_ctrl_c_ends_it_and_the_command(folder):
    (folder / "benchmarks" / "test_collected_interrupted.py").write_text("# benchgate\nraise KeyboardInterrupt\n")
    with pytest.raises(KeyboardInterrupt):
        collect(folder)

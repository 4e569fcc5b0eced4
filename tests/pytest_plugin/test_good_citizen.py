"""Installed beside somebody's unrelated tests it changes nothing: output and files with and without it are compared."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import benchgate
from tests.pytest_plugin.fake_project import TWO_CELLS

# Options and fixtures with the names that one would like to take; cpuinfo costs a process at each run.
CONFTEST = """
import pytest

def pytest_addoption(parser):
    for name in ("--resume", "--need", "--meters", "--accept-regressions"):
        parser.addoption(name, action="store_true")

@pytest.fixture
def cell():
    return "A1"

@pytest.fixture
def device(cell):
    return f"{cell} of the sheet"

@pytest.hookimpl(optionalhook=True, tryfirst=True)
def pytest_benchmark_generate_machine_info():
    return {"node": "test", "cpu": {}}
"""

NAMES = """
import warnings

import pytest

def test_fixture(cell, device):
    assert device == "A1 of the sheet"

@pytest.mark.parametrize("cell", [1, 2])
@pytest.mark.parametrize("model, scheme, runtime", [("a", "b", "c")])
def test_parameters(cell, model, scheme, runtime):
    assert cell in (1, 2)

def test_unknown_fixture(cells): ...

@pytest.mark.skip(reason="not today")
def test_skipped(): ...

def test_warns():
    warnings.warn("Benchmark machine_info is different, said by somebody else")

tries = []

def test_flaky():
    tries.append(1)
    assert len(tries) > 1
"""

TIMED = """
import pytest

@pytest.mark.parametrize("cell", ["A1", "B2"])
def test_sum(benchmark, cell):
    assert benchmark(sum, [1, 2]) == 3

def test_pedantic(benchmark):
    benchmark.pedantic(sum, ([1, 2],), rounds=3)
"""


class Folder:
    def __init__(self, path: Path) -> None:
        self.path = path
        for name, text in {"conftest.py": CONFTEST, "test_names.py": NAMES, "test_timed.py": TIMED}.items():
            (path / name).write_text(text, encoding="utf-8")

    def run(self, plugins: str, *args: str) -> subprocess.CompletedProcess[str]:
        """pytest with these plugins and no others."""
        given = [part for name in plugins.split() for part in ("-p", name)]
        source = str(Path(benchgate.__file__).parents[1])
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
        environment |= {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "COLUMNS": "200", "PYTHONHASHSEED": "0"}
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [source, os.environ.get("PYTHONPATH")]))
        if "benchmark" in plugins.split():
            given.append("--benchmark-max-time=0.01")
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *given, *args]
        return subprocess.run(
            command, cwd=self.path, env=environment, capture_output=True, text=True, timeout=120, check=False
        )

    def files(self) -> dict[str, Any]:
        """The shape of every JSON file: keys, lengths of lists, types of numbers. They are removed."""
        found = {}
        for path in sorted(self.path.rglob("*.json")):
            if path.name != "base.json":
                found[re.sub(r"\d{8}_\d{6}", "", path.name)] = shape(json.loads(path.read_text(encoding="utf-8")))
                path.unlink()
        return found


def shape(value: Any, name: str = "") -> Any:
    if isinstance(value, dict):
        return {key: shape(item, key) for key, item in value.items()}
    if isinstance(value, list):
        # How many rounds fit differs.
        return "rounds" if name == "data" else [shape(item) for item in value]
    return value if isinstance(value, str) and name not in ("datetime", "outliers") else type(value).__name__


def said(text: str) -> list[str]:
    """The lines without what differs from run to run: figures, widths, and our own name among the plugins."""
    text = re.sub(r"benchgate-[\d.]+(, )?", "", text)
    text = re.sub(r"\d{8}_\d{6}", "", text)
    text = re.sub(r"[<>]?\d[\d.,;]*\w?", "N", re.sub(r"\(\d[\d.]*\)", "", text))
    # Warnings of two workers come in any order, and a unit is chosen by the figures.
    lines = [
        re.sub(r"[\s=\-]+", " ", line).strip() for line in re.sub(r"\(time in \w+\)|[KMGn]ops/s", "", text).splitlines()
    ]
    return [line for line in lines if line and not line.startswith("plugins:")]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


FILES = ("--benchmark-json=out.json", "--benchmark-autosave", "--benchmark-sort=name", "--benchmark-columns=rounds")


@pytest.mark.parametrize(
    ("plugins", "module", "args"),
    [
        ("benchmark", "", FILES),
        ("benchmark", "", ("-v", "--collect-only")),
        ("benchmark", "", ("-W", "error", "test_timed.py", *FILES)),
        ("benchmark", "", ("--benchmark-disable", "--resume", "--need", "--meters", "--accept-regressions")),
        ("", "", ("test_names.py",)),
        ("benchmark xdist", "xdist", ("-n", "2", "--dist=loadfile", "-v", *FILES)),
        ("xdist", "xdist", ("-n", "2", "--dist=loadfile", "test_names.py")),
        ("benchmark randomly", "pytest_randomly", ("-p", "randomly", "--randomly-seed=3", "-v", *FILES)),
        ("benchmark rerunfailures", "pytest_rerunfailures", ("--reruns=1", "-rR", *FILES)),
        ("benchmark pytest_cov", "pytest_cov", ("--cov=.", "--cov-report=term", *FILES)),
    ],
)
def test_nothing_changes(folder, plugins, module, args):
    if module:
        pytest.importorskip(module)
    without = folder.run(plugins, *args)
    files = folder.files()
    there = folder.run(f"{plugins} benchgate", *args)
    assert without.returncode in (0, 1), without.stderr
    assert "Traceback" not in without.stderr
    compared = (sorted, sorted) if "-n" in args else (list, list)
    assert compared[0](said(there.stdout)) == compared[1](said(without.stdout))
    assert sorted(said(there.stderr)) == sorted(said(without.stderr))
    assert there.returncode == without.returncode
    assert folder.files() == files
    # Nothing else is left behind either, such as a journal.
    assert not list(folder.path.rglob("*.jsonl"))


@pytest.mark.parametrize("named", ["--benchmark-compare=base.json", "--benchmark-compare"])
def test_documents_of_plain_pytest_benchmark_are_compared_as_ever(folder, named):
    """Also with another machine's, whose warning stays."""
    assert folder.run("benchmark", "test_timed.py", "--benchmark-json=base.json").returncode == 0
    folder.run("benchmark", "test_timed.py", "--benchmark-autosave")
    for path in folder.path.rglob("*.json"):
        document = json.loads(path.read_text(encoding="utf-8"))
        document["machine_info"]["node"] = "another"
        path.write_text(json.dumps(document), encoding="utf-8")
    args = ("test_timed.py", "--benchmark-sort=fullname", "--benchmark-columns=rounds", named)
    without, there = folder.run("benchmark", *args), folder.run("benchmark benchgate", *args)
    assert "Benchmark machine_info is different" in without.stdout + without.stderr
    assert (without.returncode, there.returncode) == (0, 0)
    assert said(there.stdout) == said(without.stdout)
    assert said(there.stderr) == said(without.stderr)


def test_a_suite_without_cells_imports_nothing_heavy(folder):
    """Start-up stays below a tenth of a second: nothing but our words is loaded."""
    show = "import atexit, sys\natexit.register(lambda: print('LOADED', *sys.modules, file=sys.stderr))\n"
    (folder.path / "conftest.py").write_text(show + CONFTEST, encoding="utf-8")
    loaded = set(folder.run("benchgate", "test_names.py").stderr.partition("LOADED ")[2].split())
    assert "benchgate.pytest_plugin.hooks" in loaded
    ours = {name for name in loaded if name.partition(".")[0] == "benchgate"}
    core = {name for name in ours if name.startswith("benchgate.core")}
    plugin = {f"benchgate.pytest_plugin{name}" for name in ("", ".data_options", ".hooks", ".names")}
    assert ours - core == {"benchgate", *plugin}
    heavy = {"numpy", "scipy", "rich", "pytest_benchmark", "torch", "psutil", "filelock", "memray", "unearth"}
    assert not heavy & loaded


CELL = TWO_CELLS + "\ndef test_plain(): ...\n"


@pytest.fixture
def cells(folder, project):
    """The fake suite of the other tests, in a folder where any set of plugins can be run."""
    project.write("test_it.py", CELL)
    folder.path = project.path
    return folder


def test_cells_under_xdist_are_refused_with_one_line(cells):
    pytest.importorskip("xdist")
    result = cells.run("benchmark xdist benchgate", "-n", "2", "--benchmark-json=out.json")
    assert result.returncode == pytest.ExitCode.USAGE_ERROR
    lines = [line for line in result.stderr.splitlines() if line.startswith("ERROR")]
    assert lines == [
        "ERROR: cells are measured one after the other; under pytest-xdist their figures are worthless: run the tests "
        "that have them without -n (or with -n 0)"
    ]
    assert "Traceback" not in result.stdout + result.stderr
    assert "passed" not in result.stdout
    one = cells.run("benchmark xdist benchgate", "-n", "0", "--benchmark-json=out.json")
    assert one.returncode == 0, one.stdout


def test_cells_without_pytest_benchmark_fail_with_one_line_and_the_rest_runs(cells):
    (cells.path / "pyproject.toml").write_text("", encoding="utf-8")
    (cells.path / "conftest.py").write_text('pytest_plugins = ["suite"]', encoding="utf-8")
    for plugins in ("benchgate", "benchgate no:benchmark"):
        result = cells.run(plugins, "-rE")
        assert "1 passed, 2 errors" in result.stdout, result.stdout + result.stderr
        assert "cells are measured with pytest-benchmark; install it, and run without -p no:benchmark" in result.stdout
        assert "Traceback" not in result.stdout + result.stderr

"""The command line and surroundings of a run, as another version is started with them."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import ModuleType

import pytest

from benchgate.pytest_plugin import passed_on
from benchgate.storage.checkout import Tree


@pytest.fixture
def trees(tmp_path: Path) -> tuple[Tree, Tree]:
    for name in ("ours", "main"):
        (tmp_path / name / "src").mkdir(parents=True)
    return Tree(tmp_path / "ours", "ours"), Tree(tmp_path / "main", "main")


@pytest.mark.parametrize(
    ("given", "passed"),
    [
        (["bench", "-k", "decode"], ["bench", "-k", "decode"]),
        (["--gate-against", "main", "bench"], ["bench"]),
        (["--gate-against=main", "--gate-strict", "--gate-report=x.md", "bench"], ["bench"]),
        (["--benchmark-json", "x.json", "--junitxml=y.xml", "-x", "-v", "bench", "--full"], ["bench", "--full"]),
        (["--benchmark-compare", "bench"], ["bench"]),
        (["bench", "--cell-runtime", "torch"], ["bench", "--cell-runtime", "torch"]),
    ],
)
def test_options_of_the_run_itself_stay_with_it(trees: tuple[Tree, Tree], given: list[str], passed: list[str]) -> None:
    found = passed_on.arguments(given, *trees, trees[0].root)

    assert found[: len(passed_on.ALWAYS)] == list(passed_on.ALWAYS)
    assert found[len(passed_on.ALWAYS) :] == passed


def test_an_absolute_path_is_the_same_place_in_the_other_tree(trees: tuple[Tree, Tree]) -> None:
    ours, theirs = trees
    given = [f"{ours.root}/bench/test_a.py::test_b[x]", "/elsewhere/test_c.py"]

    assert passed_on.arguments(given, ours, theirs, ours.root)[len(passed_on.ALWAYS) :] == [
        f"{theirs.root}/bench/test_a.py::test_b[x]",
        "/elsewhere/test_c.py",
    ]


def test_sources_on_the_path_and_imported_ones_are_the_others_own(
    trees: tuple[Tree, Tree], monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = trees
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ours.root / "src"), "/shared"]))
    by_finder = ModuleType("by_finder")
    by_finder.__file__ = str(ours.root / "lib" / "by_finder" / "__init__.py")
    installed = ModuleType("installed")
    installed.__file__ = str(ours.root / ".venv" / "lib" / "site-packages" / "installed.py")
    path = [str(ours.root / "src"), str(ours.root / ".venv/lib/site-packages"), "/usr/lib/python3"]

    found = passed_on.environment(ours, theirs, [by_finder, installed, sys], path)

    assert found["PYTHONPATH"].split(os.pathsep) == [str(theirs.root / "src"), str(theirs.root / "lib"), "/shared"]


def test_each_version_has_caches_of_its_own_and_old_ones_go(
    trees: tuple[Tree, Tree], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCHGATE_CACHE", str(tmp_path / "cache"))
    first = passed_on.namespace(trees[0], "python")
    os.utime(Path(first["BENCHGATE_ARTIFACTS"]).parent, (1, 1))

    others = [passed_on.namespace(Tree(trees[1].root, "main", commit), "python") for commit in "abcd"]

    assert len({made["BENCHGATE_ARTIFACTS"] for made in [first, *others]}) == 5
    assert not Path(first["BENCHGATE_ARTIFACTS"]).parent.exists()
    assert Path(others[0]["BENCHGATE_ARTIFACTS"]).parent.exists()
    assert passed_on.namespace(trees[1], "python") == passed_on.namespace(trees[1], "python")

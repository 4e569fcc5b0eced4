"""The surroundings in which another version of the project is started."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import ModuleType

import pytest

from benchgate.executors import surroundings
from benchgate.storage.checkout import Tree


@pytest.fixture
def trees(tmp_path: Path) -> tuple[Tree, Tree]:
    for name in ("ours", "main"):
        (tmp_path / name / "src").mkdir(parents=True)
    return Tree(tmp_path / "ours", "ours"), Tree(tmp_path / "main", "main")


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

    found = surroundings.environment(ours, theirs, [by_finder, installed, sys], path)

    assert found["PYTHONPATH"].split(os.pathsep) == [str(theirs.root / "src"), str(theirs.root / "lib"), "/shared"]


def test_each_version_has_caches_of_its_own_and_old_ones_go(
    trees: tuple[Tree, Tree], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCHGATE_CACHE", str(tmp_path / "cache"))
    first = surroundings.namespace(trees[0], "python")
    os.utime(Path(first["BENCHGATE_ARTIFACTS"]).parent, (1, 1))

    others = [surroundings.namespace(Tree(trees[1].root, "main", commit), "python") for commit in "abcd"]

    assert len({made["BENCHGATE_ARTIFACTS"] for made in [first, *others]}) == 5
    assert {made["BENCHGATE_SHARED"] for made in [first, *others]} == {""}
    assert not Path(first["BENCHGATE_ARTIFACTS"]).parent.exists()
    assert Path(others[0]["BENCHGATE_ARTIFACTS"]).parent.exists()
    assert surroundings.namespace(trees[1], "python") == surroundings.namespace(trees[1], "python")

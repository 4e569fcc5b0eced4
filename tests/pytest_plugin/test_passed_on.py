"""The command line of a run, as another version is started with it."""

from __future__ import annotations

from pathlib import Path

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

    assert found == [*passed_on.ALWAYS, *passed_on.UNSEEDED, *passed]


def test_a_seed_of_the_users_is_both_sides(trees: tuple[Tree, Tree]) -> None:
    given = ["--randomly-seed=3", "-n", "0", "bench"]

    assert passed_on.arguments(given, *trees, trees[0].root) == [*passed_on.ALWAYS, *given]


def test_an_absolute_path_is_the_same_place_in_the_other_tree(trees: tuple[Tree, Tree]) -> None:
    ours, theirs = trees
    given = [f"{ours.root}/bench/test_a.py::test_b[x]", "/elsewhere/test_c.py"]

    assert passed_on.arguments(given, ours, theirs, ours.root)[-2:] == [
        f"{theirs.root}/bench/test_a.py::test_b[x]",
        "/elsewhere/test_c.py",
    ]

"""The command line of a run, as another version of the project is started with it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from benchgate.storage.checkout import Tree

# Options of a run that are not for its sides: with a value, and without.
WITH_VALUE = (
    "--gate-against", "--gate-against-python", "--gate-budget", "--gate-report", "--gate-confirm", "--cell-kind",
    "--benchmark-json", "--benchmark-compare", "--benchmark-compare-fail", "--benchmark-save", "--junitxml",
    "--junit-xml", "--maxfail", "--cov-report", "--color", "--durations", "--tb", "--capture", "-r",
)  # fmt: skip
FLAGS = (
    "--gate-strict", "--gate-accept", "--benchmark-autosave", "--cell-resume", "-x", "--exitfirst", "--lf",
    "--last-failed", "--ff", "--failed-first", "--nf", "--sw", "--stepwise", "--pdb", "--trace", "-s", "-v", "-vv",
    "-q",
)  # fmt: skip
# These may stand without a value, and then what follows is another argument.
MAY_BE_ALONE = ("--benchmark-compare",)
ALWAYS = ("-p", "no:cacheprovider", "-q")
# Else each side would seed its inputs otherwise; with a seed of the user's both have that one.
UNSEEDED = ("-p", "no:randomly")


def arguments(given: Sequence[str], ours: Tree, theirs: Tree, folder: Path) -> list[str]:
    """The command line `given` in `folder` for a side: without options of the run itself, paths in its own tree."""
    found: list[str] = []
    rest = iter(given)
    for argument in rest:
        name, has_value, _ = argument.partition("=")
        if name in FLAGS or (name in WITH_VALUE and has_value):
            continue
        if name in WITH_VALUE:
            if name not in MAY_BE_ALONE:
                next(rest, None)
            continue
        found.append(_in_tree(argument, ours, theirs, folder))
    seeded = any(argument.startswith("--randomly-seed") for argument in found)
    return [*ALWAYS, *(() if seeded else UNSEEDED), *found]


def _in_tree(argument: str, ours: Tree, theirs: Tree, folder: Path) -> str:
    """An absolute path below our tree as the same path of theirs; relative ones mean the same in both folders."""
    path, separator, inside = argument.partition("::")
    if not Path(path).is_absolute():
        return argument
    absolute = Path(os.path.normpath(folder / path))
    if not absolute.is_relative_to(ours.root):
        return argument
    return str(theirs.root / absolute.relative_to(ours.root)) + separator + inside

"""Selection by the command line: which cells there should be, and what is said of a request that finds none."""

from __future__ import annotations

import fnmatch
from collections import Counter
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from importlib.metadata import metadata
from pathlib import Path
from typing import Any

import pytest

from benchgate.core import BenchgateError, UnknownName, runtimes, unknown_name
from benchgate.machine.devices import devices
from benchgate.pytest_plugin import matrix
from benchgate.pytest_plugin.names import AXES
from benchgate.pytest_plugin.suite_run import SuiteRun
from benchgate.results import Record

NOT_PARALLEL = (
    "cells are measured one after the other; under pytest-xdist their figures are worthless: run the tests that have "
    "them without -n (or with -n 0)"
)
# A test whose fixtures include these has our `cell`, not one of its own.
OURS = {"cell", "benchmark", *AXES}


def is_measured(metafunc: pytest.Metafunc, marks: Sequence[pytest.Mark]) -> bool:
    """True for a test with marks and the fixture. Raises MarkError for one without the other."""
    names = set(metafunc.fixturenames)
    if not marks:
        if names >= OURS:
            raise matrix.MarkError("the cell fixture needs a cells mark")
        return False
    if "cell" in names:
        return True
    if any(mark.name == "cells" for mark in metafunc.definition.own_markers):
        raise matrix.MarkError(
            "has a cells mark and no `cell` argument: nothing is measured; add it, or remove the mark"
        )
    # The mark of a class or a file, whose other tests measure.
    return False


def refusal(suite: SuiteRun, option: Any, overrides: Mapping[str, Sequence[str]]) -> str | None:
    """Why the run cannot go on, or None: unknown names, errors of marks, a selection that leaves no cell."""
    try:
        _check_needs(option.cell_need)
        for axis, names in overrides.items():
            matrix.check_names(axis, names)
    except BenchgateError as error:
        return str(error)
    if suite.errors:
        return "\n".join(suite.errors)
    if any(overrides.values()) and not suite.collected:
        return _nothing_left(suite, overrides)
    return None


def _check_needs(needs: Sequence[str]) -> None:
    """A typing error in --cell-need would turn a failure back into a skip. Raises UnknownName."""
    known = {*runtimes, *devices, *(metadata("benchgate").get_all("Provides-Extra") or ())}
    known |= {name for runtime in runtimes.values() for pair in runtime.needs.items() for name in pair}
    for name in needs:
        if name not in known:
            raise UnknownName(unknown_name("--cell-need", name, sorted(known)))


def _nothing_left(suite: SuiteRun, overrides: Mapping[str, Sequence[str]]) -> str:
    """The selection, why its cells were left out, and what the marks have in its place."""
    asked = " ".join(f"--cell-{axis} {name}" for axis, names in overrides.items() for name in names)
    lines = [f"no cell is left by {asked}"]
    lines += [
        f"  {n} x {reason}"
        for reason, n in Counter(item.reason for item in dict.fromkeys(suite.left_out)).most_common()
    ]
    if not suite.named:
        return "\n".join([*lines, "  no test has a cells mark"])
    for axis, names in overrides.items():
        there = sorted(suite.named[axis])
        for name in (name for name in names if name not in there):
            near = get_close_matches(name, there, 1, 0.5)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            lines.append(f"  no cells mark has {axis} {name}{hint}; they have {', '.join(there)}")
    return "\n".join(lines)


def covers(config: pytest.Config, record: Record) -> bool:
    """True for a cell of a baseline that this command line asks for, so that its absence means something.

    What -k, -m and --deselect take out was collected before, and is not absent.
    """
    option = config.option
    # Under --lf files are passed over before they are collected.
    if getattr(option, "lf", False) or _is_ignored(config, record.key):
        return False
    for axis in AXES:
        names = getattr(option, f"cell_{axis}")
        if names and record.cell.get(axis) not in names:
            return False
    return any(_takes_in(argument, record.key, config) for argument in config.args)


def _is_ignored(config: pytest.Config, key: str) -> bool:
    file = _file_of(key, config)
    ignored = {(config.invocation_params.dir / path).resolve() for path in getattr(config.option, "ignore", None) or ()}
    if not ignored.isdisjoint((file, *file.parents)):
        return True
    globs = [str(config.invocation_params.dir / glob) for glob in getattr(config.option, "ignore_glob", None) or ()]
    return any(fnmatch.fnmatch(str(place), glob) for glob in globs for place in (file, *file.parents))


def _file_of(key: str, config: pytest.Config) -> Path:
    return (config.rootpath / key.partition("::")[0]).resolve()


def _takes_in(argument: str, key: str, config: pytest.Config) -> bool:
    """True where a command-line argument (folder, file or node id) takes in the test that `key` is the node id of."""
    path, _, inside = argument.partition("::")
    absolute = (config.invocation_params.dir / path).resolve()
    own, file = key.partition("::")[2], _file_of(key, config)
    if inside:
        return file == absolute and (own == inside or own.startswith((f"{inside}[", f"{inside}::")))
    return file == absolute or absolute in file.parents


def unmatched_globs(suite: SuiteRun, config: pytest.Config) -> list[str]:
    """A line for each glob of the project's tolerances that no cell has; none where only a part was collected."""
    option, folder = config.option, config.invocation_params.dir
    narrowed = getattr(option, "lf", False) or any(getattr(option, f"cell_{axis}") for axis in AXES)
    if narrowed or not suite.collected or not all((folder / argument).is_dir() for argument in config.args):
        return []
    return [
        f'benchgate: [tool.benchgate.gate.cells] "{glob}" matches none of {len(suite.collected)} cells: its tolerances '
        "hold for nothing; mend it in pyproject.toml"
        for glob in suite.policy.cells
        # As in Policy.tolerance: brackets stand for themselves.
        if not any(fnmatch.fnmatchcase(key, glob.replace("[", "[[]")) for key in suite.collected)
    ]

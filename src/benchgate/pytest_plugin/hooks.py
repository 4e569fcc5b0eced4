"""The pytest plugin's entry point: options, the mark, and nothing else until a suite turns out to have cells.

Somebody's suite without cells pays for this file and the tables of options only. `cell_hooks` is imported, and
registered as a plugin of its own, at the first `cells` mark, for an option of ours, or for a baseline that has cells.
"""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Mapping
from typing import Any

import pytest

from benchgate.core import LOAD_WAYS
from benchgate.pytest_plugin.data_options import data_options
from benchgate.pytest_plugin.names import AXES, CELLS, DATA, REFUSAL


def _repeatable(text: str) -> dict[str, Any]:
    return {"action": "append", "default": [], "metavar": "NAME", "help": f"{text}; repeatable"}


def _not_negative(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds; write for example 30")
    return number


def _positive(text: str) -> float:
    number = _not_negative(text)
    if number == 0:
        raise argparse.ArgumentTypeError(f"{text!r} seconds are too few; write for example 30")
    return number


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of parts; write for example 8")
    return int(text)


def _executor(text: str) -> str:
    if text not in ("process", "inline", "ray") and not text.startswith("ray="):
        raise argparse.ArgumentTypeError(f"{text!r} is none of process, inline, ray and ray=ADDRESS")
    return text


def _modelled_watts(text: str) -> float:
    kind, _, watts = text.partition("=")
    try:
        number = float(watts)
    except ValueError:
        number = 0.0
    if kind != "model" or not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(
            f"{text!r} states no model; write model= and the watts of one busy core of this machine, above 0: model=15"
        )
    return number


OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "--cell-need": _repeatable("fail, not skip, cells of this runtime, device, extra or package when it is missing"),
    "--cell-resume": {
        "action": "store_true",
        "help": "go on with the last run where it was killed: measure only what is missing",
    },
    "--cell-dry-run": {
        "action": "store_true",
        "help": "tell what would be measured, skipped and built, and about how long it takes; do nothing of it",
    },
    "--cell-meters": {
        "metavar": "NAMES",
        "type": lambda text: [name for name in text.split(",") if name],
        "help": "comma-separated meters to use beside latency instead of the tests' own",
    },
    "--cell-energy": {
        "metavar": "model=WATTS",
        "type": _modelled_watts,
        "help": "also model energy as CPU time x these watts a busy core: an estimate, shown as modelled, never gated",
    },
    "--cell-executor": {
        "metavar": "process|inline|ray[=ADDRESS]",
        "type": _executor,
        "default": "process",
        "help": "a process for each cell (process), all in pytest's (inline, to debug), or a cluster's machines (ray)",
    },
    "--cell-kind": {"metavar": "NAME", "help": "with --cell-executor ray: measure on machines of this kind only"},
    "--cell-shards": {
        "metavar": "N",
        "type": _count,
        "default": 1,
        "help": "with --cell-executor ray: score each cell's data in up to N parts on all machines (1)",
    },
    "--cell-timeout": {
        "metavar": "SECONDS",
        "type": _positive,
        "help": "end a cell's process that is not done after so long: outcome timeout",
    },
    "--cell-memory": {"metavar": "SIZE", "help": "bytes that a cell's process may take, 4GiB or alike: outcome oom"},
    "--cell-patience": {
        "metavar": "SECONDS",
        "type": _not_negative,
        "default": 6.0,
        "help": "how long a cell's time is measured again while neighbours disturb it (6); a run waits ten times that",
    },
    "--cell-spin": {
        "choices": ("library", "short", "none"),
        "default": "short",
        "help": "how long idle threads of a cell's libraries spin: docs/neighbours.md (short)",
    },
    "--cell-load": {
        "choices": LOAD_WAYS,
        "help": "weights mapped from their file or read into memory (the runtime's own choice): docs/loading.md",
    },
    **{f"--cell-{axis}": _repeatable(f"measure this {axis} instead of those in the cells marks") for axis in AXES},
    **dict(data_options()),
    "--gate-strict": {
        "action": "store_true",
        "help": "also fail on cells that are new, gone or skipped against the baseline",
    },
    "--gate-against": {
        "metavar": "REF|FOLDER",
        "help": "measure nothing for keeping: hold each cell against another version of the project, side by side",
    },
    "--gate-against-python": {
        "metavar": "PYTHON",
        "help": "the interpreter, or environment, of the other version; alone: this version in another environment",
    },
    "--gate-confirm": {
        "metavar": "REF|FOLDER",
        "help": "with --benchmark-compare: measure suspicious times side by side with this version before they count",
    },
    "--gate-budget": {
        "metavar": "TIME",
        "help": "time for all pairs together, 10m or alike, spent where intervals are widest; none: until decided",
    },
    "--gate-report": {
        "action": "append",
        "default": [],
        "metavar": "FILE",
        "help": "write the answers of --gate-against to FILE.json, FILE.md or FILE.xml; repeatable",
    },
    "--gate-accept": {
        "action": "store_true",
        "help": "report regressions without failing, and let this run be the next baseline",
    },
}


AGAINST = ("--gate-against", "--gate-against-python", "--gate-confirm")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("benchgate")
    for flag, settings in OPTIONS.items():
        group.addoption(flag, **settings)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "cells(model, scheme, runtime, device, tolerance, measure, may_end): the matrix of the test's `cell` fixture",
    )
    if _controls_workers(config):
        return
    asked = any(config.getoption(flag) not in (None, False, row.get("default")) for flag, row in OPTIONS.items())
    if not asked and not getattr(config.option, "benchmark_compare", None):
        return
    from benchgate.pytest_plugin import cell_hooks, stored_runs

    if stored_runs.baseline_has_cells(config) or asked:
        cell_hooks.activate(config)
    option = config.option
    if option.cell_kind and not option.cell_executor.startswith("ray"):
        raise pytest.UsageError("--cell-kind chooses machines of a cluster; give --cell-executor ray=ADDRESS too")
    if option.cell_shards > 1 and not option.cell_executor.startswith("ray"):
        raise pytest.UsageError("--cell-shards spreads scoring over a cluster; give --cell-executor ray=ADDRESS too")
    if option.cell_executor.startswith("ray") and any(config.getoption(flag) for flag in AGAINST):
        raise pytest.UsageError("side by side is measured on one machine; leave --cell-executor ray out")
    if option.cell_dry_run:
        from benchgate.pytest_plugin import dry_run

        dry_run.register(config)
    elif any(config.getoption(flag) for flag in AGAINST):
        from benchgate.pytest_plugin import against

        against.register(config)
    elif option.cell_executor.startswith("ray"):
        from benchgate.pytest_plugin import fleet

        fleet.register(config)


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makeitem(collector: pytest.Module | pytest.Class, name: str, obj: object) -> None:
    """Load the rest at the first `cells` mark: before the item is made, for its fixtures are looked up then."""
    plugins = collector.config.pluginmanager
    if plugins.hasplugin(DATA):
        return
    if collector.get_closest_marker("cells") is not None or _has_mark(obj):
        from benchgate.pytest_plugin import cell_hooks, data_fixtures

        if not plugins.hasplugin(CELLS):
            cell_hooks.activate(collector.config)
        data_fixtures.register(collector.session)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """End a run of pytest-xdist whose workers found cells."""
    refusal = getattr(node, "workeroutput", {}).get(REFUSAL)
    if refusal:
        raise pytest.UsageError(refusal)


def _controls_workers(config: pytest.Config) -> bool:
    """True in the controller of pytest-xdist, which collects nothing itself."""
    return not hasattr(config, "workerinput") and getattr(config.option, "dist", "no") != "no"


def _has_mark(obj: object) -> bool:
    """True for a function with a `cells` mark of its own. No code of a stranger's object is run to find out."""
    function = obj.__func__ if isinstance(obj, staticmethod | classmethod) else obj
    marks = inspect.getattr_static(function, "pytestmark", None)
    return isinstance(marks, list) and any(isinstance(m, pytest.Mark) and m.name == "cells" for m in marks)

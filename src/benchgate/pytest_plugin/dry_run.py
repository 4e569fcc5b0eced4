"""`--cell-dry-run`: what a run would measure, skip and build, and about how long; nothing of it is done."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest

from benchgate.core import BenchgateError, Cell, runtimes
from benchgate.core.durations import spoken
from benchgate.pytest_plugin import matrix, stored_runs
from benchgate.pytest_plugin.builds import unbuilt
from benchgate.pytest_plugin.cell_hooks import CellHooks
from benchgate.pytest_plugin.items import cell_of
from benchgate.pytest_plugin.names import CELLS
from benchgate.pytest_plugin.outcomes import Ended

DRY = "benchgate-dry-run"


def register(config: pytest.Config) -> None:
    """Register the hooks of a dry run. Raises UsageError beside options that hold a run against another version."""
    plugins, option = config.pluginmanager, config.option
    if option.gate_against or option.gate_against_python or option.gate_confirm:
        raise pytest.UsageError(
            "--cell-dry-run measures nothing that could be held against another version; leave --gate-against, "
            "--gate-against-python and --gate-confirm out"
        )
    hooks = plugins.getplugin(CELLS)
    assert isinstance(hooks, CellHooks)
    # No journal is begun, and an interrupted run stays as it is.
    hooks.suite.intercept = lambda order: Ended()
    plugins.register(DryRun(config, hooks), DRY)


class DryRun:
    """The hooks of a run that ends before its first test."""

    def __init__(self, config: pytest.Config, hooks: CellHooks) -> None:
        self._config, self._hooks = config, hooks

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> None:
        """Tell the plan, and leave pytest's own loop nothing but to say whether the collection failed."""
        items = list(session.items)
        session.items.clear()
        reporter = self._config.pluginmanager.getplugin("terminalreporter")
        if session.config.option.collectonly or reporter is None:
            return
        for line in self._plan(items):
            reporter.write_line(line)

    def _plan(self, items: Sequence[pytest.Item]) -> Iterator[str]:
        cells = {item.nodeid: cell for item in items if (cell := cell_of(item)) is not None}
        reasons = {item.nodeid: reason for item in items if (reason := self._reason(item)) is not None}
        resumed = [key for key in cells if key in self._hooks.suite.resumed and key not in reasons]
        using = [i.nodeid for i in items if i.nodeid in cells and not matrix.measures(i.iter_markers("cells"))]
        left = {key: cell for key, cell in cells.items() if key not in (*reasons, *resumed, *using)}
        known = stored_runs.seconds_of_tests(self._config, self._hooks.suite.baselines)
        yield "benchgate: dry run, nothing is measured and nothing is built"
        yield from _measured(left, known)
        yield from _listed("skip or fail", [f"{key}: {reasons[key]}" for key in cells if key in reasons])
        yield from _listed("keep from the interrupted run, where nothing changed", resumed)
        yield from _listed("use and not measure", [key for key in using if key not in reasons])
        yield from _listed("build", [str(of.cell) for of in unbuilt(cells[key] for key in (*left, *using))])
        if others := len(items) - len(cells):
            yield f"  would also run {others} test{'s' * (others > 1)} without a cell"

    def _reason(self, item: pytest.Item) -> str | None:
        """The reason why the item would not run: what is missing here, else its marks; None where it would."""
        cell = cell_of(item)
        if cell is None:
            return None
        try:
            missing = matrix.missing(cell, self._hooks.local.settings.way)
        except BenchgateError as error:
            return f"fails: {error}"
        if missing is None:
            return self._marked(item)
        needed = matrix.is_needed(runtimes[cell.runtime], cell.device, self._config.option.cell_need)
        return f"fails (--cell-need): {missing}" if needed else missing

    def _marked(self, item: pytest.Item) -> str | None:
        """The reason by pytest's own marks (skip, skipif, xfail without a run), which pytest is asked for."""
        marks: Any = self._config.pluginmanager.getplugin("skipping")
        try:
            marks.pytest_runtest_setup(item)
        except (pytest.skip.Exception, pytest.xfail.Exception, pytest.fail.Exception) as outcome:
            return outcome.msg or type(outcome).__name__
        return None


def _measured(left: Mapping[str, Cell], known: Mapping[str, float]) -> Iterator[str]:
    """The cells to measure, each with the seconds that its test took last time."""
    told = [f"{key}: {spoken(known[key]) if key in known else 'time not known'}" for key in left]
    seconds = [known[key] for key in left if key in known]
    new = len(left) - len(seconds)
    about = f" in about {spoken(sum(seconds))}, builds not counted" if seconds else ""
    more = f"; {new} of them {'is' if new == 1 else 'are'} in no stored run of this machine" if new else ""
    yield from _listed("measure", told, about + more)
    if not left:
        yield "  would measure nothing"


def _listed(verb: str, lines: Sequence[str], more: str = "") -> Iterator[str]:
    if lines:
        yield f"  would {verb} {len(lines)}{more}:"
        yield from (f"    {line}" for line in lines)

"""`--gate-against`: the cells of a run held against another version of the project; nothing is measured for keeping.
`--gate-confirm`: an ordinary run whose suspicious times are measured side by side before they are believed.

Under `--gate-against` all is decided before the first test runs; each test then is its cell's answer.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from benchgate.core import BenchgateError, DataError, parse_seconds
from benchgate.gate.numbers import need
from benchgate.gate.side_by_side.answers import CellAnswer, GateAnswers
from benchgate.pytest_plugin import matrix
from benchgate.pytest_plugin.cell_hooks import CellHooks
from benchgate.pytest_plugin.items import cell_of
from benchgate.pytest_plugin.names import CELLS
from benchgate.pytest_plugin.outcomes import Ended
from benchgate.pytest_plugin.sides import Baseline, Sides, term_interrupts
from benchgate.report import gate_formats, gate_summary

AGAINST, CONFIRM = "benchgate-against", "benchgate-confirm"
# Options whose value may be a path outside of the suite.
PATHS = ("--gate-against", "--gate-against-python", "--gate-confirm")


def register(config: pytest.Config) -> None:
    """Register the hooks that the command line asks for. Raises UsageError for what cannot be."""
    hooks = config.pluginmanager.getplugin(CELLS)
    assert isinstance(hooks, CellHooks)
    option = config.option
    try:
        _refuse_apart(config.invocation_params.args)
        need("the gate side by side")
        if option.gate_confirm is not None:
            if option.gate_against is not None:
                raise DataError("--gate-confirm and --gate-against: give one of them; the second measures all cells")
            if not hooks.suite.comparing:
                raise DataError("--gate-confirm decides suspicious times of --benchmark-compare; give that too")
            config.pluginmanager.register(ConfirmHooks(config, hooks), CONFIRM)
        else:
            config.pluginmanager.register(AgainstHooks(config, hooks), AGAINST)
    except BenchgateError as error:
        raise pytest.UsageError(str(error)) from error


def _refuse_apart(arguments: Sequence[str]) -> None:
    """Raise DataError for a path that stands apart from its option.

    pytest finds its root before it knows options of plugins: it took the path for one of tests, and has another root.
    """
    for option, value in itertools.pairwise(arguments):
        if option in PATHS and Path(value).expanduser().exists():
            raise DataError(f"write {option}={value}, with =: pytest takes a path that stands apart for one of tests")


class AgainstHooks:
    """The hooks of a run against another version. `answers` are there once the loop over tests has begun."""

    def __init__(self, config: pytest.Config, hooks: CellHooks) -> None:
        option = config.option
        self._config, self._hooks = config, hooks
        self._baseline = Baseline.of(option.gate_against, option.gate_against_python)
        self._budget_s = _budget(option.gate_budget)
        for name in option.gate_report:
            gate_formats.check(Path(name))
        self.answers: GateAnswers | None = None
        self._by_test: dict[str, CellAnswer] = {}
        hooks.suite.intercept = lambda order: self._end(order.key)
        # What a mark expects of a measurement says nothing of a comparison.
        option.runxfail = True

    def _end(self, test: str) -> Ended:
        """The end that a test comes to: its cell's answer, a failure where that fails the run."""
        answer = self._by_test[test]
        return Ended(str(answer) if answer.fails(self._hooks.suite.strict) else "")

    @pytest.hookimpl(tryfirst=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> None:
        """Both sides ran the test as far as it asks something; here nothing of it is left to be done."""
        raise self._end(pyfuncitem.nodeid)

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Take out what measures no cell: the gate has no question for it."""
        others = [item for item in items if cell_of(item) is None or not matrix.measures(item.iter_markers("cells"))]
        if others:
            items[:] = [item for item in items if item not in others]
            config.hook.pytest_deselected(items=others)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> None:
        if session.config.option.collectonly or not session.items or session.testsfailed:
            return
        marks = {item.nodeid: matrix.tolerance_of(item.iter_markers("cells")) for item in session.items}
        try:
            with term_interrupts():
                self.answers = self._decided(marks)
            for name in self._config.option.gate_report:
                gate_formats.write(self.answers, Path(name), self._hooks.suite.strict)
        except BenchgateError as error:
            raise pytest.UsageError(str(error)) from error
        self._by_test = {answer.test: answer for answer in self.answers.cells}

    def _decided(self, marks: Mapping[str, Mapping[str, float]]) -> GateAnswers:
        start, load = time.monotonic(), _load()
        with ExitStack() as stack:
            sides = Sides(self._config, self._hooks.suite, self._baseline, stack)
            sides.say(f"gate against {sides.said}, {sides.ours.said}")
            cells, gone = sides.answers(marks, self._budget_s)
        notes = (*sides.notes, *sides.theirs.lacking)
        return GateAnswers(sides.said, sides.ours.said, tuple(cells), gone, notes, time.monotonic() - start, load)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        strict = self._hooks.suite.strict
        if self.answers is not None and self.answers.fails(strict) and session.exitstatus == pytest.ExitCode.OK:
            # A cell that is gone has no test that could fail.
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if self.answers is None:
            return
        strict = self._hooks.suite.strict
        gate_summary.print_answers(terminalreporter, self.answers, strict)
        if os.environ.get("GITHUB_ACTIONS") == "true":
            for line in gate_formats.annotations(self.answers, strict):
                terminalreporter.write_line(line)


class ConfirmHooks:
    """The other version of a run that is compared with stored times; opened at the first suspicious one."""

    def __init__(self, config: pytest.Config, hooks: CellHooks) -> None:
        self._config, self._suite = config, hooks.suite
        self._baseline = Baseline.of(config.option.gate_confirm, config.option.gate_against_python)
        self._budget_s = _budget(config.option.gate_budget)
        hooks.suite.confirm = self._answer

    def _answer(self, test: str) -> CellAnswer:
        """Both versions of one test's cell, times only."""
        with term_interrupts(), ExitStack() as stack:
            sides = Sides(self._config, self._suite, self._baseline, stack)
            sides.say(f"{test} is suspicious: measured side by side with {sides.said}")
            start = time.monotonic()
            answers, _ = sides.answers({test: self._suite.tolerances.get(test, {})}, self._budget_s, times_only=True)
        if self._budget_s is not None:
            self._budget_s = max(0.001, self._budget_s - (time.monotonic() - start))
        return answers[0]


def _budget(text: str | None) -> float | None:
    return None if text is None else parse_seconds(text, "--gate-budget")


def _load() -> float | None:
    try:
        return os.getloadavg()[0]
    except (AttributeError, OSError):
        return None

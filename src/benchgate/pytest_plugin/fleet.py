"""`--cell-executor ray`: each test that measures a cell runs on a machine of a Ray cluster, whole; its reports, its
record and its rounds come back, and the gate and the file are this run's. All other tests run here, afterwards.
"""

from __future__ import annotations

import itertools
import os
import socket
import sys
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchgate.core import BenchgateError
from benchgate.executors import surroundings
from benchgate.executors.fleet import Fleet, Wanted, connected
from benchgate.gate.side_by_side.rule import ASSUMED
from benchgate.pytest_plugin import matrix, stored_runs
from benchgate.pytest_plugin.cell import plain
from benchgate.pytest_plugin.cell_hooks import CellHooks
from benchgate.pytest_plugin.fleet_errands import Errands, Finished
from benchgate.pytest_plugin.fleet_progress import Shown, State
from benchgate.pytest_plugin.fleet_scoring import Scoring
from benchgate.pytest_plugin.items import cell_of, params_of
from benchgate.pytest_plugin.names import CELLS
from benchgate.pytest_plugin.node_pytest import NodePytest
from benchgate.results import Record
from benchgate.storage.checkout import Tree
from benchgate.storage.journal import Entry, parse_entry
from benchgate.storage.project import read_settings

FLEET = "benchgate-fleet"
TABLE = "fleet"
# Entries of the table, with an example each.
SETTINGS = {"pass_env": '["MY_*"]', "pip": '["onnxruntime==1.22"]', "uv": '["onnxruntime==1.22"]'}
# Cells one after the other that neighbours disturbed, after which a node is left out.
DISTURBED = 3


def register(config: pytest.Config) -> None:
    """Register the hooks that send tests away."""
    hooks = config.pluginmanager.getplugin(CELLS)
    assert isinstance(hooks, CellHooks)
    config.pluginmanager.register(FleetHooks(config, hooks), FLEET)


class FleetHooks:
    """Sends away in the place of pytest's loop."""

    def __init__(self, config: pytest.Config, hooks: CellHooks) -> None:
        self._config, self._suite = config, hooks.suite
        # What was calibrated is the noise of this machine, not of those that measure.
        self._suite.noise = lambda name, device: ASSUMED
        option = config.option
        _, _, address = option.cell_executor.partition("=")
        address = address or os.environ.get("RAY_ADDRESS") or None
        self._disturbed: Counter[str] = Counter()
        found = _settings(config.rootpath)
        packages: dict[str, list[str]] = {by: found[by] for by in ("pip", "uv") if by in found}
        self._wanted = Wanted(
            address, option.cell_kind or "", config.rootpath, tuple(found.get("pass_env", ())), packages
        )

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        items = {item.nodeid: item for item in session.items if cell_of(item) is not None}
        # What pytest's own loop refuses is left to it.
        if not items or session.config.option.collectonly or session.testsfailed:
            return None
        try:
            with connected(self._wanted) as fleet:
                self._measure(session, fleet, items)
        except BenchgateError as error:
            raise pytest.UsageError(str(error)) from error
        others = [item for item in session.items if item.nodeid not in items]
        for item, following in itertools.pairwise([*others, None]):
            assert item is not None
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            _stop(session)
        return True

    def _measure(self, session: pytest.Session, fleet: Fleet, items: Mapping[str, pytest.Item]) -> None:
        nodes = len(fleet.nodes())
        self._say(f"benchgate: {len(items)} cells for {nodes} machine{'s' if nodes > 1 else ''} of a Ray cluster")
        with ExitStack() as stack:
            scoring = stack.enter_context(Scoring(self._config.rootpath, self._config.option.cell_shards))
            errands = Errands(fleet, scoring, self._session(), self._suite.notes)
            known = stored_runs.seconds_of_tests(self._config, self._suite.baselines)
            state = State(len(items), scoring, {test: known[test] for test in items if test in known})
            progress = stack.enter_context(Shown(self._config, state))
            for test, item in items.items():
                self._suite.tolerances[test] = matrix.tolerance_of(item.iter_markers("cells"))
                errands.begin(test, self._resumed(test))
            for done in errands.finished():
                state.done.append(done.test)
                with progress.away():
                    self._take(items[done.test], done)
                self._look_at_node(fleet, done)
                _stop(session)

    def _look_at_node(self, fleet: Fleet, done: Finished) -> None:
        """Leave a node out whose cells are disturbed again and again."""
        record, node = self._suite.records.get(done.test), done.about.get("id")
        if record is None or node is None or not record.passed:
            return
        self._disturbed[node] = self._disturbed[node] + 1 if record.details.get("disturbed") else 0
        if self._disturbed[node] == DISTURBED and fleet.leave_out(node):
            self._suite.notes.append(
                f"benchgate: {done.about['node']} ({node[:8]}) is left out of the rest: neighbours disturbed "
                f"{DISTURBED} cells one after the other on it"
            )

    def _resumed(self, test: str) -> dict[str, Any] | None:
        """The interrupted run's entry where it passes this run's gate; the node says if all else still holds."""
        suite = self._suite
        if test not in suite.resumed or not suite.reuse(test):
            return None
        suite.reused.discard(test)
        del suite.records[test]
        return suite.resumed[test].as_dict()

    def _session(self) -> NodePytest:
        root = self._config.rootpath.resolve()
        folder = Path(os.path.realpath(self._config.invocation_params.dir))
        tree = Tree(root, "")
        own = surroundings.environment(tree, tree, surroundings.loaded_modules(), sys.path)
        arguments = tuple(map(str, self._config.invocation_params.args))
        return NodePytest(arguments, str(root), os.path.relpath(folder, root), tuple(own.items()), socket.gethostname())

    def _say(self, line: str) -> None:
        reporter: Any = self._config.pluginmanager.getplugin("terminalreporter")
        if reporter is not None:
            reporter.write_line(line)

    def _take(self, item: pytest.Item, done: Finished) -> None:
        """Have the test's reports told as if it had run here, and its cell's record judged and kept."""
        hook, (path, line, name) = item.ihook, item.location
        hook.pytest_runtest_logstart(nodeid=item.nodeid, location=(path, line, name))
        if isinstance(done.said, BaseException):
            reports = [self._lost(item, done, done.said)]
        else:
            reports = [_report(item.config, data) for data in done.said["reports"]]
            self._keep(item, done.said, done.about, reports)
        for report in reports:
            hook.pytest_runtest_logreport(report=report)
        hook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)

    def _keep(self, item: pytest.Item, answer: Mapping[str, Any], about: Mapping[str, Any], reports: list[Any]) -> None:
        suite, key = self._suite, item.nodeid
        if answer["entry"] is None:
            if answer["reused"]:
                suite.reuse(key)
            return
        entry = parse_entry(answer["entry"], key)
        # Kinds stay apart in what is merged and compared, also where a machine of each looks the same.
        kind = {"kind": self._wanted.kind} if self._wanted.kind else {}
        details = {**entry.record.details, "fleet": dict(about)}
        suite.records[key] = replace(entry.record, machine={**entry.record.machine, **kind}, details=details)
        if entry.record.passed:
            failed = suite.verdict(key)
            if failed and not suite.accept:
                _fail(reports, failed)
                suite.ended("call", suite.records[key], "failed", failed)
            elif suite.waived(key):
                suite.ended("call", suite.records[key], "accepted", "")
        suite.keep_elsewhere(entry)

    def _lost(self, item: pytest.Item, done: Finished, error: BaseException) -> pytest.TestReport:
        cell = cell_of(item)
        assert cell is not None
        lost = done.about["lost"]
        tries = f" ({done.about['attempt']} attempts: {'; '.join(lost)})" if lost else ""
        reason = f"{error}{tries}"
        bare = replace(Record.unmeasured(item.nodeid, cell), params=plain(params_of(item)))
        self._suite.records[item.nodeid] = replace(bare, outcome="crash", reason=reason)
        self._suite.keep_elsewhere(Entry(bare))
        return pytest.TestReport(item.nodeid, item.location, item.keywords, "failed", reason, "call")


def _settings(root: Path) -> dict[str, list[str]]:
    """`[tool.benchgate.fleet]`: lists of texts, each of SETTINGS or left out. Raises UsageError for anything else."""
    try:
        table = read_settings(root).get(TABLE, {})
    except BenchgateError as error:
        raise pytest.UsageError(str(error)) from error
    if not isinstance(table, dict) or not table.keys() <= SETTINGS.keys() or not all(map(_texts, table.values())):
        may = ", ".join(f"{name} = {example}" for name, example in SETTINGS.items())
        raise pytest.UsageError(f"[tool.benchgate.{TABLE}]: {may} may stand there, not {table!r}")
    return table


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(text, str) for text in value)


def _report(config: pytest.Config, data: Any) -> Any:
    report = config.hook.pytest_report_from_serializable(config=config, data=data)
    if isinstance(report.longrepr, list):
        # Of a skipped test, where JSON has made a list of (path, line, reason).
        report.longrepr = tuple(report.longrepr)
    return report


def _fail(reports: list[Any], reason: str) -> None:
    call = next(report for report in reports if report.when == "call")
    call.outcome, call.longrepr = "failed", reason


def _stop(session: pytest.Session) -> None:
    """End the run where pytest was asked to: -x, --maxfail."""
    if session.shouldfail:
        raise session.Failed(session.shouldfail)
    if session.shouldstop:
        raise session.Interrupted(session.shouldstop)

"""Both versions of a project opened: trees, a pytest of each side, and how their cells are compared."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from benchgate.core import Cell
from benchgate.executors import surroundings
from benchgate.executors.peer import Peer, Start, python_of
from benchgate.executors.versions import SideFailed, Terms, Versions
from benchgate.executors.wire import Asked, SideError
from benchgate.gate.policy import Policy, resolved
from benchgate.gate.side_by_side import calibrated
from benchgate.gate.side_by_side.answers import TIME, CellAnswer
from benchgate.gate.side_by_side.driver import Setup
from benchgate.gate.side_by_side.rule import RULE
from benchgate.gate.side_by_side.verdict import Kind, Verdict
from benchgate.machine.fingerprint import fingerprint
from benchgate.pytest_plugin import passed_on
from benchgate.pytest_plugin.stored_runs import suspicion_of_tests
from benchgate.pytest_plugin.suite_run import SuiteRun
from benchgate.results import Record
from benchgate.storage.checkout import Tree, here, version
from benchgate.storage.trees import changed

TIME_METRIC = "latency_median_s"


@dataclass(frozen=True)
class Baseline:
    """The other version as the command line names it: a ref or folder (None: this one), an interpreter (None: ours)."""

    ref: str | None
    python: str

    @classmethod
    def of(cls, ref: str | None, python: str | None) -> Baseline:
        """Raises DataError for what is no interpreter."""
        return cls(ref, python_of(python))

    @property
    def is_our_python(self) -> bool:
        return self.python == sys.executable


class Sides:
    """The two versions of one run, whose folder is `config.invocation_params.dir`. `stack` closes them."""

    def __init__(self, config: pytest.Config, suite: SuiteRun, baseline: Baseline, stack: ExitStack) -> None:
        self._config, self._suite, self._baseline = config, suite, baseline
        self._folder = Path(os.path.realpath(config.invocation_params.dir))
        self.ours = here(self._folder)
        self.theirs = self.ours if baseline.ref is None else stack.enter_context(version(baseline.ref, self.ours))
        self.said = self.theirs.said + ("" if baseline.is_our_python else f" by {baseline.python}")
        self.differing = changed(self.ours, self.theirs)
        self._stack = stack

    @property
    def notes(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.ours.notes, *self.theirs.notes)))

    def say(self, line: str) -> None:
        reporter: Any = self._config.pluginmanager.getplugin("terminalreporter")
        if reporter is not None:
            reporter.write_line(f"benchgate: {line}")

    def answers(
        self, marks: Mapping[str, Mapping[str, float]], budget_s: float | None = None, times_only: bool = False
    ) -> tuple[list[CellAnswer], tuple[str, ...]]:
        """Return the answers for these tests, and the tests that only the baseline has. `marks` are their tolerances.

        Raises BenchgateError where the candidate itself cannot be collected.
        """
        if not self.differing and self._baseline.is_our_python:
            reason = "no file of the project differs, and neither does the environment"
            return _all(marks, "unchanged", reason), ()
        opened = self._opened(marks, budget_s, times_only)
        if isinstance(opened, str):
            return _all(marks, "not comparable", opened), ()
        return opened.answers(list(marks)), opened.gone

    def _opened(
        self, marks: Mapping[str, Mapping[str, float]], budget_s: float | None, times_only: bool
    ) -> Versions | str:
        """Both sides running, or why the baseline cannot."""
        peers = []
        for name, tree, python in (
            ("baseline", self.theirs, self._baseline.python),
            ("candidate", self.ours, sys.executable),
        ):
            where = tree.root / self._folder.relative_to(self.ours.root)
            if not where.is_dir():
                return f"the baseline has no folder {where}"
            peers.append(Peer(self._start(name, tree, python, where)))
            self._stack.callback(peers[-1].close)
        for peer in peers:
            try:
                peer.greet()
            except SideError as error:
                if peer.name == "candidate":
                    raise SideFailed(peer.name, f"the candidate cannot be collected: {error}") from error
                return _why(error, self._baseline.python, self.theirs)
        terms = Terms(
            self.differing,
            self.ours.root,
            self.theirs.root,
            lambda test, asked: setup_of(self._suite.policy, test, asked, marks[test]),
            lambda record: self._resolved(record, marks),
            budget_s,
            self.theirs.lacking,
            times_only,
            self.say,
            suspicion_of_tests(self._config),
        )
        return Versions(peers[0], peers[1], terms)

    def _start(self, name: str, tree: Tree, python: str, where: Path) -> Start:
        own = surroundings.environment(self.ours, tree, surroundings.loaded_modules(), sys.path)
        caches = surroundings.namespace(tree, python) if name == "baseline" else {}
        given = passed_on.arguments(self._config.invocation_params.args, self.ours, tree, self._folder)
        return Start(name, python, where, given, {**own, **caches})

    def _resolved(self, record: Record, marks: Mapping[str, Mapping[str, float]]) -> Record:
        return resolved(replace(record, outcome="passed"), self._suite.policy, marks.get(record.key))


def setup_of(policy: Policy, test: str, asked: Asked, own: Mapping[str, float]) -> Setup:
    """The rule with the project's tolerance as its margin (`own` are the mark's), and this machine's noise."""
    tolerance = policy.said(test, TIME_METRIC, own)
    rule = RULE if tolerance is None else RULE.for_tolerance(tolerance)
    cell = Cell(**asked.cell)
    return Setup(rule, calibrated.noise_for(f"{cell} {asked.operation}", fingerprint(cell.device)))


@contextlib.contextmanager
def term_interrupts() -> Iterator[None]:
    """SIGTERM ends what is within as Ctrl-C does: a worktree is removed then."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt("SIGTERM")

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _all(tests: Mapping[str, Any], kind: Kind, reason: str) -> list[CellAnswer]:
    return [CellAnswer(test, {TIME: Verdict(kind, reason)}) for test in tests]


def _why(error: SideError, python: str, theirs: Tree) -> str:
    """Why the baseline's pytest did not come as far as its cells."""
    text = str(error)
    if "No module named 'benchgate" in text:
        install = f"{python} -m pip install -U benchgate"
        return f"the baseline has no benchgate of this protocol: {install}, or give a newer ref; {text}"
    lacks = f"; {'; '.join(theirs.lacking)}" if theirs.lacking else ""
    return f"the baseline cannot be collected: {text}{lacks}"

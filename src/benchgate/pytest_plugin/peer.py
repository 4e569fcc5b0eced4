"""The inside of a version of the project that is held against another one: pytest collects, then answers requests.

Loaded by `-p benchgate.pytest_plugin.peer --gate-peer FD`, never by itself. Tests run as far as `cell.measure(...)`,
which says what is asked of the cell; what is measured then is asked for over the wire, see `executors.wire`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

import pytest

from benchgate.core import BenchgateError, DataError
from benchgate.executors import wire
from benchgate.executors.captured import Captured
from benchgate.measuring import run as running
from benchgate.pytest_plugin import matrix
from benchgate.pytest_plugin.asked import Uncollected, cells_of
from benchgate.pytest_plugin.cell_hooks import CellHooks
from benchgate.pytest_plugin.items import cell_of, own_files, own_modules
from benchgate.pytest_plugin.outcomes import Ended

NAME = "benchgate-peer"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("benchgate")
    group.addoption("--gate-peer", type=int, metavar="FD", help="the wire to the run that asks; for that run's own use")


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    descriptor = config.getoption("--gate-peer")
    if descriptor is None:
        return
    config.pluginmanager.register(PeerHooks(cells_of(config), Connection(descriptor)), NAME)


class PeerHooks(Uncollected):
    """Answers requests in the place of running tests."""

    def __init__(self, hooks: CellHooks, channel: Connection) -> None:
        super().__init__()
        self._hooks, self._channel = hooks, channel
        self._items: dict[str, pytest.Item] = {}
        self._captured: dict[str, Captured] = {}
        # Reasons why tests asked nothing, by id: skipped, or failed before.
        self._why: dict[str, str] = {}
        self._skipped: set[str] = set()
        hooks.suite.intercept = self._capture_order
        self._root = hooks.config.rootpath

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.skipped and isinstance(report.longrepr, tuple):
            self._why[report.nodeid] = report.longrepr[2].removeprefix("Skipped: ")
            self._skipped.add(report.nodeid)
        elif report.failed:
            lines = [line for line in str(report.longreprtext).splitlines() if line.strip()]
            self._why.setdefault(report.nodeid, lines[-1].strip() if lines else "failed")

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        cells = [item for item in session.items if cell_of(item) is not None]
        self._items = {item.nodeid: item for item in cells if matrix.measures(item.iter_markers("cells"))}
        self._hooks.local.share(own_modules(session))
        hello = {"protocol": wire.PROTOCOL, "tests": list(self._items), "failed": self.failed}
        wire.send(self._channel, hello)
        try:
            self._serve()
        finally:
            for one in self._captured.values():
                one.close()
        return True

    def _serve(self) -> None:
        answers: Mapping[str, Callable[..., Any]] = {
            "capture": self._capture,
            "build": lambda test: self._captured_of(test).build(),
            "prove": self._prove,
            "record": lambda test, meters: self._captured_of(test).record(meters),
            "begin": self._begin,
            "block": self._block,
            "end": self._end,
            "renew": lambda test, hashes: self._captured_of(test).renew(hashes),
        }
        while True:
            try:
                request = wire.receive(self._channel)
            except (EOFError, OSError):
                # Nobody asks any more.
                return
            wire.send(self._channel, _answered(answers, request))

    def _capture(self, tests: list[str]) -> dict[str, Any]:
        """Run these tests as far as what they ask, and tell it, or why a test asks nothing."""
        chosen = [self._items[test] for test in tests if test in self._items]
        for item, following in itertools.pairwise([*chosen, None]):
            assert item is not None
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        return {item.nodeid: self._told(item.nodeid) for item in chosen}

    def _told(self, test: str) -> dict[str, Any]:
        if test in self._captured:
            return {"asked": wire.packed(self._captured[test].asked())}
        why = self._why.get(test, "it passed without cell.measure()")
        return {"why": why, "skipped": test in self._skipped}

    def _capture_order(self, order: running.Order) -> Ended:
        item = self._items[order.key]
        self._captured[order.key] = Captured(order, self._hooks.local, own_files(item, self._root))
        return Ended()

    def _prove(self, test: str) -> dict[str, Any]:
        return wire.packed(self._captured_of(test).prove(self._root))

    def _captured_of(self, test: str) -> Captured:
        if test not in self._captured:
            raise DataError(f"{test} was not captured; it is asked to capture first")
        return self._captured[test]

    def _begin(self, test: str, worker: int, timeout_s: float, slow: list[Any] | None = None) -> dict[str, Any]:
        added = None if slow is None else (float(slow[0]), slow[1])
        return wire.packed(self._captured_of(test).begin(worker, timeout_s, added))

    def _block(self, worker: int, seconds: float, cpus: list[int] | None, timeout_s: float) -> dict[str, Any]:
        holder = next((one for one in self._captured.values() if worker in one.workers), None)
        if holder is None:
            raise DataError(f"worker {worker} is not there")
        return wire.packed(holder.block(worker, seconds, None if cpus is None else frozenset(cpus), timeout_s))

    def _end(self, worker: int) -> None:
        for one in self._captured.values():
            one.end(worker)


def _answered(answers: Mapping[str, Callable[..., Any]], request: Mapping[str, Any]) -> dict[str, Any]:
    """The answer to a request; whatever it raises is one too."""
    do = str(request.get("do"))
    if do not in answers:
        return wire.failure(BenchgateError(f"request {do!r} is none of {', '.join(answers)}"))
    parts = {name: value for name, value in request.items() if name != "do"}
    timeout_s = parts.pop("timeout_s", None)
    call = answers[do]
    if do in ("begin", "block"):
        call = partial(call, timeout_s=timeout_s)
    try:
        return {"ok": call(**parts)}
    except Exception as error:
        return wire.failure(error)

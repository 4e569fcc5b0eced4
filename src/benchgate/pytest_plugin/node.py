"""The inside of a session on a machine of a fleet: pytest collects, then runs the tests that it is asked for, whole.

Loaded by `-p benchgate.pytest_plugin.node --cell-node FD`, never by itself. Its journal and its reports go to the run
that asks, see `pytest_plugin.fleet`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from benchgate.core import DataError
from benchgate.executors import wire
from benchgate.pytest_plugin.asked import Uncollected, cells_of
from benchgate.pytest_plugin.cell_hooks import CellHooks
from benchgate.pytest_plugin.items import own_modules
from benchgate.storage.journal import Entry, Journal, parse_entry

NAME = "benchgate-node"


class Caught(Journal):
    """Entries that the session would write down, kept for who asks: the journal is the driver's."""

    def __init__(self) -> None:
        super().__init__(Path())
        self.entries: dict[str, Entry] = {}

    def start(self, keep: Sequence[Entry] = ()) -> None:
        """Begin no file."""

    def append(self, entry: Entry) -> None:
        self.entries[entry.record.key] = entry

    def end(self, left: Sequence[Entry] = ()) -> None:
        """There is no file to end."""


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("benchgate")
    group.addoption("--cell-node", type=int, metavar="FD", help="the wire to the run that asks; for that run's own use")


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    descriptor = config.getoption("--cell-node")
    if descriptor is None:
        return
    config.pluginmanager.register(NodeHooks(cells_of(config), Connection(descriptor)), NAME)


class NodeHooks(Uncollected):
    """Runs tests as they are asked for, in the place of pytest's loop."""

    def __init__(self, hooks: CellHooks, channel: Connection) -> None:
        super().__init__()
        self._hooks, self._channel = hooks, channel
        self._caught = hooks.suite.journal = Caught()
        self._items: dict[str, pytest.Item] = {}
        self._reports: list[Any] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        config = self._hooks.config
        told = config.hook.pytest_report_to_serializable(config=config, report=report)
        # A test's properties may be any objects.
        self._reports.append(json.loads(json.dumps(told, default=str)))

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        self._items = {item.nodeid: item for item in session.items}
        self._hooks.local.share(own_modules(session))
        wire.send(self._channel, {"protocol": wire.PROTOCOL, "tests": list(self._items), "failed": self.failed})
        while True:
            try:
                request = wire.receive(self._channel)
            except (EOFError, OSError):
                # Nobody asks any more.
                return True
            wire.send(self._channel, self._answered(request))

    def _answered(self, request: Mapping[str, Any]) -> dict[str, Any]:
        try:
            return {"ok": self._run(str(request["test"]), request.get("resumed"))}
        except Exception as error:
            return wire.failure(error)

    def _run(self, test: str, resumed: Any) -> dict[str, Any]:
        """Run the test, or take what an interrupted run measured where that still holds."""
        item, suite = self._items.get(test), self._hooks.suite
        if item is None:
            why = next((f"{name}: {said}" for name, said in self.failed.items() if test.startswith(name)), "")
            raise DataError(f"{test} is not there on this machine{f'; {why}' if why else ''}")
        self._reports = []
        # A test that comes again, after its answer was lost, begins anew.
        for kept in (suite.records, suite.attempts, suite.resumed, suite.tries, self._caught.entries):
            kept.pop(test, None)
        suite.reused.discard(test)
        if resumed is not None:
            suite.resumed[test] = parse_entry(resumed, test)
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
        entry = self._caught.entries.get(test)
        return {
            "reports": self._reports,
            "entry": None if entry is None else entry.as_dict(),
            "reused": test in suite.reused,
        }

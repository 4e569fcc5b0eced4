"""The inside of a session on a machine of a fleet: pytest collects, then runs the tests that it is asked for, whole.

Loaded by `-p benchgate.pytest_plugin.node --cell-node FD`, never by itself. Its journal and its reports go to the run
that asks, see `pytest_plugin.fleet`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence, Sized
from dataclasses import asdict
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from benchgate.core import Cell, DataError
from benchgate.core.protocols import Describes
from benchgate.core.shards import ScoresInParts, Shard
from benchgate.executors import wire
from benchgate.machine.devices import usable_cores
from benchgate.measuring.held import Held
from benchgate.measuring.resolved import resolve
from benchgate.measuring.run import Order
from benchgate.measuring.sharded import Part, part
from benchgate.pytest_plugin.asked import Uncollected, cells_of
from benchgate.pytest_plugin.builds import buildable
from benchgate.pytest_plugin.cell_hooks import CellHooks
from benchgate.pytest_plugin.items import cell_of, own_modules
from benchgate.pytest_plugin.outcomes import Ended
from benchgate.storage.artifacts import folder_of
from benchgate.storage.journal import Entry, Journal, parse_entry

NAME = "benchgate-node"
# Parts of a request that are not for who answers it.
UNUSED = ("do", "timeout_s")
# The most of one section of captured output that travels: whole it may be larger than a cluster's object store.
MOST_SAID = 1 << 20


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


def _end(text: str) -> str:
    left_out = len(text) - MOST_SAID
    return text if left_out <= 0 else f"[{left_out} characters before this are left out]\n{text[left_out:]}"


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
        told["sections"] = [(title, _end(text)) for title, text in told["sections"]]
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
        do: Mapping[str, Callable[..., Any]] = {
            "artifact": self._artifact,
            "build": self._build,
            "plan": self._plan,
            "run": self._run,
            "shard": self._shard,
        }
        try:
            return {"ok": do[request["do"]](**{name: part for name, part in request.items() if name not in UNUSED})}
        except Exception as error:
            return wire.failure(error)

    def _item(self, test: str) -> pytest.Item:
        if test not in self._items:
            why = next((f"{name}: {said}" for name, said in self.failed.items() if test.startswith(name)), "")
            raise DataError(f"{test} is not there on this machine{f'; {why}' if why else ''}")
        return self._items[test]

    def _begun(self, test: str) -> None:
        """Run the test's protocol, as if it had not run before."""
        item, suite = self._item(test), self._hooks.suite
        self._reports = []
        for kept in (suite.records, suite.attempts, suite.tries, self._caught.entries):
            kept.pop(test, None)
        suite.reused.discard(test)
        # The session comes next, and no other test: its fixtures stay, data are loaded once.
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=item.session)

    def _asked(self, test: str) -> Order | None:
        """The order of the test to its cell, None where it does not get that far: its own run will say why."""
        suite, asked = self._hooks.suite, list[Order]()

        def catch(order: Order) -> Ended:
            asked.append(order)
            return Ended()

        suite.intercept = catch
        try:
            self._begun(test)
        finally:
            suite.intercept = None
        return asked[0] if asked else None

    def _plan(self, test: str) -> dict[str, Any] | None:
        """Tell how many items the test's data have, and what a shard of them takes; None where it scores none, or as a
        whole only: data that do not say what they are cannot be told from those of another run."""
        order = self._asked(test)
        if order is None or not order.scored or not isinstance(order.of.task, ScoresInParts):
            return None
        data = order.data
        if not (isinstance(data, Sized) and isinstance(data, Describes)):
            return None
        return {"items": len(data), "threads": order.threads, "cores": usable_cores()}

    def _artifact(self, test: str) -> str | None:
        """The folder that the artifact of the test's cell will be in; None where it is there, or cannot be had here."""
        of = buildable(self._cell(test))
        return None if of is None else str(folder_of(of.model, of.scheme, of.runtime, of.device.name))

    def _build(self, test: str) -> None:
        """Have the artifact of the test's cell built, and nothing measured."""
        self._hooks.local.build(resolve(self._cell(test)))

    def _cell(self, test: str) -> Cell:
        cell = cell_of(self._item(test))
        if cell is None:
            raise DataError(f"{test} measures no cell")
        return cell

    def _shard(self, test: str, number: int, of: int) -> dict[str, Any]:
        """The answers to one shard of the test's data."""
        order = self._asked(test)
        if order is None:
            raise DataError(f"{test} asks nothing of its cell any more")
        place = self._hooks.local.place(order.of, Held())
        try:
            return asdict(place.call(part, order.of, order.threads, order.data, Shard(number, of)))
        finally:
            place.close()

    def _run(self, test: str, resumed: Any, given: Any, references: Any) -> dict[str, Any]:
        """Run the test, or take what an interrupted run measured where that still holds."""
        suite = self._hooks.suite
        suite.resumed.pop(test, None)
        suite.given.pop(test, None)
        if resumed is not None:
            suite.resumed[test] = parse_entry(resumed, test)
        if given is not None:
            suite.given[test] = Part(**given)
        suite.given_references = {str(Cell(**one["about"]["cell"])): Part(**one) for one in references}
        self._begun(test)
        entry = self._caught.entries.pop(test, None)
        return {
            "reports": self._reports,
            "entry": None if entry is None else entry.as_dict(),
            "reused": test in suite.reused,
        }

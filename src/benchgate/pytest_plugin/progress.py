"""Progress while a cell is measured: which, in what phase, for how long, and how long still.

In a terminal it is one line below pytest's own, drawn anew each second; elsewhere a line each 30 s. A thread of this
process writes it; workers only leave their phase in a file (benchgate.measuring.phase). With cells in pytest's own
process, and with -q, there is none.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from benchgate.core import Cell
from benchgate.core.durations import spoken
from benchgate.measuring import phase
from benchgate.pytest_plugin import stored_runs
from benchgate.pytest_plugin.items import cell_of
from benchgate.pytest_plugin.suite_run import SuiteRun
from benchgate.report.escape import visible

PROGRESS = "benchgate-progress"
# Seconds between two lines of a log, and between two looks in a terminal: more often would disturb what is timed.
LOG_S, LOOK_S = 30.0, 1.0


@dataclass
class Course:
    """The cells of a run in their order, with the seconds that each took last time, where that is known."""

    cells: Mapping[str, Cell]
    known: Mapping[str, float]
    done: set[str] = field(default_factory=set)

    def line(self, key: str, now_in: str, elapsed_s: float) -> str:
        """Return what is said of the cell that is measured since `elapsed_s` seconds; its long name comes last."""
        said = [f"{len(self.done) + 1}/{len(self.cells)} {spoken(elapsed_s)}"]
        left = self.known[key] - elapsed_s if key in self.known else None
        if left is not None:
            said.append(f"about {spoken(left)} left" if left > 0 else f"{spoken(-left)} longer than last time")
        others = [other for other in self.cells if other != key and other not in self.done]
        if others and left is not None and all(other in self.known for other in others):
            said.append(f"of all {spoken(max(left, 0.0) + sum(self.known[other] for other in others))}")
        return visible(f"{', '.join(said)}: {now_in or 'start'}: {self.cells[key]}")


@dataclass(frozen=True)
class Screen:
    """Where progress is written. `column` gives the place of pytest's own cursor, `updating` is for a terminal."""

    write: Callable[[str], None]
    updating: bool
    column: Callable[[], int] = lambda: 0
    width: Callable[[], int] = lambda: shutil.get_terminal_size().columns

    def show(self, line: str) -> None:
        """Draw the line below pytest's own and come back; where nothing can be drawn over, a line of its own."""
        if self.updating:
            self._below(line[: self.width() - 1])
        else:
            self.write(f"\nbenchgate: {line}\n")

    def clear(self) -> None:
        if self.updating:
            self._below("")

    def _below(self, text: str) -> None:
        column = self.column() % max(1, self.width())
        # Relative moves: at the bottom of a terminal the line feed scrolls, and a place that was saved would be wrong.
        self.write(f"\n\r\x1b[2K{text}\x1b[1A\r" + (f"\x1b[{column}C" if column else ""))


class Watch:
    """A thread that shows one cell's progress until it is stopped."""

    def __init__(self, screen: Screen, line: Callable[[float], str]) -> None:
        self._screen, self._line = screen, line
        self._start, self._over, self._drawn = time.monotonic(), threading.Event(), False
        self._thread = threading.Thread(target=self._show, name=PROGRESS, daemon=True)
        # Where no thread can be started (`ulimit -u`) cells are measured all the same, and nobody is told how far.
        with contextlib.suppress(RuntimeError):
            self._thread.start()

    def _show(self) -> None:
        while not self._over.wait(LOOK_S if self._screen.updating else LOG_S):
            self._drawn = True
            try:
                self._screen.show(self._line(time.monotonic() - self._start))
            except OSError:
                # Nobody reads any more; pytest's own output will say so.
                return

    def stop(self) -> None:
        """End the thread, and leave nothing of its line."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()
        if self._drawn:
            with contextlib.suppress(OSError):
                self._screen.clear()


class Progress:
    """The hooks around each cell's test: they keep the seconds that it took, and show how far it is."""

    def __init__(self, config: pytest.Config, suite: SuiteRun) -> None:
        self._config, self._suite = config, suite
        self._course: Course | None = None
        self._screen: Screen | None = None
        self._watch: Watch | None = None

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, Any, Any]:
        cells = {item.nodeid: cell for item in session.items if (cell := cell_of(item)) is not None}
        option = self._config.option
        if not cells or option.cell_executor != "process" or self._suite.intercept or option.verbose < 0:
            return (yield)
        with contextlib.ExitStack() as stack:
            # pytest captures what has its own number only from the first test on.
            self._screen = screen(self._config, stack)
            if self._screen is not None:
                self._course = Course(cells, stored_runs.seconds_of_tests(self._config, self._suite.baselines))
                folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="benchgate-"))
                place = os.environ[phase.PLACE] = str(Path(folder) / "phase")
                stack.callback(os.environ.pop, phase.PLACE, None)
                self._place = Path(place)
            return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, Any, Any]:
        key = item.nodeid
        if cell_of(item) is None:
            return (yield)
        start = time.monotonic()
        self._begin(key)
        try:
            return (yield)
        finally:
            self._stop()
            record = self._suite.records.get(key)
            if record is not None and self._suite.intercept is None:
                details = {**record.details, stored_runs.SECONDS: round(time.monotonic() - start, 3)}
                self._suite.records[key] = replace(record, details=details)

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        if self._course is not None and nodeid in self._course.cells:
            self._course.done.add(nodeid)

    def pytest_enter_pdb(self) -> None:
        """A debugger has the terminal to itself."""
        self._stop()

    def _begin(self, key: str) -> None:
        course, screen = self._course, self._screen
        if course is not None and screen is not None:
            self._place.unlink(missing_ok=True)
            self._watch = Watch(screen, lambda elapsed: course.line(key, phase.told(self._place), elapsed))

    def _stop(self) -> None:
        if self._watch is not None:
            self._watch.stop()
            self._watch = None


def screen(config: pytest.Config, stack: contextlib.ExitStack) -> Screen | None:
    """The output of pytest itself, by a number of its own: the first is captured while a test runs."""
    reporter = config.pluginmanager.getplugin("terminalreporter")
    try:
        number = os.dup(sys.stdout.fileno())
    except (OSError, ValueError, AttributeError):
        return None
    stack.callback(os.close, number)
    if reporter is None:
        return None
    writer = config.get_terminal_writer()
    shared = config.getoption("capture") == "no" or config.getini("log_cli")
    # Where a test writes to the terminal as well, nothing can be drawn over.
    updating = os.isatty(number) and os.environ.get("TERM") != "dumb" and not shared
    return Screen(lambda text: _write(number, text), updating, lambda: writer.width_of_current_line)


def _write(number: int, text: str) -> None:
    os.write(number, text.encode("utf-8", "replace"))

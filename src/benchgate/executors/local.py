"""Processes of this machine for the cells of one run: pools of workers, and what each is told first."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Literal

from benchgate.executors import inside, registered
from benchgate.executors.inside import Now, Surroundings
from benchgate.executors.place import Inline, InWorker, NewProcesses
from benchgate.executors.pool import Pool
from benchgate.executors.registered import Registered
from benchgate.machine import spinning
from benchgate.machine.environment import deciding
from benchgate.machine.workers import Worker
from benchgate.measuring.held import Held
from benchgate.measuring.resolved import Resolved
from benchgate.storage.artifacts import prepared

PRELOAD = "benchgate.executors.preload"
Kind = Literal["process", "inline"]
KINDS: tuple[Kind, ...] = ("process", "inline")


@dataclass(frozen=True)
class Settings:
    """How cells are run: `spin` is a name of benchgate.machine.spinning, limits are of one cell (None: none).

    `way` is how their weights are loaded, "" the runtime's default.
    """

    kind: Kind = "process"
    spin: str = spinning.DEFAULT
    timeout_s: float | None = None
    memory_limit: int | None = None
    way: str = ""


def _kind(of: Resolved) -> tuple[str, str]:
    """Cells of one kind load by the same code."""
    model = type(of.model)
    return of.runtime.name, f"{model.__module__}.{model.__qualname__}"


class Local:
    """All processes of one run; `close` ends them. `modules` are sent to them by value."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._pools: dict[tuple[tuple[str, str], ...], Pool] = {}
        self._stack = ExitStack()
        self._files: Mapping[str, str] = {}
        self._registered: Registered | None = None
        # Modules that loading a cell of a kind imported.
        self._learned: dict[tuple[str, str], tuple[str, ...]] = {}
        # Reasons why workers were fresh interpreters, for the summary.
        self.fresh: set[str] = set()

    def share(self, modules: Iterable[ModuleType]) -> None:
        """Have what these modules define sent to workers whole: tests and conftests."""
        self._files = self._stack.enter_context(registered.by_value(modules))

    def shared(self) -> frozenset[Path]:
        """Files of the modules that are sent to all workers, whichever cell they hold."""
        return frozenset(Path(file).resolve() for file in self._files.values())

    def place(self, of: Resolved, held: Held) -> InWorker | Inline:
        """Where the cell is to be measured, `held` where that is this process; close it afterwards."""
        elsewhere = NewProcesses(lambda: self.worker(of, self.settings.memory_limit), self.now)
        if self.settings.kind == "inline":
            return Inline(elsewhere, held)
        kind = _kind(of)

        def learn(modules: Sequence[str]) -> None:
            self._learned[kind] = tuple(modules)

        return InWorker(
            lambda: self.worker(of, self.settings.memory_limit, learned=True),
            elsewhere,
            self.now,
            None if kind in self._learned else learn,
            self.settings.timeout_s,
        )

    def build(self, of: Resolved) -> None:
        """Have the cell's artifact built in a process of its own. Raises what that raises."""
        with self.worker(of) as worker:
            worker.call(inside.run_alone, self.now(), prepared, (of.model, of.scheme, of.runtime, of.device.name))

    def worker(self, of: Resolved, memory_limit: int | None = None, learned: bool = False) -> Worker:
        """A new worker that knows what this process knows, with the cell's packages imported.

        With `learned` also what loading a cell of its kind imported before: it would be imported anyway, and takes
        seconds. What is weighed has no such worker: imports are a part of the weight.
        """
        worker = self._started(of, learned)
        if worker.fresh:
            self.fresh.add(worker.fresh)
        around = Surroundings(tuple(sys.path), self._files, memory_limit)
        try:
            worker.call(inside.enter, around, self.now())
            known = self._known(of)
            worker.call(inside.register, known.items, known.rows, known.targets, known.metrics)
        except BaseException:
            worker.close()
            raise
        return worker

    def _started(self, of: Resolved, learned: bool) -> Worker:
        pool, device, preload = self._pool(), of.device.name, (*of.runtime.needs, PRELOAD)
        more = self._learned.get(_kind(of), ()) if learned else ()
        worker = pool.worker((*preload, *more), device)
        if more and worker.fresh:
            # One of them starts a thread, or cannot be imported by itself.
            worker.close()
            self._learned[_kind(of)] = ()
            worker = pool.worker(preload, device)
        return worker

    def _known(self, of: Resolved) -> Registered:
        """Registered things that workers do not know by themselves; one is asked, once."""
        if self._registered is None:
            with self._started(of, learned=False) as asked:
                names, rows = asked.call(inside.names)
            self._registered = registered.beside(names, rows, self._files)
        return self._registered

    def now(self) -> Now:
        """This process's state, as workers take it over."""
        return inside.here(spinning.environment(self.settings.spin))

    def _pool(self) -> Pool:
        """One for each setting of what libraries read when they are loaded: a zygote has read it already."""
        key = tuple(sorted(deciding(os.environ).items()))
        if key not in self._pools:
            self._pools[key] = Pool(spinning.environment(self.settings.spin))
        return self._pools[key]

    def apart(self) -> Local:
        """Another set of processes that are told the same; close this one last."""
        other = Local(self.settings)
        other._files, other._registered = self._files, self._registered
        return other

    def end_processes(self) -> None:
        """End all; what is started from here on begins anew."""
        for pool in self._pools.values():
            pool.close()
        self._pools.clear()

    def close(self) -> None:
        self.end_processes()
        self._stack.close()

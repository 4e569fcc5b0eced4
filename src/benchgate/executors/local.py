"""Processes of this machine for the cells of one run: pools of workers, and what each is told first."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Literal

from benchgate.executors import inside, registered
from benchgate.executors.inside import Now, Surroundings
from benchgate.executors.place import Inline, InWorker
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
    """How cells are run: `spin` is a name of benchgate.machine.spinning, limits are of one cell (None: none)."""

    kind: Kind = "process"
    spin: str = spinning.DEFAULT
    timeout_s: float | None = None
    memory_limit: int | None = None


class Local:
    """All processes of one run; `close` ends them. `modules` are sent to them by value."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._pools: dict[tuple[tuple[str, str], ...], Pool] = {}
        self._stack = ExitStack()
        self._files: Mapping[str, str] = {}
        self._registered: Registered | None = None
        self.fresh: set[str] = set()

    def share(self, modules: Iterable[ModuleType]) -> None:
        """Have what these modules define sent to workers whole: tests and conftests."""
        self._files = self._stack.enter_context(registered.by_value(modules))

    def place(self, of: Resolved, held: Held) -> InWorker | Inline:
        """Where the cell is to be measured, `held` where that is this process; close it afterwards."""

        def elsewhere(function: Callable[..., Any], *args: Any, timeout_s: float | None = None) -> Any:
            with self.worker(of, self.settings.memory_limit) as worker:
                return worker.call(inside.run_alone, self.now(), function, args, timeout_s=timeout_s)

        if self.settings.kind == "inline":
            return Inline(elsewhere, held)
        return InWorker(
            lambda: self.worker(of, self.settings.memory_limit), elsewhere, self.now, self.settings.timeout_s
        )

    def build(self, of: Resolved) -> None:
        """Have the cell's artifact built in a process of its own. Raises what that raises."""
        with self.worker(of) as worker:
            worker.call(inside.run_alone, self.now(), prepared, (of.model, of.scheme, of.runtime, of.device.name))

    def worker(self, of: Resolved, memory_limit: int | None = None) -> Worker:
        """A new worker that knows what this process knows, with the cell's packages imported."""
        pool = self._pool()
        preload = (*of.runtime.needs, PRELOAD)
        if self._registered is None:
            with pool.worker(preload, of.device.name) as asked:
                names, rows = asked.call(inside.names)
            self._registered = registered.beside(names, rows, self._files)
        worker = pool.worker(preload, of.device.name)
        if worker.fresh:
            self.fresh.add(worker.fresh)
        around = Surroundings(tuple(sys.path), self._files, memory_limit)
        try:
            worker.call(inside.enter, around, self.now())
            known_here = self._registered
            worker.call(inside.register, known_here.items, known_here.rows, known_here.targets)
        except BaseException:
            worker.close()
            raise
        return worker

    def now(self) -> Now:
        """This process's state, as workers take it over."""
        return inside.here(spinning.environment(self.settings.spin))

    def _pool(self) -> Pool:
        """One for each setting of what libraries read when they are loaded: a zygote has read it already."""
        key = tuple(sorted(deciding(os.environ).items()))
        if key not in self._pools:
            self._pools[key] = Pool(spinning.environment(self.settings.spin))
        return self._pools[key]

    def close(self) -> None:
        for pool in self._pools.values():
            pool.close()
        self._pools.clear()
        self._stack.close()

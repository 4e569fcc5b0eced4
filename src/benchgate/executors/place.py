"""The two kinds of places of a cell: a worker of its own, and the process that asks."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

from benchgate.executors import inside
from benchgate.executors.inside import Now
from benchgate.machine.workers import Worker, WorkerTimeout
from benchgate.measuring.held import Held
from benchgate.measuring.meters.base import Elsewhere


class NewProcesses:
    """New processes, each for one function: the Elsewhere of benchgate.measuring.meters. `start` makes a worker."""

    def __init__(self, start: Callable[[], Worker], now: Callable[[], Now]) -> None:
        self._start, self._now = start, now

    def __call__(self, function: Callable[..., Any], *args: Any, timeout_s: float | None = None) -> Any:
        (answer,) = self.side_by_side([function], *args, timeout_s=timeout_s)
        return answer()

    def side_by_side(
        self, functions: Sequence[Callable[..., Any]], *args: Any, timeout_s: float | None = None
    ) -> list[Callable[[], Any]]:
        """All are begun before the first is waited for, and all processes are gone when this returns."""
        with ExitStack() as stack:
            workers = [stack.enter_context(self._start()) for _ in functions]
            answers = [
                worker.begin(inside.run_alone, self._now(), function, args, timeout_s=timeout_s)
                for worker, function in zip(workers, functions, strict=True)
            ]
            return [_ended(answer) for answer in answers]


def _ended(call: Callable[[], Any]) -> Callable[[], Any]:
    """Return who does what the call did: returns its value, or raises its error."""
    try:
        value = call()
    except Exception as error:
        failed = error

        def fail() -> Any:
            raise failed

        return fail
    return lambda: value


class Inline:
    """The process that asks. `elsewhere` starts others."""

    def __init__(self, elsewhere: Elsewhere, held: Held | None = None) -> None:
        self.elsewhere = elsewhere
        self._held = held or Held()

    def call(self, function: Callable[..., Any], *args: Any) -> Any:
        return function(self._held, *args)

    def close(self) -> None:
        self._held.close()


class InWorker:
    """A worker, started at the first call and again after it died. All calls together may take `timeout_s`.

    `learn` is told once what modules loading the cell imported.
    """

    def __init__(
        self,
        start: Callable[[], Worker],
        elsewhere: Elsewhere,
        now: Callable[[], Now],
        learn: Callable[[Sequence[str]], None] | None = None,
        timeout_s: float | None = None,
    ) -> None:
        self.elsewhere = elsewhere
        self._start, self._now, self._learn, self._timeout_s = start, now, learn, timeout_s
        self._end: float | None = None
        self._worker: Worker | None = None

    def call(self, function: Callable[..., Any], *args: Any) -> Any:
        if self._worker is None or not self._worker.alive:
            self._worker = self._start()
        if self._timeout_s is not None and self._end is None:
            self._end = time.monotonic() + self._timeout_s
        left = None if self._end is None else self._end - time.monotonic()
        if left is not None and left <= 0:
            raise WorkerTimeout(f"not done within {self._timeout_s:g} s (--cell-timeout)")
        found = self._worker.call(inside.run, self._now(), function, args, timeout_s=left)
        if self._learn is not None and not self._worker.fresh:
            self._learn(self._worker.call(inside.run, self._now(), inside.imported, ()))
            self._learn = None
        return found

    def close(self) -> None:
        if self._worker is not None:
            self._worker.close()
            self._worker = None

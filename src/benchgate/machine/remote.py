"""An object in a worker of its own, so that its death, its memory and its time are its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from benchgate.machine import workers
from benchgate.machine.workers import WorkerTimeout

_TARGETS: list[Any] = []


class Remote:
    """`factory(*args)` in a fresh interpreter; `call` runs a method of it there.

    With `timeout_s` everything from now on must be done within so many seconds. Raises as Worker.call does.
    """

    def __init__(self, factory: Callable[..., Any], *args: Any, timeout_s: float | None = None) -> None:
        self._timeout_s = timeout_s
        self._end = None if timeout_s is None else time.monotonic() + timeout_s
        self._worker = workers.start()
        try:
            self._ask(_make, factory, args)
        except BaseException:
            self.close()
            raise

    def call(self, method: str, *args: Any) -> Any:
        """Return `method(*args)` of it there."""
        return self._ask(_use, method, args)

    def _ask(self, function: Callable[..., Any], *args: Any) -> Any:
        left = None if self._end is None else self._end - time.monotonic()
        if left is not None and left <= 0:
            self._worker.kill()
            raise WorkerTimeout(f"not done within {self._timeout_s:g} s")
        return self._worker.call(function, *args, timeout_s=left)

    def close(self) -> None:
        """End the process and wait until it is gone: its memory is free afterwards."""
        self._worker.close()


def _make(factory: Callable[..., Any], args: Sequence[Any]) -> None:
    _TARGETS.append(factory(*args))


def _use(method: str, args: Sequence[Any]) -> Any:
    return getattr(_TARGETS[-1], method)(*args)

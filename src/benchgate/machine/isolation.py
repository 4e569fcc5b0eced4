"""An object that lives in a process of its own, so that its death, its memory and its time are its own."""

from __future__ import annotations

import contextlib
import multiprocessing
import pickle
import re
import signal
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

from benchgate.core import BenchgateError, DataError, Unavailable
from benchgate.machine.executors import ProcessFailed, death

UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 2**10, "mi": 2**20, "gi": 2**30}
KILLED = -9
# How long an orderly end may take before the process is killed.
END_S = 5.0


class Isolated:
    """`factory(*args)` in a newly started interpreter; `call` runs a method of it there. All of it must be picklable.

    With `timeout_s` everything from now on must be done within so many seconds. After an error of the process itself
    (death, time) it is gone, and its memory with it.
    """

    def __init__(self, factory: Callable[..., Any], *args: Any, timeout_s: float | None = None) -> None:
        context: Any = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._timeout_s = timeout_s
        self._deadline = None if timeout_s is None else time.monotonic() + timeout_s
        self._process = context.Process(target=_serve, args=(theirs, factory, args), daemon=True)
        try:
            self._process.start()
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise Unavailable(
                f"cannot be sent to a process of its own ({error}); define it in a module, not a function"
            ) from error
        theirs.close()
        self._answer()

    def call(self, method: str, *args: Any) -> Any:
        """What `method(*args)` returns there. Raises what it raised where that is ours or a lack of memory, else
        ProcessFailed; MemoryError when the system killed the process, TimeoutError when its time is over."""
        try:
            self._pipe.send((method, args))
        except OSError as error:
            raise ProcessFailed(f"{method}: the process has ended before") from error
        return self._answer()

    def _answer(self) -> Any:
        left = None if self._deadline is None else max(0.0, self._deadline - time.monotonic())
        try:
            if not self._pipe.poll(left):
                self.kill()
                raise TimeoutError(f"not done within {self._timeout_s:g} s")
            failed, value = self._pipe.recv()
        except (EOFError, ConnectionResetError) as error:
            self._process.join()
            kind = MemoryError if self._process.exitcode == KILLED else ProcessFailed
            raise kind(death(self._process.exitcode)) from error
        except KeyboardInterrupt:
            self.kill()
            raise
        if failed:
            raise value
        return value

    def kill(self) -> None:
        self._process.kill()
        self._process.join()

    def close(self) -> None:
        """End the process and wait until it is gone: its memory is free afterwards."""
        with contextlib.suppress(OSError):
            self._pipe.send(None)
        self._process.join(END_S)
        if self._process.is_alive():
            self.kill()
        self._pipe.close()


def _serve(pipe: Any, factory: Callable[..., Any], args: tuple[Any, ...]) -> None:
    # Ctrl-C is the session's, which ends this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _first_to_go()
    target, request = None, ("", args)
    while request is not None:
        method, arguments = request
        answer: tuple[bool, Any]
        try:
            if target is None:
                target, answer = factory(*arguments), (False, None)
            else:
                answer = (False, getattr(target, method)(*arguments))
        except (BenchgateError, MemoryError) as error:
            answer = (True, type(error)(str(error)))
        except Exception as error:
            answer = (True, ProcessFailed(f"{type(error).__name__}: {error}"))
        try:
            pipe.send(answer)
            request = pipe.recv()
        except (EOFError, OSError):
            # Nobody is there any more.
            return


def _first_to_go() -> None:
    """Where memory runs out, the system should end this process and not the session or a neighbour."""
    adjust = Path("/proc/self/oom_score_adj")
    if adjust.exists():
        adjust.write_text("1000", encoding="ascii")


def parse_bytes(text: str | int) -> int:
    """`2GB`, `512 MiB` or a number of bytes. Raises DataError for anything else, and for nothing at all."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(|[kmg]i?)b?\s*", str(text).lower())
    size = int(Decimal(match[1]) * UNITS[match[2]]) if match else 0
    if size < 1:
        raise DataError(f"memory limit {text!r} is no size; write for example 2GB or 512MiB")
    return size


def limit_process_memory(limit: int) -> None:
    """Let this process take `limit` bytes more than it has; beyond that its allocations fail. Unavailable off Linux.

    RLIMIT_DATA counts private writable memory (Linux 4.7), not files mapped for reading.
    """
    status = Path("/proc/self/status")
    if not status.exists():
        raise Unavailable("a memory limit for a process needs Linux")
    import resource

    line = next(line for line in status.read_text(encoding="ascii").splitlines() if line.startswith("VmData:"))
    now = int(line.split()[1]) * 1024
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = now + limit
    resource.setrlimit(resource.RLIMIT_DATA, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))

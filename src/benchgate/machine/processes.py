"""Functions and objects in processes of their own, so that their death, their memory and their time are their own.

`in_fresh_process` and `in_forked_process` run one function; `Isolated` keeps an object that is called again and again.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import pickle
import re
import signal
import sys
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

from benchgate.core import BenchgateError, DataError, Unavailable

UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 2**10, "mi": 2**20, "gi": 2**30}
KILLED = -9
DEFAULT_TIMEOUT_S = 600.0
# How long an orderly end may take before the process is killed.
END_S = 5.0


class ProcessFailed(BenchgateError):
    """The process died, ran out of time or raised; the message says which."""


def death(exitcode: int | None) -> str:
    """Return what an exit code says: `killed by signal 9, probably out of memory`."""
    if exitcode == KILLED:
        return f"killed by signal {-KILLED}, probably out of memory"
    if exitcode is not None and exitcode < 0:
        return f"killed by signal {-exitcode}"
    return f"died with exit code {exitcode}"


def in_fresh_process(function: Callable[..., Any], *args: Any, timeout_s: float = DEFAULT_TIMEOUT_S) -> Any:
    """Return `function(*args)` of a newly started interpreter. Function, arguments and result must be picklable.

    Raises ProcessFailed when it dies, times out or raises; Unavailable when the arguments cannot be sent there.
    """
    return _in_process("spawn", function, args, timeout_s)


def in_forked_process(function: Callable[..., Any], *args: Any, timeout_s: float = DEFAULT_TIMEOUT_S) -> Any:
    """Return the same of a copy of this process where that is safe (Linux, before threads start), else of a fresh
    one."""
    return _in_process("fork" if sys.platform == "linux" else "spawn", function, args, timeout_s)


def _in_process(method: str, function: Callable[..., Any], args: tuple[Any, ...], timeout_s: float) -> Any:
    receiver, sender = multiprocessing.get_context(method).Pipe(duplex=False)
    process = _started(method, _answer_once, (sender, function, args))
    sender.close()
    try:
        if not receiver.poll(timeout_s):
            raise ProcessFailed(f"no answer after {timeout_s:g} s")
        failed, value = receiver.recv()
    except EOFError as error:
        process.join()
        raise ProcessFailed(death(process.exitcode)) from error
    finally:
        if process.is_alive() and sys.exc_info()[0] is not None:
            process.kill()
        process.join()
    if failed:
        raise ProcessFailed(value)
    return value


def _started(method: str, target: Callable[..., None], args: tuple[Any, ...], daemon: bool = False) -> Any:
    """Return the process, started. Raises Unavailable for what cannot be sent to it."""
    context: Any = multiprocessing.get_context(method)
    process = context.Process(target=target, args=args, daemon=daemon)
    try:
        process.start()
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise Unavailable(
            f"cannot be sent to a process of its own ({error}); define it in a module, not a function"
        ) from error
    return process


def _answer_once(sender: Any, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
    try:
        sender.send((False, function(*args)))
    except Exception as error:
        sender.send((True, f"{type(error).__name__}: {error}"))


class Isolated:
    """`factory(*args)` in a newly started interpreter; `call` runs a method of it there. All of it must be picklable.

    With `timeout_s` everything from now on must be done within so many seconds. After an error of the process itself
    (death, time) it is gone, and its memory with it.
    """

    def __init__(self, factory: Callable[..., Any], *args: Any, timeout_s: float | None = None) -> None:
        self._pipe, theirs = multiprocessing.get_context("spawn").Pipe()
        self._timeout_s = timeout_s
        self._deadline = None if timeout_s is None else time.monotonic() + timeout_s
        self._process = _started("spawn", _serve, (theirs, factory, args), daemon=True)
        theirs.close()
        self._answer()

    def call(self, method: str, *args: Any) -> Any:
        """Return `method(*args)` of it there. Raises what it raised where that is ours or a lack of memory, else
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
    """Return the bytes of `2GB`, `512 MiB` or a number. Raises DataError for anything else, and for nothing at all."""
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

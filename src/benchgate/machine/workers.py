"""Workers: processes that run functions for us, and whose death is an answer like any other.

`start(preload, environment)` gives a fresh one; `Zygote(...).fork()` one that shares the zygote's imports. Either way
`worker.call(function, *args)` runs there. See `worker_main` for the other side.

Errors::

    WorkerDied(BenchgateError)       it ended: exit code or signal, and the last lines that it printed
    +-- WorkerKilledForMemory        the system ended it because memory ran out; also a MemoryError
    WorkerTimeout(BenchgateError)    it did not answer in time and was killed; also a TimeoutError
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Protocol

from benchgate.core import BenchgateError, CannotBeSent, Unavailable
from benchgate.machine import sending

# The end of what a worker printed that is kept: enough for a traceback, and a gigabyte of it costs no memory.
TAIL_BYTES = 8192
TAIL_LINES = 12
# How long an orderly end, and the news of a death, may take (s).
END_S = 5.0
ANSWER_S = 5.0
START = (
    "import sys, json; sys.path[:] = json.loads(sys.argv.pop(1)); "
    "from benchgate.machine.worker_main import main; main(sys.argv[1:])"
)


class WorkerDied(BenchgateError):
    """The process ended before it answered; the message says how, and ends with its last lines of output."""


class WorkerKilledForMemory(WorkerDied, MemoryError):
    """The system killed the process because memory ran out."""


class WorkerTimeout(BenchgateError, TimeoutError):
    """The process did not answer in time; it is killed."""


class WorkerRaised(BenchgateError):
    """An error of the function that could not be brought here as it was; its text and traceback are in the message."""


class _Process(Protocol):
    pid: int

    def poll(self) -> int | None: ...


class Worker:
    """A running worker. Not thread-safe; one call at a time."""

    def __init__(self, process: _Process, connection: Connection, output: int, fresh: str) -> None:
        self.pid = process.pid
        self.fresh = fresh
        self._process, self._connection = process, connection
        self._tail: deque[bytes] = deque(maxlen=2)
        self._reader = threading.Thread(target=self._read, args=(output,), daemon=True)
        self._kills_before = _memory_kills()
        self._pidfd = os.pidfd_open(self.pid) if hasattr(os, "pidfd_open") else None
        try:
            self._reader.start()
        except RuntimeError as error:
            # The user's processes and threads are limited (ulimit -u); the worker ends with its connection.
            os.close(output)
            connection.close()
            raise Unavailable(f"no thread can be started to read a worker's output: {error}") from error

    @property
    def alive(self) -> bool:
        """False once it ended."""
        return self._process.poll() is None

    def call(self, function: Callable[..., Any], *args: Any, timeout_s: float | None = None) -> Any:
        """The value of `function(*args)` in the worker.

        Raises what it raised, CannotBeSent, WorkerDied, WorkerTimeout.
        """
        return self.begin(function, *args, timeout_s=timeout_s)()

    def begin(self, function: Callable[..., Any], *args: Any, timeout_s: float | None = None) -> Callable[[], Any]:
        """Have the worker begin `function(*args)`, and return who waits for its value: two workers work side by side.

        Raises CannotBeSent; who waits raises the rest of what `call` does. The timeout counts from here.
        """
        try:
            request = sending.dumps((function, args))
        except Exception as error:
            raise CannotBeSent(
                f"cannot be sent to a process of its own ({type(error).__name__}: {error}); "
                "define it in a module, or run with --cell-executor inline"
            ) from error
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        try:
            self._connection.send_bytes(request)
        except ConnectionError:
            # It ended before: whoever waits for the answer is told.
            pass
        except BaseException:
            self.kill()
            raise
        return partial(self._value, deadline, timeout_s)

    def _value(self, deadline: float | None, timeout_s: float | None) -> Any:
        import cloudpickle

        try:
            answer = self._answer(deadline, timeout_s)
        except WorkerTimeout:
            # It is an OSError too.
            raise
        except (EOFError, OSError) as error:
            raise self._died() from error
        except BaseException:
            self.kill()
            raise
        good, value = cloudpickle.loads(answer)
        if good:
            return value
        raw, text, told = value
        if raw is None:
            raise WorkerRaised(f"{text}\n{told}")
        raised: BaseException = cloudpickle.loads(raw)
        if not isinstance(raised, BenchgateError):
            raised.add_note(f"in the worker:\n{told}")
        raise raised

    def _answer(self, deadline: float | None, timeout_s: float | None) -> bytes:
        """Wait for an answer or the process' end. Raises EOFError when it ended."""
        watched: list[Any] = [self._connection, *([] if self._pidfd is None else [self._pidfd])]
        while True:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            step = left if self._pidfd is not None else min(left or 0.1, 0.1)
            ready, _, _ = select.select(watched, [], [], step)
            if self._connection in ready or self._connection.poll():
                return self._connection.recv_bytes()
            if ready or self._process.poll() is not None:
                raise EOFError
            if left is not None and left <= 0:
                self.kill()
                raise WorkerTimeout(f"not done within {timeout_s:g} s{self.last_lines()}")

    def _died(self) -> WorkerDied:
        code = self._wait(END_S)
        if code is None:
            self.kill()
            return WorkerDied(f"closed its end of the pipe and went on; killed{self.last_lines()}")
        text = f"{death(code)}{self.last_lines()}"
        if code == -signal.SIGKILL and _memory_kills() != self._kills_before:
            return WorkerKilledForMemory(f"out of memory: {text}")
        return WorkerDied(text)

    def _wait(self, seconds: float) -> int | None:
        """The exit code once it ended, or None after so many seconds."""
        end = time.monotonic() + seconds
        while (code := self._process.poll()) is None and time.monotonic() < end:
            if self._pidfd is not None:
                select.select([self._pidfd], [], [], 0.05)
            else:
                time.sleep(0.01)
        return code

    def last_lines(self) -> str:
        """`; its last output: ...`, without what is not text, or "" when it printed nothing."""
        self._reader.join(0.2)
        text = b"".join(self._tail)[-TAIL_BYTES:].decode("utf-8", "replace")
        clean = "".join(c if c.isprintable() or c == "\n" else "?" for c in text.replace("\r", "\n"))
        lines = [line.rstrip() for line in clean.splitlines() if line.strip()][-TAIL_LINES:]
        return "; its last output:\n" + "\n".join(lines) if lines else ""

    def _read(self, output: int) -> None:
        with open(output, "rb", buffering=0) as stream:
            while chunk := stream.read(TAIL_BYTES):
                self._tail.append(chunk)

    def kill(self) -> None:
        """End it and all of its session at once."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError):
            if self._process.poll() is None:
                os.kill(self.pid, signal.SIGKILL)
        self._wait(END_S)
        self._release()

    def close(self) -> None:
        """End it in order and wait until it is gone: its memory is free afterwards."""
        self._connection.close()
        if self._wait(END_S) is None:
            self.kill()
        else:
            # What it forked itself is in its session.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
        self._release()

    def _release(self) -> None:
        self._connection.close()
        if self._pidfd is not None:
            os.close(self._pidfd)
            self._pidfd = None

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def start(preload: Sequence[str] = (), environment: Mapping[str, str] | None = None, why: str = "asked for") -> Worker:
    """A worker in a fresh interpreter that has imported `preload`; `why` no fork was used."""
    ours, theirs = socket.socketpair()
    reading, writing = os.pipe()
    try:
        process = interpreter("worker", theirs, {"preload": list(preload)}, environment or {}, writing)
    finally:
        theirs.close()
        os.close(writing)
    return Worker(process, Connection(ours.detach()), reading, why)


def interpreter(
    kind: str, channel: socket.socket, setup: Mapping[str, Any], environment: Mapping[str, str], output: int | None
) -> subprocess.Popen[bytes]:
    """A fresh Python with our `sys.path`, in a session of its own: Ctrl-C is for the one who started it.

    It reads `setup` from a pipe: the names of a framework's modules are longer than an argument may be.
    """
    descriptor = channel.fileno()
    command = [sys.executable, "-c", START, json.dumps(sys.path)]
    try:
        process = subprocess.Popen(
            [*command, kind, str(descriptor), str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=output if output is not None else subprocess.DEVNULL,
            stderr=output if output is not None else subprocess.DEVNULL,
            pass_fds=[descriptor],
            env={**os.environ, **environment},
            start_new_session=True,
        )
    except OSError as error:
        raise Unavailable(f"no process of its own can be started: {error.strerror}") from error
    # One that is dead already is found to be so when it is asked.
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError), process.stdin as given:
        given.write(json.dumps(setup).encode())
    return process


def one_line(error: BaseException) -> str:
    """The error's first line; its type too where it is none of ours."""
    said = next(iter(str(error).strip().splitlines()), "")
    return said if isinstance(error, BenchgateError) else f"{type(error).__name__}: {said}"


def death(code: int) -> str:
    """`died with exit code 3` or `was killed by signal 11 (SIGSEGV)`."""
    if code >= 0:
        return f"died with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = "unknown"
    return f"was killed by signal {-code} ({name})"


def _memory_kills() -> int | None:
    """Processes that the system killed for memory since it started, None where it does not tell."""
    try:
        lines = Path("/proc/vmstat").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), None)

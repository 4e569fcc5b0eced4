"""Zygotes: interpreters that imported packages and do nothing but fork workers. See `worker_main` for their inside."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from typing import Any

from benchgate.core import BenchgateError
from benchgate.machine.workers import ANSWER_S, END_S, Worker, death, interpreter

# Only here calls return when the work is done and no driver has threads of its own after its import.
FORKING_DEVICES = ("cpu",)
# What numpy's OpenBLAS would start threads for when it is imported; a process with threads must not fork.
NO_THREADS = {"OPENBLAS_NUM_THREADS": "1"}


class CannotFork(BenchgateError):
    """The zygote is not fit to fork; the message says why. A fresh interpreter does instead."""


class Zygote:
    """An interpreter with `preload` imported, that forks workers. Linux only; raises CannotFork where it is unfit."""

    def __init__(self, preload: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        if sys.platform != "linux":
            raise CannotFork(f"a fork of a process with frameworks in it is not safe on {sys.platform}")
        environment = environment or {}
        restore = {name: environment.get(name, os.environ.get(name)) for name in NO_THREADS}
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        setup = {"preload": list(preload), "restore": restore}
        self._process = interpreter("zygote", theirs, setup, {**environment, **NO_THREADS}, None)
        theirs.close()
        try:
            self._check(self._hear(timeout_s=600.0))
        except BaseException:
            self.close()
            raise

    def _check(self, ready: Mapping[str, Any]) -> None:
        """One fork as a test. Raises CannotFork."""
        if ready["failed"]:
            raise CannotFork(ready["failed"])
        if ready["threads"] > 1:
            raise CannotFork(f"{ready['threads']} threads after the imports")
        with self.fork() as worker:
            try:
                worker.call(os.getpid, timeout_s=ANSWER_S)
            except BenchgateError as error:
                raise CannotFork(f"a fork as a test: {error}") from error

    def fork(self) -> Worker:
        """A worker with everything imported already."""
        ours, theirs = socket.socketpair()
        reading, writing = os.pipe()
        try:
            socket.send_fds(self._channel, [b"fork"], [theirs.fileno(), writing])
            answer = self._hear(timeout_s=ANSWER_S)
        except OSError as error:
            os.close(reading)
            raise CannotFork(f"the zygote is gone ({error.strerror})") from error
        finally:
            theirs.close()
            os.close(writing)
        if "pid" not in answer:
            os.close(reading)
            raise CannotFork(answer["failed"])
        return Worker(_Forked(self, answer["pid"]), Connection(ours.detach()), reading, "")

    def exit_code(self, pid: int) -> int | None:
        """Exit code of a worker that ended, None while it runs; -9 where the zygote that knew it is gone too."""
        try:
            self._channel.sendall(f"wait {pid}".encode())
            code: int | None = self._hear(timeout_s=ANSWER_S)["exit"]
            return code
        except (CannotFork, OSError):
            # Its workers ended with it.
            return -signal.SIGKILL

    def _hear(self, timeout_s: float) -> dict[str, Any]:
        self._channel.settimeout(timeout_s)
        try:
            message = self._channel.recv(65536)
        except TimeoutError as error:
            raise CannotFork(f"the zygote did not answer within {timeout_s:g} s") from error
        if not message:
            raise CannotFork(f"the zygote {death(self._process.wait(END_S))}")
        found: dict[str, Any] = json.loads(message)
        return found

    @property
    def pid(self) -> int:
        return self._process.pid

    def close(self) -> None:
        """End it; workers that still run end with it."""
        self._channel.close()
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class _Forked:
    """A zygote's child, whose exit code only the zygote learns."""

    def __init__(self, zygote: Zygote, pid: int) -> None:
        self.pid = pid
        self._zygote, self._code = zygote, None if pid else 0

    def poll(self) -> int | None:
        if self._code is None:
            self._code = self._zygote.exit_code(self.pid)
        return self._code

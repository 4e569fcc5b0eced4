"""The inside of a worker and of the zygote that it may be forked from.

A *worker* is a process that runs functions sent by its parent, one at a time. A *zygote* is a fresh interpreter that
imports the packages of a runtime, does nothing else, and forks workers: a fork takes milliseconds, the imports seconds.
Both end when their parent does, however that ended (PR_SET_PDEATHSIG, prctl(2)).

Messages are cloudpickle: they come from the parent's own end of a socket pair, never from a file or the network.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import os
import signal
import socket
import sys
import traceback
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

PR_SET_PDEATHSIG = 1
MAX_REQUEST = 4096
# Beside its answer an error carries the worker's own traceback, this much of it.
MAX_TRACEBACK = 20_000


def die_with(parent: int) -> None:
    """End this process when `parent` ends (Linux); at once when it is gone already."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)


def first_to_go() -> None:
    """Let the system end this process first where memory runs out, not the session or a neighbour."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")


def thread_count() -> int:
    """Number of threads of this process; 1 where the system does not tell and Python knows of one only."""
    try:
        return len(os.listdir("/proc/self/task"))
    except OSError:
        import threading

        return threading.active_count()


def serve(connection: Connection) -> None:
    """Run what the parent sends until it has nothing more to send. Never returns."""
    import cloudpickle

    from benchgate.machine import sending

    first_to_go()
    while True:
        try:
            request = connection.recv_bytes()
        except (EOFError, OSError):
            # Nobody is there any more; handlers of libraries (atexit) could hang and have nothing to save.
            os._exit(0)
        try:
            function, args = cloudpickle.loads(request)
            answer = sending.dumps((True, function(*args)))
        except BaseException as error:
            answer = cloudpickle.dumps((False, _portable(error)))
        try:
            connection.send_bytes(answer)
        except OSError:
            os._exit(0)


def _portable(error: BaseException) -> tuple[Any, str, str]:
    """(the error as bytes or None, `Type: text`, its traceback): not every error survives being pickled."""
    import cloudpickle

    told = "".join(traceback.format_exception(error))[-MAX_TRACEBACK:]
    try:
        raw = cloudpickle.dumps(error)
        cloudpickle.loads(raw)
    except Exception:
        raw = None
    return raw, f"{type(error).__name__}: {error}", told


def main(argv: Sequence[str]) -> None:
    """Entry of a fresh interpreter: `worker FD PARENT` or `zygote FD PARENT`, its setup as JSON on standard input."""
    kind, descriptor, parent = argv[0], int(argv[1]), int(argv[2])
    die_with(parent)
    setup = json.loads(sys.stdin.buffer.read())
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if kind == "worker":
        for name in setup["preload"]:
            importlib.import_module(name)
        serve(Connection(descriptor))
    else:
        _zygote(socket.socket(fileno=descriptor), setup)


def _zygote(channel: socket.socket, setup: dict[str, Any]) -> None:
    """Import, say how many threads that left, then fork for each `fork` and tell the end of each for `wait PID`."""
    failed = ""
    for name in setup["preload"]:
        try:
            importlib.import_module(name)
        except Exception as error:
            failed = f"{name} cannot be imported: {type(error).__name__}: {error}"
            break
    # Collections in the workers would touch, and so copy, every page that they share with this process.
    gc.collect()
    gc.freeze()
    _say(channel, {"threads": thread_count(), "failed": failed})
    while True:
        request, descriptors, _, _ = socket.recv_fds(channel, MAX_REQUEST, 2)
        if not request:
            os._exit(0)
        word, _, argument = request.decode().partition(" ")
        if word == "fork":
            _fork(channel, descriptors, setup)
        else:
            pid, status = os.waitpid(int(argument), os.WNOHANG)
            _say(channel, {"exit": os.waitstatus_to_exitcode(status) if pid else None})


def _fork(channel: socket.socket, descriptors: Sequence[int], setup: dict[str, Any]) -> None:
    zygote = os.getpid()
    try:
        pid = os.fork()
    except OSError as error:
        for descriptor in descriptors:
            os.close(descriptor)
        _say(channel, {"failed": f"fork: {error.strerror}"})
        return
    if pid:
        for descriptor in descriptors:
            os.close(descriptor)
        _say(channel, {"pid": pid})
        return
    connection, output = descriptors
    channel.close()
    os.setsid()
    die_with(zygote)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(output)
    _restore(setup["restore"])
    serve(Connection(connection))


def _restore(environment: dict[str, str | None]) -> None:
    """Undo in the worker what kept the zygote's imports from starting threads."""
    for name, value in environment.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    if "numpy" in sys.modules:
        import threadpoolctl

        threadpoolctl.threadpool_limits(len(os.sched_getaffinity(0)), user_api="blas")


def _say(channel: socket.socket, message: dict[str, Any]) -> None:
    channel.sendall(json.dumps(message).encode())

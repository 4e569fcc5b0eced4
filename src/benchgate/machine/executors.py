"""Run a function in a process of its own, so that what it does to memory is seen alone and cannot harm the session."""

from __future__ import annotations

import multiprocessing
import pickle
import sys
from collections.abc import Callable
from typing import Any

from benchgate.core import BenchgateError, Unavailable

DEFAULT_TIMEOUT_S = 600.0


class ProcessFailed(BenchgateError):
    """The process died, ran out of time or raised; the message says which."""


def in_fresh_process(function: Callable[..., Any], *args: Any, timeout_s: float = DEFAULT_TIMEOUT_S) -> Any:
    """`function(*args)` in a newly started interpreter. Function, arguments and result must be picklable.

    Raises ProcessFailed when it dies, times out or raises; Unavailable when the arguments cannot be sent there.
    """
    return _in_process("spawn", function, args, timeout_s)


def in_forked_process(function: Callable[..., Any], *args: Any, timeout_s: float = DEFAULT_TIMEOUT_S) -> Any:
    """The same in a copy of this process where that is safe (Linux, before threads start), else in a fresh one."""
    return _in_process("fork" if sys.platform == "linux" else "spawn", function, args, timeout_s)


def _in_process(method: str, function: Callable[..., Any], args: tuple[Any, ...], timeout_s: float) -> Any:
    context: Any = multiprocessing.get_context(method)
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(sender, function, args))
    try:
        process.start()
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise Unavailable(
            f"cannot be sent to a process of its own ({error}); define it in a module, not a function"
        ) from error
    sender.close()
    try:
        if not receiver.poll(timeout_s):
            raise ProcessFailed(f"no answer after {timeout_s:g} s")
        answer = receiver.recv()
    except EOFError as error:
        process.join()
        raise ProcessFailed(death(process.exitcode)) from error
    finally:
        if process.is_alive() and sys.exc_info()[0] is not None:
            process.kill()
        process.join()
    if isinstance(answer, _Raised):
        raise ProcessFailed(answer.message)
    return answer


class _Raised:
    def __init__(self, message: str) -> None:
        self.message = message


def _answer(sender: Any, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
    try:
        sender.send(function(*args))
    except Exception as error:
        sender.send(_Raised(f"{type(error).__name__}: {error}"))


def death(exitcode: int | None) -> str:
    """What an exit code says: `killed by signal 9, probably out of memory`."""
    if exitcode == -9:
        return "killed by signal 9, probably out of memory"
    return (
        f"killed by signal {-exitcode}" if exitcode is not None and exitcode < 0 else f"died with exit code {exitcode}"
    )

"""What the sides of real workers load. It imports next to nothing: each worker imports it anew."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable


def adding() -> Callable[[], int]:
    return lambda: sum(range(1000))


def dying_in_its_tenth_call() -> Callable[[], None]:
    calls: list[int] = []

    def call() -> None:
        calls.append(1)
        time.sleep(0.004)
        if len(calls) == 10:
            os.kill(os.getpid(), signal.SIGSEGV)

    return call


def failing_to_load() -> Callable[[], None]:
    raise ValueError("no such weights")


def hanging() -> Callable[[], None]:
    return lambda: time.sleep(3600)

"""Neighbours for benchmarks of what a busy machine does to a figure."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def busy(number: int) -> Iterator[None]:
    """`number` processes that do nothing but compute, killed at the end of the block."""
    with contextlib.ExitStack() as there:
        for _ in range(number):
            process = there.enter_context(subprocess.Popen([sys.executable, "-c", "while 1: pass"]))
            there.callback(process.kill)
        yield

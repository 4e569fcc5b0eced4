"""One session of measuring: this process and those it starts, which share a token; and what is said once in it."""

from __future__ import annotations

import functools
import os
import sys
import uuid

TOKEN = "BENCHGATE_SESSION"


def token() -> str:
    """The session's name, `process id-random`; processes that are started from here have it too."""
    return os.environ.setdefault(TOKEN, f"{os.getpid()}-{uuid.uuid4().hex[:12]}")


def is_over(name: str) -> bool:
    """True where the process that began the session of this name is gone."""
    import psutil

    process, _, _ = name.partition("-")
    return not (process.isdigit() and psutil.pid_exists(int(process)))


@functools.cache
def say_once(text: str) -> None:
    """Print a line to standard error, the first time in this process."""
    print(text, file=sys.stderr)

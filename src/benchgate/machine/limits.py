"""Limits of memory: what people write, and how a process is held to it."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path

from benchgate.core import DataError, Unavailable

OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "cannot allocate memory")
# The last words of a process that a limit ended: C++ libraries, and OpenMP that finds no room for a thread's stack.
LAST_WORDS = (
    *OUT_OF_MEMORY,
    "memoryerror",
    "bad_alloc",
    "bad allocation",
    "failed to allocate",
    "thread creation failed",
)
UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 2**10, "mi": 2**20, "gi": 2**30}


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
    hold_to(counted_bytes() + limit)


def hold_to(total: int) -> None:
    """Let this process have `total` bytes, what it has already included; beyond that its allocations fail.

    Raises MemoryError where it has more, Unavailable off Linux. See `limit_process_memory` for what is counted.
    """
    if (now := counted_bytes()) > total:
        raise MemoryError(f"the process takes {now:,} bytes before the cell is loaded")
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (total if hard == resource.RLIM_INFINITY else min(total, hard), hard))


def counted_bytes() -> int:
    """Return what RLIMIT_DATA counts of this process now. Raises Unavailable off Linux."""
    status = Path("/proc/self/status")
    if not status.exists():
        raise Unavailable("a memory limit for a process needs Linux")
    line = next(line for line in status.read_text(encoding="ascii").splitlines() if line.startswith("VmData:"))
    return int(line.split()[1]) * 1024


def tells_out_of_memory(text: str) -> bool:
    """True for the last words of a process, or of a library, that had no memory left."""
    return any(words in text.lower() for words in LAST_WORDS)


def is_out_of_memory(error: BaseException | None) -> bool:
    """Python's MemoryError, torch's OutOfMemoryError, and the RuntimeErrors of allocators that say so."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and any(phrase in str(error).lower() for phrase in OUT_OF_MEMORY)

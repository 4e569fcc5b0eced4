"""Limits of memory: what people write, and how a process is held to it."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path

from benchgate.core import DataError, Unavailable

OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "cannot allocate memory")
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
    status = Path("/proc/self/status")
    if not status.exists():
        raise Unavailable("a memory limit for a process needs Linux")
    import resource

    line = next(line for line in status.read_text(encoding="ascii").splitlines() if line.startswith("VmData:"))
    now = int(line.split()[1]) * 1024
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = now + limit
    resource.setrlimit(resource.RLIMIT_DATA, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))


def is_out_of_memory(error: BaseException | None) -> bool:
    """Python's MemoryError, torch's OutOfMemoryError, and the RuntimeErrors of allocators that say so."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and any(phrase in str(error).lower() for phrase in OUT_OF_MEMORY)

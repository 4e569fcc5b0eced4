"""Counts of Linux' perf events, by the system call: the standard library has no wrapper for it."""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import weakref
from collections.abc import Callable

# perf_event_open(2) of the machines whose processors have energy events, and of the one that tests run on beside them.
CALLS = {"x86_64": 298, "i386": 336, "i686": 336, "aarch64": 241}
# struct perf_event_attr, PERF_ATTR_SIZE_VER0: type, size, config, then nothing that a plain count needs.
HEAD, SIZE = "IIQ", 64
EVERY_PROCESS, NO_GROUP, CLOSE_ON_EXEC = -1, -1, 8


class Event:
    """One open event; `event()` returns its count so far."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        weakref.finalize(self, os.close, descriptor)

    def __call__(self) -> int:
        (count,) = struct.unpack("Q", os.read(self._descriptor, 8))
        return int(count)


def open_event(kind: int, config: int, cpu: int, process: int = EVERY_PROCESS) -> Callable[[], int]:
    """Return a function that reads an event's count on one CPU (-1: any). Raises OSError, as PermissionError."""
    call = CALLS.get(platform.machine())
    if call is None or os.name != "posix":
        raise OSError(f"perf events of {platform.machine()} are not known here")
    attributes = ctypes.create_string_buffer(struct.pack(HEAD, kind, SIZE, config), SIZE)
    library = ctypes.CDLL(None, use_errno=True)
    descriptor = library.syscall(call, attributes, process, cpu, NO_GROUP, CLOSE_ON_EXEC)
    if descriptor < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return Event(descriptor)

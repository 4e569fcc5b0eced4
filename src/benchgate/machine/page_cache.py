"""A file's pages in memory: how many are there, and taking them out, so that the next reader waits for the disk.

Nothing here needs privileges. A file system may keep its pages all the same (a tmpfs has no other place for them):
that is Unavailable, not cold.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from benchgate.core import Unavailable

# No file counts as cold with more of it in memory: directory and header pages come back at once.
COLD_SHARE = 0.01
MAPS = Path("/proc/self/maps")
# asm-generic/mman-common.h, Linux 5.4; not in Python's mmap module before 3.13.
MADV_PAGEOUT = 21
MAP_FAILED = ctypes.c_void_p(-1).value


class Pages(Protocol):
    """The system calls, so that a test has others."""

    def drop(self, descriptor: int) -> None:
        """Ask the system to forget a file's pages. Raises OSError."""

    def resident(self, descriptor: int, size: int) -> int:
        """Return how many of a file's pages are in memory. Raises OSError."""

    def page_out(self, address: int, length: int) -> None:
        """Have this process's mapped pages written back and given up. Raises OSError."""


class LinuxPages:
    """posix_fadvise(2), mincore(2) and madvise(2)."""

    def __init__(self) -> None:
        if sys.platform != "linux":
            raise Unavailable(f"pages of files can be looked at and dropped on Linux only, this is {sys.platform}")
        self._c = ctypes.CDLL(None, use_errno=True)
        self._c.mmap.restype = ctypes.c_void_p
        self._c.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
        self._c.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
        self._c.mincore.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p]
        self._c.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]

    def drop(self, descriptor: int) -> None:
        # Only what is on the disk already can be dropped.
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)

    def resident(self, descriptor: int, size: int) -> int:
        address = self._c.mmap(None, size, mmap.PROT_READ, mmap.MAP_SHARED, descriptor, 0)
        if address == MAP_FAILED:
            raise _error()
        try:
            found = ctypes.create_string_buffer(_pages(size))
            if self._c.mincore(address, size, found):
                raise _error()
            # Bits but the lowest are reserved.
            return sum(byte & 1 for byte in found.raw)
        finally:
            self._c.munmap(address, size)

    def page_out(self, address: int, length: int) -> None:
        if self._c.madvise(address, length, MADV_PAGEOUT):
            raise _error()


def resident_share(path: Path, system: Pages | None = None) -> float:
    """Return the share of a file's pages that are in memory, 0 for an empty file. Raises Unavailable."""
    system = system or LinuxPages()
    try:
        with path.open("rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            return system.resident(stream.fileno(), size) / _pages(size) if size else 0.0
    except OSError as error:
        raise Unavailable(f"{path}: its pages in memory cannot be counted ({error.strerror})") from error


def evict(path: Path, system: Pages | None = None) -> None:
    """Take a file's pages out of memory. Raises Unavailable where they stay, with the share that does.

    What a process has mapped and touched stays: it lets go of it by `page_out` first, or ends.
    """
    system = system or LinuxPages()
    try:
        with path.open("rb") as stream:
            system.drop(stream.fileno())
    except OSError as error:
        raise Unavailable(f"{path}: its pages cannot be dropped from memory ({error.strerror})") from error
    share = resident_share(path, system)
    if share > COLD_SHARE:
        raise Unavailable(
            f"{path}: {share:.0%} of it stays in memory after posix_fadvise(DONTNEED): its file system keeps the "
            "pages, or another process has mapped them"
        )


def mapped_bytes(paths: Iterable[Path], maps: Path = MAPS) -> int:
    """Return how many bytes of these files this process has mapped. Raises Unavailable off Linux."""
    return sum(length for _, length in _mappings(paths, maps))


def page_out(paths: Iterable[Path], system: Pages | None = None, maps: Path = MAPS) -> None:
    """Let go of these files' pages in this process, as the system does when memory is short. Raises Unavailable."""
    system = system or LinuxPages()
    try:
        for address, length in _mappings(paths, maps):
            system.page_out(address, length)
    except OSError as error:
        raise Unavailable(
            f"mapped pages cannot be given up ({error.strerror}): madvise(MADV_PAGEOUT) needs Linux 5.4, and a file "
            "that is one's own"
        ) from error


def _mappings(paths: Iterable[Path], maps: Path) -> list[tuple[int, int]]:
    """(address, length) of each mapping of these files in this process."""
    wanted = {str(path.resolve()) for path in paths}
    try:
        lines = maps.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise Unavailable(f"{maps} cannot be read ({error.strerror}): mappings are told by Linux only") from error
    rows = [line.split(maxsplit=5) for line in lines]
    ranges = [row[0].split("-") for row in rows if len(row) == 6 and row[5] in wanted]
    return [(int(first, 16), int(last, 16) - int(first, 16)) for first, last in ranges]


def _pages(size: int) -> int:
    return -(-size // mmap.PAGESIZE)


def _error() -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number))

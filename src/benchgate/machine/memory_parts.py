"""The memory of one process by what it is: its own, shared with others, backed by files; and its page faults.

Linux tells it in /proc/PID/smaps_rollup (4.14), /proc/PID/status (shared memory) and /proc/PID/stat (faults).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchgate.core import Unavailable

PROC = Path("/proc")
FILES = ("smaps_rollup", "status", "stat")
KIB = 1024
# Fields of /proc/PID/stat after the command's closing bracket (man proc_pid_stat, fields 10 and 12).
MINOR, MAJOR = 7, 9


@dataclass(frozen=True)
class MemoryParts:
    """Bytes of one process at one moment. `rss` is `private` + `file_backed` + shared memory (tmpfs, shmget).

    `private` is anonymous memory, pages of a file that were written to privately included: it cannot be dropped and
    read again. `file_backed` are pages of files as they are, which the system may drop. `shared` are pages of any kind
    that another process maps too. `pss` is the resident set with each page divided by the number of processes that map
    it: summed over processes it is what they take together. `swap` is what is swapped out. Faults are counted since
    the process began; a major one waited for a disk.
    """

    rss: int
    private: int
    shared: int
    file_backed: int
    pss: int
    swap: int
    minor_faults: int
    major_faults: int


def memory_parts(pid: int | None = None, proc: Path = PROC) -> MemoryParts:
    """Return the memory of a process, this one where None. Raises Unavailable where the system does not tell."""
    folder = proc / ("self" if pid is None else str(pid))
    try:
        rollup, status, stat = ((folder / name).read_bytes().decode("utf-8", "replace") for name in FILES)
    except OSError as error:
        raise Unavailable(f"{folder}: memory by part cannot be read ({error.strerror}); it needs Linux 4.14") from error
    try:
        return _parts(_sizes(rollup), _sizes(status)["RssShmem"], stat)
    except (KeyError, ValueError, IndexError) as error:
        raise Unavailable(f"{folder}: {', '.join(FILES)} are not as Linux writes them: {error}") from error


def _parts(size: dict[str, int], shmem: int, stat: str) -> MemoryParts:
    # A command's name may hold spaces and brackets.
    faults = stat.rpartition(")")[2].split()
    return MemoryParts(
        rss=size["Rss"],
        private=size["Anonymous"],
        shared=size["Shared_Clean"] + size["Shared_Dirty"],
        # The files are read one after the other: a process that allocates meanwhile must not end below zero.
        file_backed=max(0, size["Rss"] - size["Anonymous"] - shmem),
        pss=size["Pss"],
        swap=size["Swap"],
        minor_faults=int(faults[MINOR]),
        major_faults=int(faults[MAJOR]),
    )


def _sizes(text: str) -> dict[str, int]:
    """Name -> bytes of all lines `Name:   123 kB`."""
    rows = (line.split() for line in text.splitlines())
    return {row[0].removesuffix(":"): int(row[1]) * KIB for row in rows if len(row) == 3 and row[2] == "kB"}

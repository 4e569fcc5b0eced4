"""The memory that one process may still take here: what the machine has free, and what the cgroup leaves."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchgate.core import Unavailable

PROC = Path("/proc")
CGROUP = Path("/sys/fs/cgroup")
# Version 2 and 1: the files of limit and use. A limit that is no limit is a word, or larger than any machine.
FILES = (("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes"))
# Page cache of the cgroup that can be dropped, in its memory.stat.
DROPPABLE = ("inactive_file", "total_inactive_file")


@dataclass(frozen=True)
class Room:
    """Bytes that can be taken, and what they are of: "the machine's memory" or "the cgroup"."""

    bytes: int
    of: str


def room(proc: Path = PROC, cgroup: Path = CGROUP) -> Room:
    """Return the smaller of the machine's and the cgroup's. Raises Unavailable where the system does not tell."""
    found = [Room(_available(proc), "the memory that is free on this machine")]
    found += [Room(left, "the memory that the cgroup has left") for left in _left(proc, cgroup)]
    return min(found, key=lambda one: one.bytes)


def _available(proc: Path) -> int:
    """MemAvailable (proc(5)): free memory and what can be had without swapping. psutil has the like elsewhere."""
    try:
        lines = (proc / "meminfo").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        import psutil

        return int(psutil.virtual_memory().available)
    except (ValueError, IndexError) as error:
        raise Unavailable(f"{proc}/meminfo is not as Linux writes it: {error}") from error


def _left(proc: Path, cgroup: Path) -> list[int]:
    """Bytes that each cgroup above this process leaves, for those that have a limit."""
    found = []
    for folder in _folders(proc, cgroup):
        for limit_file, use_file in FILES:
            limit, use = _number(folder / limit_file), _number(folder / use_file)
            if limit is not None and use is not None and limit < 2**62:
                found.append(max(0, limit - use + _droppable(folder)))
    return found


def _folders(proc: Path, cgroup: Path) -> list[Path]:
    """The folders of this process' cgroups that may limit memory, with those above them."""
    try:
        lines = (proc / "self" / "cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        base = cgroup if number == "0" else cgroup / "memory" if "memory" in controllers.split(",") else None
        if base is not None:
            parts = Path(path.lstrip("/"))
            found += [base / part for part in (parts, *parts.parents)]
    return found


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        # No such file, or the word "max".
        return None


def _droppable(folder: Path) -> int:
    try:
        rows = dict(line.split() for line in (folder / "memory.stat").read_text(encoding="ascii").splitlines())
        return max((int(rows[name]) for name in DROPPABLE if name in rows), default=0)
    except (OSError, ValueError):
        return 0

"""The high-water mark of this process' memory on Linux, and what RLIMIT_DATA counts of it (man proc_pid_status)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchgate.core import Unavailable

SELF = Path("/proc/self")
FIELDS = ("VmHWM", "VmData", "RssAnon", "RssFile", "RssShmem")
# Written to clear_refs (Linux 4.0) it sets VmHWM to what is resident now (man proc_pid_clear_refs).
RESET = "5"


@dataclass(frozen=True)
class HighWater:
    """Bytes. `peak` is the largest resident set since the start or the last `reset`; `private` what is anonymous now.

    `peak_private` is the peak without the pages of files and the shared memory that are resident now: those come once
    and stay. `counted` is what a limit by RLIMIT_DATA counts at that peak: beside private memory what is reserved and
    not touched, and private writable mappings of files, as torch maps weights.
    """

    peak: int
    private: int
    peak_private: int
    counted: int


def high_water(folder: Path = SELF) -> HighWater:
    """Return this process' figures. Raises Unavailable where the system does not tell."""
    path = folder / "status"
    try:
        lines = path.read_bytes().decode("utf-8", "replace").splitlines()
    except OSError as error:
        raise Unavailable(f"{path} cannot be read ({error.strerror}); memory by part needs Linux 4.5") from error
    rows = {line.partition(":")[0]: line.partition(":")[2].split() for line in lines}
    try:
        peak, data, anonymous, file, shared = (int(rows[name][0]) * 1024 for name in FIELDS)
    except (KeyError, IndexError, ValueError) as error:
        raise Unavailable(f"{path} is not as Linux writes it: {error}") from error
    # Pages that were dropped since the peak would make it smaller than what is there now.
    own = max(anonymous, peak - file - shared)
    return HighWater(peak, anonymous, own, own + max(0, data - anonymous))


def reset(folder: Path = SELF) -> None:
    """Begin a new high-water mark. Raises Unavailable where the system has none to reset."""
    try:
        (folder / "clear_refs").write_text(RESET, encoding="ascii")
    except OSError as error:
        raise Unavailable(f"the peak of memory cannot be reset ({error.strerror})") from error

"""Time that other processes took from this one while it was timed, as the system counts it.

Run-queue delay is the time that each thread was ready and waited for a CPU (proc(5), /proc/PID/schedstat, field 2, ns).
It tells queueing. A neighbour on the sibling hyperthread leaves no trace in it and costs a factor: that shows in the
CPU time of other processes on a small machine, and in how long a fixed piece of arithmetic takes (`reference_s`).
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import Any

PROC = Path("/proc")
CGROUP = Path("/sys/fs/cgroup")
# On machines of up to so many CPUs every one counts, whatever the affinity: siblings share cores.
SMALL = 8
# /proc/stat counts in ticks of 10 ms: over less than this its difference says nothing.
OTHERS_LEAST_S = 0.5
REFERENCE_LOOPS, REFERENCE_REPEATS = 40_000, 5


@dataclass(frozen=True)
class Counters:
    """One reading: seconds of wall, of this process' CPU, of its threads' waiting, of other processes' CPU, of steal;
    numbers of throttled periods and of involuntary switches. None where the system does not tell."""

    wall_s: float
    cpu_s: float
    delay_s: float | None
    others_s: float | None
    steal_s: float | None
    throttled: int | None
    switches: int | None

    def since(self, before: Counters) -> Taken:
        """Differences to an earlier reading."""
        return Taken(
            wall_s=self.wall_s - before.wall_s,
            cpu_s=self.cpu_s - before.cpu_s,
            # The system's ticks and our own clock are not read at one moment: their difference may be below zero.
            delay_s=_positive(self.delay_s, before.delay_s),
            others_s=_positive(self.others_s, before.others_s),
            steal_s=_positive(self.steal_s, before.steal_s),
            throttled=_difference(self.throttled, before.throttled),
            switches=_difference(self.switches, before.switches),
        )


def _difference(now: int | None, before: int | None) -> int | None:
    return None if now is None or before is None else now - before


def _positive(now: float | None, before: float | None) -> float | None:
    return None if now is None or before is None else max(0.0, now - before)


@dataclass(frozen=True)
class Taken(Counters):
    """Amounts used and taken during one interval; the fields of Counters as differences."""

    @property
    def cpu_share(self) -> float:
        """Own CPU time over wall time: 2.0 is two CPUs busy all the time."""
        return round(self.cpu_s / self.wall_s, 3) if self.wall_s > 0 else 0.0

    def as_dict(self) -> dict[str, Any]:
        return {name: round(value, 6) if isinstance(value, float) else value for name, value in asdict(self).items()}


def total(parts: Sequence[Taken]) -> Taken:
    """The sum of several intervals; a counter that one of them has not is None."""
    columns = zip(*(astuple(part) for part in parts), strict=True)
    sums: list[Any] = [None if None in column else sum(column) for column in columns]
    return Taken(*sums)


@dataclass(frozen=True)
class Limits:
    """How much may be taken before a block counts as disturbed.

    `delay`: waiting as a share of waiting and own CPU time; `others` and `steal`: shares of one CPU over its wall
    time; `reference`: the factor by which the reference arithmetic may be slower than its best.
    """

    delay: float = 0.05
    others: float = 0.10
    steal: float = 0.02
    reference: float = 1.25


LIMITS = Limits()


def disturbances(taken: Taken, reference: float | None = None, limits: Limits = LIMITS) -> list[str]:
    """Reasons why an interval cannot be trusted, [] for a quiet one.

    `reference` is the reference arithmetic's time over its best known. What the system does not count disturbs nothing.
    """
    wall = max(taken.wall_s, 1e-9)
    busy = taken.cpu_s + (taken.delay_s or 0.0)
    found = []
    if taken.delay_s is not None and busy > 0 and taken.delay_s / busy > limits.delay:
        found.append(f"waited for a CPU {taken.delay_s / busy:.0%} of its time (limit {limits.delay:.0%})")
    if taken.throttled:
        found.append(f"throttled {taken.throttled} times by its cgroup")
    if taken.steal_s is not None and taken.steal_s / wall > limits.steal:
        found.append(f"the host took {taken.steal_s / wall:.0%} of a CPU (limit {limits.steal:.0%})")
    if taken.others_s is not None and wall >= OTHERS_LEAST_S and taken.others_s / wall > limits.others:
        found.append(f"other processes used {taken.others_s / wall:.0%} of a CPU (limit {limits.others:.0%})")
    if reference is not None and reference > limits.reference:
        found.append(f"fixed arithmetic took {reference:.2f} times its best here (limit {limits.reference:g})")
    return found


def read(proc: Path = PROC, cgroup: Path = CGROUP) -> Counters:
    """The counters now."""
    times = os.times()
    own = times.user + times.system
    busy, steal = _system(proc)
    return Counters(
        wall_s=time.monotonic(),
        cpu_s=time.process_time(),
        delay_s=_delay(proc),
        others_s=None if busy is None else busy - own,
        steal_s=steal,
        throttled=_throttled(proc, cgroup),
        switches=_switches(),
    )


def _delay(proc: Path) -> float | None:
    """Seconds that this process' threads, those alive, waited for a CPU."""
    try:
        tasks = list((proc / "self" / "task").iterdir())
    except OSError:
        return None
    total = 0
    for task in tasks:
        try:
            total += int((task / "schedstat").read_text(encoding="ascii").split()[1])
        except FileNotFoundError:
            if not (proc / "self" / "schedstat").exists():
                return None
        except (OSError, ValueError, IndexError):
            return None
    return total / 1e9


def _system(proc: Path) -> tuple[float | None, float | None]:
    """(busy, steal) seconds of the CPUs that can disturb this process since the system started."""
    try:
        lines = (proc / "stat").read_text(encoding="ascii").splitlines()
        rows = {line.split()[0]: [int(word) for word in line.split()[1:]] for line in lines if line.startswith("cpu")}
        tick = os.sysconf("SC_CLK_TCK")
        chosen = [row for name, row in rows.items() if name in _near(proc)] or [rows["cpu"]]
        # user nice system idle iowait irq softirq steal: guest time is part of user.
        return (
            sum(row[0] + row[1] + row[2] + row[5] + row[6] for row in chosen) / tick,
            sum(row[7] for row in chosen) / tick,
        )
    except (OSError, ValueError, IndexError, KeyError):
        return None, None


def _near(proc: Path) -> set[str]:
    """Names in /proc/stat of the CPUs that count: all of a small machine, else those of the mask and their siblings."""
    count = os.cpu_count() or 1
    if count <= SMALL or not hasattr(os, "sched_getaffinity"):
        return {f"cpu{number}" for number in range(count)}
    mask = os.sched_getaffinity(0)
    found = set(mask)
    for number in mask:
        path = Path(f"/sys/devices/system/cpu/cpu{number}/topology/thread_siblings_list")
        if path.exists():
            for part in path.read_text(encoding="ascii").strip().split(","):
                first, _, last = part.partition("-")
                found |= set(range(int(first), int(last or first) + 1))
    return {f"cpu{number}" for number in found}


def _throttled(proc: Path, cgroup: Path) -> int | None:
    """Periods in which this process' cgroup was held back, version 2 or 1."""
    try:
        groups = (proc / "self" / "cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    for line in groups:
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        base = cgroup if number == "0" else cgroup / "cpu" if "cpu" in controllers.split(",") else None
        for folder in () if base is None else (base / path.lstrip("/"), base):
            try:
                text = (folder / "cpu.stat").read_text(encoding="ascii")
            except OSError:
                continue
            for row in text.splitlines():
                if row.startswith("nr_throttled "):
                    return int(row.split()[1])
    return None


def _switches() -> int | None:
    """Times that the system took the CPU away from this process so far."""
    if sys.platform == "win32":
        return None
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw


def reference_s(clock: Callable[[], float] = time.perf_counter) -> float:
    """Seconds of a fixed piece of arithmetic, a few ms: the median of five, so that one switch does not count."""
    taken = []
    for _ in range(REFERENCE_REPEATS):
        start = clock()
        total = 0
        for number in range(REFERENCE_LOOPS):
            total += number & 7
        taken.append(clock() - start)
    return statistics.median(taken)

"""The inside of a worker of a comparison: loads its side once, then times blocks of calls. Standard library only.

A *round* is as many calls in a row as last ROUND_S, so that clock and counter cost nothing beside it, or a single call
where something must be prepared before each; a *block* is
rounds for at least so many seconds. Of each round wall time, CPU time and run-queue delay of the calling thread are
kept, a call's share of them, all read outside of what is timed; of a device that has a clock of its own, its time
between two events too. All clocks are monotonic: a step of the system's clock changes nothing.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchgate.machine import neighbours

if TYPE_CHECKING:
    from benchgate.machine.gpu import DeviceTaken

ROUND_S = 0.0005
# Below this a call is disturbed by the other side's last one (caches): one untimed call comes before a block.
SHORT_S = 0.005
WARM_UP_CALLS, WARM_UP_S, WARM_UP_BUDGET_S = 3, 0.010, 2.0
SCHEDSTAT = "/proc/thread-self/schedstat"


@dataclass(frozen=True)
class Prepared:
    """A call with what stands around it. A side may load this or a plain call.

    `prepare` is done before each call and not timed; `watch` begins an interval by the device's own clock.
    """

    call: Callable[[], Any]
    prepare: Callable[[], None] | None = None
    watch: Callable[[], Callable[[], DeviceTaken]] | None = None


@dataclass(frozen=True)
class Block:
    """Seconds a call of each round of one block: wall, CPU of the calling thread, its run-queue delay (None unknown).

    `calls` is the calls a round, `elsewhere` the share of the process' CPU time that other threads used; `switches`,
    `throttled` and `steal_s` are of the whole block, None where the system does not tell; `rss_bytes` after it.
    `device` are the seconds by the device's clock, None on a device without one; `slowed` what slowed the device
    meanwhile, None where it does not tell.
    """

    calls: int
    wall: tuple[float, ...]
    cpu: tuple[float, ...]
    delay: tuple[float, ...] | None
    elsewhere: float = 0.0
    switches: int | None = None
    throttled: int | None = None
    steal_s: float | None = None
    rss_bytes: int | None = None
    device: tuple[float, ...] | None = None
    slowed: tuple[str, ...] | None = None

    @property
    def seconds(self) -> float:
        """Wall seconds of all rounds."""
        return self.calls * sum(self.wall)


@dataclass(frozen=True)
class Begun:
    """How a side began in one worker: seconds of loading and of warming up, of a warm call, resident bytes, threads."""

    load_s: float
    warm_up_s: float
    call_s: float
    rss_bytes: int | None
    threads: int


class _Loaded:
    """The side that this process holds between two requests."""

    call: Callable[[], Any] | None = None
    prepare: Callable[[], None] | None = None
    watch: Callable[[], Callable[[], DeviceTaken]] | None = None
    call_s = 0.0

    @classmethod
    def ready(cls) -> None:
        """Do what comes before a call."""
        if cls.prepare is not None:
            cls.prepare()


def begin(load: Callable[[], Callable[[], Any] | Prepared], cpus: frozenset[int] | None = None) -> Begun:
    """Load the side and warm it up: three calls and 10 ms, less where a single call is long."""
    pin(cpus)
    start = time.perf_counter()
    found = load()
    prepared = found if isinstance(found, Prepared) else Prepared(found)
    call, _Loaded.prepare, _Loaded.watch = prepared.call, prepared.prepare, prepared.watch
    loaded = time.perf_counter()
    durations: list[float] = []
    while True:
        _Loaded.ready()
        began = time.perf_counter()
        call()
        durations.append(time.perf_counter() - began)
        total = sum(durations)
        if total >= WARM_UP_BUDGET_S or (len(durations) >= WARM_UP_CALLS and total >= WARM_UP_S):
            break
    recent = sorted(durations[-3:])
    _Loaded.call, _Loaded.call_s = call, recent[len(recent) // 2]
    return Begun(loaded - start, total, _Loaded.call_s, rss_bytes(), _threads())


def block(seconds: float, cpus: frozenset[int] | None = None) -> Block:
    """Time calls for at least `seconds`, at least one; on `cpus` from here on where they are given."""
    call = _Loaded.call
    if call is None:
        raise RuntimeError("block() before begin(): nothing is loaded in this worker")
    pin(cpus)
    if _Loaded.call_s < SHORT_S:
        _Loaded.ready()
        call()
    calls = 1 if _Loaded.prepare is not None else max(1, round(ROUND_S / max(_Loaded.call_s, 1e-9)))
    wall: list[float] = []
    cpu: list[float] = []
    delay: list[float] = []
    device: list[DeviceTaken] = []
    total = 0.0
    queue = _Queue()
    before = neighbours.read()
    process, thread = time.process_time(), time.thread_time()
    while total < seconds or not wall:
        _Loaded.ready()
        ended = None if _Loaded.watch is None else _Loaded.watch()
        waited, used, start = queue.waited_s(), time.thread_time(), time.perf_counter()
        for _ in range(calls):
            call()
        end, used_then, waited_then = time.perf_counter(), time.thread_time(), queue.waited_s()
        if ended is not None:
            device.append(ended())
        wall.append((end - start) / calls)
        cpu.append((used_then - used) / calls)
        if waited is not None and waited_then is not None:
            delay.append((waited_then - waited) / calls)
        total += end - start
    thread, process = time.thread_time() - thread, time.process_time() - process
    taken = neighbours.read().since(before)
    queue.close()
    return Block(
        calls,
        tuple(wall),
        tuple(cpu),
        tuple(delay) if len(delay) == len(wall) else None,
        max(0.0, 1 - thread / process) if process > 0 else 0.0,
        taken.switches,
        taken.throttled,
        taken.steal_s,
        rss_bytes(),
        tuple(part.seconds / calls for part in device) or None,
        _slowed(device),
    )


def _slowed(device: Sequence[DeviceTaken]) -> tuple[str, ...] | None:
    """All that slowed the device in a block; None where it does not always tell."""
    told = [part.slowed for part in device]
    return tuple(sorted({name for names in told for name in names or ()})) if told and None not in told else None


class _Queue:
    """Seconds that the calling thread waited for a CPU so far (proc(5), schedstat, field 2)."""

    def __init__(self) -> None:
        try:
            self._file: int | None = os.open(SCHEDSTAT, os.O_RDONLY)
        except OSError:
            self._file = None

    def waited_s(self) -> float | None:
        if self._file is None:
            return None
        fields = os.pread(self._file, 128, 0).split()
        return int(fields[1]) / 1e9 if len(fields) > 1 else None

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


def pin(cpus: frozenset[int] | None) -> None:
    """Let this process run on `cpus` only, where it may choose."""
    if cpus and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cpus)


def rss_bytes() -> int | None:
    """Resident bytes of this process, None where the system does not tell."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return None


def _threads() -> int:
    try:
        return len(os.listdir("/proc/self/task"))
    except OSError:
        return 1

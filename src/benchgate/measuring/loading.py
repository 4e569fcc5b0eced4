"""One model loaded in one way: seconds with a cold and a warm page cache, memory by part, several processes at once.

Each figure is of a worker that has imported the runtime's packages before. Memory is what loading and one call added
to the worker, so that neither the interpreter nor the imports are in it. `measure` is the page to read.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from benchgate.core import Unavailable, default_inputs
from benchgate.machine.memory_parts import MemoryParts, memory_parts
from benchgate.machine.page_cache import evict, mapped_bytes, page_out
from benchgate.measuring.held import Held
from benchgate.measuring.resolved import Loaded, Resolved, ways
from benchgate.measuring.run import prepare
from benchgate.measuring.timing import Loop
from benchgate.storage.artifacts import artifact_bytes, prepared

REPEATS, CALLS = 3, 3
TOGETHER = (2, 4)
COPIED = "its weights are in memory of its own, which evicting the file does not touch"


class Place(Protocol):
    """A process that holds one cell; see benchgate.measuring.run.Place."""

    def call(self, function: Callable[..., Any], *args: Any) -> Any: ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class Plan:
    """One cell and what is asked of it: operation (None: its task's first), parameters, threads."""

    of: Resolved
    path: Path
    threads: int
    operation: str | None = None
    params: Mapping[str, Any] = field(default_factory=dict)

    @property
    def files(self) -> list[Path]:
        """All files of the artifact."""
        return sorted(path for path in self.path.rglob("*") if path.is_file())


@dataclass(frozen=True)
class Start:
    """One loading: its seconds, those of the first call, and what both added to the process, in bytes."""

    load_s: float
    first_call_s: float
    private: int
    file_backed: int
    rss: int
    major_faults: int
    weights_bytes: int | None


@dataclass(frozen=True)
class Loading:
    """The figures of one way of loading; times are medians, `together` is the sum of Pss by number of processes.

    A figure that cannot be had is None, with its reason in `missing`.
    """

    cell: str
    way: str
    disk_bytes: int
    weights_bytes: int | None
    warm_load_s: float
    warm_first_call_s: float
    cold_load_s: float | None
    cold_first_call_s: float | None
    call_s: float
    evicted_call_s: float | None
    private_bytes: int
    file_backed_bytes: int
    rss_bytes: int
    together: Mapping[int, int]
    missing: Mapping[str, str] = field(default_factory=dict)


def planned(of: Resolved, threads: int, operation: str | None = None, **params: Any) -> Plan:
    """Return the plan of a cell, its artifact built where it is not. Raises what building raises."""
    return Plan(of, prepared(of.model, of.scheme, of.runtime, of.device.name).path, threads, operation, params)


def measure(plan: Plan, places: Callable[[], Place], repeats: int = REPEATS) -> Loading:
    """Return all figures of one way of loading. `places` starts a process, each for one loading."""
    missing: dict[str, str] = {}
    # The first one reads the file into the page cache, and learns what loading imports.
    _started(plan, places)
    warm = [_started(plan, places) for _ in range(repeats)]
    cold = _attempted("cold", missing, lambda: [_cold(plan, places) for _ in range(repeats)])
    with _place(places) as place:
        place.call(start, plan)
        call_s = place.call(calls, plan, False)
        evicted_s = _attempted("evicted_call_s", missing, lambda: place.call(calls, plan, True))
    return Loading(
        cell=str(plan.of.cell),
        way=plan.of.way or next(iter(ways(plan.of.runtime)), "-"),
        disk_bytes=artifact_bytes(plan.path),
        weights_bytes=warm[0].weights_bytes,
        warm_load_s=_median(warm, "load_s"),
        warm_first_call_s=_median(warm, "first_call_s"),
        cold_load_s=None if cold is None else _median(cold, "load_s"),
        cold_first_call_s=None if cold is None else _median(cold, "first_call_s"),
        call_s=call_s,
        evicted_call_s=evicted_s,
        private_bytes=int(_median(warm, "private")),
        file_backed_bytes=int(_median(warm, "file_backed")),
        rss_bytes=int(_median(warm, "rss")),
        together={count: together(plan, places, count) for count in (1, *TOGETHER)},
        missing=missing,
    )


def together(plan: Plan, places: Callable[[], Place], count: int) -> int:
    """Return the bytes that `count` processes with the model loaded and called take more than before, all together.

    The sum of their Pss: a page that several map counts once.
    """
    with ExitStack() as stack:
        all_places = [stack.enter_context(_place(places)) for _ in range(count)]
        for place in all_places:
            place.call(inputs_of, plan)
        before = sum(place.call(own_memory).pss for place in all_places)
        for place in all_places:
            place.call(start, plan)
        return int(sum(place.call(own_memory).pss for place in all_places) - before)


def start(held: Held, plan: Plan) -> Start:
    """Load the cell and call it once; runs where it is held."""
    held.close()
    inputs, known = inputs_of(held, plan), set(sys.modules)
    before = memory_parts()
    begun = time.perf_counter()
    session = plan.of.session(plan.path, plan.threads)
    load_s = time.perf_counter() - begun
    held.loaded = Loaded(plan.of, plan.path, session, plan.threads)
    held.subject = prepare(held.loaded, plan.operation, plan.params, Loop(), inputs)
    work, begun = held.subject.work, time.perf_counter()
    for step in (work.begin, work.prepare, work.started()):
        if step is not None:
            step()
    first_call_s = time.perf_counter() - begun
    # The processes that follow have these imported from the start.
    held.imported = held.imported or tuple(name for name in sys.modules if name not in known)
    return _start(load_s, first_call_s, before, memory_parts(), session.weights_bytes)


def inputs_of(held: Held, plan: Plan) -> Any:
    """Return what the operation runs on; made before anything is weighed, with the tokenizer and what it imports."""
    return default_inputs(plan.of.task, plan.of.model, plan.params)


def calls(held: Held, plan: Plan, evicted: bool) -> float:
    """Return the median seconds of some calls of what is held, the weights' pages taken away before each if `evicted`.

    That is how a model runs that is larger than what memory is left, at worst: each call reads all of its file again.
    Raises Unavailable where the file is not mapped, or its pages stay.
    """
    assert held.subject is not None
    work, seconds = held.subject.work, []
    if evicted and mapped_bytes(plan.files) < artifact_bytes(plan.path) / 2:
        raise Unavailable(COPIED)
    call = work.started()
    for _ in range(CALLS):
        if work.prepare is not None:
            work.prepare()
        if evicted:
            page_out(plan.files)
            for path in plan.files:
                evict(path)
        begun = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - begun)
    return statistics.median(seconds)


def own_memory(held: Held) -> MemoryParts:
    """Return the memory of the process that holds a cell; runs there."""
    return memory_parts()


def _start(load_s: float, first_s: float, before: MemoryParts, after: MemoryParts, weights: int | None) -> Start:
    return Start(
        load_s,
        first_s,
        private=after.private - before.private,
        file_backed=after.file_backed - before.file_backed,
        rss=after.rss - before.rss,
        major_faults=after.major_faults - before.major_faults,
        weights_bytes=weights,
    )


def _started(plan: Plan, places: Callable[[], Place]) -> Start:
    with _place(places) as place:
        found: Start = place.call(start, plan)
        return found


def _cold(plan: Plan, places: Callable[[], Place]) -> Start:
    """As `_started`, the artifact's files taken out of memory before. Raises Unavailable where they stay."""
    with _place(places) as place:
        place.call(inputs_of, plan)
        for path in plan.files:
            evict(path)
        found: Start = place.call(start, plan)
        return found


@contextmanager
def _place(places: Callable[[], Place]) -> Iterator[Place]:
    place = places()
    try:
        yield place
    finally:
        place.close()


def _attempted(name: str, missing: dict[str, str], read: Callable[[], Any]) -> Any:
    try:
        return read()
    except Unavailable as unavailable:
        missing[name] = str(unavailable)
        return None


def _median(found: Sequence[Start], name: str) -> float:
    return float(statistics.median(getattr(one, name) for one in found))

"""One trial of a search for a limit, in a worker of its own: load, call, and say how long it took and of what memory.

A lack of memory and a value that the cell refuses are answers, not errors: what the search needs to know of them is
there. What ends the process itself is seen by whoever started it.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from benchgate.core import DataError, Lapped, Metric, TooLarge, Unavailable, Work, filling_inputs
from benchgate.core.metrics import metric
from benchgate.machine.devices import Device, usable_cores
from benchgate.machine.high_water import high_water, reset
from benchgate.machine.limits import hold_to, is_out_of_memory, tells_out_of_memory
from benchgate.machine.memory_parts import memory_parts
from benchgate.machine.workers import one_line
from benchgate.measuring.held import Held
from benchgate.measuring.leaks import LEAST_ROUNDS, MOST_ROUNDS, growth
from benchgate.measuring.meters.base import Meter, Reading, Subject
from benchgate.measuring.meters.latency import latency_metrics, throughput
from benchgate.measuring.meters.memory import resident_high_water
from benchgate.measuring.resolved import Loaded, Resolved
from benchgate.measuring.run import prepare
from benchgate.measuring.timing import Loop, warm_up
from benchgate.measuring.together import together

# A first call of so many seconds is followed by one more, and no warm-up; one of VERY_LONG_S by none: a ceiling is
# found in minutes, and one call tells well enough how long such a call takes.
LONG_S, VERY_LONG_S = 1.5, 10.0
WARM_UP_S = 0.5
ROUNDS_S = 2.0
# What every cell has beside the parameters of its operation: its threads, and how many of it run at a time.
THREADS, SESSIONS = "threads", "sessions"
CALLS = "the calls"
RESIDENT = "resident set high-water mark of the calls, what is loaded included"
PARTS = (
    "peak_private_bytes",
    "shared_bytes",
    "file_backed_bytes",
    "swap_bytes",
    "minor_faults",
    "major_faults",
)
Ended = Literal["oom", "refused"]


@dataclass(frozen=True)
class Asking:
    """The cell, its operation with the parameters of this trial, and the bytes that the process is held to, or None."""

    of: Resolved
    operation: str
    params: Mapping[str, Any]
    threads: int
    sessions: int = 1
    held_to: int | None = None
    meters: Mapping[str, Meter] = field(default_factory=dict)


@dataclass(frozen=True)
class Measured:
    """A trial that ran. `memory` is its peak in bytes while it was called, as the limit counts it; `loading` the peak
    before. `growth` is what each round leaves behind, in bytes, 0 for nothing, None for too few rounds to tell."""

    metrics: Mapping[str, Metric]
    missing: Mapping[str, str]
    memory: float
    loading: float
    growth: float | None
    details: Mapping[str, Any]
    kernel: Mapping[str, Any]


@dataclass(frozen=True)
class Refused:
    """A trial that ended with words of its own. See `Outcome` for `excess`."""

    ended: Ended
    reason: str
    excess: int | None = None


def tried(held: Held, asking: Asking) -> Measured | Refused:
    """Return the trial's answer; runs where the cell is to be held. Raises what is neither a lack of memory nor a
    value that the cell refuses."""
    try:
        if asking.held_to is not None:
            hold_to(asking.held_to)
        if asking.threads > usable_cores():
            cores = usable_cores()
            raise TooLarge(f"{asking.threads} threads on the {cores} cores that are there", asking.threads - cores)
        return _measured(held, asking)
    except DataError as error:
        return Refused("refused", one_line(error), error.excess if isinstance(error, TooLarge) else None)
    except Exception as error:
        if is_out_of_memory(error) or tells_out_of_memory(str(error)):
            return Refused("oom", one_line(error))
        raise


def _measured(held: Held, asking: Asking) -> Measured:
    device = asking.of.device
    if device.reset_peak is not None:
        device.reset_peak()
    started = time.perf_counter()
    loaded = [held.load(asking.of, asking.threads)]
    try:
        loaded += [asking.of.load(asking.threads) for _ in range(asking.sessions - 1)]
        load_s = time.perf_counter() - started
        loading = _peak(device)
        _begin_anew(device)
        subjects = [_prepared(one, asking) for one in loaded]
        with together([subject.work for subject in subjects]) as work:
            return _called(replace(subjects[0], work=work), asking, loading, load_s)
    finally:
        for one in loaded[1:]:
            one.session.close()


def _prepared(loaded: Loaded, asking: Asking) -> Subject:
    inputs = filling_inputs(asking.of.task, asking.of.model, asking.params)
    return prepare(loaded, asking.operation, asking.params, Loop(), inputs)


def _peak(device: Device) -> float:
    """Bytes at the peak until now, as what ends first counts them: the device's own, RLIMIT_DATA, or resident."""
    if device.peak_bytes is not None:
        return device.peak_bytes()
    try:
        return high_water().counted
    except Unavailable:
        return resident_high_water()


def _begin_anew(device: Device) -> None:
    """Forget the peak of loading, where that can be forgotten: the calls' own may be below it."""
    if device.reset_peak is not None:
        device.reset_peak()
    with contextlib.suppress(Unavailable):
        reset()


def _called(subject: Subject, asking: Asking, loading: float, load_s: float) -> Measured:
    device = asking.of.device
    private: list[int] = []
    first_call_s, seconds = timed(subject.work, device.synchronize, lambda: _note_private(private))
    # At once: what is computed next has pages of its own.
    memory = _peak(device)
    parts, absent = _by_part(device, loading)
    found, missing = latency_metrics(seconds)
    found["first_call_s"] = metric("first_call_s", first_call_s, method="first call after loading")
    found[subject.work.throughput] = throughput(subject.work.throughput, subject.work.units, found["latency_median_s"])
    session = subject.loaded.session
    details = {
        "threads": asking.threads,
        "sessions": asking.sessions,
        "load_s": load_s,
        "loading_bytes": loading,
        "counted_bytes": memory,
        "private_bytes_by_round": private,
    }
    read = [_read(meter, replace(subject, metrics=found)) for meter in asking.meters.values()]
    for reading in read:
        found, missing = {**found, **reading.metrics}, {**missing, **reading.missing}
    return Measured(
        {**found, **parts}, {**missing, **absent}, memory, loading, growth(private), details, dict(session.kernel)
    )


def timed(work: Work, synchronize: Callable[[], None] | None, after: Callable[[], None]) -> tuple[float, list[float]]:
    """Return seconds of the first call, and of each round; `after()` follows each round, untimed.

    Every output is checked. Rounds follow a warm-up where calls are short; after a long first call there is one, and a
    very long one is itself the only round.
    """
    call = work.started()

    def once() -> float:
        if work.prepare is not None:
            work.prepare()
        start = time.perf_counter()
        output = call()
        if synchronize is not None:
            synchronize()
        seconds = time.perf_counter() - start
        if work.check is not None:
            work.check(output.output if isinstance(output, Lapped) else output)
        return seconds

    begun = time.perf_counter()
    if work.begin is not None:
        work.begin()
    begun = time.perf_counter() - begun
    first = begun + once()
    if first >= VERY_LONG_S:
        after()
        return first, [first]
    rounds = 1
    if first < LONG_S:
        warm = warm_up(once, budget_s=WARM_UP_S)
        rounds = min(MOST_ROUNDS, max(LEAST_ROUNDS, round(ROUNDS_S / max(warm.call_s, 1e-9))))
    seconds = []
    for _ in range(rounds):
        seconds.append(once())
        after()
    return first, seconds


def _note_private(into: list[int]) -> None:
    with contextlib.suppress(Unavailable):
        into.append(high_water().private)


def _by_part(device: Device, loading: float) -> tuple[dict[str, Metric], dict[str, str]]:
    """The parts of the process' memory, or why there are none."""
    try:
        now, parts = high_water(), memory_parts()
    except Unavailable as reason:
        peak = metric("peak_rss_bytes", resident_high_water(), method=RESIDENT)
        return {"peak_rss_bytes": peak}, dict.fromkeys(PARTS, str(reason))
    values = {
        "peak_rss_bytes": (now.peak, RESIDENT),
        "peak_private_bytes": (now.peak_private, f"{RESIDENT}, without pages of files and shared memory"),
        "shared_bytes": (parts.shared, f"mapped by another process too, after {CALLS}"),
        "file_backed_bytes": (parts.file_backed, f"pages of files, after {CALLS}"),
        "swap_bytes": (parts.swap, f"swapped out after {CALLS}"),
        "minor_faults": (parts.minor_faults, "since the process began"),
        "major_faults": (parts.major_faults, "since the process began: they waited for a disk"),
    }
    found = {name: metric(name, value, method=method) for name, (value, method) in values.items()}
    if device.peak_bytes is not None:
        found["peak_device_bytes"] = metric("peak_device_bytes", device.peak_bytes(), method=f"over {CALLS}")
    return found, {}


def _read(meter: Meter, subject: Subject) -> Reading:
    """The reading of a meter more; nothing, with the reason, where it can say nothing here."""
    try:
        return meter.measure(subject)
    except Unavailable as reason:
        return Reading(missing=dict.fromkeys(meter.gives, str(reason)))

"""Joules per call from the machine's own counters, over a window in which the call is repeated.

The window is as long as the source's refresh needs (`Source.window_s`, at least 1 s), and so is the idle one before
it: the model is loaded and nothing is called. Idle power is told and never subtracted. What cannot be read is absent.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from benchgate.core import Metric, Unavailable, Work
from benchgate.core.metrics import TABLE, metric
from benchgate.machine import neighbours, throttling
from benchgate.machine.counters import Joules, Reader, Source, total
from benchgate.machine.energy_counters import readable
from benchgate.measuring.meters.base import Reading, Subject
from benchgate.measuring.meters.latency import SWITCHED_OFF
from benchgate.measuring.meters.repeated import Repeated, repeat

# More of a window than this spent preparing calls, and its joules are not those of the calls.
MOST_PREPARING = 0.01
# What a record keeps of why its energy cannot be trusted: gate/disturbed.py.
DISTURBED = "energy_disturbed"


@dataclass(frozen=True)
class Tools:
    """Where sources, time and neighbours come from; a test gives scripted ones."""

    readable: Callable[[str], Sequence[tuple[Source, Reader]]] = readable
    clock: Callable[[], float] = time.perf_counter
    sleep: Callable[[float], None] = time.sleep
    neighbours: Callable[[], neighbours.Counters] = neighbours.read
    conditions: Callable[[], throttling.Conditions] = throttling.read


@dataclass(frozen=True)
class Window:
    """One window: its joules by channel, their sum over what counts, its seconds, and what others of the sources said
    meanwhile: joules, or the reason why not."""

    joules: Joules
    sum_j: float
    seconds: float
    beside: Mapping[str, float | str]

    @property
    def watts(self) -> float:
        return self.sum_j / self.seconds


class Energy:
    """Joules a call, a token or an item, mean power of the window, and idle power before it.

    The first source that can be read for the cell's device makes the figure, and the record names it; the others are
    kept beside it. Figures of two sources are never compared.
    """

    name = "energy"
    optional = True
    gives: ClassVar[tuple[str, ...]] = ("energy_j_per_call", "power_w")

    def __init__(self, tools: Tools | None = None) -> None:
        self._tools = tools or Tools()

    def measure(self, subject: Subject) -> Reading:
        median, tools, device = subject.metrics.get("latency_median_s"), self._tools, subject.loaded.of.device
        if median is None:
            raise Unavailable(SWITCHED_OFF)
        (source, reader), *others = tools.readable(device.name)
        beside = [(o, r) for o, r in others if o.scope != source.scope and o.window_s <= source.window_s]
        read = _Windows(source, reader, beside, tools.clock)
        found: dict[str, Metric] = {}
        missing: dict[str, str] = {}
        try:
            idle, _ = read.during(lambda: tools.sleep(source.window_s))
            found["power_idle_w"] = metric("power_idle_w", idle.watts, method=f"{read.says}; loaded, before the calls")
        except Unavailable as reason:
            missing["power_idle_w"] = str(reason)
        before, conditions = tools.neighbours(), tools.conditions()
        window, ran = read.during(
            lambda: repeat(subject.work, median.value, source.window_s, device.synchronize, tools.clock)
        )
        reasons = [
            *neighbours.disturbances(tools.neighbours().since(before)),
            *throttling.reasons(conditions, tools.conditions()),
        ]
        _check_prepared(ran, window)
        found |= _metrics(subject.work, ran, window, read.says)
        details = {"energy": {**_told(source, window), "calls": ran.calls}, **({DISTURBED: reasons} if reasons else {})}
        return Reading(found, missing, details)


@dataclass(frozen=True)
class _Windows:
    """Windows of one source, with others read beside it."""

    source: Source
    reader: Reader
    beside: Sequence[tuple[Source, Reader]]
    clock: Callable[[], float]

    @property
    def says(self) -> str:
        counting = ", ".join(channel.name for channel in self.reader.channels if channel.counts)
        return f"{self.source.name}, scope {self.source.scope}: {counting}"

    def during(self, act: Callable[[], Any]) -> tuple[Window, Any]:
        """Return the window around `act()`, and what that returned. Raises Unavailable for a source at fault."""
        end = self.reader.begin()
        ends = {source.name: _end_of(reader) for source, reader in self.beside}
        start = self.clock()
        try:
            done = act()
        finally:
            # Also after an error: a reader may have a thread or a process.
            seconds, ended = self.clock() - start, _ended(end)
            told = {name: _ended(one) for name, one in ends.items()}
        if isinstance(ended, str):
            raise Unavailable(f"{self.source.name}: {ended}")
        sums = {
            source.name: value if isinstance(value := told[source.name], str) else total(reader.channels, value)
            for source, reader in self.beside
        }
        return Window(ended, total(self.reader.channels, ended), seconds, sums), done


def _end_of(reader: Reader) -> Callable[[], Joules]:
    """Begin an interval; a fault shows where it ends."""
    try:
        return reader.begin()
    except Unavailable as reason:
        said = reason

        def end() -> Joules:
            raise said

        return end


def _ended(end: Callable[[], Joules]) -> Joules | str:
    try:
        return end()
    except Unavailable as reason:
        return str(reason)


def _check_prepared(ran: Repeated, window: Window) -> None:
    share = ran.preparing_s / ran.wall_s
    if share > MOST_PREPARING:
        raise Unavailable(
            f"preparing the calls took {share:.0%} of the window's {window.seconds:.3g} s, and a counter cannot part "
            "the two; measure an operation that needs no preparation"
        )


def _metrics(work: Work, ran: Repeated, window: Window, says: str) -> dict[str, Metric]:
    method = f"{says}; {ran.calls} calls in {window.seconds:.3g} s, idle power included"
    each = window.sum_j / ran.calls
    found = {"energy_j_per_call": each, "power_w": window.watts}
    row = TABLE.get(work.throughput)
    if row is not None and row.unit == "tokens/s":
        found["energy_j_per_token"] = each / work.units
    elif work.units != 1:
        found["energy_j_per_item"] = each / work.units
    return {name: metric(name, value, method=method) for name, value in found.items()}


def _told(source: Source, window: Window) -> dict[str, Any]:
    return {
        "source": source.name,
        "scope": source.scope,
        "window_s": window.seconds,
        "joules": window.sum_j,
        "channels": dict(window.joules),
        **({"beside": dict(window.beside)} if window.beside else {}),
    }

"""Energy counters: one channel, a source of channels, and how readings become joules.

Two kinds of reader: counters, which add up joules and of which two readings are enough (`Counting`), and gauges, which
show watts and must be read again and again (`Sampling`). A reading that cannot be right is Unavailable with its reason:
nothing here gives 0 J for something that it could not read.
"""

from __future__ import annotations

import itertools
import math
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from benchgate.core import Unavailable

Scope = Literal["package", "device", "board", "machine"]
# No processor package takes more: a counter that seems to was set back. A window in which it could turn round twice at
# this power is not judged either.
MOST_W = 1000.0
# The shortest window, and how often a counter must have been refreshed in it: its end is uncertain by one refresh.
LEAST_WINDOW_S, LEAST_REFRESHES = 1.0, 10
LONGEST_NUMBER = 64


class Refused(Unavailable):
    """A counter that is there and may not be read; the message ends with the command that allows it."""


@dataclass(frozen=True)
class Channel:
    """One counter or gauge. `read()` gives joules since whenever, or watts; it raises OSError or ValueError.

    `counts` is False for a part of another channel, which the sum must not have twice. `turns_at` are the joules at
    which a counter begins anew, None for one that does not.
    """

    name: str
    read: Callable[[], float]
    counts: bool = True
    turns_at: float | None = None


Joules = Mapping[str, float]


class Reader(Protocol):
    """The channels of a source that can be read here."""

    @property
    def channels(self) -> Sequence[Channel]: ...

    def begin(self) -> Callable[[], Joules]:
        """Begin an interval; the function that comes back ends it and returns joules by channel. Raises Unavailable."""


@dataclass(frozen=True)
class Source:
    """One row of the table of sources: what it covers, how often it is refreshed, how it is found.

    `devices` are those whose cells it can speak for. `find(root)` raises Unavailable with the way out. `look(root)`
    does the same without waking up the device; None where there is no difference.
    """

    name: str
    scope: Scope
    devices: frozenset[str]
    refresh_s: float
    find: Callable[[Path], Reader]
    look: Callable[[Path], Reader] | None = None

    @property
    def window_s(self) -> float:
        """Seconds that a window must last at least."""
        return max(LEAST_WINDOW_S, LEAST_REFRESHES * self.refresh_s)


def total(channels: Sequence[Channel], joules: Joules) -> float:
    """Return the sum of the channels that are no part of another."""
    return sum(joules[channel.name] for channel in channels if channel.counts)


@dataclass(frozen=True)
class Counting:
    """A reader of counters: joules are the difference of two readings."""

    channels: Sequence[Channel]
    clock: Callable[[], float] = time.monotonic

    def begin(self) -> Callable[[], Joules]:
        start = self.clock()
        before = {channel.name: now(channel) for channel in self.channels}

        def end() -> Joules:
            after = {channel.name: now(channel) for channel in self.channels}
            seconds = self.clock() - start
            return {
                channel.name: counted(channel, before[channel.name], after[channel.name], seconds)
                for channel in self.channels
                # The graphics of a processor that nobody uses take nothing: a part may stand still.
                if channel.counts or after[channel.name] != before[channel.name]
            }

        return end


def now(channel: Channel) -> float:
    """Return a channel's reading. Raises Unavailable for one that is gone, no number, or below 0."""
    try:
        value = channel.read()
    except OSError as error:
        raise Unavailable(f"{channel.name} can no longer be read: {error.strerror or error}") from error
    except ValueError as error:
        raise Unavailable(f"{channel.name} reads what is no number: {error}") from error
    if not math.isfinite(value) or value < 0:
        raise Unavailable(f"{channel.name} reads {value:g}, which cannot be")
    return value


def counted(channel: Channel, before: float, after: float, seconds: float) -> float:
    """Return the joules between two readings of a counter. Raises Unavailable for one that did not count upwards."""
    name, turns_at = channel.name, channel.turns_at
    if after == before:
        raise Unavailable(f"{name} read {before:g} J before and after {seconds:.3g} s: it does not count")
    if turns_at is not None and seconds * MOST_W >= turns_at:
        raise Unavailable(
            f"{name} begins anew at {turns_at:g} J, which may have been more than once in {seconds:.3g} s; "
            "measure a shorter call"
        )
    turned = after < before and turns_at is not None
    joules = after - before + (turns_at if turned and turns_at is not None else 0.0)
    if joules < 0 or (turned and joules > MOST_W * seconds):
        raise Unavailable(f"{name} went backwards, from {before:g} J to {after:g} J: it was set back meanwhile")
    return joules


@dataclass(frozen=True)
class Sampling:
    """A reader of gauges: a thread reads watts every `period_s`, and joules are the area below them."""

    channels: Sequence[Channel]
    period_s: float
    clock: Callable[[], float] = time.monotonic

    def begin(self) -> Callable[[], Joules]:
        taken: list[tuple[float, Mapping[str, float]]] = []
        failed: list[Unavailable] = []
        stopped = threading.Event()

        def sample() -> None:
            taken.append((self.clock(), {channel.name: now(channel) for channel in self.channels}))

        def samples() -> None:
            try:
                while not stopped.wait(self.period_s):
                    sample()
            except Unavailable as reason:
                failed.append(reason)

        sample()
        thread = threading.Thread(target=samples, name="benchgate-power", daemon=True)
        thread.start()

        def end() -> Joules:
            stopped.set()
            thread.join()
            if failed:
                raise failed[0]
            sample()
            return {channel.name: area(channel, taken) for channel in self.channels}

        return end


def area(channel: Channel, taken: Sequence[tuple[float, Mapping[str, float]]]) -> float:
    """Return joules of a gauge's samples, (seconds, watts by channel), by trapezoids.

    Raises Unavailable for a gauge that should count and did not move: it is frozen, or refreshed too seldom.
    """
    points = [(at, watts[channel.name]) for at, watts in taken]
    values = {watts for _, watts in points}
    if channel.counts and len(values) == 1:
        raise Unavailable(
            f"{channel.name} read {values.pop():g} W in all of {len(points)} samples: it is not refreshed"
        )
    return sum(
        (later - earlier) * (first + second) / 2 for (earlier, first), (later, second) in itertools.pairwise(points)
    )


def number(path: Path, unit: float = 1.0) -> float:
    """Return the number in a file of the system, in units of `unit`. Raises OSError and ValueError."""
    # Four times as fast as Path.read_text: gauges are read ten times a second beside what is measured.
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return int(os.read(descriptor, LONGEST_NUMBER)) * unit
    finally:
        os.close(descriptor)


def text(path: Path) -> str:
    """Return a file's text without white space around it, "" where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""

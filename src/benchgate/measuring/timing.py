"""Timing one piece of work: the first call, the warm-up until steady, then rounds whose every output is checked."""

from __future__ import annotations

import math
import statistics
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from benchgate.core import Lapped, Work
from benchgate.machine import neighbours, throttling
from benchgate.machine.gpu import DeviceTaken
from benchgate.machine.neighbours import Taken
from benchgate.measuring.blocks import Blocks
from benchgate.measuring.phase import enter

WARM_UP_MINIMUM = 0.010
WARM_UP_SECONDS = 2.0
WINDOW = 50
# The share by which the last calls may be slower than the good half of the warm-up and still count as steady.
STEADY = 0.10


@dataclass(frozen=True)
class WarmUp:
    """How the warm-up went; `call_s` is what a call took at its end (median of the last three).

    `steady` is None where calls are so long that there were fewer than three: too few to tell.
    """

    calls: int
    seconds: float
    steady: bool | None
    call_s: float


@dataclass(frozen=True)
class Samples:
    """Seconds of each round; with more than one iteration each is the mean of that many calls.

    `blocks` are those that were measured, also the disturbed ones that `seconds` is without; None for a plain loop.
    """

    seconds: tuple[float, ...]
    iterations: int = 1
    blocks: Blocks | None = None

    def calls(self) -> list[range]:
        """The timed calls that `seconds` is of, by their numbers in the order of all timed calls."""
        if self.blocks is None:
            return [range(len(self.seconds) * self.iterations)]
        found, start = [], 0
        kept = {id(block) for block in self.blocks.kept}
        for block in self.blocks.all:
            end = start + len(block.samples) * block.iterations
            if id(block) in kept:
                found.append(range(start, end))
            start = end
        return found


@dataclass(frozen=True)
class Timing:
    """The result of timing a piece of work. `samples` is None where timing is switched off; `laps` are of its rounds.

    `begun` is what was taken during the first call and the warm-up, `taken` during the rounds in `samples`. `slowed`
    are the reasons of the processor's own to distrust the first call.
    """

    first_call_s: float
    warm_up: WarmUp
    samples: Samples | None
    laps: dict[str, list[float]]
    begun: Taken
    taken: Taken
    slowed: tuple[str, ...] = ()


After = Callable[[int], None]


class Rounds(Protocol):
    """Who repeats the timed call: pytest-benchmark in a test, a plain loop elsewhere."""

    def run(
        self, call: Callable[[], Any], prepare: Callable[[], None] | None, after: After | None, plan: Plan
    ) -> Samples | None:
        """Time `call` round by round, `prepare` before and `after(calls of the round)` behind each, both untimed.

        Returns None where timing is switched off; the call is then made once.
        """


@dataclass(frozen=True)
class Plan:
    """Grounds for the number of rounds: seconds of a warm call, and of how many calls a pass is (None: no passes).

    `watch` begins an interval by the device's own clock, None for a device that has none.
    """

    call_s: float
    a_pass: int | None
    watch: Callable[[], Callable[[], DeviceTaken]] | None = None

    def rounds(self, min_rounds: int, max_time: float) -> int:
        """Return the rounds of one call each that last `max_time`, at least `min_rounds`, in whole passes."""
        wanted = max(min_rounds, math.ceil(max_time / max(self.call_s, 1e-9)))
        return math.ceil(wanted / (self.a_pass or 1)) * (self.a_pass or 1)


@dataclass(frozen=True)
class Loop:
    """Rounds by a plain loop."""

    min_rounds: int = 1
    max_time: float = 0.0

    def run(
        self, call: Callable[[], Any], prepare: Callable[[], None] | None, after: After | None, plan: Plan
    ) -> Samples:
        found = []
        for _ in range(plan.rounds(self.min_rounds, self.max_time)):
            if prepare is not None:
                prepare()
            start = time.perf_counter()
            call()
            found.append(time.perf_counter() - start)
            if after is not None:
                after(1)
        return Samples(tuple(found))


class _Outputs:
    """Takes each call's output and looks at it after the timer: laps are kept, the rest is checked and let go.

    Inside the timer it costs one append, some 50 ns, and for work without check and laps nothing.
    """

    def __init__(self, work: Work, see: Callable[[Any], None] | None) -> None:
        self._check, self._see = work.check, see
        self.watched = bool(work.check or see or work.laps)
        self.laps: dict[str, list[float]] = {name: [] for name in work.laps}
        self._kept: list[Any] = []

    def keeping(self, call: Callable[[], Any]) -> Callable[[], Any]:
        if not self.watched:
            return call
        keep = self._kept.append
        return lambda: keep(call())

    def after(self, calls: int) -> None:
        """Look at the outputs of a round. Those of untimed calls before it are checked, and are no laps."""
        outputs, untimed = list(self._kept), len(self._kept) - calls
        self._kept.clear()
        for i, output in enumerate(outputs):
            self._look(output, timed=i >= untimed)

    def rest(self) -> None:
        """Check what was called after the last round."""
        self.after(0)

    def _look(self, output: Any, timed: bool) -> None:
        value = output
        if isinstance(output, Lapped):
            value = output.output
            if timed:
                for name, seconds in output.laps.items():
                    self.laps[name].append(seconds)
        if self._check is not None:
            self._check(value)
        if timed and self._see is not None:
            self._see(value)


def time_work(
    work: Work,
    rounds: Rounds,
    synchronize: Callable[[], None] | None = None,
    see: Callable[[Any], None] | None = None,
    between: Callable[[Callable[[], Any]], None] | None = None,
    watch: Callable[[], Callable[[], DeviceTaken]] | None = None,
) -> Timing:
    """Time the first call, warm up, then hand the rounds over. `see(output)` is shown every timed output.

    `watch` begins an interval by the device's own clock. `between(call)` may watch one more call, when everything is
    warm. Turns begin anew for the timed rounds: how many calls the warm-up took does not decide what is measured.
    """
    prepare = work.prepare or (lambda: None)
    enter("first call and warm-up")
    conditions, start = throttling.read(), neighbours.read()
    warm_call = _waiting(work.started(), synchronize)
    first = _first_call(work, warm_call, prepare)
    warm = warm_up(_both(prepare, warm_call))
    begun = neighbours.read().since(start)
    slowed = throttling.reasons(conditions, throttling.read())
    if between is not None:
        prepare()
        between(warm_call)
    outputs = _Outputs(work, see)
    call = outputs.keeping(_waiting(work.started(), synchronize))
    enter("measure")
    start = neighbours.read()
    samples = rounds.run(
        call,
        work.prepare,
        outputs.after if outputs.watched else None,
        Plan(warm.call_s, None if work.turns is None else len(work.turns), watch),
    )
    taken = neighbours.read().since(start)
    outputs.rest()
    if samples is None:
        return Timing(first, warm, None, {}, begun, taken, slowed)
    if samples.blocks is not None:
        taken = samples.blocks.taken
    calls = samples.calls()
    laps = {name: [lap[i] for part in calls for i in part] for name, lap in outputs.laps.items()}
    return Timing(first, warm, samples, laps, begun, taken, slowed)


def _first_call(work: Work, call: Callable[[], Any], prepare: Callable[[], None]) -> float:
    """Seconds of the first call, with those of what has to begin before it."""
    start = time.perf_counter()
    if work.begin is not None:
        work.begin()
    begun = time.perf_counter() - start
    prepare()
    start = time.perf_counter()
    output = call()
    seconds = begun + time.perf_counter() - start
    if work.check is not None:
        work.check(output.output if isinstance(output, Lapped) else output)
    return seconds


def warm_up(
    call: Callable[[], Any], clock: Callable[[], float] = time.perf_counter, budget_s: float = WARM_UP_SECONDS
) -> WarmUp:
    """Call until the last three calls are as fast as the good half of the last fifty.

    At least three calls and 10 ms; at most `budget_s`, and then it was not steady. A call that takes `budget_s` alone
    was preceded by the first call, and is warm-up enough.
    """
    durations: deque[float] = deque(maxlen=WINDOW)
    calls, total = 0, 0.0
    while True:
        start = clock()
        call()
        durations.append(clock() - start)
        calls, total = calls + 1, total + durations[-1]
        recent = statistics.median(list(durations)[-3:])
        if calls < 3 and total >= budget_s:
            return WarmUp(calls, total, None, recent)
        if calls < 3 or total < WARM_UP_MINIMUM:
            continue
        steady = recent <= (1 + STEADY) * _good_half(durations)
        if steady or total >= budget_s:
            return WarmUp(calls, total, steady, recent)


def _good_half(durations: Sequence[float]) -> float:
    ordered = sorted(durations)
    return statistics.median(ordered[: max(1, len(ordered) // 2)])


def _waiting(call: Callable[[], Any], synchronize: Callable[[], None] | None) -> Callable[[], Any]:
    """The call itself where it returns when the work is done; else one that waits for the device."""
    if synchronize is None:
        return call

    def waited() -> Any:
        output = call()
        synchronize()
        return output

    return waited


def _both(prepare: Callable[[], None], call: Callable[[], Any]) -> Callable[[], None]:
    def prepared() -> None:
        prepare()
        call()

    return prepared

"""Calls repeated over a window: what a counter that is refreshed seldom needs to tell something of one call."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchgate.core import Lapped, Work

# Between two looks at the clock (s): the loop's own time is then below a thousandth of the window.
LOOK_S = 0.001
MOST_CALLS = 10_000


@dataclass(frozen=True)
class Repeated:
    """Calls of one window, its seconds, those spent preparing calls, and the CPU seconds of this process."""

    calls: int
    wall_s: float
    preparing_s: float
    cpu_s: float


def repeat(
    work: Work,
    call_s: float,
    least_s: float,
    synchronize: Callable[[], None] | None = None,
    clock: Callable[[], float] = time.perf_counter,
    cpu_clock: Callable[[], float] = time.process_time,
) -> Repeated:
    """Call until `least_s` are over, at least once, in whole passes through the turns; the last output is checked.

    `call_s` is about what a call takes. The device is waited for after each call, as in the timed rounds.
    """
    call, prepare, wait = work.started(), work.prepare, synchronize or (lambda: None)
    calls, preparing_s = 0, 0.0
    in_a_row = _in_a_row(work, call_s)
    output: Any = None
    start, cpu = clock(), cpu_clock()
    while calls == 0 or clock() - start < least_s:
        for _ in range(in_a_row):
            if prepare is not None:
                before = clock()
                prepare()
                wait()
                preparing_s += clock() - before
            output = call()
            wait()
        calls += in_a_row
    found = Repeated(calls, clock() - start, preparing_s, cpu_clock() - cpu)
    if work.check is not None:
        work.check(output.output if isinstance(output, Lapped) else output)
    return found


def _in_a_row(work: Work, call_s: float) -> int:
    if work.turns is not None:
        return len(work.turns)
    return 1 if work.prepare is not None else max(1, min(MOST_CALLS, round(LOOK_S / max(call_s, 1e-9))))

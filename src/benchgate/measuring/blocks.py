"""Timing in blocks: some rounds in a row, what neighbours took meanwhile, and another try where that was too much.

A *block* is at least BLOCK_S long, or one call: the system's ticks say nothing over less. A disturbed block is measured
again as long as the cell's patience lasts. Where undisturbed blocks were had, they alone make the figure; where none
was, all blocks do and the figure is marked: it is shown, is no baseline and decides nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from benchgate.machine import neighbours, throttling
from benchgate.machine.gpu import DeviceTaken
from benchgate.machine.neighbours import Taken
from benchgate.machine.throttling import Conditions
from benchgate.measuring.phase import enter

BLOCK_S = 1.0
# Between two tries of a disturbed block (s): a neighbour that comes and goes is given the time to go.
PAUSE_S = 0.2


@dataclass(frozen=True)
class Block:
    """Seconds a round of one block, what was taken meanwhile, and the reasons to distrust it (none: undisturbed).

    A round is the mean of `iterations` calls. `reference` is the fixed arithmetic's time before and after over its best
    known, the larger one. `device` is what a device with a clock of its own tells, `conditions` those of the processor
    before and after.
    """

    samples: tuple[float, ...]
    taken: Taken
    reference: float
    reasons: tuple[str, ...]
    iterations: int = 1
    device: DeviceTaken | None = None
    conditions: tuple[Conditions, Conditions] = (Conditions(), Conditions())

    def as_dict(self) -> dict[str, Any]:
        return {
            "rounds": len(self.samples),
            **self.taken.as_dict(),
            **({} if self.device is None else self.device.as_dict()),
            **throttling.as_details(*self.conditions),
            "reference": round(self.reference, 3),
            "disturbed": list(self.reasons),
        }


@dataclass(frozen=True)
class Blocks:
    """All blocks of one cell; `best_reference_s` is the fastest fixed arithmetic seen so far.

    `again_s` is what measuring disturbed ones again took.
    """

    all: tuple[Block, ...]
    best_reference_s: float
    again_s: float = 0.0

    @property
    def kept(self) -> tuple[Block, ...]:
        """The blocks that make the figure: the undisturbed ones, or all where there is none."""
        return tuple(block for block in self.all if not block.reasons) or self.all

    @property
    def disturbed(self) -> tuple[str, ...]:
        """Reasons why the figure is marked, of the last block; () where an undisturbed block was had."""
        return self.all[-1].reasons if self.kept == self.all else ()

    @property
    def samples(self) -> list[float]:
        """Seconds a round of the kept blocks."""
        return [sample for block in self.kept for sample in block.samples]

    @property
    def taken(self) -> Taken:
        """The sum of what was used and taken in all kept blocks together."""
        return neighbours.total([block.taken for block in self.kept])


@dataclass(frozen=True)
class Instruments:
    """Where time and counters come from; a test gives scripted ones."""

    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    read: Callable[[], neighbours.Counters] = neighbours.read
    reference_s: Callable[[], float] = neighbours.reference_s
    conditions: Callable[[], Conditions] = throttling.read


def measure(
    rounds: Callable[[], tuple[Sequence[float], int]],
    count: int,
    patience_s: float,
    best_reference_s: float | None,
    instruments: Instruments | None = None,
    watch: Callable[[], Callable[[], DeviceTaken]] | None = None,
) -> Blocks:
    """Run `rounds()`, one block's (seconds a round, iterations), until `count` blocks are undisturbed or patience ends.

    At least `count` blocks are measured. `best_reference_s` is the reference arithmetic's best on this machine, None
    where nothing is known yet: then the first block's own is the best.
    """
    tools = instruments or Instruments()
    end: float | None = None
    done: list[Block] = []
    best = best_reference_s
    while True:
        enter(f"measure, block {len(done) + 1} of {max(count, len(done) + 1)}")
        block, best = _one(rounds, best, tools, watch)
        done.append(block)
        quiet = sum(not block.reasons for block in done)
        if quiet >= count:
            break
        if len(done) >= count:
            # What comes now is only because of disturbed blocks.
            end = tools.clock() + patience_s if end is None else end
            if tools.clock() + block.taken.wall_s > end or not throttling.worth_again(block.reasons):
                break
            tools.sleep(PAUSE_S)
    return Blocks(tuple(done), best, 0.0 if end is None else max(0.0, tools.clock() - end + patience_s))


def _one(
    rounds: Callable[[], tuple[Sequence[float], int]],
    best: float | None,
    tools: Instruments,
    watch: Callable[[], Callable[[], DeviceTaken]] | None,
) -> tuple[Block, float]:
    conditions = tools.conditions()
    before_s = tools.reference_s()
    start = tools.read()
    ended = None if watch is None else watch()
    samples, iterations = rounds()
    device = None if ended is None else ended()
    taken = tools.read().since(start)
    after_s = tools.reference_s()
    after = tools.conditions()
    best = min(x for x in (best, before_s, after_s) if x is not None)
    reference = max(before_s, after_s) / best
    reasons = (*neighbours.disturbances(taken, reference), *throttling.reasons(conditions, after))
    if device is not None and device.slowed:
        reasons += (f"the device was slowed: {', '.join(device.slowed)}",)
    return Block(tuple(samples), taken, reference, reasons, iterations, device, (conditions, after)), best

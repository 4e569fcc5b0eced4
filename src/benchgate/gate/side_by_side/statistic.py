"""One figure of a pair of workers: the log of how much longer the candidate takes than the baseline.

Of each block the 25th percentile of its rounds, of all differences between the candidate's and the baseline's blocks
the median (Hodges & Lehmann 1963): neither a slow round nor a slow block moves it.

For work on one thread the statistic that decides is wall time minus run-queue delay: sleep, locks and IO count, the
time that the thread was ready and another process had the CPU does not. CPU time is secondary, and where calls do not
burn CPU all the time, or other threads work too, there is none.

Where a device computes, the wall decides and the device's own time is secondary: it works on while the thread waits for
a CPU, and what would be taken out of the wall was not added to it.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from benchgate.core import DataError
from benchgate.gate.side_by_side.timed import Block

Statistic = Literal["wall", "wall minus run-queue delay", "CPU", "device"]
WALL: Statistic = "wall"
CORRECTED: Statistic = "wall minus run-queue delay"
CPU: Statistic = "CPU"
DEVICE: Statistic = "device"
# Other threads may use so much of the process' CPU time before its work counts as more than one thread's.
ELSEWHERE = 0.02
# Of the time that it was not queueing a call must have been on a CPU this much for CPU time to say what it costs.
BUSY = 0.95
# What the median of absolute deviations of a normal variable must be multiplied by.
MAD_TO_SD = 1.4826


@dataclass(frozen=True)
class Limits:
    """By how much the disturbance of the two sides of one pair may differ before it is dropped.

    `delay` and `steal`: run-queue delay and stolen time as shares of wall time. Time stolen counts in ticks of 10 ms,
    so that it is looked at only over `steal_least_s`. A side that was throttled beside one that was not is dropped.
    """

    delay: float = 0.10
    steal: float = 0.02
    steal_least_s: float = 1.0


LIMITS = Limits()


@dataclass(frozen=True)
class Pair:
    """One pair: log ratios by statistic, the number of its zygote pair, the reason why it is dropped ("" kept).

    `trend` is how much more the candidate slowed down (log) from the first to the last blocks than the baseline did;
    `grown` the resident bytes that each side took more after its last block than after its first; `wall_s` what the
    pair took altogether; `block_sd` the spread of its blocks around their side's median (log).
    """

    shifts: Mapping[Statistic, float]
    zygote: int
    dropped: str = ""
    trend: float = 0.0
    grown: tuple[int, int] = (0, 0)
    calls: tuple[int, int] = (0, 0)
    wall_s: float = 0.0
    order: str = ""
    block_sd: float = 0.0


def p25(values: Sequence[float]) -> float:
    """The 25th percentile by nearest rank. Raises DataError for none, or one that is not above 0 and finite."""
    if not values:
        raise DataError("a block without rounds has no percentile")
    found = sorted(values)[math.ceil(len(values) / 4) - 1]
    if not (math.isfinite(found) and found > 0):
        raise DataError(f"a round of {found} s cannot be; the clock does not work")
    return found


def rounds_of(block: Block, statistic: Statistic) -> Sequence[float] | None:
    """Return the seconds of a block's rounds by one statistic, None where it does not fit or was not recorded."""
    if statistic == WALL:
        return block.wall
    if statistic == DEVICE:
        # Events tell microseconds: of shorter calls nothing.
        return block.device if block.device is not None and min(block.device) > 0 else None
    if block.delay is None:
        return None
    # The two counters are not read in the same instant: what was waited is never more than what was not computed.
    corrected = [max(wall - delay, cpu) for wall, delay, cpu in zip(block.wall, block.delay, block.cpu, strict=True)]
    if statistic == CORRECTED:
        return corrected
    return block.cpu if sum(block.cpu) >= BUSY * sum(corrected) and min(block.cpu) > 0 else None


def hodges_lehmann(baseline: Sequence[float], candidate: Sequence[float]) -> float:
    """The median of all differences candidate - baseline."""
    return statistics.median(new - old for old in baseline for new in candidate)


def shifts(baseline: Sequence[Block], candidate: Sequence[Block]) -> dict[Statistic, float]:
    """Log ratios by each statistic that fits all blocks of both sides; by the wall always.

    How much other threads did is told over the whole pair: a pool that falls asleep in the first block decides nothing.
    """
    found = {}
    computed = [block.device is None for side in (baseline, candidate) for block in side]
    alone = all(computed) and all(
        _share(side, [b.elsewhere * b.seconds for b in side]) <= ELSEWHERE for side in (baseline, candidate)
    )
    fitting: tuple[Statistic, ...] = (WALL, CORRECTED, CPU) if alone else (WALL, DEVICE)
    for statistic in fitting:
        sides = [[rounds_of(block, statistic) for block in side] for side in (baseline, candidate)]
        levels = [[math.log(p25(rounds)) for rounds in side if rounds is not None] for side in sides]
        if [len(side) for side in levels] == [len(baseline), len(candidate)]:
            found[statistic] = hodges_lehmann(*levels)
    return found


def unequally_disturbed(baseline: Sequence[Block], candidate: Sequence[Block], limits: Limits = LIMITS) -> str:
    """Return why a pair must be dropped, "" where it stays. It looks at what was taken, never at what the calls took
    on a CPU: the rule cannot know the ratio."""
    throttled = [sum(block.throttled or 0 for block in side) for side in (baseline, candidate)]
    if min(throttled) == 0 < max(throttled):
        return f"throttled by its cgroup {throttled[0]} times (baseline), {throttled[1]} times (candidate)"
    slowed = [sorted({name for block in side for name in block.slowed or ()}) for side in (baseline, candidate)]
    if bool(slowed[0]) != bool(slowed[1]):
        told = [", ".join(names) or "nothing" for names in slowed]
        return f"the device was slowed by {told[0]} (baseline), {told[1]} (candidate)"
    delay = [_share(side, [block.calls * sum(block.delay or ()) for block in side]) for side in (baseline, candidate)]
    if abs(delay[0] - delay[1]) > limits.delay:
        return f"waited for a CPU {delay[0]:.0%} (baseline), {delay[1]:.0%} (candidate) of the time"
    if min(sum(block.seconds for block in side) for side in (baseline, candidate)) >= limits.steal_least_s:
        steal = [_share(side, [block.steal_s or 0.0 for block in side]) for side in (baseline, candidate)]
        if abs(steal[0] - steal[1]) > limits.steal:
            return f"the host took {steal[0]:.0%} (baseline), {steal[1]:.0%} (candidate) of the time"
    return ""


def _share(blocks: Sequence[Block], taken: Sequence[float]) -> float:
    return sum(taken) / max(sum(block.seconds for block in blocks), 1e-9)


def trend(baseline: Sequence[Block], candidate: Sequence[Block]) -> float:
    """Log slowdown of the candidate from its first third of blocks to its last, less the baseline's; 0 below three."""
    drifts = []
    for side in (baseline, candidate):
        levels = [math.log(p25(block.wall)) for block in side]
        part = len(levels) // 3
        if part < 1:
            return 0.0
        drifts.append(statistics.median(levels[-part:]) - statistics.median(levels[:part]))
    return drifts[1] - drifts[0]


def pair_of(
    baseline: Sequence[Block], candidate: Sequence[Block], zygote: int, order: str = "", wall_s: float = 0.0
) -> Pair:
    """Return the pair that the blocks of two sides make."""
    return Pair(
        shifts(baseline, candidate),
        zygote,
        unequally_disturbed(baseline, candidate),
        trend(baseline, candidate),
        (_grown(baseline), _grown(candidate)),
        (_calls(baseline), _calls(candidate)),
        wall_s,
        order,
        _spread(baseline, candidate),
    )


def _spread(*sides: Sequence[Block]) -> float:
    """Robust standard deviation of the sides' log block levels around the median of each, by the wall."""
    off = []
    for side in sides:
        levels = [math.log(p25(block.wall)) for block in side]
        middle = statistics.median(levels)
        off += [abs(level - middle) for level in levels]
    return MAD_TO_SD * statistics.median(off)


def _grown(blocks: Sequence[Block]) -> int:
    return (blocks[-1].rss_bytes or 0) - (blocks[0].rss_bytes or 0)


def _calls(blocks: Sequence[Block]) -> int:
    return sum(block.calls * len(block.wall) for block in blocks)

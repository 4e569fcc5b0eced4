"""Calibrating one workload or cell: pairs of equal sides, then slowdowns injected, and what the rule makes of them."""

from __future__ import annotations

import os
import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from benchgate.gate.side_by_side import calibration
from benchgate.gate.side_by_side.calibrated import Calibrated, Found
from benchgate.gate.side_by_side.driver import side_by_side
from benchgate.gate.side_by_side.pairs import PLAN, Crew, Pairs, Plan, Side, Team
from benchgate.gate.side_by_side.rule import RULE, Noise, Rule
from benchgate.gate.side_by_side.simulation import Draw, Drawn, simulate
from benchgate.gate.side_by_side.statistic import CORRECTED, WALL, Pair
from benchgate.gate.side_by_side.workloads import How, slowed

SHARES = (0.02, 0.03, 0.05, 0.10)
HOWS: tuple[How, ...] = ("spin", "sleep")
# Slowdowns that are tried for the smallest one that is found in POWER of trials.
GRID = (0.015, 0.02, 0.025, 0.03, 0.035, 0.04, 0.05, 0.06, 0.08, 0.10, 0.12, 0.15, 0.20, 0.30, 0.50)
POWER = 0.90
SIMULATED = 2_000
# A cell whose smallest slowdown found is so many times the excluded one has no use for its tolerance.
MEANINGLESS = 3.0


@dataclass(frozen=True)
class Effort:
    """How much is spent: zygote pairs and pairs of each for the spread, live comparisons for each injected slowdown."""

    zygotes: int = 6
    pairs: int = 4
    trials: int = 1
    seed: int = 0


def calibrate(
    name: str,
    side: Side,
    *,
    effort: Effort,
    rule: Rule = RULE,
    plan: Plan = PLAN,
    crew: Callable[[Side, int], Team] = Crew,
    said: Callable[[str], None] = lambda text: None,
) -> Calibrated:
    """Return what pairs of this side scatter by here and now, and what the rule finds. `said` is told the progress.

    Raises SideBroke where the side cannot be measured.
    """
    said(f"{name}: {effort.zygotes * effort.pairs} pairs of equal sides")
    groups, pair_s = equal_pairs(side, effort, plan, crew)
    statistic = CORRECTED if all(CORRECTED in pair.shifts for group in groups for pair in group) else WALL
    shifts = [[pair.shifts[statistic] for pair in group] for group in groups]
    noise = calibration.noise_of(shifts, f"calibrated on {name}")
    blocks = [pair.block_sd for group in groups for pair in group]
    drawn = Drawn(shifts)
    unchanged = simulate(drawn, 0.0, rule, noise, SIMULATED, effort.seed)
    return Calibrated(
        name,
        statistic,
        calibration.with_interval(statistics.median(blocks), len(blocks)),
        calibration.pair_level(shifts),
        calibration.zygote_level(shifts),
        noise,
        unchanged.regressed / unchanged.trials,
        unchanged.pairs,
        smallest_found(drawn, rule, noise, effort.seed),
        tuple(_live(side, share, how, effort, rule, noise, plan, crew, said) for share, how in injected(effort)),
        pair_s,
        load_average(),
    )


def equal_pairs(
    side: Side, effort: Effort, plan: Plan, crew: Callable[[Side, int], Team]
) -> tuple[list[list[Pair]], float]:
    """Return pairs of the side with itself by zygote pair, without those that are dropped, and the seconds of one."""
    crews = (crew(side, effort.seed), crew(side, effort.seed))
    pairs = Pairs((side, side), crews, plan, random.Random(effort.seed))
    groups: list[list[Pair]] = []
    start = time.monotonic()
    try:
        for zygote in range(effort.zygotes):
            made = [pairs.make(zygote) for _ in range(effort.pairs)]
            groups.append([pair for pair in made if not pair.dropped])
            for one in crews:
                one.renew()
    finally:
        for one in crews:
            one.close()
    return [group for group in groups if group], (time.monotonic() - start) / (effort.zygotes * effort.pairs)


def injected(effort: Effort) -> list[tuple[float, How | None]]:
    """The live comparisons: none injected, then each share spun and slept; nothing where no trial is wanted."""
    if effort.trials < 1:
        return []
    return [(0.0, None), *((share, how) for how in HOWS for share in SHARES)]


def _live(
    side: Side,
    share: float,
    how: How | None,
    effort: Effort,
    rule: Rule,
    noise: Noise,
    plan: Plan,
    crew: Callable[[Side, int], Team],
    said: Callable[[str], None],
) -> Found:
    said(f"{effort.trials} comparisons with {share:.0%} injected{f' ({how})' if how else ''}")
    candidate = side if how is None else replace(side, load=slowed(side.load, share, how))
    verdicts = [
        side_by_side(side, candidate, rule=rule, noise=noise, plan=plan, seed=effort.seed + 1 + trial, crew=crew)
        for trial in range(effort.trials)
    ]
    changes = [verdict.change.value for verdict in verdicts if verdict.change is not None]
    kinds = [verdict.kind for verdict in verdicts]
    return Found(
        share,
        how or "",
        effort.trials,
        kinds.count("regressed"),
        kinds.count("same"),
        statistics.median(changes) if changes else None,
    )


def smallest_found(drawn: Draw, rule: Rule, noise: Noise, seed: int = 0) -> float | None:
    """Return the smallest slowdown of GRID that the rule finds in 90 % of trials on these pairs, None where none is."""
    for slowdown in GRID:
        found = simulate(drawn, slowdown, rule, noise, SIMULATED, seed)
        if found.regressed >= POWER * found.trials:
            return slowdown
    return None


def meaningless(found: Calibrated, rule: Rule) -> str:
    """Return why a tolerance says nothing for this cell, "" where it does."""
    if found.smallest is not None and found.smallest <= MEANINGLESS * rule.excluded:
        return ""
    least = "not even 50 %" if found.smallest is None else f"{found.smallest:.0%} at least"
    return (
        f"{found.name}: its pairs scatter by {found.pair.sd:.1%}, so that its tolerance of {rule.margin:.0%} is "
        f"meaningless here: a slowdown is found in 9 of 10 trials from {least}"
    )


def load_average() -> float:
    """The load average of the last minute, 0 where the system has none."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0


def summary(found: Sequence[Calibrated]) -> list[tuple[str, ...]]:
    """Return the rows of the table that `benchgate calibrate` prints."""
    return [
        (
            one.name,
            one.statistic,
            f"{one.block.sd:.2%}",
            f"{one.pair.sd:.2%} [{one.pair.low:.2%}, {one.pair.high:.2%}]",
            f"{one.zygote.sd:.2%} (below {one.zygote.high:.2%})",
            f"{one.alarms:.2%}",
            "-" if one.smallest is None else f"{one.smallest:.1%}",
            f"{one.pairs:.1f}",
            f"{one.verdict_minutes:.2f}",
            f"{one.load:.1f}",
        )
        for one in found
    ]


COLUMNS = (
    "name", "statistic", "sd of blocks", "of pairs [95 %]", "of zygotes", "false alarms", "found in 90 %",
    "pairs", "minutes", "load",
)  # fmt: skip

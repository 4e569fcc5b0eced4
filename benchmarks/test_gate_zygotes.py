"""Many independent pairs of zygotes of equal sides, live: what the gate's error rates are on this machine.

    pytest benchmarks/test_gate_zygotes.py -s --full      10 minutes a row: those of docs/gate.md

The noise is calibrated on the first zygotes as `benchgate calibrate` does, and the rule decides comparisons that are
drawn from the others, whole zygotes at a time, sides at random; slowdowns are added to their log ratios. Beside it the
rates where the spread were at the upper ends of its intervals.
"""

from __future__ import annotations

import os

import pytest
from busy import busy

from benchgate.gate.side_by_side import calibration
from benchgate.gate.side_by_side.calibrate import Effort, equal_pairs
from benchgate.gate.side_by_side.pairs import Crew, Plan, Side
from benchgate.gate.side_by_side.rule import RULE
from benchgate.gate.side_by_side.simulation import Drawn, Rates, Spread, simulate
from benchgate.gate.side_by_side.statistic import CORRECTED, WALL
from benchgate.gate.side_by_side.workloads import WORKLOADS

pytestmark = pytest.mark.full
ZYGOTES, CALIBRATING, CELLS = 100, 6, 20
SLOWDOWNS = (0.0, 0.02, 0.03, 0.05, 0.10)
MOST_ALARMS = 0.01


def said(rates: Rates) -> str:
    return f"{rates.regressed / rates.trials:.2%} / {rates.same / rates.trials:.1%} / {rates.pairs:.1f}"


@pytest.mark.parametrize("neighbours", [0, 1], ids=["quiet", "busy"])
@pytest.mark.parametrize("name", WORKLOADS)
def test_equal_sides(name, neighbours, capsys):
    """Regressed / same / mean pairs by slowdown; in 20 unchanged cells an alarm in at most one run of a hundred."""
    side = Side(WORKLOADS[name].load, WORKLOADS[name].preload)
    began = os.getloadavg()[0]
    with busy(neighbours):
        made, pair_s = equal_pairs(side, Effort(zygotes=ZYGOTES, pairs=RULE.a_zygote), Plan(), Crew)
    groups = [[pair.shifts.get(CORRECTED, pair.shifts[WALL]) for pair in group] for group in made]
    dropped = ZYGOTES * RULE.a_zygote - sum(map(len, groups))
    noise = calibration.noise_of(groups[:CALIBRATING])
    apart = groups[CALIBRATING:]
    drawn = Drawn([group for group in apart if group])
    pairs, zygotes = calibration.pair_level(apart), calibration.zygote_level(apart)
    worst = Spread(pairs.high, zygotes.high)
    with capsys.disabled():
        print(f"\n{name}, {neighbours} busy beside, load {began:.1f} when it began, {pair_s:.2f} s a pair")
        print(f"pairs {pairs}; zygotes {zygotes}; {dropped} pairs dropped, {len(drawn.groups)} zygotes drawn from")
        print(f"told: pairs {noise.pair_sd:.2%}, zygotes {noise.zygote_sd:.2%}")
        for slowdown in SLOWDOWNS:
            found, bound = (simulate(draw, slowdown, RULE, noise) for draw in (drawn, worst))
            run = (
                f", a run of {CELLS}: {found.of_a_run(CELLS):.2%}, {bound.of_a_run(CELLS):.2%}" if not slowdown else ""
            )
            print(f"| {name} | {slowdown:.0%} | {said(found)} | {said(bound)} |{run}")
    assert simulate(drawn, 0.0, RULE, noise).of_a_run(CELLS) <= MOST_ALARMS

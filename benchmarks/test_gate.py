"""The side-by-side gate live: equal sides and injected slowdowns, quiet and beside a busy process.

    pytest benchmarks/test_gate.py -s              a few minutes: that it works here
    pytest benchmarks/test_gate.py -s --full       hours: the figures of docs/gate.md

Each test prints a row of the docs' table, with the load average. What is asserted is what a small number of
comparisons can show: an equal candidate is never called regressed twice, a slowed one never the same.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace

import pytest
from busy import busy

from benchgate.core import stats
from benchgate.gate.side_by_side import calibration
from benchgate.gate.side_by_side.calibrate import Effort, equal_pairs
from benchgate.gate.side_by_side.driver import side_by_side
from benchgate.gate.side_by_side.pairs import Crew, Plan, Side
from benchgate.gate.side_by_side.statistic import CORRECTED, CPU, WALL
from benchgate.gate.side_by_side.workloads import WORKLOADS, slowed

# What may take the spread of a pair down, one at a time.
PLANS = {
    "free, 8 blocks of 40 ms": Plan(block_s=0.04, cycles=8, pinning="free"),
    "free, 16 of 30 ms": Plan(pinning="free"),
    "one CPU in turn, 8 of 40 ms": Plan(block_s=0.04, cycles=8),
    "one CPU in turn, 16 of 30 ms": Plan(),
    "one CPU in turn, 32 of 15 ms": Plan(block_s=0.015, cycles=32),
    "one CPU in turn, 2 workers a side": Plan(workers=2, cycles=8),
    "free, 2 workers a side": Plan(workers=2, cycles=8, pinning="free"),
}


@pytest.fixture(params=["quiet", "busy"])
def neighbour(request: pytest.FixtureRequest) -> Iterator[str]:
    """A process that does nothing but compute, or none."""
    with busy(int(request.param == "busy")):
        yield request.param


@pytest.fixture
def full(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--full", default=False))


def only_in_full(full: bool, wanted: bool) -> None:
    if wanted and not full:
        pytest.skip("takes long: with --full")


def side_of(name: str) -> Side:
    return Side(WORKLOADS[name].load, WORKLOADS[name].preload)


def say(*cells: object) -> None:
    load = f"{os.getloadavg()[0]:.1f}"
    print(f"| {' | '.join(str(cell) for cell in (*cells, load))} |")


@pytest.mark.parametrize("name", WORKLOADS)
def test_equal_sides(name, neighbour, full):
    """Spread by level with its bound, and comparisons of equal sides: none may be called regressed twice in a row."""
    only_in_full(full, name != "tokenizer")
    effort = Effort(zygotes=100 if full else 3, pairs=3)
    groups, pair_s = equal_pairs(side_of(name), effort, Plan(), Crew)
    noise = None
    for statistic in (WALL, CORRECTED, CPU):
        shifts = [[pair.shifts[statistic] for pair in group if statistic in pair.shifts] for group in groups]
        shifts = [group for group in shifts if group]
        if shifts:
            found = calibration.pair_level(shifts), calibration.zygote_level(shifts)
            say(name, neighbour, statistic, f"pairs {found[0]}", f"zygotes {found[1]}", f"{pair_s:.1f} s")
            noise = calibration.noise_of(shifts) if statistic == CORRECTED or noise is None else noise
    trials = 100 if full else 2
    verdicts = [side_by_side(side_of(name), side_of(name), noise=noise, seed=seed) for seed in range(trials)]
    kinds = [verdict.kind for verdict in verdicts]
    alarms = stats.proportion(kinds.count("regressed"), trials)
    used = sum(verdict.pairs for verdict in verdicts) / trials
    say(name, neighbour, f"{alarms.value:.1%} false alarms (below {alarms.high:.1%})", f"{used:.1f} pairs", *set(kinds))
    assert kinds.count("regressed") <= max(1, trials // 50)


@pytest.mark.parametrize("how", ["spin", "sleep"])
@pytest.mark.parametrize("name", ["tokenizer", "matmul"])
def test_a_slowdown(name, how, neighbour, full):
    """5 % (with --full 2, 3 and 10 % too) of a call's own time, spun and slept: never called the same."""
    only_in_full(full, name != "tokenizer")
    groups, _ = equal_pairs(side_of(name), Effort(zygotes=20 if full else 3, pairs=3), Plan(), Crew)
    shifts = [[pair.shifts.get(CORRECTED, pair.shifts[WALL]) for pair in group] for group in groups]
    noise = calibration.noise_of(shifts)
    trials = 40 if full else 1
    for share in (0.02, 0.03, 0.05, 0.10) if full else (0.05,):
        candidate = replace(side_of(name), load=slowed(WORKLOADS[name].load, share, how))
        verdicts = [side_by_side(side_of(name), candidate, noise=noise, seed=seed) for seed in range(trials)]
        kinds = [verdict.kind for verdict in verdicts]
        used = sum(verdict.pairs for verdict in verdicts) / trials
        found = f"regressed {kinds.count('regressed')}/{trials}, same {kinds.count('same')}"
        say(name, neighbour, f"{share:.0%} {how}", found, f"{used:.1f} pairs", f"sd {noise.pair_sd:.2%}", verdicts[0])
        if share >= 0.05:
            assert kinds.count("same") <= trials // 50


@pytest.mark.parametrize("name", WORKLOADS)
def test_what_takes_the_spread_down(name, neighbour, full):
    """Spread of pairs of equal sides by plan: a table, nothing is asserted of a machine's mood."""
    only_in_full(full, True)
    for title, plan in PLANS.items():
        groups, pair_s = equal_pairs(side_of(name), Effort(zygotes=20, pairs=3), plan, Crew)
        shifts = [[pair.shifts.get(CORRECTED, pair.shifts[WALL]) for pair in group] for group in groups]
        level = calibration.with_interval(
            calibration.clipped_sd([x for group in shifts for x in group]), sum(map(len, shifts))
        )
        say(name, neighbour, title, level, f"{pair_s:.1f} s")
        assert level.n > 0

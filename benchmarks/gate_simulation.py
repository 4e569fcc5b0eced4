"""Tables of docs/gate.md on the side-by-side rule: simulated, and over recorded samples where their folder is given.

    python benchmarks/gate_simulation.py [--trials 20000] [--data FOLDER | BENCHGATE_DATA=FOLDER]

Every table is seeded; live figures are `benchmarks/test_gate.py`'s.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import gate_recorded as recorded
import numpy as np

from benchgate.core import DataError
from benchgate.gate.side_by_side import calibration
from benchgate.gate.side_by_side.rule import ASSUMED, Noise, Rule
from benchgate.gate.side_by_side.simulation import Resampled, Spread, simulate

SLOWDOWNS = (0.0, 0.02, 0.03, 0.05, 0.10)
SPREADS = ((0.012, 0.0), (0.012, 0.004), (0.012, 0.008), (0.025, 0.0), (0.025, 0.004), (0.063, 0.004))
# (what the rule was told, what is so): an hour noisier than the calibration, or none at all.
WRONG = ((Noise(0.012, 0.002), (0.024, 0.002)), (Noise(0.012, 0.002), (0.036, 0.002)), (ASSUMED, (0.035, 0.010)))
CELLS = 20
# Of one run as others see it: rounds, their scatter, and how often and how much a round is held up.
ROUNDS, ROUND_SD, HELD_UP, HOLD = 200, 0.03, 0.02, 2.0


def row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def head(cells: Sequence[str]) -> Iterator[str]:
    yield row(cells)
    yield f"|{'---|' * len(cells)}"


def percent(share: float) -> str:
    return f"{100 * share:.2f}" if 0 < share < 0.01 else f"{100 * share:.0f}"


def simulated(trials: int) -> Iterator[str]:
    """Regressed % / same % / mean pairs by what the spread of pairs is, the rule knowing it."""
    yield from head(["sd, b of pairs (%)", *(f"{s:.0%} slower" for s in SLOWDOWNS), f"an alarm in {CELLS} unchanged"])
    for sd, b in SPREADS:
        found = [simulate(Spread(sd, b), s, trials=trials, seed=1) for s in SLOWDOWNS]
        told = [f"{percent(r.regressed / trials)}/{percent(r.same / trials)}/{r.pairs:.1f}" for r in found]
        bound = 1 - (1 - (found[0].share("regressed").high or 0.0)) ** CELLS
        yield row([f"{100 * sd:.1f}, {100 * b:.1f}", *told, f"{found[0].of_a_run(CELLS):.1%} (below {bound:.1%})"])


def misled(trials: int) -> Iterator[str]:
    """The same where the rule was told another spread than is so."""
    yield from head(["told sd, b (%)", "true sd, b (%)", "0 % slower", "5 % slower", f"an alarm in {CELLS} unchanged"])
    for noise, (sd, b) in WRONG:
        found = [simulate(Spread(sd, b), s, noise=noise, trials=trials, seed=2) for s in (0.0, 0.05)]
        told = [f"{percent(r.regressed / trials)}/{percent(r.same / trials)}/{r.pairs:.1f}" for r in found]
        sides = [f"{100 * x:.1f}, {100 * y:.1f}" for x, y in ((noise.pair_sd, noise.zygote_sd), (sd, b))]
        yield row([*sides, *told, f"{found[0].of_a_run(CELLS):.1%}"])


def a_run(rng: Any, sd: float, slowdown: float) -> list[float]:
    """Rounds of one process: its own level, scatter, and rounds that a neighbour holds up."""
    level = math.log1p(slowdown) + rng.normal(0, sd / math.sqrt(2))
    held = np.where(rng.random(ROUNDS) < HELD_UP, math.log(HOLD), 0.0)
    found: list[float] = np.exp(level + rng.normal(0, ROUND_SD, ROUNDS) + held).tolist()
    return found


def others_simulated(trials: int) -> Iterator[str]:
    """Alarm % of what others decide by, one run of each side, with no drift between them at all."""
    yield from head(["rule", *(f"sd {100 * sd:.1f} %, {s:.0%}" for sd in (0.012, 0.025) for s in (0.0, 0.05))])
    rng = np.random.default_rng(3)
    pairs = {
        (sd, s): [(a_run(rng, sd, 0.0), a_run(rng, sd, s)) for _ in range(trials)]
        for sd in (0.012, 0.025)
        for s in (0.0, 0.05)
    }
    for name, fires in recorded.OTHERS.items():
        yield row([name, *(percent(np.mean([fires(*pair) for pair in found])) for found in pairs.values())])


def over_recorded(folder: Path, trials: int) -> Iterator[str]:
    """The rule over recorded pairs, drawn again: by wall and by CPU time, calibrated on the same workload's pairs."""
    sessions = recorded.read(folder, "I_*.json.gz")
    yield from head(
        [
            "workload, statistic",
            "sd (%)",
            "alarm % as measured",
            "alarm %, sides at random",
            "5 %: found/same %",
            "10 %",
        ]
    )
    for workload in recorded.workloads(sessions):
        for column, name in ((recorded.WALL, "wall"), (recorded.CPU, "CPU")):
            unchanged = recorded.shifts(sessions, workload, column, 0)
            noise = calibration.noise_of([[shift] for shift in unchanged])
            alarms = [
                simulate(Resampled(tuple(unchanged), swapped), 0.0, noise=noise, trials=trials, seed=4).regressed
                / trials
                for swapped in (False, True)
            ]
            found = [
                simulate(Resampled(tuple(slower)), 0.0, noise=noise, trials=trials, seed=5)
                for slower in (recorded.shifts(sessions, workload, column, p) for p in (5, 10))
            ]
            yield row(
                [
                    f"{workload}, {name}",
                    f"{100 * noise.pair_sd:.1f}",
                    *(f"{alarm:.2%}" for alarm in alarms),
                    *(f"{percent(r.regressed / trials)}/{percent(r.same / trials)}" for r in found),
                ]
            )


def others_recorded(folder: Path, seed: int = 6, draws: int = 400) -> Iterator[str]:
    """Alarm % of what others decide by over recorded runs, the candidate's at another moment than the baseline's."""
    names = recorded.workloads(recorded.read(folder, "I_*.json.gz"))
    rng = np.random.default_rng(seed)
    runs = {(name, p): recorded.runs(folder, name, p) for name in names for p in (0, 5, 10)}
    yield from head(["rule", "unchanged", "5 % slower", "10 % slower"])
    for rule, fires in recorded.OTHERS.items():
        shares = []
        for p in (0, 5, 10):
            hits = []
            for name in names:
                baselines, candidates = runs[name, 0], runs[name, p]
                for _ in range(draws // len(names)):
                    i, j = int(rng.integers(len(baselines))), int(rng.integers(len(candidates)))
                    if p or i != j:
                        hits.append(fires(baselines[i], candidates[j]))
            shares.append(percent(np.mean(hits)))
        yield row([rule, *shares])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=20_000)
    parser.add_argument("--data", help="folder of recorded samples; default: BENCHGATE_DATA")
    arguments = parser.parse_args()
    data = arguments.data or os.environ.get("BENCHGATE_DATA")
    rule = Rule()
    print(f"margin {rule.margin:.0%}, excluded {rule.excluded:.0%}, looks {rule.looks}; {arguments.trials} trials\n")
    tables = [
        ("Simulated: regressed % / same % / mean pairs", simulated(arguments.trials)),
        ("Simulated, the rule told a wrong spread", misled(arguments.trials)),
        ("Simulated: alarms % of other rules, no drift", others_simulated(arguments.trials // 20)),
    ]
    if data:
        folder = Path(data)
        tables += [
            ("Recorded pairs, drawn again", over_recorded(folder, arguments.trials)),
            ("Recorded runs: alarms % of other rules", others_recorded(folder)),
        ]
    for title, lines in tables:
        print(f"### {title}\n")
        print("\n".join(lines), end="\n\n")


if __name__ == "__main__":
    try:
        main()
    except DataError as error:
        sys.exit(str(error))

"""How often `benchgate history` finds a change where there is none, and how often it finds one that is there.

    python benchmarks/history_alarms.py [--trials 1000]

Lines are simulated: figures scatter by 2 % around one value, by noise of several kinds; `found` is the share of lines
with a step of so many standard deviations in which a change is told within one run of it. Nothing is timed.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping

import numpy as np
from scipy.stats import beta

from benchgate.core.metrics import TABLE
from benchgate.gate.change_points import course
from benchgate.report.grid import Grid, rendered

Draw = Callable[[np.random.Generator, int], np.ndarray]
ROW = TABLE["latency_median_s"]
SPREAD = 0.02
NOISES: Mapping[str, Draw] = {
    "normal": lambda draw, n: draw.normal(size=n),
    "Laplace": lambda draw, n: draw.laplace(size=n) / np.sqrt(2),
    "one run in 20 is bad": lambda draw, n: draw.normal(size=n) + (draw.random(n) < 0.05) * draw.exponential(8, n),
    "long tail (lognormal)": lambda draw, n: np.exp(draw.normal(size=n)) / 2.16,
}
RUNS = (8, 12, 20, 50)
# Runs, the run before which the step is, its size in standard deviations.
STEPS = ((8, 4, 5), (8, 4, 8), (20, 10, 3), (20, 10, 5), (20, 17, 5), (20, 17, 8))


def found_in(noise: np.ndarray, at: int = 0, size: float = 0.0) -> list[int]:
    """Return where a change is told in a line of this noise, with a step before run `at`."""
    shifted = noise + size * (np.arange(len(noise)) >= at) * bool(at)
    return [step.at for step in course([float(value) for value in np.exp(SPREAD * shifted)], ROW).steps]


def alarms(noise: str, runs: int, trials: int, seed: int = 0) -> int:
    """Return in how many of the simulated lines without a change one is found."""
    draw = np.random.default_rng([seed, runs, *noise.encode()])
    return sum(bool(found_in(NOISES[noise](draw, runs))) for _ in range(trials))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=1000)
    trials = parser.parse_args().trials
    rows = []
    for noise in NOISES:
        for runs in RUNS:
            count = alarms(noise, runs, trials)
            rows.append((noise, runs, f"{count / trials:.2%}", f"{beta.ppf(0.975, count + 1, trials - count):.2%}"))
    notes = (f"{trials} lines each; below: the 95 % upper bound of the rate",)
    print(
        rendered([Grid("false alarms a line", ("noise", "runs", "alarms", "below"), tuple(rows), notes)], "markdown", 0)
    )
    found = []
    for runs, at, size in STEPS:
        draw = np.random.default_rng([runs, at, size])
        hits = sum(
            any(abs(step - at) <= 1 for step in found_in(draw.normal(size=runs), at, size)) for _ in range(trials)
        )
        found.append((runs, runs - at, size, f"{hits / trials:.0%}"))
    print(rendered([Grid("steps", ("runs", "of them after it", "step in sd", "found"), tuple(found))], "markdown", 0))


if __name__ == "__main__":
    main()

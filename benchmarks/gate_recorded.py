"""Recorded timings of processes as the rule sees them: pairs measured in turn, runs measured apart.

The files are not part of this repository; `gate_simulation.py --data FOLDER` names the folder. `I_*.json.gz`: sessions
of processes measured in turn, block by block; `S<percent>_*.json.gz`: one process alone. They hold wall and CPU time of
each round and no run-queue delay, so that the corrected statistic cannot be formed: CPU time stands in for it.
"""

from __future__ import annotations

import gzip
import json
import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchgate.core import DataError
from benchgate.gate.side_by_side.statistic import hodges_lehmann, p25

WALL, CPU = 0, 1
NOT_WORKLOADS = {"t", "startup", "var", "load", "pct"}
# Mann-Whitney at this many rounds a run, as people use it.
ROUNDS = 200
Run = Sequence[float]


def read(folder: Path, pattern: str) -> list[dict[str, Any]]:
    """Return the recordings of a kind, oldest first. Raises DataError where there is none."""
    files = sorted(folder.glob(pattern))
    if not files:
        raise DataError(f"{folder} has no {pattern}: give the folder of recorded samples by --data or BENCHGATE_DATA")
    return [json.loads(gzip.decompress(path.read_bytes())) for path in files]


def workloads(recordings: Sequence[dict[str, Any]]) -> list[str]:
    return [name for name in recordings[0] if name not in NOT_WORKLOADS]


def shifts(sessions: Sequence[dict[str, Any]], workload: str, column: int, percent: float) -> list[float]:
    """Log ratios of the pairs of processes measured in turn: one unchanged, the other slowed down by `percent`."""
    return [
        hodges_lehmann(levels[first], levels[second])
        for session in sessions
        for levels in [_levels(session[workload]["data"], column)]
        for first, second in _pairs(session["var"], percent)
    ]


def _levels(processes: Sequence[Any], column: int) -> list[list[float]]:
    return [[math.log(p25(block[column]["data"])) for block in process] for process in processes]


def _pairs(percents: Sequence[float], percent: float) -> Iterator[tuple[int, int]]:
    unchanged = [i for i, value in enumerate(percents) if value == 0]
    if percent == 0:
        yield from ((i, j) for i in unchanged for j in unchanged if i < j)
        return
    yield from ((i, j) for i in unchanged for j, value in enumerate(percents) if value == percent)


def runs(folder: Path, workload: str, percent: int) -> list[Run]:
    """Wall times of the rounds of each process that ran alone."""
    return [found[workload]["w"]["data"] for found in read(folder, f"S{percent}_*.json.gz")]


def _mann_whitney(baseline: Run, candidate: Run) -> bool:
    from scipy.stats import mannwhitneyu

    tested = mannwhitneyu(candidate[:ROUNDS], baseline[:ROUNDS], alternative="greater")
    return bool(tested.pvalue < 0.01)


def above(summary: Callable[[Run], float], limit: float) -> Callable[[Run, Run], bool]:
    """Return the rule "the candidate's summary is above the baseline's by more than `limit`"."""
    return lambda baseline, candidate: summary(candidate) > (1 + limit) * summary(baseline)


# What others decide by, over a baseline's run and a candidate's made at another moment.
OTHERS: dict[str, Callable[[Run, Run], bool]] = {
    "pytest-benchmark mean:5%": above(statistics.fmean, 0.05),
    "pytest-benchmark median:5%": above(statistics.median, 0.05),
    "pytest-benchmark min:5%": above(min, 0.05),
    "ratio of medians 1.2": above(statistics.median, 0.20),
    "Mann-Whitney on rounds, p < .01": _mann_whitney,
}

"""The other metrics of two sides: one table says how each group is decided, one function an entry.

Times need pairs and the rule. Memory is weighed in processes of its own, each side apart, once or twice; a size is
exact; accuracy is decided on the same examples by the non-inferiority test of `gate.paired`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from benchgate.core import DataError
from benchgate.core.metrics import OTHER, Row
from benchgate.gate import paired
from benchgate.gate.side_by_side.verdict import Change, Verdict

Method = Literal["pairs of workers", "peaks of each side", "exact", "paired by example", "not side by side"]
# Groups of the metric table -> how two sides are compared. A throughput is the reciprocal of a time that has its row.
METHODS: Mapping[str, Method] = {
    "time": "pairs of workers",
    "throughput": "not side by side",
    "memory": "peaks of each side",
    "energy": "not side by side",
    "size": "exact",
    "accuracy": "paired by example",
    OTHER: "not side by side",
}
MOST_PEAKS = 3
# It lets a change of exactly the tolerance pass in spite of binary fractions.
ROOM = 1e-12


@dataclass(frozen=True)
class Peaks:
    """Peak bytes of one side, one a fresh process."""

    values: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.values or not all(0 < value < float("inf") for value in self.values):
            raise DataError(f"peaks {self.values}: at least one, each above 0 bytes; absent is never zero")


def memory(row: Row, baseline: Peaks, candidate: Peaks) -> Verdict:
    """The verdict on peaks: only where each of the candidate's is beyond what the baseline's largest allows, or none
    beyond what its smallest does. What is between is *inconclusive* and asks for another process of each side."""
    tolerance = max(row.tolerance or 0.0, row.slack / _median(baseline))
    change = Change(
        _median(candidate) / _median(baseline) - 1,
        min(candidate.values) / max(baseline.values) - 1,
        max(candidate.values) / min(baseline.values) - 1,
    )
    told = _told(row, _median(baseline), _median(candidate))
    pairs = min(len(baseline.values), len(candidate.values))
    if change.low > tolerance + ROOM:
        return Verdict("regressed", told, change=change, pairs=pairs)
    if change.high < -tolerance - ROOM:
        return Verdict("improved", told, change=change, pairs=pairs)
    if change.high <= tolerance + ROOM:
        return Verdict("same", told, change=change, pairs=pairs)
    more = "weigh each side once more" if pairs < MOST_PEAKS else "its peaks differ too much from run to run"
    return Verdict("inconclusive", told, change=change, pairs=pairs, decide=more)


def _told(row: Row, baseline: float, candidate: float) -> str:
    least = f", and {row.slack:.10g} {row.unit} in any case" if row.slack else ""
    return f"{baseline:.10g} -> {candidate:.10g} {row.unit}, allowed {row.tolerance or 0.0:g} relative{least}"


def _median(peaks: Peaks) -> float:
    ordered = sorted(peaks.values)
    return ordered[len(ordered) // 2]


def size(row: Row, baseline: float, candidate: float) -> Verdict:
    """The verdict on two sizes, which are exact: a byte beyond the tolerance has regressed."""
    if not (baseline > 0 and candidate > 0):
        raise DataError(f"{row.name} of {baseline} and {candidate} {row.unit}: a size that is absent is never zero")
    value = candidate / baseline - 1
    tolerance = row.tolerance or 0.0
    told = _told(row, baseline, candidate)
    worse, better = value > tolerance + ROOM, value < -tolerance - ROOM
    kind: Literal["regressed", "improved", "same"] = "regressed" if worse else "improved" if better else "same"
    return Verdict(kind, told, change=Change(value, value, value))


def accuracy(row: Row, baseline: Sequence[float], candidate: Sequence[float]) -> Verdict:
    """The verdict on hits of both sides on the same examples: is the candidate's accuracy within the tolerance?

    A row's tolerance for accuracies is in points; what the candidate must keep is that much below the baseline's.
    """
    before = sum(baseline) / max(len(baseline), 1)
    tolerance = row.tolerance or 0.0
    share = 1 - (tolerance / before if row.absolute and before > 0 else tolerance)
    if not 0 < share < 1:
        raise DataError(
            f"{row.name} of {before:g} with a tolerance of {tolerance:g}: nothing that could be lost is left to test; "
            "give a tolerance between 0 and the baseline's"
        )
    found = paired.judge(baseline, candidate, share, row.name)
    kinds: Mapping[str, Literal["same", "regressed", "inconclusive"]] = {
        "holds": "same",
        "fails": "regressed",
        "undecidable": "inconclusive",
    }
    decide = found.advice if found.answer == "undecidable" else ""
    return Verdict(kinds[found.answer], str(found).removesuffix(f": {decide}"), decide=decide)

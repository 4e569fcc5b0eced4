"""Size, memory and accuracy of two versions of a cell, by the table of `gate.side_by_side.beside_time`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from benchgate.core import DataError
from benchgate.core.metrics import OTHER, Row, row_of
from benchgate.gate import paired
from benchgate.gate.baselines import worse_by
from benchgate.gate.comparable import comparable
from benchgate.gate.side_by_side import beside_time
from benchgate.gate.side_by_side.beside_time import MOST_PEAKS, Peaks
from benchgate.gate.side_by_side.verdict import Change, Kind, Verdict
from benchgate.results import Record

METERS = ("size", "memory")
# Versions of packages may differ between the sides: that they do is what is asked about.
APART = frozenset({"packages", "machine"})
KINDS: dict[int, Kind] = {1: "regressed", 0: "same", -1: "improved"}
Records = Callable[[Sequence[str]], tuple[Record, Record]]


def exact(records: Records, meters: Sequence[str]) -> dict[str, Verdict]:
    """Return verdicts by metric, of all that have a tolerance. `records(meters)` measures both, the baseline first."""
    old, new = records(meters)
    peaks: list[tuple[Record, Record]] = [(old, new)]
    found: dict[str, Verdict] = {}
    for name in dict.fromkeys([*old.metrics, *new.metrics]):
        row = new.rows.get(name) or row_of(name, new.metrics.get(name) or old.metrics[name])
        method = beside_time.METHODS.get(row.group, beside_time.METHODS[OTHER])
        if row.tolerance is None or method in ("pairs of workers", "not side by side"):
            continue
        if name not in new.metrics or name not in old.metrics:
            side, record = ("candidate", new) if name not in new.metrics else ("baseline", old)
            reason = record.missing.get(name, "it was not measured")
            found[name] = Verdict("not comparable", f"the {side} has no {name}: {reason}")
            continue
        if (why := comparable(row, new, old, APART)) is not None:
            found[name] = Verdict("not comparable", why)
            continue
        if row.group == "memory":
            found[name] = _memory(row, peaks, records)
        else:
            found[name] = _size(row, old, new) if row.group == "size" else _accuracy(row, old, new)
    return found


def _size(row: Row, old: Record, new: Record) -> Verdict:
    return beside_time.size(row, old.metrics[row.name].value, new.metrics[row.name].value)


def _memory(row: Row, made: list[tuple[Record, Record]], records: Records) -> Verdict:
    """Weigh again what cannot be told, and what one weighing calls regressed: a single odd peak must not fail a run.

    What was weighed is kept in `made` for the next metric.
    """
    while True:
        having = [pair for pair in made if all(row.name in record.metrics for record in pair)]
        sides = (Peaks(tuple(pair[number].metrics[row.name].value for pair in having)) for number in (0, 1))
        verdict = beside_time.memory(row, *sides)
        again = verdict.kind == "inconclusive" or (verdict.kind == "regressed" and len(having) < 2)
        if not again or len(made) >= MOST_PEAKS:
            return verdict
        made.append(records(("memory",)))


def _accuracy(row: Row, old: Record, new: Record) -> Verdict:
    """Paired by example where there are hits; else by the means and the tolerance."""
    before, now = old.metrics[row.name].value, new.metrics[row.name].value
    try:
        hits = paired.examples_of(old, new, row.name)
        if set(hits[0]) | set(hits[1]) <= {0.0, 1.0} and before > 0:
            if hits[0] == hits[1]:
                return Verdict("same", f"{before:g}: the same {len(hits[0])} answers")
            return beside_time.accuracy(row, *hits)
    except DataError:
        # No single results, or none that can be paired: the means are all there is.
        pass
    change = Change(*([now / before - 1] * 3)) if before else None
    scale = "absolute" if row.absolute else "relative"
    told = f"{before:.6g} -> {now:.6g}, allowed {row.tolerance:g} {scale}"
    return Verdict(KINDS[worse_by(row, now, before)], told, change=change)

"""The gate: pure functions over records. Nothing is read, measured or printed here.

`compare(record, baselines)` answers for one cell, `compare_sessions` for two sets. comparable.py decides what
may be compared, policy.py puts the tolerances into the record, baselines.py says which baseline counts.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from benchgate.core.metrics import Row, row_of
from benchgate.gate.baselines import Baselines, anchor, worse_by
from benchgate.gate.comparable import comparable, other_cell, unstable
from benchgate.gate.disturbed import disturbance
from benchgate.gate.findings import SUSPICIOUS, Finding, Kind
from benchgate.gate.policy import Policy, resolved
from benchgate.gate.promoted import alone, merged
from benchgate.results import Record

# In the details of a record: the promoted baseline that its run held it against.
PROMOTED = "promoted"
VERDICTS: dict[int, Kind] = {1: "regressed", 0: "unchanged", -1: "improved"}


def compare(record: Record, baselines: Baselines) -> list[Finding]:
    """Findings for one measured cell against the baselines of the same key (others are passed over).

    The cell is "new" without a usable baseline, and where all are of another model version or other parameters. The
    tolerances are those in the record. The promoted baseline counts too, and alone where no stored run has the cell.
    """
    found, promoted = _against(record, baselines), baselines.promoted
    if promoted is None:
        return found
    reference = Baselines(promoted.records)
    if not reference.of(record.key):
        return found
    beside = _against(record, reference)
    return merged(found, beside, promoted) if baselines.of(record.key) else alone(beside, promoted)


def _against(record: Record, baselines: Baselines) -> list[Finding]:
    same_key = baselines.of(record.key)
    if not same_key:
        return [Finding("new", record.key, reason="no passed baseline has this cell")]
    usable = [baseline for baseline in same_key if other_cell(record, baseline) is None]
    if not usable:
        newest = same_key[-1]
        kind: Kind = "not compared" if unstable(record) or unstable(newest) else "new"
        return [Finding(kind, record.key, reason=other_cell(record, newest) or "")]
    names = dict.fromkeys([*record.metrics, *(name for b in usable for name in b.metrics)])
    return [_compare_metric(name, record, usable, baselines) for name in names]


def _compare_metric(name: str, record: Record, usable: Sequence[Record], baselines: Baselines) -> Finding:
    having = [baseline for baseline in usable if name in baseline.metrics]
    now = record.metrics.get(name)
    if not having:
        return Finding("new", record.key, name, reason="no baseline has this metric")
    row = _row(name, record, having[-1])
    candidates = [baseline for baseline in having if comparable(row, record, baseline) is None]
    quiet = [baseline for baseline in candidates if disturbance(row, baseline) is None]
    value = None if now is None else now.value
    if not candidates:
        reason = comparable(row, record, having[-1]) or ""
        return Finding("not compared", record.key, name, value, tolerance=row.tolerance, reason=reason)
    if value is None:
        reason = record.missing.get(name, "it was not measured")
        # A figure that needs more samples than this run had is no finding; a floor that vanished is.
        kind: Kind = "informative" if row.tolerance is None else "no longer measured"
        return Finding(kind, record.key, name, reason=reason)
    reference = baselines.reference(name, quiet or candidates)
    if row.tolerance is None:
        return Finding("informative", record.key, name, value, reference)
    now_disturbed = disturbance(row, record)
    if now_disturbed or not quiet:
        reason = f"disturbed: {now_disturbed or disturbance(row, candidates[-1])}"
        if not now_disturbed:
            reason = f"the baseline was {reason}"
        return Finding("inconclusive", record.key, name, value, reference, row.tolerance, reason, row.absolute)
    kind = _verdict(row, value, reference)
    found = Finding(kind, record.key, name, value, reference, row.tolerance, "", row.absolute, row.noise)
    return _drift(found, row, value, quiet) if baselines.newest else found


def _row(name: str, record: Record, baseline: Record) -> Row:
    """The metric's row as it was when the cell was measured, else as it was for the baseline, else the table's."""
    known = record.rows.get(name) or baseline.rows.get(name)
    return known or row_of(name, record.metrics.get(name) or baseline.metrics[name])


def _verdict(row: Row, now: float, reference: float) -> Kind:
    """Worse or better than `reference` by more than the tolerance; a time that is worse is suspicious by default.

    NaN and infinity are worse than anything: they compare as false and would otherwise pass. No noise explains them.
    """
    if not math.isfinite(now):
        return "regressed"
    found = VERDICTS[worse_by(row, now, reference)]
    return SUSPICIOUS if row.suspect and found == "regressed" else found


def _drift(found: Finding, row: Row, now: float, candidates: Sequence[Record]) -> Finding:
    """The finding itself, or "drifted" (of a time suspicious): no step was too large, and all together are."""
    first = anchor(row, candidates)
    if found.kind in ("regressed", SUSPICIOUS) or worse_by(row, now, first) <= 0:
        return found
    kind: Kind = SUSPICIOUS if row.suspect else "drifted"
    reason = f"in small steps; since the run before {found.baseline:.6g} -> {now:.6g}"
    return replace(found, kind=kind, baseline=first, reason=reason)


def compare_sessions(current: Sequence[Record], baselines: Baselines, policy: Policy | None = None) -> list[Finding]:
    """Findings for a whole set: each current record, then the baselines' cells that are gone or skipped now.

    `policy` is for records that hold no tolerances, which older versions wrote.
    """
    findings: list[Finding] = []
    for record in current:
        if record.outcome in ("skipped", "running"):
            continue
        if not record.passed:
            reason = f"the cell {record.outcome}" + (f": {record.reason}" if record.reason else "")
            findings.append(Finding("regressed", record.key, reason=reason))
            continue
        findings += compare(record if record.rows else resolved(record, policy or Policy()), baselines)
        findings += _other_reference(record, baselines)
    return findings + gone(baselines, current)


def _other_reference(record: Record, baselines: Baselines) -> Iterator[Finding]:
    """A finding where the run that measured the record was held against a promoted baseline that is not at hand."""
    then, now = record.details.get(PROMOTED), baselines.promoted.identity if baselines.promoted else None
    if then is not None and then != now:
        reason = f"the run was held against promoted baseline {then}, here is {now or 'none'}; call it in its project"
        yield Finding("not compared", record.key, reason=reason)


def gone(baselines: Iterable[Record], current: Iterable[Record]) -> list[Finding]:
    """A finding for each cell that passed in a baseline and was not measured, or not to its end, now."""
    said = {"skipped": "skipped now: {}", "running": "interrupted"}
    seen = {record.key: record for record in current}
    keys = dict.fromkeys(b.key for b in baselines if b.is_baseline)
    return [
        Finding("gone", key, reason="" if key not in seen else said[seen[key].outcome].format(seen[key].reason))
        for key in keys
        if key not in seen or seen[key].outcome in said
    ]

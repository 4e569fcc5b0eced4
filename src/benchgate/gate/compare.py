"""The gate: pure functions over records and the metric table. Nothing is read, measured or printed here.

`compare(record, baselines, policy)` answers for one cell, `compare_sessions` for two whole sets of records.
This first form holds a value against the median of its comparable baselines with a tolerance a metric.
"""

from __future__ import annotations

import fnmatch
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from benchgate.core import BenchgateError, Metric, unknown_name
from benchgate.core.metrics import TABLE, Row, row_of
from benchgate.machine.fingerprint import differences
from benchgate.results import Record

Kind = Literal["regressed", "improved", "unchanged", "informative", "new", "gone", "not compared", "no longer measured"]
FAILING: frozenset[str] = frozenset({"regressed", "no longer measured"})
STRICT: frozenset[str] = FAILING | {"new", "gone"}


@dataclass(frozen=True)
class Finding:
    """What the gate has to say of one metric of one cell (`metric` is "" for the cell as a whole)."""

    kind: Kind
    key: str
    metric: str = ""
    now: float | None = None
    baseline: float | None = None
    tolerance: float | None = None
    reason: str = ""

    @property
    def change(self) -> float | None:
        """(now - baseline) / |baseline|; None where the baseline is 0 or there is none."""
        if self.now is None or not self.baseline:
            return None
        return (self.now - self.baseline) / abs(self.baseline)

    def __str__(self) -> str:
        if not self.metric:
            return f"{self.key}: {self.kind}" + (f": {self.reason}" if self.reason else "")
        if self.now is None or self.baseline is None:
            return f"{self.metric} {self.kind}: {self.reason}"
        change = "" if self.change is None else f" ({self.change:+.1%})"
        limit = "" if self.tolerance is None else f", allowed {self.tolerance:g}{_scale(self)}"
        return f"{self.metric} {self.kind}: {self.baseline:.6g} -> {self.now:.6g}{change}{limit}"


def _scale(finding: Finding) -> str:
    row = TABLE.get(finding.metric)
    return " absolute" if row is not None and row.absolute else " relative"


@dataclass(frozen=True)
class Policy:
    """Tolerances: the table's, overridden by `tolerances` (metric -> value) and then by `cells` (glob -> those)."""

    tolerances: Mapping[str, float] = field(default_factory=dict)
    cells: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def tolerance(self, key: str, row: Row, own: Mapping[str, float]) -> float | None:
        """The tolerance of one metric of one cell: the mark's (`own`), the cell's, the project's, the table's."""
        # Node ids end in [...]: brackets stand for themselves, only * and ? are wild.
        matching = [values for glob, values in self.cells.items() if fnmatch.fnmatchcase(key, glob.replace("[", "[[]"))]
        for source in (own, *reversed(matching), self.tolerances):
            if row.name in source:
                return source[row.name]
        return row.tolerance


def parse_policy(raw: Any, where: str) -> Policy:
    """`[tool.benchgate.gate]` as a Policy: metric = tolerance, and `cells."glob"` tables of the same.

    Raises BenchgateError naming the entry for an unknown metric or a tolerance that is no number >= 0.
    """
    if not isinstance(raw, Mapping):
        raise BenchgateError(f"{where}: must be a table, got {raw!r}")
    cells = raw.get("cells", {})
    if not isinstance(cells, Mapping):
        raise BenchgateError(f"{where}.cells: must be a table of glob = tolerances, got {cells!r}")
    own = {name: value for name, value in raw.items() if name != "cells"}
    return Policy(
        parse_tolerances(own, where),
        {glob: parse_tolerances(values, f'{where}.cells."{glob}"') for glob, values in cells.items()},
    )


def parse_tolerances(raw: Any, where: str) -> dict[str, float]:
    """metric -> tolerance >= 0. Raises BenchgateError for anything else; names outside the table are typing errors."""
    if not isinstance(raw, Mapping):
        raise BenchgateError(f"{where}: must be a table of metric = tolerance, got {raw!r}")
    for name, value in raw.items():
        if name not in TABLE:
            raise BenchgateError(f"{where}: {unknown_name('metric', name, sorted(TABLE))}")
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
            raise BenchgateError(f"{where}.{name}: a tolerance is a number >= 0 (0.1 = 10 %), got {value!r}")
    return {name: float(value) for name, value in raw.items()}


def compare(
    record: Record, baselines: Sequence[Record], policy: Policy | None = None, own: Mapping[str, float] | None = None
) -> list[Finding]:
    """Findings for one measured cell against the baselines of the same key (others are passed over).

    No usable baseline, or one of another model version or other parameters, makes the cell "new". `own` are the
    tolerances of its mark.
    """
    policy, own = policy or Policy(), own or {}
    same_key = [b for b in baselines if b.key == record.key and b.is_baseline]
    if not same_key:
        return [Finding("new", record.key, reason="no passed baseline has this cell")]
    usable = [b for b in same_key if b.version == record.version and dict(b.params) == dict(record.params)]
    if not usable:
        return [Finding("new", record.key, reason=_changed(record, same_key[-1]))]
    names = dict.fromkeys([*record.metrics, *(name for b in usable for name in b.metrics)])
    return [_compare_metric(name, record, usable, policy, own) for name in names]


def _changed(record: Record, baseline: Record) -> str:
    """What makes a cell of the same name another one: its model's version, or what the test passes to `measure`."""
    if baseline.version != record.version:
        return f"model version {baseline.version!r} -> {record.version!r}"
    return "parameters changed: " + ", ".join(differences(record.params, baseline.params))


def _compare_metric(
    name: str, record: Record, baselines: Sequence[Record], policy: Policy, own: Mapping[str, float]
) -> Finding:
    having = [b for b in baselines if name in b.metrics]
    now = record.metrics.get(name)
    if not having:
        return Finding("new", record.key, name, reason="no baseline has this metric")
    row = row_of(name, now or having[-1].metrics[name])
    comparable = having if row.across_machines else [b for b in having if not _why_not(record, b)]
    if not comparable:
        value = None if now is None else now.value
        return Finding("not compared", record.key, name, value, reason=f"other machine: {_why_not(record, having[-1])}")
    if now is None:
        reason = record.missing.get(name, "it was not measured")
        # A figure that needs more samples than this run had is no finding; a floor that vanished is.
        kind: Kind = "informative" if policy.tolerance(record.key, row, own) is None else "no longer measured"
        return Finding(kind, record.key, name, reason=reason)
    reference = statistics.median(b.metrics[name].value for b in comparable)
    tolerance = policy.tolerance(record.key, row, own)
    if tolerance is None:
        return Finding("informative", record.key, name, now.value, reference)
    return Finding(_verdict(now, reference, tolerance, row), record.key, name, now.value, reference, tolerance)


def _why_not(record: Record, baseline: Record) -> str:
    """What differs between the machines of two records, or "" when their times may be compared."""
    ours = {**record.machine, **record.packages, "threads": record.details.get("threads")}
    theirs = {**baseline.machine, **baseline.packages, "threads": baseline.details.get("threads")}
    return ", ".join(differences(ours, theirs))


def _verdict(now: Metric, reference: float, tolerance: float, row: Row) -> Kind:
    """Worse or better than `reference` by more than the tolerance, which is relative or (accuracies) absolute.

    NaN and infinity are worse than anything: they compare as false and would otherwise pass.
    """
    if not math.isfinite(now.value):
        return "regressed"
    worse = now.value - reference if row.better == "lower" else reference - now.value
    limit = tolerance if row.absolute else tolerance * abs(reference)
    # The slack lets a change of exactly the tolerance pass in spite of binary fractions.
    slack = 1e-12 * max(abs(now.value), abs(reference))
    if worse > limit + slack:
        return "regressed"
    return "improved" if -worse > limit + slack else "unchanged"


def compare_sessions(
    current: Sequence[Record], baselines: Sequence[Record], policy: Policy | None = None
) -> list[Finding]:
    """Findings for a whole set: each current record, then the baselines' cells that are gone or skipped now."""
    findings: list[Finding] = []
    for record in current:
        if record.outcome in ("skipped", "running"):
            continue
        if not record.passed:
            reason = f"the cell {record.outcome}" + (f": {record.reason}" if record.reason else "")
            findings.append(Finding("regressed", record.key, reason=reason))
            continue
        findings += compare(record, baselines, policy)
    return findings + gone(baselines, current)


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


def last_passed(sessions: Sequence[Sequence[Record]]) -> list[Record]:
    """The newest usable record of each key over stored sessions, oldest first.

    This is what stops laundering: a failed run that was saved is not the next run's baseline, the last good one is.
    """
    newest: dict[str, Record] = {}
    for session in sessions:
        newest.update({record.key: record for record in session if record.is_baseline})
    return list(newest.values())


def failing(findings: Iterable[Finding], strict: bool = False) -> list[Finding]:
    """The findings that fail a run."""
    kinds = STRICT if strict else FAILING
    return [f for f in findings if f.kind in kinds and not (f.kind == "new" and f.metric)]

"""Lines: one metric of one cell over runs, as long as what was measured stays comparable."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from benchgate.core import Cell, UnknownName, unknown_name
from benchgate.core.metrics import Row, row_of
from benchgate.gate.comparable import comparable
from benchgate.gate.disturbed import disturbance
from benchgate.results import Record
from benchgate.results.runs import Run

# A test that failed by its accuracy floor has measured: the loss is what a history must show.
MEASURED = ("passed", "accepted", "failed")


@dataclass(frozen=True)
class Point:
    """One figure of a line."""

    run: Run
    value: float


@dataclass(frozen=True)
class Line:
    """Figures that may be held against each other, oldest first.

    `first` is the record that began it, `begins` why that could not be joined to the line before; `disturbed` are the
    runs whose figure was left out.
    """

    first: Record
    row: Row
    begins: str = ""
    points: list[Point] = field(default_factory=list)
    disturbed: list[Run] = field(default_factory=list)

    @property
    def key(self) -> str:
        return self.first.key

    @property
    def values(self) -> list[float]:
        return [point.value for point in self.points]


def lines(runs: Sequence[Run], metrics: Sequence[str] = (), cell: str = "*") -> list[Line]:
    """Return all lines of the runs, by test and metric: the metrics that are named, else those that have a tolerance.

    `cell` is a glob over the tests' ids and the cells' names. Raises UnknownName for a metric that no run has, and for
    a glob that matches nothing.
    """
    measured = [(run, record) for run in runs for record in run.records if record.outcome in MEASURED]
    chosen = [(run, record) for run, record in measured if _matches(record, cell)]
    if not chosen:
        raise UnknownName(unknown_name("cell", cell, sorted({record.key for _, record in measured})))
    known = sorted({name for _, record in chosen for name in record.metrics})
    for name in metrics:
        if name not in known:
            raise UnknownName(unknown_name("metric", name, known))
    found: dict[tuple[str, str], list[Line]] = {}
    for run, record in chosen:
        for row in _rows(record, metrics):
            _join(found.setdefault((record.key, row.name), []), row, run, record)
    return [line for key in sorted(found) for line in found[key]]


def _matches(record: Record, glob: str) -> bool:
    # Node ids end in [...]: brackets stand for themselves, only * and ? are wild.
    pattern = glob.replace("[", "[[]")
    return any(fnmatch.fnmatchcase(name, pattern) for name in (record.key, str(Cell(**record.cell))))


def _rows(record: Record, metrics: Sequence[str]) -> Iterator[Row]:
    for name, metric in record.metrics.items():
        row = record.rows.get(name) or row_of(name, metric)
        if name in metrics or (not metrics and row.tolerance is not None):
            yield row


def _join(ours: list[Line], row: Row, run: Run, record: Record) -> None:
    """Add a figure to the line whose figures it may be held against, else to a new line. Its own are in `ours`."""
    reasons = []
    for line in reversed(ours):
        if (reason := comparable(row, record, line.first)) is None:
            break
        reasons.append(reason)
    else:
        line = Line(record, row, reasons[0] if reasons else "")
        ours.append(line)
    if disturbance(row, record) is None:
        line.points.append(Point(run, record.metrics[row.name].value))
    else:
        line.disturbed.append(run)

"""Results of several files in one view: a line a cell, a column a metric, each held against the full-precision cell.

Figures that cannot be compared (times of another machine, accuracies on other data) are marked, never related.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from benchgate.core import Metric
from benchgate.core.metrics import TABLE, Row, group_order, row_of
from benchgate.report.relations import Column, Figure, Line, Source, reference_of, related
from benchgate.results import Record, ResultsError, read_records

By = Literal["machine", "environment"]
NAMED_BY_OPERATION = ("prefill_tokens_per_s", "decode_tokens_per_s")


@dataclass(frozen=True)
class Comparison:
    """`places` are what columns are grouped by: label -> what it is. `skipped` are records without figures."""

    lines: Sequence[Line]
    places: Mapping[str, str]
    skipped: Sequence[Record]

    @property
    def models(self) -> list[str]:
        return list(dict.fromkeys(line.cell["model"] for line in self.lines))

    def of_model(self, model: str) -> list[Line]:
        """The model's lines, its references first."""
        lines = [line for line in self.lines if line.cell["model"] == model]
        return sorted(lines, key=lambda line: reference_of(line, lines) is not line)


def read_sources(paths: Sequence[Path]) -> tuple[list[Source], list[Record]]:
    """(files with their measured records, records that hold no figure: skipped, crashed).

    Raises ResultsError for a file that is missing, broken, without records, or given twice.
    """
    sources, empty = [], []
    seen: dict[Path, Path] = {}
    for path in paths:
        if path.resolve() in seen:
            raise ResultsError(f"{path}: given twice; a file compared with itself shows no difference")
        seen[path.resolve()] = path
        records = read_records(path)
        sources.append(Source(path, tuple(r for r in records if r.metrics)))
        empty += [r for r in records if not r.metrics]
    measured = {record.key for source in sources for record in source.records}
    return sources, [record for record in empty if record.key not in measured]


def compare(paths: Sequence[Path], by: By | None = None) -> Comparison:
    """All figures of the files. Raises ResultsError for what `read_sources` refuses, and for a cell that two files
    hold where `by` does not keep them apart."""
    sources, skipped = read_sources(paths)
    return compared(sources, skipped, by)


def compared(sources: Sequence[Source], skipped: Sequence[Record], by: By | None = None) -> Comparison:
    """All figures of what was read. Raises ResultsError as `compare` does."""
    places: dict[str, str] = {}
    lines: list[Line] = []
    for source in sources:
        for record in source.records:
            _place(lines, record, source, _place_of(record, source, by, places))
    if not lines:
        raise ResultsError(
            f"{', '.join(str(s.path) for s in sources)}: no measured cell in it; see `benchgate report` for the reasons"
        )
    return Comparison([related(line, lines) for line in lines], places, skipped)


def row(name: str, lines: Iterable[Line]) -> Row:
    """The metric table's row, also of a metric of a suite's own."""
    return next(row_of(name, f.metric) for line in lines for c, f in line.figures.items() if c.metric == name)


def columns(lines: Sequence[Line]) -> list[Column]:
    """All columns that any line fills, in the metric table's order; a metric's places beside each other."""
    found = dict.fromkeys(column for line in lines for column in line.figures)
    rows = {column.metric: row(column.metric, lines) for column in found}
    operations = list(dict.fromkeys(column.operation for column in found))
    order = {name: position for position, name in enumerate(TABLE)}

    def key(column: Column) -> tuple[tuple[int, str], int, int]:
        group = group_order(rows[column.metric].group)
        return group, operations.index(column.operation), order.get(column.metric, len(order))

    return sorted(found, key=key)


def _place_of(record: Record, source: Source, by: By | None, places: dict[str, str]) -> str:
    """The label of the machine or environment, given on first sight."""
    if by is None:
        return ""
    machine = ", ".join(f"{name} {value}" for name, value in record.machine.items())
    if by == "environment":
        places.setdefault(source.path.stem if not _taken(source, places) else str(source.path), str(source.path))
        return next(label for label, path in places.items() if path == str(source.path))
    known = {about: label for label, about in places.items()}
    if machine not in known:
        label = f"machine {len(places) + 1}"
        places[label] = machine
        return label
    return known[machine]


def _taken(source: Source, places: Mapping[str, str]) -> bool:
    return places.get(source.path.stem, str(source.path)) != str(source.path)


def _place(lines: list[Line], record: Record, source: Source, place: str) -> None:
    """Put a record's figures into the line of its cell. The times of another operation are columns of their own."""
    figures = {
        Column(name, "" if _of_any_operation(name, m) else record.operation, place): Figure(m, record, source)
        for name, m in record.metrics.items()
    }
    test = record.key.rpartition("::")[2].partition("[")[0]
    same = [line for line in lines if line.cell == record.cell and line.params == record.params]
    for line in same:
        shared = [(line.figures[column], figure) for column, figure in figures.items() if column in line.figures]
        clashing = [known for known, figure in shared if known.source is not source or known.metric != figure.metric]
        if not clashing and line.test in ("", test):
            line.figures |= figures
            return
        if any(figure.source is not source for figure in clashing):
            both = sorted({str(source.path), *(str(figure.source.path) for figure in clashing)})
            raise ResultsError(
                f"{record.key}: measured in {' and '.join(both)}; leave one out, or give --by machine or "
                "--by environment for columns of their own"
            )
    lines.append(Line(record.cell, record.params, test if same else "", figures))


def _of_any_operation(name: str, metric: Metric) -> bool:
    """True for a metric that is the same whatever operation was timed, or has the operation in its name."""
    return row_of(name, metric).group in ("accuracy", "size") or name in NAMED_BY_OPERATION

"""Results of several files in one view: a line a cell, a column a metric, each held against the full-precision cell.

Figures that cannot be compared (times of another machine, accuracies on other data) are marked, never related.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from benchgate.core import Metric
from benchgate.core.metrics import GROUPS, TABLE, Row, row_of
from benchgate.gate.paired import ALPHA, bootstrap_difference, data_of, examples_of, mcnemar, same_data
from benchgate.machine.fingerprint import differences
from benchgate.results import Record, ResultsError, read_records

By = Literal["machine", "environment"]
FULL = "fp32"
# Which runtime's full-precision cell is the reference, where there are several.
FIRST_RUNTIME = "torch"
NAMED_BY_OPERATION = ("prefill_tokens_per_s", "decode_tokens_per_s")


@dataclass(frozen=True)
class Source:
    """One results file and its records that hold figures."""

    path: Path
    records: tuple[Record, ...]


@dataclass(frozen=True)
class Column:
    """One metric, of one operation where it depends on it, in one place (a machine or environment; "" for all)."""

    metric: str
    operation: str
    place: str


@dataclass(frozen=True)
class Relation:
    """A figure held against the reference's: a difference (absolute metrics) or a ratio; with `why_not` neither.

    `significant` is the paired test's answer on the single results, None where there are none; `test` its words.
    """

    change: float | None = None
    kind: Literal["difference", "ratio"] = "ratio"
    significant: bool | None = None
    test: str = ""
    why_not: str = ""


@dataclass(frozen=True)
class Figure:
    """One metric of one cell. `relation` is None for the reference itself, and where it has no such figure."""

    metric: Metric
    record: Record
    source: Source
    relation: Relation | None = None


@dataclass
class Line:
    """One cell with one set of parameters; `test` is named where one file measured it more than once."""

    cell: Mapping[str, str]
    params: Mapping[str, object]
    test: str = ""
    figures: dict[Column, Figure] = field(default_factory=dict)

    @property
    def parts(self) -> dict[str, str]:
        """What the line is called by."""
        return {
            **self.cell,
            **{name: str(value) for name, value in self.params.items()},
            **({"test": self.test} if self.test else {}),
        }


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
    places: dict[str, str] = {}
    lines: list[Line] = []
    for source in sources:
        for record in source.records:
            _place(lines, record, source, _place_of(record, source, by, places))
    if not lines:
        raise ResultsError(
            f"{', '.join(map(str, paths))}: no measured cell in it; see `benchgate report` for the reasons"
        )
    return Comparison([_related(line, lines) for line in lines], places, skipped)


def row(name: str, lines: Iterable[Line]) -> Row:
    """The metric table's row, also of a metric of a suite's own."""
    return next(row_of(name, f.metric) for line in lines for c, f in line.figures.items() if c.metric == name)


def columns(lines: Sequence[Line]) -> list[Column]:
    """All columns that any line fills, in the metric table's order; a metric's places beside each other."""
    found = dict.fromkeys(column for line in lines for column in line.figures)
    rows = {column.metric: row(column.metric, lines) for column in found}
    operations = list(dict.fromkeys(column.operation for column in found))
    order = {name: position for position, name in enumerate(TABLE)}

    def key(column: Column) -> tuple[int, int, int]:
        group = GROUPS.index(rows[column.metric].group)
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
    """Whether a metric is the same whatever operation was timed, or has the operation in its name."""
    return row_of(name, metric).group in ("accuracy", "size") or name in NAMED_BY_OPERATION


def reference_of(line: Line, lines: Iterable[Line]) -> Line | None:
    """The full-precision line of the same model, device and parameters: torch's, else the same runtime's, else any."""
    found = [
        other
        for other in lines
        if other.cell["scheme"] == FULL
        and (other.cell["model"], other.cell["device"]) == (line.cell["model"], line.cell["device"])
        and other.params == line.params
        and not other.test
    ]
    preferred = (FIRST_RUNTIME, line.cell["runtime"])
    found.sort(key=lambda other: preferred.index(other.cell["runtime"]) if other.cell["runtime"] in preferred else 2)
    return found[0] if found else None


def _related(line: Line, lines: Sequence[Line]) -> Line:
    reference = reference_of(line, lines)
    others = [o for o in lines if o.cell["model"] == line.cell["model"] and o.params == line.params]
    figures = {}
    for column, figure in line.figures.items():
        anchor = _in_reference(column, reference) if reference is not None else None
        # Without a reference the first of the column, so that what does not belong together is still marked.
        other = anchor or next(o.figures[column] for o in others if column in o.figures)
        relation = None if other.record is figure.record else _relation(column, figure, other)
        if relation is not None and anchor is None and not relation.why_not:
            relation = None
        figures[column] = replace(figure, relation=relation)
    return replace(line, figures=figures)


def _in_reference(column: Column, reference: Line) -> Figure | None:
    """The reference's figure in the same place, or in another: sizes and accuracies are the same everywhere, and the
    rest is marked."""
    elsewhere = (f for c, f in reference.figures.items() if replace(c, place=column.place) == column)
    return reference.figures.get(column) or next(elsewhere, None)


def _relation(column: Column, figure: Figure, anchor: Figure) -> Relation:
    table_row = row_of(column.metric, figure.metric)
    if why_not := _why_not(table_row, column.metric, figure.record, anchor.record):
        return Relation(why_not=why_not)
    now, before = figure.metric.value, anchor.metric.value
    significant, test = _significance(column.metric, figure, anchor)
    if table_row.absolute:
        return Relation(now - before, "difference", significant, test)
    return Relation(now / before if before else None, "ratio", significant, test)


def _why_not(table_row: Row, metric: str, ours: Record, theirs: Record) -> str:
    """Why two figures must not be compared, or ""."""
    if ours.version != theirs.version:
        return f"other model version: {theirs.version!r} -> {ours.version!r}"
    if table_row.group == "accuracy" and not same_data(ours, theirs, metric):
        return f"other data: {_data(theirs, metric)} -> {_data(ours, metric)}"
    if table_row.across_machines:
        return ""
    threads = [{"threads": record.details.get("threads")} for record in (ours, theirs)]
    changed = differences({**ours.machine, **threads[0]}, {**theirs.machine, **threads[1]})
    return f"other machine: {', '.join(changed)}" if changed else ""


def _data(record: Record, metric: str) -> str:
    data = data_of(record, metric)
    if data is None:
        return "not told"
    shown = {key: str(value)[:12] if key == "sha256" else value for key, value in data.items()}
    return json.dumps(shown).replace('"', "")


def _significance(name: str, figure: Figure, anchor: Figure) -> tuple[bool | None, str]:
    """Whether the single results differ by more than chance: exact McNemar for hits, else the bootstrap of the mean."""
    if not (figure.metric.examples and anchor.metric.examples):
        return None, ""
    before, after = examples_of(anchor.record, figure.record, name)
    if {*before, *after} <= {0.0, 1.0}:
        test = mcnemar(before, after)
        return test.p_value < ALPHA, str(test)
    change = bootstrap_difference(before, after)
    if change.low is None or change.high is None:
        return None, ""
    text = f"mean change {change.value:+.4g} [{change.low:+.4g}, {change.high:+.4g}], paired bootstrap"
    return not change.low <= 0 <= change.high, text


def marks(lines: Sequence[Line]) -> Iterator[tuple[str, str]]:
    """(mark, reason) for each reason for which a figure of these lines is not compared: [1], [2], ..."""
    reasons = dict.fromkeys(
        figure.relation.why_not
        for line in lines
        for figure in line.figures.values()
        if figure.relation is not None and figure.relation.why_not
    )
    for number, reason in enumerate(reasons, 1):
        yield f"[{number}]", reason

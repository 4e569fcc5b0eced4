"""A Comparison as terminal tables, Markdown, CSV or JSON; the last two hold every figure, tables what people read."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table

from benchgate.core import SERIES
from benchgate.core.units import human, three_digits
from benchgate.report.comparison import Comparison, columns, row
from benchgate.report.escape import csv_cell, markdown, visible
from benchgate.report.notes import notes
from benchgate.report.relations import FULL, Column, Figure, Line, marks, reference_of
from benchgate.report.tables import COLUMN_WIDTH, HIDDEN, LABEL_WIDTH, pages, shared

LEGEND = (
    f"below a figure: against the {FULL} cell, times (x) or, for accuracies, the difference; * differs on the same "
    "examples by more than chance (exact McNemar p < 0.05, or the 95 % paired bootstrap interval), ns does not"
)


def show(comparison: Comparison, form: str, console: Console) -> None:
    """Print a comparison as a table, or as "markdown", "csv" or "json"."""
    if form == "csv":
        console.file.write(as_csv(comparison))
    elif form == "json":
        figures = [*_flat(comparison)]
        console.file.write(json.dumps({"places": dict(comparison.places), "figures": figures}, indent=1) + "\n")
    elif form == "markdown":
        console.file.write("\n".join(_markdown(comparison)) + "\n")
    else:
        for model in comparison.models:
            for table in _tables(comparison.of_model(model), console.width):
                console.print(table)
                console.print()
        for line in _notes(comparison):
            console.print(visible(line), soft_wrap=True)


def as_csv(comparison: Comparison) -> str:
    """One row a figure."""
    stream = io.StringIO()
    rows = list(_flat(comparison))
    writer = csv.DictWriter(stream, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    for found in rows:
        texts = {**found, "params": json.dumps(found["params"])}
        writer.writerow({name: csv_cell(value) if isinstance(value, str) else value for name, value in texts.items()})
    return stream.getvalue()


def _flat(comparison: Comparison) -> Iterator[dict[str, Any]]:
    for line in comparison.lines:
        for column, figure in line.figures.items():
            relation = asdict(figure.relation) if figure.relation else {}
            metric = {name: value for name, value in asdict(figure.metric).items() if name not in SERIES}
            yield {
                **line.cell,
                "params": dict(line.params),
                "test": line.test,
                "place": column.place,
                "operation": figure.record.operation,
                "metric": column.metric,
                **metric,
                "change": relation.get("change"),
                "change_kind": relation.get("kind") if relation.get("change") is not None else None,
                "significant": relation.get("significant"),
                "paired_test": relation.get("test") or None,
                "not_compared": relation.get("why_not") or None,
                "outcome": figure.record.outcome,
                "file": str(figure.source.path),
            }


def _tables(lines: Sequence[Line], width: int) -> Iterator[Table]:
    """As many tables as the width asks for, a row only where it has a figure."""
    common, names = _labels(lines)
    numbers = {reason: mark for mark, reason in marks(lines)}
    for part in pages(_shown(lines), width):
        table = Table(title=visible(common) or None, title_justify="left", box=None, pad_edge=False, title_style="bold")
        table.add_column("cell", max_width=LABEL_WIDTH, overflow="fold")
        for column in part:
            table.add_column("\n".join(map(visible, _heading(column, lines))), justify="right", max_width=COLUMN_WIDTH)
        for name, line in zip(names, lines, strict=True):
            if any(column in line.figures for column in part):
                table.add_row(
                    visible(name),
                    *("\n".join(map(visible, _words(line.figures.get(column), numbers))) for column in part),
                )
        yield table


def _markdown(comparison: Comparison) -> Iterator[str]:
    """A pipe table a model, all columns in one."""
    for model in comparison.models:
        lines = comparison.of_model(model)
        common, names = _labels(lines)
        numbers = {reason: mark for mark, reason in marks(lines)}
        shown = _shown(lines)
        yield f"### {markdown(common)}"
        yield ""
        yield "| cell | " + " | ".join(markdown(" ".join(_heading(column, lines))) for column in shown) + " |"
        yield "|---|" + "---:|" * len(shown)
        for name, line in zip(names, lines, strict=True):
            words = (markdown(" ".join(_words(line.figures.get(column), numbers))) for column in shown)
            yield f"| {markdown(name)} | " + " | ".join(words) + " |"
        yield ""
    for text in _notes(comparison):
        yield "- " + markdown(text)


def _labels(lines: Sequence[Line]) -> tuple[str, list[str]]:
    common, names = shared([line.parts for line in lines])
    marked = [
        name
        + (" (reference)" if reference_of(line, lines) is line else "")
        + "".join(f" ({outcome})" for outcome in _outcomes(line))
        for name, line in zip(names, lines, strict=True)
    ]
    return common, marked


def _outcomes(line: Line) -> list[str]:
    """The outcomes of its tests, where they are not what one expects of figures in a table."""
    found = dict.fromkeys(figure.record.outcome for figure in line.figures.values() if not figure.record.is_baseline)
    return list(found)


def _shown(lines: Sequence[Line]) -> list[Column]:
    return [column for column in columns(lines) if column.metric not in HIDDEN]


def _heading(column: Column, lines: Sequence[Line]) -> list[str]:
    known = row(column.metric, lines)
    first = f"{known.group} {column.operation}".strip()
    return [first, known.title, *([column.place] if column.place else [])]


def _words(figure: Figure | None, numbers: Mapping[str, str]) -> list[str]:
    """The value, and below it how it stands to the reference, or the number of the reason why it is not compared."""
    if figure is None:
        return [""]
    value, relation = human(figure.metric.value, figure.metric.unit), figure.relation
    if relation is None or (relation.change is None and not relation.why_not):
        return [value]
    if relation.why_not:
        return [value, numbers[relation.why_not]]
    assert relation.change is not None
    change = f"{relation.change:+.3f}" if relation.kind == "difference" else f"{three_digits(relation.change)}x"
    return [value, change + {True: " *", False: " ns", None: ""}[relation.significant]]


def _notes(comparison: Comparison) -> Iterator[str]:
    yield LEGEND
    for label, about in comparison.places.items():
        yield f"{label}: {about}"
    for model in comparison.models:
        lines = comparison.of_model(model)
        if all(reference_of(line, lines) is None for line in lines):
            yield f"{model}: no {FULL} cell in these files to hold its cells against"
        for mark, reason in marks(lines):
            yield f"{mark} not compared: {reason}"
    records = {f.record.key: f.record for line in comparison.lines for f in line.figures.values()}
    yield from notes([*records.values(), *comparison.skipped])

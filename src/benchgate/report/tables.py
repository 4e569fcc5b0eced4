"""Rich tables of records: one row a cell, columns grouped, as many groups beside each other as the width takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TypeVar

from rich.table import Table
from rich.text import Text

from benchgate.core import Cell
from benchgate.core.metrics import Row, in_table_order, row_of
from benchgate.core.units import human
from benchgate.gate.disturbed import MARK, disturbance
from benchgate.gate.findings import Finding
from benchgate.report.escape import visible
from benchgate.results import Record

# What the terminal shows; everything else is in the JSON.
HIDDEN = frozenset(
    {"latency_mean_s", "latency_min_s", "latency_p50_s", "latency_std_s", "ap_small", "ap_medium", "ap_large"}
    | {"exact_match_copy"}
)
LABEL_WIDTH = 34
AnyColumn = TypeVar("AnyColumn")
COLUMN_WIDTH = 12

STYLES: Mapping[str, str] = {
    "regressed": "bold red",
    "drifted": "bold red",
    "no longer measured": "bold red",
    "suspicious": "yellow",
    "improved": "green",
}


def labels(records: Sequence[Record], files: Sequence[str] = ()) -> tuple[str, list[str]]:
    """The words that all rows have in common, and for each row the rest of its name.

    `files` are the records' files, one each, where there are several: a cell that two of them hold is two rows.
    """
    named = [_parts(record) for record in records]
    for parts, file in zip(named, files, strict=bool(files)):
        parts["file"] = file
    return shared(named)


def shared(named: Sequence[Mapping[str, str]]) -> tuple[str, list[str]]:
    """The words that all rows, given by axis and parameter, have in common, and for each row the rest of its words."""
    common = {k: v for k, v in named[0].items() if all(n.get(k) == v for n in named)} if named else {}
    # Runtime and scheme are what people compare: they stay in the row even when there is one of them.
    common = {k: v for k, v in common.items() if k not in ("scheme", "runtime", "operation")}
    rest = [" ".join(_word(k, v) for k, v in n.items() if k not in common) for n in named]
    return " ".join(_word(k, v) for k, v in common.items()), rest


def _parts(record: Record) -> dict[str, str]:
    axes = asdict(Cell(**record.cell))
    return {**axes, "operation": record.operation, **{k: str(v) for k, v in record.params.items()}}


def _word(name: str, value: str) -> str:
    return value if name in ("model", "scheme", "runtime", "device", "operation") else f"{name}={value}"


def metric_tables(
    records: Sequence[Record], findings: Mapping[str, Sequence[Finding]], width: int, files: Sequence[str] = ()
) -> Iterator[Table]:
    """Tables that each fit `width`, a model's together: other models have other tasks and other metrics."""
    named = list(zip(records, files or [""] * len(records), strict=True))
    for model in dict.fromkeys(record.cell["model"] for record in records):
        shown = [(record, file) for record, file in named if record.metrics and record.cell["model"] == model]
        yield from _model_tables([r for r, _ in shown], findings, width, [f for _, f in shown] if files else [])


def _model_tables(
    shown: Sequence[Record], findings: Mapping[str, Sequence[Finding]], width: int, files: Sequence[str]
) -> Iterator[Table]:
    common, names = labels(shown, files)
    for columns in pages(_columns(shown), width):
        relevant = [i for i, record in enumerate(shown) if any(column.name in record.metrics for column in columns)]
        table = Table(title=visible(common) or None, title_justify="left", box=None, pad_edge=False, title_style="bold")
        table.add_column("cell", max_width=LABEL_WIDTH, overflow="fold")
        for column in columns:
            table.add_column(
                f"{visible(column.group)}\n{visible(column.title)}", justify="right", max_width=COLUMN_WIDTH
            )
        for i in relevant:
            deltas = {finding.metric: finding for finding in findings.get(shown[i].key, ())}
            table.add_row(visible(names[i]), *(_entry(shown[i], column, deltas.get(column.name)) for column in columns))
        yield table


def _columns(records: Sequence[Record]) -> list[Row]:
    """The metrics that any record has, in the table's order, grouped."""
    found: dict[str, Row] = {}
    for record in records:
        for name, value in record.metrics.items():
            if name not in HIDDEN:
                found.setdefault(name, row_of(name, value))
    return in_table_order(found.values())


def pages(columns: Sequence[AnyColumn], width: int) -> Iterator[list[AnyColumn]]:
    """Columns in runs that fit beside the label; a new group starts a new page only when it must."""
    room = max(1, (width - LABEL_WIDTH) // (COLUMN_WIDTH + 1))
    for start in range(0, len(columns), room):
        yield list(columns[start : start + room])


def _entry(record: Record, column: Row, finding: Finding | None) -> Text:
    metric = record.metrics.get(column.name)
    if metric is None:
        return Text("-" if column.name in record.missing else "")
    mark = MARK if disturbance(column, record) else ""
    text = Text(visible(human(metric.value, metric.unit)) + mark)
    if finding is not None and finding.change is not None and finding.kind != "not compared":
        text.append(f"\n{finding.change:+.1%}", style=STYLES.get(finding.kind, "dim"))
    return text

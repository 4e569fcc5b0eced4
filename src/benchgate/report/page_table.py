"""The table of a page: a row a cell, a column a metric, each figure with its interval and what it is held against."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchgate.core import Metric
from benchgate.core.metrics import Row as MetricRow
from benchgate.core.metrics import in_table_order, row_of
from benchgate.core.units import human
from benchgate.gate.disturbed import MARK, disturbance
from benchgate.gate.findings import Finding
from benchgate.report.comparison import compared
from benchgate.report.escape import visible
from benchgate.report.headline import headline_names
from benchgate.report.page_content import Content, Results, Row, plain
from benchgate.report.relations import Relation, Source
from benchgate.results import Record

AXES = ("model", "scheme", "runtime", "device", "operation", "parameters", "outcome")
# Units that stand beside each figure, or that are none.
TOLD_UNITS = ("s", "B", "J", "W", "1")
# What an entry of the table holds, in this order; what follows the last one that is there is left out.
ENTRY = ("value", "text", "interval", "reference", "earlier", "kind", "note")
Relations = Mapping[tuple[int, str], Relation]


def table(content: Content) -> dict[str, Any]:
    """Return axes, columns and rows as the page's script reads them. Names are text: the script never makes HTML."""
    rows = [row for row in content.rows if row.record.outcome != "skipped"]
    files = len({row.results.path for row in rows}) > 1
    columns = _columns([row.record for row in rows])
    models = dict.fromkeys(row.record.cell["model"] for row in rows)
    main = headline_names([row.record for row in rows if row.record.cell["model"] == model] for model in models)
    relations = {key: found for results in content.results for key, found in _relations(results).items()}
    return {
        "axes": [*AXES, *(("file",) if files else ())],
        "columns": [
            {
                "title": visible(c.title),
                "unit": "" if c.unit in TOLD_UNITS else visible(c.unit),
                "group": c.group,
                "better": c.better,
                "main": c.name in main,
            }
            for c in columns
        ],
        "rows": [_row(row, columns, relations, files) for row in rows],
    }


def _columns(records: Sequence[Record]) -> list[MetricRow]:
    found: dict[str, MetricRow] = {}
    for record in records:
        for name, metric in record.metrics.items():
            found.setdefault(name, row_of(name, metric))
    return in_table_order(found.values())


def _row(row: Row, columns: Sequence[MetricRow], relations: Relations, files: bool) -> dict[str, Any]:
    record = row.record
    axes = [*(record.cell[name] for name in AXES[:4]), record.operation, parameters(record), record.outcome]
    entries = {
        place: _entry(column, metric, row, relations)
        for place, column in enumerate(columns)
        if (metric := record.metrics.get(column.name)) is not None
    }
    absent = {
        place: record.missing[column.name] for place, column in enumerate(columns) if column.name in record.missing
    }
    return {
        "a": [visible(word) for word in (*axes, *((row.results.name,) if files else ()))],
        "k": visible(record.key),
        "m": entries,
        **({"x": {place: visible(reason) for place, reason in absent.items()}} if absent else {}),
    }


def parameters(record: Record) -> str:
    """`batch=4 context=256`, "" for none."""
    return " ".join(f"{name}={plain(value)}" for name, value in record.params.items() if value is not None)


def _entry(column: MetricRow, metric: Metric, row: Row, relations: Relations) -> list[Any]:
    relation, finding = relations.get((id(row.record), column.name)), row.findings.get(column.name)
    reasons = disturbance(column, row.record)
    notes = [f"disturbed: {reasons}" if reasons else "", *_why(relation, finding)]
    entry: list[Any] = [
        float(f"{metric.value:.6g}"),
        human(metric.value, metric.unit) + (MARK if reasons else ""),
        interval(metric),
        _reference(relation),
        _earlier(finding),
        "" if finding is None else finding.kind,
        visible("; ".join(filter(None, notes))),
    ]
    while not entry[-1]:
        entry.pop()
        if len(entry) == 2:
            break
    return entry


def interval(metric: Metric) -> str:
    """`12.1 ms to 12.5 ms`: the two-sided 95 % interval, "" where there is none."""
    if metric.low is None or metric.high is None:
        return ""
    return f"{human(metric.low, metric.unit)} to {human(metric.high, metric.unit)}"


def _reference(relation: Relation | None) -> str:
    if relation is None or relation.change is None:
        return ""
    if relation.kind == "difference":
        return f"{relation.change:+.3f}"
    return f"{relation.change:.3g}x"


def _earlier(finding: Finding | None) -> str:
    if finding is None or finding.kind == "not compared" or finding.now is None or finding.baseline is None:
        return ""
    if finding.absolute:
        return f"{finding.now - finding.baseline:+.3f}"
    return "" if finding.change is None else f"{finding.change:+.1%}"


def _why(relation: Relation | None, finding: Finding | None) -> Iterator[str]:
    if relation is not None and relation.why_not:
        yield f"not held against fp32: {relation.why_not}"
    if relation is not None and relation.test:
        yield f"against fp32: {relation.test}"
    if finding is not None and finding.reason:
        yield f"{finding.kind}: {finding.reason}"


def _relations(results: Results) -> dict[tuple[int, str], Relation]:
    """How each figure of a file stands to the full-precision cell of the same file."""
    measured = tuple(record for record in results.records if record.metrics)
    if not measured:
        return {}
    lines = compared([Source(results.path, measured)], []).lines
    return {
        (id(figure.record), column.metric): figure.relation
        for line in lines
        for column, figure in line.figures.items()
        if figure.relation is not None
    }

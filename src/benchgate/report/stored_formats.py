"""Formats of `benchgate report`: all figures of stored results."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module

from benchgate.core.metrics import Row, in_table_order, row_of
from benchgate.core.units import human
from benchgate.gate.disturbed import MARK, disturbance
from benchgate.report import junit
from benchgate.report.grid import Entry, Grid, rendered
from benchgate.report.tables import labels
from benchgate.results import Record

LONG = (
    "test", "model", "scheme", "runtime", "device", "operation", "params", "outcome", "metric", "value", "unit", "low",
    "high", "n", "better", "method", "disturbed", "missing",
)  # fmt: skip
FAILED = ("failed", "oom", "crash", "error", "timeout")

Formatter = Callable[[Sequence[Record], Sequence[str]], str]


def csv(records: Sequence[Record], files: Sequence[str]) -> str:
    """A row a figure, with all digits, and a row for each that is missing, with the reason."""
    return rendered([_long(records, files)], "csv", 0)


def json(records: Sequence[Record], files: Sequence[str]) -> str:
    """The rows of `csv` as objects."""
    return rendered([_long(records, files)], "json", 0)


def markdown(records: Sequence[Record], files: Sequence[str]) -> str:
    """A table a model, a row a test, all metrics in columns."""
    return rendered(grids_by_model(records, files), "markdown", 0)


def latex(records: Sequence[Record], files: Sequence[str]) -> str:
    """The tables of `markdown`."""
    return rendered(grids_by_model(records, files), "latex", 0)


def junit_xml(records: Sequence[Record], files: Sequence[str]) -> str:
    """A case a test, as it ended; its figures stand beside it."""
    return junit.as_xml("benchgate", "benchgate", [_case(record) for record in records])


def _case(record: Record) -> junit.Case:
    told = "\n".join(f"{name} {m.value:.6g} {m.unit}" for name, m in record.metrics.items())
    failed = (f"{record.outcome}: {record.reason}",) if record.outcome in FAILED else ()
    decided = record.passed or failed
    return junit.Case(record.key, failed, None if decided else f"{record.outcome}: {record.reason}", told)


def _long(records: Sequence[Record], files: Sequence[str]) -> Grid:
    columns = (*(("file",) if files else ()), *LONG)
    rows = []
    for record, file in zip(records, files or [""] * len(records), strict=True):
        params = " ".join(f"{name}={value}" for name, value in record.params.items())
        about = (*((file,) if files else ()), record.key, *_axes(record), record.operation, params, record.outcome)
        rows += [(*about, *found) for found in _figures(record)]
    return Grid("figures", columns, tuple(rows))


def _axes(record: Record) -> tuple[str, ...]:
    return tuple(record.cell[axis] for axis in ("model", "scheme", "runtime", "device"))


def _figures(record: Record) -> list[tuple[Entry, ...]]:
    """Return what stands behind the outcome: a row a metric; one with nothing for a test without any."""
    found: list[tuple[Entry, ...]] = [
        (name, m.value, m.unit, m.low, m.high, m.n, m.better, m.method, disturbance(row_of(name, m), record), None)
        for name, m in record.metrics.items()
    ]
    found += [(name, *[None] * 8, reason) for name, reason in record.missing.items()]
    return found or [(*[None] * 9, record.reason or None)]


def grids_by_model(records: Sequence[Record], files: Sequence[str]) -> list[Grid]:
    """A wide table a model: a row a test, all metrics in columns, for people."""
    named = [(r, f) for r, f in zip(records, files or [""] * len(records), strict=True) if r.metrics]
    return [
        _of_model([r for r, _ in own], [f for _, f in own] if files else [])
        for model in dict.fromkeys(record.cell["model"] for record, _ in named)
        if (own := [(r, f) for r, f in named if r.cell["model"] == model])
    ]


def _of_model(records: Sequence[Record], files: Sequence[str]) -> Grid:
    common, names = labels(records, files)
    columns = _columns(records)
    rows = [(name, *(_entry(r, row) for row in columns)) for name, r in zip(names, records, strict=True)]
    marked = any(isinstance(entry, str) and entry.endswith(MARK) for row in rows for entry in row[1:])
    notes = (f"{MARK} disturbed by neighbours on this machine: it decides nothing",) if marked else ()
    return Grid(common, ("cell", *(row.title for row in columns)), tuple(rows), notes)


def _columns(records: Sequence[Record]) -> list[Row]:
    found = {name: row_of(name, m) for record in records for name, m in record.metrics.items()}
    return in_table_order(found.values())


def _entry(record: Record, row: Row) -> Entry:
    metric = record.metrics.get(row.name)
    if metric is None:
        return None
    return human(metric.value, metric.unit) + (MARK if disturbance(row, record) else "")


# `--format NAME`: the function of records and their files that makes it.
FORMATS: Mapping[str, str] = {
    "markdown": f"{__name__}:markdown",
    "csv": f"{__name__}:csv",
    "latex": f"{__name__}:latex",
    "json": f"{__name__}:json",
    "junit": f"{__name__}:junit_xml",
    "model-card": "benchgate.report.model_card:model_card",
    "mlperf": "benchgate.report.mlperf:summary",
}


def formatted(style: str, records: Sequence[Record], files: Sequence[str]) -> str:
    """The records as one text in this format."""
    module, _, name = FORMATS[style].partition(":")
    formatter: Formatter = getattr(import_module(module), name)
    return formatter(records, files)

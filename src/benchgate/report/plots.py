"""Charts of records: bars of size, accuracy, time and throughput by cell with error bars, a file a metric; Pareto."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchgate.core import BenchgateError
from benchgate.core.metrics import TABLE, Row
from benchgate.core.units import scale
from benchgate.machine.packages import missing_packages
from benchgate.report import pareto
from benchgate.report.escape import in_figure
from benchgate.report.figures import COLOURS, save
from benchgate.report.tables import labels
from benchgate.results import Record
from benchgate.storage.cache import explained

# One chart for each of these that any record has.
PLOTTED = (
    "size_bytes",
    "ap",
    "agreement_ap",
    "top1",
    "perplexity",
    "latency_median_s",
    "prefill_tokens_per_s",
    "decode_tokens_per_s",
    "peak_rss_bytes",
)
BAR_INCHES = 0.32


def plot(records: Sequence[Record], folder: Path, suffix: str = "svg") -> list[Path]:
    """Write `METRIC.suffix` into `folder` for each metric of PLOTTED that any good record has, and a
    `pareto-MODEL.suffix` for each model with several cells of known size and accuracy; returns the files.

    Error bars are the metrics' own intervals; a bar without one has none. Failed cells are left out. Raises
    BenchgateError without matplotlib, for a format it cannot write, and for records with nothing to plot.
    """
    if reason := missing_packages({"matplotlib": "report"}):
        raise BenchgateError(f"plots need matplotlib: {reason}")
    good = [record for record in records if record.is_baseline]
    shown = [row for name in PLOTTED if (row := TABLE[name]) and any(name in r.metrics for r in good)]
    if not shown:
        raise BenchgateError(f"nothing to plot: no passed cell has any of {', '.join(PLOTTED)}")
    with explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
        charts = [_chart(row, [r for r in good if row.name in r.metrics], folder, suffix) for row in shown]
        return charts + [
            pareto.draw(picture, folder / f"{name}.{suffix}") for name, picture in pareto.named(pareto.pictures(good))
        ]


def _chart(row: Row, records: Sequence[Record], folder: Path, suffix: str) -> Path:
    from matplotlib.figure import Figure

    common, names = labels(records)
    figure = Figure(figsize=(7.5, 1.6 + BAR_INCHES * len(records)), layout="constrained")
    axes = figure.subplots()
    factor, unit = scale([record.metrics[row.name].value for record in records], row.unit)
    _bars(axes, row, records, factor)
    axes.set_yticks(range(len(records)), [in_figure(name) for name in names])
    axes.invert_yaxis()
    axes.set_xlim(left=0)
    axes.set_xlabel(f"{row.title} [{unit}]" if unit else row.title)
    axes.set_title(f"{row.title}: {in_figure(common)}" if common else row.title, loc="left", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    return save(figure, folder / f"{row.name}.{suffix}")


def _bars(axes: Any, row: Row, records: Sequence[Record], factor: float) -> None:
    runtimes = list(dict.fromkeys(record.cell["runtime"] for record in records))
    for position, record in enumerate(records):
        metric = record.metrics[row.name]
        value = metric.value / factor
        errors = None
        if metric.low is not None and metric.high is not None:
            # A bound may lie a rounding error on the wrong side of the value.
            errors = [[max(0.0, value - metric.low / factor)], [max(0.0, metric.high / factor - value)]]
        colour = COLOURS[runtimes.index(record.cell["runtime"]) % len(COLOURS)]
        axes.barh(position, value, xerr=errors, color=colour, capsize=3, error_kw={"elinewidth": 1})
        axes.annotate(
            f" {value:.3g}", (value if errors is None else value + errors[1][0], position), va="center", fontsize=8
        )

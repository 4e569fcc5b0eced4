"""Latency, throughput, memory and power over an axis, with the budgets and the ceiling drawn in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchgate.core import BenchgateError
from benchgate.core.units import scale
from benchgate.machine.packages import missing_packages
from benchgate.report.escape import in_figure
from benchgate.report.figures import COLOURS, save
from benchgate.storage.cache import explained

FORMATS = (".svg", ".png", ".pdf")


def draw(limit: Any, title: str, path: Path) -> Path:
    """Write the picture of one search. Raises BenchgateError without matplotlib and for an unknown format."""
    if path.suffix not in FORMATS:
        raise BenchgateError(f"cannot draw {path.name}: the name must end in {', '.join(FORMATS)}")
    if reason := missing_packages({"matplotlib": "report"}):
        raise BenchgateError(f"plots need matplotlib: {reason}")
    from matplotlib.figure import Figure

    rate = next((n for t in limit.trials for n in t.record.metrics if n.endswith("_per_s")), "throughput_per_s")
    names = {"latency": "latency_median_s", "throughput": rate, "power": "power_w"}
    curves = {label: _points(limit, name) for label, name in names.items()}
    curves["memory"] = [(t.value, t.outcome.needs["memory"], "B") for t in limit.trials if t.outcome.needs]
    shown = {label: sorted(points) for label, points in curves.items() if points}
    if not shown:
        raise BenchgateError("nothing to draw: no trial ran to its end")
    figure = Figure(figsize=(7.5, 1 + 2.1 * len(shown)), layout="constrained")
    panels = figure.subplots(len(shown), sharex=True, squeeze=False)[:, 0]
    for number, (label, points) in enumerate(shown.items()):
        _panel(panels[number], limit, label, points, COLOURS[number])
    panels[0].set_title(in_figure(title), loc="left", fontsize=10)
    panels[0].legend(loc="upper left", fontsize=8)
    panels[-1].set_xlabel(limit.axis)
    with explained(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        return save(figure, path)


def _points(limit: Any, name: str) -> list[tuple[int, float, str]]:
    found = [(t.value, t.record.metrics[name]) for t in limit.trials if name in t.record.metrics]
    return [(value, metric.value, metric.unit) for value, metric in found]


def _panel(axes: Any, limit: Any, label: str, points: list[tuple[int, float, str]], colour: str) -> None:
    budget = limit.budgets.get(label)
    drawn = [value for _, value, _ in points] + ([budget] if budget is not None else [])
    factor, unit = scale(drawn, points[0][2])
    axes.plot([x for x, _, _ in points], [y / factor for _, y, _ in points], "o-", color=colour, markersize=4)
    if budget is not None:
        axes.axhline(budget / factor, color="black", linestyle="--", linewidth=1)
        axes.annotate("budget", (0.01, budget / factor), xycoords=("axes fraction", "data"), fontsize=8, va="bottom")
    found = limit.found
    if found.largest is not None:
        axes.axvline(found.largest, color="black", linewidth=1, label=f"largest that fits: {found.largest}")
    if found.forecast is not None:
        axes.axvline(found.forecast.value, color="grey", linestyle=":", label=f"predicted: {found.forecast.value}")
    failed = [t.value for t in limit.trials if not t.outcome.fits]
    axes.plot(failed, [0] * len(failed), "x", color="#D55E00", clip_on=False, label="does not fit")
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_ylim(bottom=0)
    axes.set_ylabel(f"{label} [{unit}]" if unit else label)
    axes.spines[["top", "right"]].set_visible(False)

"""The memory of one training step over time, by part: one picture a record that has its course."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from benchgate.core import BenchgateError
from benchgate.core.units import scale
from benchgate.machine.packages import missing_packages
from benchgate.report.escape import in_figure
from benchgate.report.figures import COLOURS
from benchgate.results import Record
from benchgate.storage.cache import explained

# of a cell's name in that of a file
LONGEST = 150


def plot_memory(records: Sequence[Record], folder: Path, suffix: str = "svg") -> list[Path]:
    """Write `folder/memory-CELL.suffix` for each good record with a `memory_timeline`; returns the files, maybe none.

    Raises BenchgateError without matplotlib and for a format that it cannot write.
    """
    shown = [record for record in records if record.is_baseline and "memory_timeline" in record.details]
    if not shown:
        return []
    if reason := missing_packages({"matplotlib": "report"}):
        raise BenchgateError(f"plots need matplotlib: {reason}")
    with explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
        return [_course(record, folder, suffix) for record in shown]


def _course(record: Record, folder: Path, suffix: str) -> Path:
    from matplotlib.figure import Figure

    timeline = record.details["memory_timeline"]
    parts = {name: values for name, values in timeline["parts"].items() if any(values)}
    factor, unit = scale([sum(values) for values in zip(*parts.values(), strict=True)], "B")
    figure = Figure(figsize=(7.5, 4), layout="constrained")
    axes = figure.subplots()
    stacked = [[value / factor for value in values] for values in parts.values()]
    axes.stackplot(
        timeline["seconds"],
        stacked,
        labels=[in_figure(part) for part in parts],
        colors=COLOURS,
        step="post",
        linewidth=0,
    )
    axes.set_xlabel("seconds within one step, under the profiler")
    axes.set_ylabel(f"memory [{unit}]")
    axes.set_xlim(left=0)
    axes.set_title(in_figure(_name(record, " ")), loc="left", fontsize=10)
    axes.legend(loc="upper left", fontsize=8, reverse=True)
    axes.spines[["top", "right"]].set_visible(False)
    path = folder / f"memory-{re.sub(r'[^A-Za-z0-9.=_-]', '-', _name(record, '-'))[:LONGEST]}.{suffix}"
    try:
        figure.savefig(path, metadata={"Date": None} if suffix == "svg" else None)
    except ValueError as error:
        raise BenchgateError(f"cannot write {path.name}: {error}") from error
    return path


def _name(record: Record, between: str) -> str:
    params = {k: v for k, v in record.params.items() if v is not None}
    return between.join([*record.cell.values(), record.operation, *(f"{k}={v}" for k, v in params.items())])

"""Size, accuracy and speed of a model's cells in one picture: which ones no other cell beats in everything."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchgate.core import Cell, Metric
from benchgate.core.metrics import TABLE, Row
from benchgate.core.units import human, scale
from benchgate.report.dominance import Reading, beats
from benchgate.report.escape import in_figure
from benchgate.report.figures import COLOURS, save
from benchgate.report.headline import ACCURACY_GROUPS, SPEED_GROUPS, headline_rows
from benchgate.report.merged import Sizes
from benchgate.results import Record

SIZE = "size_bytes"
# Square points of the smallest and the largest marker; the area goes by the speed.
SMALLEST, LARGEST = 30.0, 400.0
# of a model's name in that of a file
LONGEST = 150


@dataclass(frozen=True)
class Point:
    """One cell: bytes, an accuracy, and a throughput or a time where it was measured."""

    scheme: str
    runtime: str
    size: float
    accuracy: Metric
    speed: Metric | None

    def beats(self, other: Point, with_speed: bool) -> bool:
        """At least as good in everything and better in something."""
        return beats(self._readings(with_speed), other._readings(with_speed))

    def _readings(self, with_speed: bool) -> list[Reading]:
        own = [Reading.exact(self.size, "lower"), Reading.exact(self.accuracy.value, self.accuracy.better)]
        speed = self.speed if with_speed else None
        return own if speed is None else [*own, Reading.exact(speed.value, speed.better)]


@dataclass(frozen=True)
class Picture:
    """The cells of one model, scored on one data set. `accuracy` and `speed` are the first headline metrics of their
    kind; `speed` is None where not all cells have one."""

    model: str
    data: str
    accuracy: Row
    speed: Row | None
    points: Sequence[Point]

    def front(self) -> list[Point]:
        """The cells that none beats in size, accuracy and (where all cells have it) speed; smallest first."""
        best = [p for p in self.points if not any(o.beats(p, self.speed is not None) for o in self.points)]
        return sorted(best, key=lambda point: point.size)

    def quickness(self, point: Point) -> float:
        """How fast the cell is as a share of the fastest one, 0 where no speed is known."""
        known = [other.speed.value for other in self.points if other.speed is not None]
        if self.speed is None or point.speed is None or min(known) <= 0:
            return 0.0
        own = point.speed.value
        return own / max(known) if self.speed.better == "higher" else min(known) / own


def pictures(records: Iterable[Record]) -> Iterator[Picture]:
    """A picture for each model and data set with at least two cells of known size and accuracy.

    Only cells at their default parameters; a speed is left out unless all cells have it from one machine.
    """
    good = [record for record in records if record.is_baseline]
    for model in dict.fromkeys(record.cell["model"] for record in good):
        measured = [record for record in good if record.cell["model"] == model]
        sizes = Sizes(measured)
        own = [record for record in measured if not sizes.asked(record)]
        rows = headline_rows(own)
        accuracy = next((row for row in rows if row.group in ACCURACY_GROUPS), None)
        if accuracy is None:
            continue
        speeds = [row for row in rows if row.group in SPEED_GROUPS]
        scored = [r for r in own if accuracy.name in r.metrics and SIZE in r.metrics]
        for data in dict.fromkeys(map(_data, scored)):
            cells = {_cell(r): r for r in reversed(scored) if _data(r) == data}
            if len(cells) > 1:
                yield _picture(model, data, accuracy, speeds, list(cells.values())[::-1], own)


def _picture(
    model: str, data: str, accuracy: Row, speeds: Sequence[Row], scored: Sequence[Record], own: Sequence[Record]
) -> Picture:
    known = ((row, values) for row in speeds if (values := _speeds(row.name, scored, own)) is not None)
    speed, values = next(known, (None, {}))
    points = [
        Point(
            r.cell["scheme"], r.cell["runtime"], r.metrics[SIZE].value, r.metrics[accuracy.name], values.get(_cell(r))
        )
        for r in scored
    ]
    return Picture(model, data, accuracy, speed, points)


def _speeds(name: str, scored: Sequence[Record], own: Sequence[Record]) -> dict[str, Metric] | None:
    """The metric of each cell, by the test that scored it or else by the first that measured it; None where a cell has
    it not, or they are of different machines or operations."""
    found = {}
    for record in scored:
        having = [r for r in (record, *own) if name in r.metrics and r.cell == record.cell]
        if not having:
            return None
        found[_cell(record)] = having[0]
    kinds = {json.dumps([dict(r.machine), r.operation], sort_keys=True) for r in found.values()}
    return {cell: r.metrics[name] for cell, r in found.items()} if len(kinds) == 1 else None


def _cell(record: Record) -> str:
    return str(Cell(**record.cell))


def _data(record: Record) -> str:
    data = record.details.get("data")
    if not isinstance(data, dict):
        return "data not told"
    name, n, digest = data.get("dataset", data.get("name")), data.get("n"), str(data.get("sha256", ""))[:8]
    return ", ".join([str(name), *([f"n={n}"] if n is not None else []), *([digest] if digest else [])])


def named(found: Iterable[Picture]) -> Iterator[tuple[str, Picture]]:
    """A file name, without its suffix, for each: `pareto-MODEL`, numbered where a model was scored on several data."""
    seen: dict[str, int] = {}
    for picture in found:
        name = re.sub(r"[^A-Za-z0-9.=_-]", "-", picture.model.replace("/", "--"))[:LONGEST]
        seen[name] = seen.get(name, 0) + 1
        number = f"-{seen[name]}" if seen[name] > 1 else ""
        yield f"pareto-{name}{number}", picture


def draw(picture: Picture, path: Path) -> Path:
    """Write one picture: x size, y accuracy with its intervals, area the speed; filled what no cell beats."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 5), layout="constrained")
    axes = figure.subplots()
    factor, unit = scale([point.size for point in picture.points], "B")
    front = picture.front()
    runtimes = list(dict.fromkeys(point.runtime for point in picture.points))
    entries = []
    for number, point in enumerate(picture.points, 1):
        colour = COLOURS[runtimes.index(point.runtime) % len(COLOURS)]
        x, y, metric = point.size / factor, point.accuracy.value, point.accuracy
        if metric.low is not None and metric.high is not None:
            bounds = [[max(0.0, y - metric.low)], [max(0.0, metric.high - y)]]
            axes.errorbar(x, y, yerr=bounds, ecolor=colour, elinewidth=0.8, capsize=2, fmt="none", alpha=0.4)
        area = max(SMALLEST, LARGEST * picture.quickness(point))
        face = colour if point in front else "none"
        axes.scatter(x, y, s=area, facecolors=face, edgecolors=colour, linewidths=1.2, zorder=3)
        axes.annotate(str(number), (x, y), xytext=(7, 4), textcoords="offset points", fontsize=8)
        entries.append((f"{number} {in_figure(told(point, picture))}", face, colour))
    _describe(axes, picture, unit)
    _legend(axes, entries)
    return save(figure, path)


def directed(row: Row) -> str:
    """Return the metric's title with its better direction: an accuracy may be a loss."""
    return f"{row.title} ({row.better} is better)"


def told(point: Point, picture: Picture) -> str:
    """Return the cell's name with its figures, on one line."""
    speed = (
        f", {picture.speed.title} {human(point.speed.value, picture.speed.unit)}"
        if point.speed and picture.speed
        else ""
    )
    accuracy = human(point.accuracy.value, picture.accuracy.unit)
    return f"{point.scheme} {point.runtime}: {accuracy}, {human(point.size, 'B')}{speed}"


def _describe(axes: Any, picture: Picture, unit: str) -> None:
    speed = f"; the larger, the faster ({picture.speed.title})" if picture.speed else ""
    title = f"{in_figure(picture.model)} ({in_figure(picture.data)})\nfilled: no cell is better in everything{speed}"
    axes.set_title(title, loc="left", fontsize=9)
    axes.set_xlabel(f"{TABLE[SIZE].title} [{unit}]")
    axes.set_ylabel(directed(picture.accuracy))


def _legend(axes: Any, entries: Sequence[tuple[str, str, str]]) -> None:
    """Beside the axes, where names cannot cover each other."""
    from matplotlib.lines import Line2D

    marks = [Line2D([], [], marker="o", linestyle="", color=edge, markerfacecolor=face) for _, face, edge in entries]
    names = [name for name, *_ in entries]
    axes.legend(marks, names, loc="upper left", bbox_to_anchor=(1.01, 1.0), fontsize=8, frameon=False)

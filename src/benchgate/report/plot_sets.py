"""A set of figures for one question: what each compression does to size, accuracy and speed, a figure each, by task."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchgate.core import BenchgateError, schemes
from benchgate.core.metrics import Row
from benchgate.core.units import scale, three_digits
from benchgate.machine.packages import missing_packages
from benchgate.report.escape import in_figure
from benchgate.report.figures import COLOURS, save
from benchgate.report.headline import metrics_of, task_of_records
from benchgate.report.merged import Figure, Merged, Sheet, sheets
from benchgate.results import Record
from benchgate.schemes import REFERENCE
from benchgate.storage.cache import explained

# A figure for each, of the headline metric that most cells have in the first of its groups that was measured.
QUESTIONS: Mapping[str, tuple[str, ...]] = {
    "size": ("size",),
    "accuracy": ("accuracy",),
    "speed": ("throughput", "time"),
}
BAR_INCHES = 0.26
GAP = 0.8
COLUMNS = 5


@dataclass(frozen=True)
class Group:
    """The bars that stand together: one model on one runtime and device, a scheme each."""

    model: str
    runtime: str
    device: str
    bars: Mapping[str, Figure]


def compression(records: Sequence[Record], folder: Path, suffix: str = "svg") -> list[Path]:
    """Write `TASK-size`, `TASK-accuracy` and `TASK-speed` with `suffix` into `folder`, and return the files.

    Bars are schemes, in groups by model, runtime and device; a colour is a scheme, the same in all figures. Error bars
    are the metrics' own intervals. Failed cells are left out, sizes beside an operation's default ones, and tasks whose
    cells have one scheme.

    Raises:
        BenchgateError: Without matplotlib, for a format it cannot write, for records without two schemes of a task.
    """
    if reason := missing_packages({"matplotlib": "report"}):
        raise BenchgateError(f"plots need matplotlib: {reason}")
    good = [record for record in records if record.is_baseline]
    found = list(_figures(good))
    if not found:
        raise BenchgateError("nothing to plot: no task has passed cells of two schemes; measure another scheme")
    colours = {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(_schemes(found))}
    with explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
        return [_draw(row, groups, colours, folder / f"{name}.{suffix}") for name, row, groups in found]


def _figures(records: Sequence[Record]) -> Iterator[tuple[str, Row, list[Group]]]:
    """(name of the file, metric, groups of bars), task by task."""
    by_task: dict[str, list[Sheet]] = {}
    for sheet in sheets(records):
        own = [figure.record for row in sheet.rows for figure in row.figures.values()]
        task = task_of_records(own, metrics_of(own))
        by_task.setdefault(task.name if task is not None else "unknown-task", []).append(sheet)
    for task_name, own_sheets in by_task.items():
        for question, wanted in QUESTIONS.items():
            row = _most_measured(own_sheets, wanted)
            groups = list(_groups(own_sheets, row.name)) if row is not None else []
            if row is not None and len({scheme for group in groups for scheme in group.bars}) > 1:
                yield f"{task_name}-{question}", row, groups


def _most_measured(found: Sequence[Sheet], groups: Sequence[str]) -> Row | None:
    """The headline metric that most rows have, the first of equal ones, of the first group that was measured."""
    columns = [column for sheet in found for column in sheet.columns]

    def bars(column: Row) -> int:
        return sum(column.name in row.figures for sheet in found for row in sheet.rows)

    of_groups = ([column for column in columns if column.group == group] for group in groups)
    return next((max(those, key=bars) for those in of_groups if those), None)


def _groups(found: Sequence[Sheet], metric: str) -> Iterator[Group]:
    for sheet in found:
        runtimes: dict[str, list[Merged]] = {}
        for row in sheet.rows:
            if metric in row.figures and not row.words:
                runtimes.setdefault(row.runtime, []).append(row)
        for runtime, rows in runtimes.items():
            bars = {row.scheme: row.figures[metric] for row in rows}
            yield Group(sheet.model, runtime, sheet.device, dict(sorted(bars.items(), key=lambda bar: _rank(bar[0]))))


def _rank(scheme: str) -> tuple[bool, float, str]:
    """The reference first, then by falling bits a weight; what is not registered here last."""
    bits = schemes[scheme].bits if scheme in schemes else 0
    return scheme != REFERENCE["scheme"], -bits, scheme


def _schemes(found: Sequence[tuple[str, Row, Sequence[Group]]]) -> list[str]:
    return sorted({name for *_, groups in found for group in groups for name in group.bars}, key=_rank)


def _draw(row: Row, groups: Sequence[Group], colours: Mapping[str, str], path: Path) -> Path:
    from matplotlib.figure import Figure as Canvas

    figures = [figure for group in groups for figure in group.bars.values()]
    factor, unit = scale([figure.metric.value for figure in figures], row.unit)
    canvas = Canvas(figsize=(7.5, 1.5 + BAR_INCHES * (len(figures) + GAP * len(groups))), layout="constrained")
    axes = canvas.subplots()
    middles, position = [], 0.0
    for group in groups:
        middles.append(position + (len(group.bars) - 1) / 2)
        for scheme, figure in group.bars.items():
            _bar(axes, position, figure, factor, colours[scheme], in_figure(scheme))
            position += 1
        position += GAP
    axes.set_yticks(middles, [in_figure(name) for name in _names(groups)])
    axes.invert_yaxis()
    axes.set_xlim(left=0)
    axes.margins(x=0.12)
    better = "higher is better" if row.better == "higher" else "lower is better"
    # Titles of rates say their unit themselves.
    shown = f"{row.title} [{unit}]" if unit and "/s" not in row.title else row.title
    axes.set_xlabel(f"{shown}, {better}")
    axes.spines[["top", "right"]].set_visible(False)
    handles, labels = axes.get_legend_handles_labels()
    named = dict(zip(labels, handles, strict=True))
    canvas.legend(named.values(), named.keys(), loc="outside upper left", ncols=COLUMNS, frameon=False, fontsize=8)
    return save(canvas, path)


def _bar(axes: Any, position: float, figure: Figure, factor: float, colour: str, label: str) -> None:
    metric = figure.metric
    value = metric.value / factor
    errors = None
    if metric.low is not None and metric.high is not None:
        # A bound may lie a rounding error on the wrong side of the value.
        errors = [[max(0.0, value - metric.low / factor)], [max(0.0, metric.high / factor - value)]]
    axes.barh(position, value, xerr=errors, color=colour, label=label, capsize=2, error_kw={"elinewidth": 1})
    end = value if errors is None else value + errors[1][0]
    axes.annotate(f" {three_digits(value)}", (end, position), va="center", fontsize=7)


def _names(groups: Sequence[Group]) -> list[str]:
    """Names that tell the groups apart: the model, and runtime and device where there are several."""
    parts: list[Callable[[Group], str]] = [lambda group: group.model]
    parts += [of for of in (_runtime, _device) if len(set(map(of, groups))) > 1]
    return ["\n".join(of(group) for of in parts) for group in groups]


def _runtime(group: Group) -> str:
    return group.runtime


def _device(group: Group) -> str:
    return group.device

"""The figures of a page as data: bars, and points over two axes. The page's script draws them, and knows no metric."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from benchgate.core.metrics import TABLE
from benchgate.core.metrics import Row as MetricRow
from benchgate.core.units import human, scale
from benchgate.gate.disturbed import MARK, disturbance
from benchgate.report import pareto
from benchgate.report.escape import visible
from benchgate.report.headline import headline_rows
from benchgate.report.page_content import Row, is_trial
from benchgate.report.page_rounds import short
from benchgate.report.tables import labels
from benchgate.results import Record

# Bars that a person can take in; what a picture leaves out it says, and the table has it.
MOST_BARS = 60
# Figures that its description for screen readers tells one by one.
TOLD = 8
# Points that can be named in the picture.
LABELLED = 15
# What goes up or down with a batch, a context, threads: the first of a group that the cells have.
SCALED = (
    ("prefill_tokens_per_s", "decode_tokens_per_s", "training_tokens_per_s", "throughput_per_s"),
    ("latency_median_s",),
    ("peak_private_bytes", "peak_rss_bytes", "peak_device_bytes", "peak_step_bytes"),
    ("energy_j_per_call",),
)


@dataclass(frozen=True)
class Axis:
    """Its title with the unit. `log` is the base of a logarithmic axis, 0 for a linear one; `free` need not show 0."""

    title: str
    log: int = 0
    free: bool = False


@dataclass(frozen=True)
class Series:
    """Points of one colour. `low` and `high` are ends of intervals, None where there is none; `hover` a text each.

    `mode` is "points", "line", "both", "steps" or "area"; `sizes` are diameters, `hollow` has True for an open point,
    `labels` stand beside the points. `colour` counts from 1; 0 for the next one of the figure.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    hover: Sequence[str] = ()
    low: Sequence[float | None] = ()
    high: Sequence[float | None] = ()
    sizes: Sequence[float] = ()
    hollow: Sequence[bool] = ()
    labels: Sequence[str] = ()
    mode: str = "both"
    colour: int = 0


@dataclass(frozen=True)
class Mark:
    """A line across the figure at a value of `axis`, or, with `until`, a shaded part of it."""

    axis: str
    value: float
    label: str
    until: float | None = None


@dataclass(frozen=True)
class Figure:
    """One picture. `ticks` are the names of the places 0, 1, ... of the axis that bars stand on; `summary` is what a
    screen reader says of it, `note` what stands below it, `group` the model that the page can be narrowed to."""

    kind: str
    group: str
    title: str
    x: Axis
    y: Axis
    series: Sequence[Series]
    summary: str = ""
    note: str = ""
    ticks: Sequence[str] = ()
    marks: Sequence[Mark] = field(default_factory=tuple)

    def as_data(self) -> dict[str, Any]:
        """The figure for the page's script, empty fields left out, numbers at four digits, names on one line."""
        return dict(asdict(self, dict_factory=_compact))


def _compact(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return {
        name: _brief(value) for name, value in pairs if value not in ("", (), [], 0, None) or name in ("value", "y")
    }


def _brief(value: Any) -> Any:
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, float):
        return short(value)
    return [_brief(part) for part in value] if isinstance(value, list | tuple) else value


def _colours(rows: Sequence[Row]) -> Mapping[str, int]:
    """A colour for each runtime, the same in all figures of a page."""
    return {name: n for n, name in enumerate(dict.fromkeys(row.record.cell["runtime"] for row in rows), 1)}


def workload(rows: Sequence[Row]) -> Iterator[Figure]:
    """Bars for each model and each of its headline metrics: accuracy, time or tokens/s, size, memory, energy."""
    colours = _colours(rows)
    for model in dict.fromkeys(row.record.cell["model"] for row in rows):
        own = [row for row in rows if row.record.cell["model"] == model and not is_trial(row.record)]
        for metric in headline_rows(row.record for row in own):
            yield _bars(model, metric, [row for row in own if metric.name in row.record.metrics], colours)


def _bars(model: str, metric: MetricRow, having: Sequence[Row], colours: Mapping[str, int]) -> Figure:
    better = sorted(having, key=lambda row: row.record.metrics[metric.name].value, reverse=metric.better == "higher")
    chosen = {id(row) for row in better[:MOST_BARS]}
    rows = [row for row in having if id(row) in chosen]
    records = [row.record for row in rows]
    files = [row.results.name for row in rows]
    names = _names(metric, records, files if len({row.results.path for row in having}) > 1 else ())
    factor, unit = scale([record.metrics[metric.name].value for record in records], metric.unit)
    series = []
    for runtime in dict.fromkeys(record.cell["runtime"] for record in records):
        places = [place for place, record in enumerate(records) if record.cell["runtime"] == runtime]
        metrics = [records[place].metrics[metric.name] for place in places]
        series.append(
            Series(
                runtime,
                [m.value / factor for m in metrics],
                [float(place) for place in places],
                [_told(names[p], m) for p, m in zip(places, metrics, strict=True)],
                [None if m.low is None else m.low / factor for m in metrics],
                [None if m.high is None else m.high / factor for m in metrics],
                colour=colours[runtime],
            )
        )
    left = f"the {len(rows)} best of {len(having)} cells; the table has all" if len(having) > len(rows) else ""
    told = "; ".join(_told(name, r.metrics[metric.name]) for name, r in zip(names[:TOLD], records, strict=False))
    more = f"; and {len(rows) - TOLD} more, in the table" if len(rows) > TOLD else ""
    title = f"{model}: {metric.title}"
    axis = Axis(f"{metric.title} [{unit}]" if unit else metric.title)
    word = f"{metric.better} is better"
    return Figure("bars", model, title, axis, Axis(""), series, f"{title}, {word}. {told}{more}.", left or word, names)


def _names(metric: MetricRow, records: Sequence[Record], files: Sequence[str]) -> list[str]:
    """A name for each bar: with its test where two would be alike, with the mark of a disturbed figure."""
    _, names = labels(records, files)
    twice = {name for name, n in Counter(names).items() if n > 1}
    tests = [record.key.rpartition("::")[2].partition("[")[0] for record in records]
    full = [f"{name} {test}" if name in twice else name for name, test in zip(names, tests, strict=True)]
    return [f"{name} {MARK}" if disturbance(metric, r) else name for name, r in zip(full, records, strict=True)]


def _told(name: str, metric: Any) -> str:
    ends = ""
    if metric.low is not None and metric.high is not None:
        ends = f" ({human(metric.low, metric.unit)} to {human(metric.high, metric.unit)})"
    return f"{name}: {human(metric.value, metric.unit)}{ends}"


def trade_offs(rows: Sequence[Row]) -> Iterator[Figure]:
    """Size, accuracy and speed of each model's cells, as `benchgate plot` has them: filled is what no cell beats."""
    colours = _colours(rows)
    for picture in pareto.pictures(row.record for row in rows):
        yield _trade_off(picture, colours)


def _trade_off(picture: pareto.Picture, colours: Mapping[str, int]) -> Figure:
    front, (factor, unit) = picture.front(), scale([point.size for point in picture.points], "B")
    series = []
    for runtime in dict.fromkeys(point.runtime for point in picture.points):
        own = [point for point in picture.points if point.runtime == runtime]
        series.append(
            Series(
                runtime,
                [p.size / factor for p in own],
                [p.accuracy.value for p in own],
                [pareto.told(p, picture) for p in own],
                [p.accuracy.low for p in own],
                [p.accuracy.high for p in own],
                [9 + 21 * picture.quickness(p) ** 0.5 for p in own],
                [p not in front for p in own],
                [p.scheme for p in own] if len(picture.points) <= LABELLED else [],
                "points",
                colours[runtime],
            )
        )
    speed = f"; the larger, the faster ({picture.speed.title})" if picture.speed else "; no common speed"
    best = ", ".join(f"{p.scheme} {p.runtime}" for p in front)
    return Figure(
        "points",
        picture.model,
        f"{picture.model}: size, accuracy, speed",
        Axis(f"{TABLE[pareto.SIZE].title} [{unit}]", free=True),
        Axis(pareto.directed(picture.accuracy), free=True),
        series,
        f"Size against accuracy. No cell is better in everything than: {best}.",
        f"filled: no cell is better in everything{speed}. Scored on {picture.data}",
    )


def scaling(rows: Sequence[Row]) -> Iterator[Figure]:
    """Throughput, time, memory and energy over each number that cells of one operation differ in: batch, context..."""
    groups: dict[tuple[str, str, str, str], list[tuple[float, Row]]] = {}
    for row in rows:
        record = row.record
        numbers = {k: v for k, v in record.params.items() if isinstance(v, int | float) and not isinstance(v, bool)}
        threads = record.details.get("threads")
        if isinstance(threads, int):
            numbers.setdefault("threads", threads)
        for axis, value in numbers.items():
            rest = {k: v for k, v in {**record.params, "threads": threads}.items() if k != axis}
            machine = f"{row.results.path}" if is_trial(record) else ""
            alike = f"{sorted(rest.items(), key=str)}{machine}"
            name = " ".join((record.cell["scheme"], record.cell["runtime"], record.cell["device"]))
            groups.setdefault((record.cell["model"], record.operation, axis, f"{name}\n{alike}"), []).append(
                (value, row)
            )
    kept = {key: found for key, found in groups.items() if len({value for value, _ in found}) > 1}
    for model, operation, axis in dict.fromkeys(key[:3] for key in kept):
        curves = {
            key[3].partition("\n")[0]: found for key, found in kept.items() if key[:3] == (model, operation, axis)
        }
        yield from _scaled(model, operation, axis, curves)


def _scaled(
    model: str, operation: str, axis: str, curves: Mapping[str, Sequence[tuple[float, Row]]]
) -> Iterator[Figure]:
    for names in SCALED:
        everything = [row.record for found in curves.values() for _, row in found]
        name = next((n for n in names if sum(n in record.metrics for record in everything) > 1), None)
        if name is None:
            continue
        metric = TABLE[name]
        factor, unit = scale([r.metrics[name].value for r in everything if name in r.metrics], metric.unit)
        series = [_curve(label, name, factor, found) for label, found in curves.items()]
        title = f"{model} {operation}: {metric.title} by {axis}"
        told = "; ".join(
            f"{one.name}: " + ", ".join(f"{axis} {x:g} {y:.3g}" for x, y in zip(one.x, one.y, strict=True))
            for one in series[:TOLD]
        )
        label = f"{metric.title} [{unit}]" if unit else metric.title
        yield Figure(
            "points", model, title, Axis(axis, 2), Axis(label), [s for s in series if s.x], f"{title}. {told}."
        )


def _curve(label: str, name: str, factor: float, found: Sequence[tuple[float, Row]]) -> Series:
    having = sorted(((value, row) for value, row in found if name in row.record.metrics), key=lambda pair: pair[0])
    metrics = [row.record.metrics[name] for _, row in having]
    return Series(
        label,
        [float(value) for value, _ in having],
        [m.value / factor for m in metrics],
        [_told(f"{label} {value:g}", m) for (value, _), m in zip(having, metrics, strict=True)],
        [None if m.low is None else m.low / factor for m in metrics],
        [None if m.high is None else m.high / factor for m in metrics],
    )

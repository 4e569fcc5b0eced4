"""Figures over time and over runs: searches for a limit, memory within a step, history, the gate side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from benchgate.core.metrics import Row as MetricRow
from benchgate.core.units import human, scale
from benchgate.gate.change_points import Course, course
from benchgate.gate.history import Line, lines
from benchgate.gate.side_by_side.answers import GateAnswers
from benchgate.machine.packages import missing_packages
from benchgate.report.page_content import Content, Results, Row, is_trial, plain
from benchgate.report.page_figures import Axis, Figure, Mark, Series
from benchgate.results import Record

# A page holds no more courses of history: those with a change first.
MOST_LINES = 300
LIMITED = ("latency_median_s", "peak_private_bytes", "peak_rss_bytes", "power_w")


def ceilings(results: Sequence[Results]) -> Iterator[Figure]:
    """Curves of each search of `benchgate limits`: the trials that fit, those that did not, and the ceiling between."""
    for one in results:
        searches: dict[tuple[str, ...], list[Record]] = {}
        for record in one.records:
            if is_trial(record):
                searches.setdefault((*record.cell.values(), record.operation), []).append(record)
        for name, records in searches.items():
            for axis in _axes(records):
                yield from _ceiling(" ".join(name), axis, records)


def _axes(records: Sequence[Record]) -> list[str]:
    """The parameters that the trials differ in and that are numbers."""
    names = dict.fromkeys(name for record in records for name in record.params)
    values = {name: {record.params.get(name) for record in records} for name in names}
    return [n for n, found in values.items() if len(found) > 1 and all(isinstance(v, int | float) for v in found)]


def _ceiling(name: str, axis: str, records: Sequence[Record]) -> Iterator[Figure]:
    fits = sorted((r for r in records if r.passed), key=lambda r: r.params[axis])
    fails = sorted((r for r in records if not r.passed), key=lambda r: r.params[axis])
    largest = fits[-1].params[axis] if fits else None
    above = next((r for r in fails if largest is None or r.params[axis] > largest), None)
    rate = next((n for r in fits for n in r.metrics if n.endswith("_per_s")), "")
    said = f"{axis} {largest} fits" if largest is not None else "nothing fits"
    if above is not None:
        said += f", {above.params[axis]} does not ({above.outcome}: {above.reason[:100]})"
    marks = [Mark("x", float(largest), f"largest that fits: {largest}")] if largest is not None else []
    if above is not None:
        top = max(r.params[axis] for r in records)
        marks.append(
            Mark(
                "x",
                float(above.params[axis]),
                f"does not fit: {above.outcome}",
                float(max(top, above.params[axis]) * 1.05),
            )
        )
    for metric in (*filter(None, [rate]), *LIMITED):
        having = [r for r in fits if metric in r.metrics]
        if len(having) < 2:
            continue
        factor, unit = scale([r.metrics[metric].value for r in having], having[0].metrics[metric].unit)
        series = Series(
            metric,
            [float(r.params[axis]) for r in having],
            [r.metrics[metric].value / factor for r in having],
            [f"{axis} {r.params[axis]}: {human(r.metrics[metric].value, r.metrics[metric].unit)}" for r in having],
        )
        label = f"{metric} [{unit}]" if unit else metric
        title = f"{name}: {metric} by {axis}"
        yield Figure(
            "points", having[0].cell["model"], title, Axis(axis, 2), Axis(label), [series], f"{title}. {said}.", said,
            marks=marks,
        )  # fmt: skip


def memory(rows: Sequence[Row]) -> Iterator[Figure]:
    """Memory by part within a training step, and the private memory after each round of a trial."""
    for row in rows:
        timeline = row.record.details.get("memory_timeline")
        if timeline:
            yield _timeline(row.record, timeline)
        grown = row.record.details.get("private_bytes_by_round")
        if isinstance(grown, list) and len(grown) > 1 and all(isinstance(v, int | float) for v in grown):
            yield _grown(row.record, [float(value) for value in grown])


def _timeline(record: Record, timeline: Mapping[str, object]) -> Figure:
    raw: object = timeline["parts"]
    assert isinstance(raw, Mapping)
    seconds = list(timeline["seconds"])  # type: ignore[call-overload]
    parts = {name: values for name, values in raw.items() if any(values)}
    totals = [sum(values) for values in zip(*parts.values(), strict=True)]
    factor, unit = scale(totals, "B")
    series = [
        Series(name, seconds, [value / factor for value in values], mode="area") for name, values in parts.items()
    ]
    title = f"{_name(record)}: memory within one step"
    peak = f"At most {human(max(totals, default=0.0), 'B')}, of {', '.join(parts)}."
    return Figure(
        "points", record.cell["model"], title, Axis("seconds within the step, under the profiler"),
        Axis(f"memory [{unit}]"), series, f"{title}. {peak}", peak,
    )  # fmt: skip


def _grown(record: Record, values: Sequence[float]) -> Figure:
    factor, unit = scale(values, "B")
    title = f"{_name(record)}: private memory after each call"
    told = f"From {human(values[0], 'B')} to {human(values[-1], 'B')} in {len(values)} calls."
    series = Series("private", [float(n) for n in range(1, len(values) + 1)], [value / factor for value in values])
    return Figure(
        "points", record.cell["model"], title, Axis("call"), Axis(f"private memory [{unit}]"), [series],
        f"{title}. {told}", told,
    )  # fmt: skip


def _name(record: Record) -> str:
    params = [f"{name}={plain(value)}" for name, value in record.params.items() if value is not None]
    return " ".join([*record.cell.values(), record.operation, *params])


def history(content: Content) -> tuple[list[Figure], list[str]]:
    """Return each gated metric of each cell over the runs, those that changed first, and what is to be said of them."""
    runs = sorted((one.run for one in content.results if one.run is not None), key=lambda run: run.time)
    notes = [f"{r.name}: no time recorded, no place in the history" for r in content.results if r.run is None]
    if len(runs) < 2:
        return [], []
    measured = any(record.outcome in ("passed", "accepted", "failed") for run in runs for record in run.records)
    found = [line for line in lines(runs) if len(line.points) > 1] if measured else []
    reason = missing_packages({"ruptures": "history"})
    if reason:
        notes.append(f"no change points: {reason}")
    courses = [Course(True, reason=reason) if reason else course(line.values, line.row) for line in found]
    pairs = sorted(zip(found, courses, strict=True), key=lambda pair: not pair[1].steps)
    if len(pairs) > MOST_LINES:
        notes.append(f"{MOST_LINES} of {len(pairs)} courses, those with a change first; `benchgate history` has all")
    return [_over_runs(line, steps) for line, steps in pairs[:MOST_LINES]], notes


def _over_runs(line: Line, found: Course) -> Figure:
    row: MetricRow = line.row
    factor, unit = scale(line.values, row.unit)
    hover = [f"{p.run}: {human(p.value, row.unit)}" for p in line.points]
    series = Series(row.title, [float(n) for n in range(len(line.points))], [v / factor for v in line.values], hover)
    marks = [
        Mark("x", step.at - 0.5, f"{'worse' if step.is_worse else 'better'} from {line.points[step.at].run} on")
        for step in found.steps
    ]
    told = "; ".join(mark.label for mark in marks) or found.reason or "no change found"
    left = f"; {len(line.disturbed)} disturbed runs left out" if line.disturbed else ""
    title = f"{line.key}: {row.title}"
    return Figure(
        "points", line.first.cell["model"], title, Axis("run, oldest first"),
        Axis(f"{row.title} [{unit}]" if unit else row.title), [series],
        f"{title} over {len(line.points)} runs: {told}{left}.", f"{told}{left}",
        [str(point.run) for point in line.points], marks,
    )  # fmt: skip


def side_by_side(answers: GateAnswers) -> Figure | None:
    """The change of each cell that was timed in turn, with its interval; None where none was."""
    timed = [(c, m, v.change) for c in answers.cells for m, v in c.verdicts.items() if v.change is not None]
    if not timed:
        return None
    names = [cell.test.rpartition("::")[2] + ("" if metric == "time" else f" {metric}") for cell, metric, _ in timed]
    kinds: dict[str, list[int]] = {}
    for place, (cell, metric, _) in enumerate(timed):
        kinds.setdefault(cell.verdicts[metric].kind, []).append(place)
    series = [
        Series(
            kind,
            [100 * timed[p][2].value for p in places],
            [float(p) for p in places],
            [f"{names[p]}: {timed[p][2]}" for p in places],
            [100 * timed[p][2].low for p in places],
            [100 * timed[p][2].high for p in places],
            mode="points",
        )
        for kind, places in kinds.items()
    ]
    title = f"{answers.candidate} against {answers.baseline}"
    told = "; ".join(f"{name}: {change}" for name, (_, _, change) in zip(names, timed, strict=True))
    return Figure(
        "dots", "", title, Axis("change [%], above 0 is slower or more"), Axis(""), series, f"{title}. {told}.",
        "points with their 95 % intervals", names, [Mark("x", 0.0, "no change")],
    )  # fmt: skip

"""The answer of a search for a limit: a table of its trials, the verdict, and the map of two axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from benchgate.core.units import human, three_digits
from benchgate.report.grid import ABSENT, Grid
from benchgate.results import Record

COLUMNS = {
    "median": "latency_median_s",
    "P90": "latency_p90_s",
    "private": "peak_private_bytes",
    "shared": "shared_bytes",
    "file-backed": "file_backed_bytes",
    "peak RSS": "peak_rss_bytes",
    "device": "peak_device_bytes",
    "swapped": "swap_bytes",
    "minor faults": "minor_faults",
    "major faults": "major_faults",
    "power": "power_w",
}
UNITS = {"memory": "B", "latency": "s"}
# Ends of a trial that a budget brought about; all others are the cell's own.
OF_BUDGET = ("oom", "over")


class TrialLike(Protocol):
    """One trial, as executors/limits.py makes it."""

    @property
    def value(self) -> int: ...
    @property
    def ended(self) -> str: ...
    @property
    def reason(self) -> str: ...
    @property
    def record(self) -> Record: ...
    @property
    def growth(self) -> float | None: ...


def table(title: str, axis: str, trials: Sequence[TrialLike], notes: Sequence[str]) -> Grid:
    """One row a trial, by value; columns that no trial has are left out."""
    rows = sorted(trials, key=lambda trial: trial.value)
    shown = [t for t, name in COLUMNS.items() if any(name in trial.record.metrics for trial in rows)]
    entries = []
    for trial in rows:
        figures = [_figure(trial.record, COLUMNS[title]) for title in shown]
        entries.append((trial.value, trial.ended, _rate(trial.record), *figures, trial.reason[:60] or None))
    return Grid(title, (axis, "outcome", "throughput", *shown, "why"), tuple(entries), tuple(notes))


def _figure(record: Record, name: str) -> str:
    metric = record.metrics.get(name)
    return ABSENT if metric is None else human(metric.value, metric.unit)


def _rate(record: Record) -> str:
    name = next((name for name in record.metrics if name.endswith("_per_s")), None)
    return ABSENT if name is None else f"{three_digits(record.metrics[name].value)} {record.metrics[name].unit}"


def verdict(limit: Any) -> list[str]:
    """The lines of the answer: the ceiling, predicted against found, how it was limited, and what makes it doubtful."""
    found, axis = limit.found, limit.axis
    budgets = " and ".join(f"{name} {human(value, UNITS[name])}" for name, value in limit.budgets.items())
    said = [f"budget: {budgets} ({limit.of}); {limit.enforced}"]
    if found.largest is None:
        last = limit.trials[-1]
        by = ""
        if limit.needed is not None:
            more = limit.needed - limit.budgets["memory"]
            by = f"; it needs {human(limit.needed, 'B')}, {human(more, 'B')} more than the budget"
        return [f"nothing fits: {axis} {last.value} does not ({last.ended}: {last.reason}){by}", *said]
    return [_ceiling(limit), *_predicted(limit), *said, *_doubts(limit)]


def _ceiling(limit: Any) -> str:
    found, axis = limit.found, limit.axis
    if found.above is None:
        return f"{axis} {found.largest} fits; nothing larger was tried within {len(limit.trials)} trials"
    ended = _beyond(limit)
    between = "" if found.settled else " (trials used up: the ceiling is between the two)"
    return f"{axis} {found.largest} fits, {found.above} does not ({ended.ended}: {ended.reason[:100]}){between}"


def _beyond(limit: Any) -> Any:
    """The trial that a limit which was found ended at: of those that do not fit the one next to it."""
    failed = [trial for trial in limit.trials if not trial.outcome.fits]
    return min(failed, key=lambda trial: abs(trial.value - limit.found.above))


def _predicted(limit: Any) -> list[str]:
    found, axis, forecast = limit.found, limit.axis, limit.found.forecast
    if forecast is None:
        return [f"predicted: nothing; no need rises with {axis} in the first trials"]
    line, unit = forecast.line, UNITS[forecast.resource]
    if found.above is not None and _beyond(limit).ended in OF_BUDGET:
        against = f", found {found.largest} ({forecast.value / found.largest - 1:+.1%})"
    else:
        against = f" for {forecast.resource}, which is not what ended it"
    return [
        f"predicted {forecast.value} from the first {line.points} trials{against}: {forecast.resource} = "
        f"{human(line.base, unit)} + {human(line.slope, unit)} x {axis}, R2 {line.r2:.4f}"
    ]


def _doubts(limit: Any) -> list[str]:
    said = [
        f"not monotone: {fall.resource} is smaller at {limit.axis} {fall.higher} than at {fall.lower}; "
        "more than was found may fit"
        for fall in limit.found.falls
    ]
    said += [
        f"not sharp: {limit.axis} {value} fitted in one process and not in another, as allocators scatter; leave room"
        for value in limit.found.unsure
    ]
    leaking: Mapping[int, float] = {trial.value: trial.growth for trial in limit.trials if trial.growth}
    if leaking:
        value, bytes_ = next(iter(leaking.items()))
        said.append(
            f"leaks: private memory grows by {human(bytes_, 'B')} a round at {limit.axis} {value}; "
            "it will not stay within any budget"
        )
    return said


def map_table(title: str, first: str, second: str, limits: Mapping[int, Any]) -> Grid:
    """The ceiling of the first axis for each value of the second."""
    rows = []
    for value, limit in limits.items():
        forecast = limit.found.forecast
        at = next((t for t in limit.trials if t.value == limit.found.largest), None)
        rows.append(
            (
                value,
                limit.found.largest,
                limit.found.above,
                None if forecast is None else forecast.value,
                len(limit.trials),
                ABSENT if at is None else _figure(at.record, "latency_median_s"),
                ABSENT if at is None else _figure(at.record, "peak_private_bytes"),
            )
        )
    columns = (second, f"{first} that fits", "does not fit", "predicted", "trials", "median", "private")
    return Grid(title, columns, tuple(rows))

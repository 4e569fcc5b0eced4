"""Tables of all that there is, by kind: for `benchgate list`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict

from benchgate.core import BenchgateError, Cell, models, operations, runtimes, schemes, tasks, transforms
from benchgate.core.metrics import TABLE
from benchgate.measuring.resolved import resolve
from benchgate.report.grid import Entry, Grid
from benchgate.report.inventory import runtime_state

Asked = Mapping[Cell, Sequence[str]]
HERE = "yes"


def model_table() -> Grid:
    rows = tuple((m.name, m.task, m.version, type(m).__module__) for m in models.values())
    return Grid("models", ("name", "task", "version", "defined in"), rows)


def scheme_table() -> Grid:
    rows = tuple((s.name, s.bits, s.method, _options(s.options)) for s in schemes.values())
    steps = f"steps before them, joined by +: {', '.join(transforms)}"
    return Grid("schemes", ("name", "bits", "method", "options"), rows, (steps,))


def runtime_table() -> Grid:
    rows = tuple((r.name, r.format, runtime_state(r.name)) for r in runtimes.values())
    return Grid("runtimes", ("name", "format", "state"), rows)


def task_table() -> Grid:
    rows = tuple((t.name, t.unit, ", ".join(operations(t))) for t in tasks.values())
    return Grid("tasks", ("name", "unit", "operations"), rows)


def metric_table() -> Grid:
    """The metric table; without a tolerance a figure is shown and never gated."""
    columns = ("name", "unit", "better", "group", "tolerance", "of")
    return Grid("metrics", columns, tuple(_metrics()))


def _metrics() -> Iterator[tuple[Entry, ...]]:
    for row in TABLE.values():
        of = None if row.tolerance is None else "difference" if row.absolute else "ratio"
        yield row.name, row.unit, row.better, row.group, row.tolerance, of


def cell_table(asked: Asked, notes: Sequence[str]) -> Grid:
    """The cells that tests ask for, the first of these tests, how many they are, and why a cell cannot run here."""
    columns = ("cell", *Cell.__dataclass_fields__, "tests", "first test", "runs here")
    rows = tuple(
        (str(cell), *asdict(cell).values(), len(tests), tests[0], _state(cell)) for cell, tests in asked.items()
    )
    return Grid("cells", columns, rows, tuple(notes))


def _state(cell: Cell) -> str:
    try:
        return resolve(cell).missing() or HERE
    except BenchgateError as error:
        return str(error)


def _options(options: Mapping[str, object]) -> str | None:
    return ", ".join(f"{name}={value}" for name, value in options.items()) or None


# `benchgate list KIND` of what is registered; cells are asked for by tests.
REGISTERED: Mapping[str, Callable[[], Grid]] = {
    "models": model_table,
    "schemes": scheme_table,
    "runtimes": runtime_table,
    "tasks": task_table,
    "metrics": metric_table,
}

"""Measuring one cell: the page to read first.

A Run is one cell, loaded, with one operation to time. `measure` lets every meter look at it, each in a pass of its own
(memray slows what it watches, so it is never inside the timed pass), then scores it, and returns a Record.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from benchgate.core import (
    BenchgateError,
    Cell,
    Metric,
    Model,
    Runtime,
    Scheme,
    Session,
    Task,
    Unavailable,
    UnknownName,
    Work,
    all_needs,
    models,
    operations,
    runtimes,
    schemes,
    task_of,
    tasks,
    unknown_name,
)
from benchgate.core.transformed import for_load
from benchgate.machine.devices import Device, devices
from benchgate.machine.fingerprint import fingerprint
from benchgate.machine.packages import versions
from benchgate.measuring.meters import meters
from benchgate.results import Record
from benchgate.storage.artifacts import content, opened
from benchgate.storage.describing import digest
from benchgate.storage.sources import sources


@dataclass
class Run:
    """One cell being measured. `missing` and `details` are what meters add to beside the metrics they return.

    `benchmark` is pytest-benchmark's fixture, `max_time` (s) and `min_rounds` the limits it was given.
    """

    cell: Cell
    model: Model
    scheme: Scheme
    runtime: Runtime
    device: Device
    task: Task
    path: Path
    session: Session
    threads: int
    operation: str
    params: Mapping[str, Any]
    work: Work
    benchmark: Any = None
    max_time: float = 1.0
    min_rounds: int = 5
    missing: dict[str, str] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)


def load(cell: Cell, threads: int) -> tuple[Path, Session]:
    """Build or reuse the cell's artifact and load it. Raises whatever the runtime raises."""
    model, scheme, runtime = models[cell.model], schemes[cell.scheme], runtimes[cell.runtime]
    built, session = opened(
        model,
        scheme,
        runtime,
        cell.device,
        lambda path: runtime.load(path, for_load(model, scheme), cell.device, threads),
    )
    # What partial results of this session may be kept under: all that decided the artifact, what scores it, and how.
    scoring = digest(dict(sources([type(tasks[task_of(model, runtime)]).__module__])))[:12]
    session.identity = f"{built.path.name}-{built.digest[:16]}-{built.content}-{scoring}-{cell.device}-{threads}"
    return built.path, session


def prepare(
    cell: Cell, path: Path, session: Session, threads: int, operation: str | None, params: Mapping[str, Any]
) -> Run:
    """A Run of one operation (the task's first where None). Raises UnknownName for one it has not."""
    model = models[cell.model]
    task = tasks[task_of(model, runtimes[cell.runtime])]
    known = operations(task)
    name = operation or next(iter(known))
    if name not in known:
        raise UnknownName(unknown_name(f"operation of {task.name}", name, list(known)))
    work = known[name](session, model, **params)
    return Run(
        cell, model, schemes[cell.scheme], runtimes[cell.runtime], devices[cell.device], task, path, session, threads,
        name, dict(params), work,
    )  # fmt: skip


def measure(
    run: Run, key: str, params: Mapping[str, Any], meter_names: Sequence[str], score: bool, data: Any
) -> Record:
    """Everything asked of one cell as a Record (outcome "running": the test's body decides)."""
    metrics: dict[str, Metric] = {}
    for name in meter_names:
        metrics |= _read(run, name)
    if score:
        metrics |= run.task.score(run.session, run.model, data)
        if hasattr(data, "describe"):
            run.details["data"] = data.describe()
    return Record(
        key=key,
        cell=asdict(run.cell),
        operation=run.operation,
        params=dict(params),
        metrics=metrics,
        missing={name: reason for name, reason in run.missing.items() if name not in metrics},
        version=run.model.version,
        machine=dict(fingerprint(run.cell.device)),
        packages=versions(all_needs(run.runtime)),
        kernel=dict(run.session.kernel),
        details={"threads": run.threads, "content": content(run.path), **run.details},
    )


def attempted(cell: Cell, key: str, threads: int, operation: str, params: Mapping[str, Any]) -> Record:
    """What is known of a cell whose measuring raised (out of memory, out of time): all but the figures."""
    return replace(
        Record.unmeasured(key, cell),
        operation=operation,
        params=dict(params),
        version=models[cell.model].version,
        machine=dict(fingerprint(cell.device)),
        details={"threads": threads},
    )


def fidelity(cell: Cell, session: Session, other: Cell, threads: int, data: Any) -> Mapping[str, Metric]:
    """How far `session`, of `cell`, is from `other`'s on `data`, by their task. Loads and closes the other one."""
    model = models[cell.model]
    compare = getattr(tasks[model.task], "fidelity", None)
    if compare is None:
        raise BenchgateError(f"{model.task} has no fidelity; its task needs a method fidelity(reference, session, ...)")
    reference = load(other, threads)[1]
    try:
        found: Mapping[str, Metric] = compare(reference, session, model, data)
        return found
    finally:
        reference.close()


def _read(run: Run, name: str) -> Mapping[str, Metric]:
    meter = meters[name]
    try:
        return meter.measure(run)
    except Unavailable as unavailable:
        if not meter.optional:
            raise
        run.missing.update(dict.fromkeys(meter.gives, str(unavailable)))
        return {}

"""Measuring one cell: the page to read first.

`resolve` looks a cell's names up once, `Resolved.load` makes a session of it, `prepare` makes a Subject: the loaded
cell with one operation and what that runs on. `measure` lets every meter look at the Subject, each in a pass of its own
(memray slows what it watches, so it is never inside the timed pass), then scores the session, and returns a Record.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol, runtime_checkable

from benchgate.core import (
    BenchgateError,
    Metric,
    Session,
    Unavailable,
    UnknownName,
    all_needs,
    default_inputs,
    operations,
    unknown_name,
)
from benchgate.machine.fingerprint import fingerprint
from benchgate.machine.packages import versions
from benchgate.measuring.meters import meters
from benchgate.measuring.meters.base import Asked, Reading, Subject
from benchgate.measuring.resolved import Loaded, Resolved, resolve
from benchgate.measuring.timing import Rounds
from benchgate.results import Record
from benchgate.storage.artifacts import content

__all__ = ["Loaded", "Resolved", "attempted", "fidelity", "measure", "prepare", "resolve", "score"]


@runtime_checkable
class Described(Protocol):
    """Data that can say what they are: name, hash, number."""

    def describe(self) -> Mapping[str, Any]: ...


@runtime_checkable
class HasFidelity(Protocol):
    """A task that can tell how far one session's outputs are from another's."""

    def fidelity(self, reference: Session, session: Session, model: Any, data: Any) -> Mapping[str, Metric]: ...


def prepare(
    loaded: Loaded, operation: str | None, params: Mapping[str, Any], rounds: Rounds, inputs: Any = None
) -> Subject:
    """Return a Subject of one operation (the task's first where None) on `inputs` (the task's own where None).

    Raises UnknownName for an operation that the task has not.
    """
    of = loaded.of
    known = operations(of.task)
    name = operation or next(iter(known))
    if name not in known:
        raise UnknownName(unknown_name(f"operation of {of.task.name}", name, list(known)))
    if inputs is None:
        inputs = default_inputs(of.task, of.model, params)
    asked = Asked(name, known[name], inputs, dict(params))
    return Subject(loaded, asked, asked.function(loaded.session, of.model, inputs, **params), rounds)


def measure(
    subject: Subject, key: str, params: Mapping[str, Any], meter_names: Sequence[str], scored: bool, data: Any
) -> Record:
    """Return everything asked of one cell as a Record (outcome "running": the test's body decides)."""
    total = Reading()
    for name in meter_names:
        found = _read(replace(subject, metrics=total.metrics), name)
        total = Reading(
            {**total.metrics, **found.metrics},
            {**total.missing, **found.missing},
            {**total.details, **found.details},
            {**total.kernel, **found.kernel},
        )
    loaded = subject.loaded
    accuracy = loaded.of.task.score(loaded.session, loaded.of.model, data) if scored else {}
    metrics = {**total.metrics, **accuracy}
    return replace(
        attempted(loaded.of, key, loaded.threads, subject.asked.name, params),
        metrics=metrics,
        missing={name: reason for name, reason in total.missing.items() if name not in metrics},
        outcome="running",
        packages=versions(all_needs(loaded.of.runtime)),
        kernel={**loaded.session.kernel, **total.kernel},
        details={
            "threads": loaded.threads,
            "content": content(loaded.path),
            **total.details,
            **_described("inputs", subject.asked.inputs),
            **(_described("data", data) if scored else {}),
        },
    )


def score(loaded: Loaded, key: str, data: Any) -> Record:
    """Return a Record of the accuracy of a loaded cell alone: nothing is timed or weighed."""
    return replace(
        attempted(loaded.of, key, loaded.threads, "", {}),
        metrics=dict(loaded.of.task.score(loaded.session, loaded.of.model, data)),
        outcome="running",
        packages=versions(all_needs(loaded.of.runtime)),
        kernel=dict(loaded.session.kernel),
        details={"threads": loaded.threads, **_described("data", data)},
    )


def attempted(of: Resolved, key: str, threads: int, operation: str, params: Mapping[str, Any]) -> Record:
    """Return what is known of a cell whose measuring raised (out of memory, out of time): all but the figures."""
    return replace(
        Record.unmeasured(key, of.cell),
        operation=operation,
        params=dict(params),
        version=of.model.version,
        machine=dict(fingerprint(of.device.name)),
        details={"threads": threads},
    )


def fidelity(loaded: Loaded, other: Resolved, data: Any) -> Mapping[str, Metric]:
    """Return how far `loaded` is from the other cell on `data`, by their task. Loads and closes the other one."""
    task = loaded.of.task
    if not isinstance(task, HasFidelity):
        raise BenchgateError(f"{task.name} has no fidelity; its task needs a method fidelity(reference, session, ...)")
    reference = other.load(loaded.threads)
    try:
        return task.fidelity(reference.session, loaded.session, loaded.of.model, data)
    finally:
        reference.session.close()


def _described(name: str, data: Any) -> dict[str, Any]:
    return {name: dict(data.describe())} if isinstance(data, Described) else {}


def _read(subject: Subject, name: str) -> Reading:
    meter = meters[name]
    try:
        return meter.measure(subject)
    except Unavailable as unavailable:
        if not meter.optional:
            raise
        return Reading(missing=dict.fromkeys(meter.gives, str(unavailable)))

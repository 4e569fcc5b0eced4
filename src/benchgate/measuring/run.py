"""Measuring one cell: the page to read first.

`resolve` looks a cell's names up once. `measure` has the cell loaded, timed, weighed and scored by a *place*: a worker
of its own, or this process (see benchgate.executors). What runs there begins with the place's `Held`, the loaded cell:

    timed      load, make the operation's work, let each meter look at it in a pass of its own
               (memray slows what it watches, so it is never inside the timed pass)
    apart      meters that must not share that process measure in others, while nothing is timed
    finished   score accuracy last, and put all of it into a Record
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol, runtime_checkable

from benchgate.core import (
    BenchgateError,
    Metric,
    Session,
    Unavailable,
    UnknownName,
    Work,
    all_needs,
    default_inputs,
    operations,
    unknown_name,
)
from benchgate.core.protocols import Describes
from benchgate.machine.fingerprint import fingerprint
from benchgate.machine.packages import versions
from benchgate.measuring.held import Held
from benchgate.measuring.imports import importable
from benchgate.measuring.in_turn import InTurn, Limits, in_turn
from benchgate.measuring.meters.base import Apart, Asked, Elsewhere, Instrument, MeasuresApart, Meter, Reading, Subject
from benchgate.measuring.meters.memory import known_high_water
from benchgate.measuring.phase import enter
from benchgate.measuring.resolved import Loaded, Resolved, resolve
from benchgate.measuring.sharded import Part, accuracy, fits
from benchgate.measuring.timing import Loop, Rounds
from benchgate.results import Record
from benchgate.storage.artifacts import content

__all__ = [
    "Held",
    "Loaded",
    "Order",
    "Place",
    "Resolved",
    "against",
    "attempted",
    "fidelity",
    "measure",
    "prepare",
    "resolve",
    "score",
]


class Place(Protocol):
    """Where a cell is loaded: another process or this one. It holds one `Held`, and has more processes started."""

    elsewhere: Elsewhere

    def call(self, function: Callable[..., Any], *args: Any) -> Any:
        """Return `function(held, *args)` of there. Raises what it raised, WorkerDied and WorkerTimeout of a process."""


@dataclass(frozen=True)
class Order:
    """All that is asked of one cell. `shown` are the parameters as the record has them; `operation` None is the first.

    `inputs` None are the task's own. `data` are what accuracy is scored on, where `scored`; `given` are the answers to
    all of them, where other machines gave them.
    """

    of: Resolved
    key: str
    threads: int
    operation: str | None
    params: Mapping[str, Any]
    shown: Mapping[str, Any]
    meters: Mapping[str, Meter | MeasuresApart]
    rounds: Rounds
    inputs: Any = None
    scored: bool = False
    data: Any = None
    given: Part | None = None


@dataclass(frozen=True)
class Timed:
    """The timed part's answer: the reading, the rounds as they are now, and the cell for meters apart."""

    reading: Reading
    rounds: Rounds
    apart: Apart | None = None


@dataclass(frozen=True)
class Kept:
    """The things that the last part needs of the order; the place has the rest."""

    key: str
    shown: Mapping[str, Any]
    scored: bool
    data: Any
    given: Part | None


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


def measure(place: Place, order: Order) -> tuple[Record, Rounds]:
    """Return everything asked of one cell as a Record (outcome "running": the test's body decides), and its rounds."""
    apart = {name: meter for name, meter in order.meters.items() if isinstance(meter, MeasuresApart)}
    inside = {name: meter for name, meter in order.meters.items() if name not in apart}
    done: Timed = place.call(timed, replace(order, meters=inside, data=None, given=None), bool(apart))
    total = done.reading
    for name, meter in apart.items():
        assert done.apart is not None
        enter(f"meter {name}")
        total = _joined(total, _reading(meter, partial(meter.measure_apart, done.apart, place.elsewhere)))
    kept = Kept(order.key, order.shown, order.scored, order.data, order.given)
    return place.call(finished, kept, total), done.rounds


def timed(held: Held, order: Order, tells_apart: bool) -> Timed:
    """Load the cell and read the meters that look at it; runs where the cell is held."""
    enter("load")
    loaded = held.load(order.of, order.threads)
    subject = held.subject = prepare(loaded, order.operation, order.params, order.rounds, order.inputs)
    total = Reading()
    for name, meter in order.meters.items():
        assert not isinstance(meter, MeasuresApart)
        enter(f"meter {name}")
        total = _joined(total, _reading(meter, partial(meter.measure, replace(subject, metrics=total.metrics))))
    return Timed(total, order.rounds, _apart(loaded, subject.asked) if tells_apart else None)


def _apart(loaded: Loaded, asked: Asked) -> Apart:
    return Apart(loaded.of, loaded.path, loaded.threads, asked, known_high_water(), importable(list(sys.modules)))


def finished(held: Held, kept: Kept, total: Reading) -> Record:
    """Score what is held and return the record; runs where the cell is held."""
    subject = held.subject
    assert subject is not None
    loaded = subject.loaded
    if kept.scored:
        total = _joined(total, accuracy(loaded, kept.data, kept.given))
    metrics = total.metrics
    return replace(
        attempted(loaded.of, kept.key, loaded.threads, subject.asked.name, kept.shown),
        metrics=metrics,
        missing={name: reason for name, reason in total.missing.items() if name not in metrics},
        outcome="running",
        packages=versions(all_needs(loaded.of.runtime)),
        kernel={**loaded.session.kernel, **total.kernel},
        details={
            **_about(loaded.of, loaded.threads),
            "content": content(loaded.path),
            **total.details,
            **_described("inputs", subject.asked.inputs),
            **(_described("data", kept.data) if kept.scored else {}),
        },
    )


def score(held: Held, of: Resolved, threads: int, key: str, data: Any, given: Part | None = None) -> Record:
    """Return a Record of the accuracy of a cell alone: nothing is timed or weighed. Runs where it is to be held.

    `given` are answers to the data that may be there; those of something else are not taken.
    """
    loaded = held.load(of, threads)
    found = accuracy(loaded, data, given if given is not None and fits(given, loaded, data) else None)
    return replace(
        attempted(of, key, threads, "", {}),
        metrics=found.metrics,
        missing=found.missing,
        outcome="running",
        packages=versions(all_needs(of.runtime)),
        kernel=dict(loaded.session.kernel),
        details={**_about(of, threads), **_described("data", data)},
    )


def attempted(of: Resolved, key: str, threads: int, operation: str, params: Mapping[str, Any]) -> Record:
    """Return what is known of a cell whose measuring raised (out of memory, out of time): all but the figures."""
    return replace(
        Record.unmeasured(key, of.cell),
        operation=operation,
        params=dict(params),
        version=of.model.version,
        machine=dict(fingerprint(of.device.name)),
        details=_about(of, threads),
    )


def _about(of: Resolved, threads: int) -> dict[str, Any]:
    """Details that are known before anything is measured."""
    return {"threads": threads, "task": of.task.name}


def fidelity(held: Held, of: Resolved, threads: int, other: Resolved, data: Any) -> Mapping[str, Metric]:
    """Return how far the held cell is from the other one on `data`, by their task. Loads and closes the other one."""
    if not isinstance(of.task, HasFidelity):
        raise BenchgateError(
            f"{of.task.name} has no fidelity; its task needs a method fidelity(reference, session, ...)"
        )
    enter("fidelity")
    loaded = held.open(of, threads)
    reference = other.load(loaded.threads)
    try:
        return of.task.fidelity(reference.session, loaded.session, of.model, data)
    finally:
        reference.session.close()


def against(
    held: Held,
    of: Resolved,
    threads: int,
    operation: str | None,
    params: Mapping[str, Any],
    inputs: Any,
    other: Resolved | Work,
    limits: Limits,
) -> InTurn:
    """Time an operation of the cell and another thing in turn; runs where the cell is held."""
    enter("time in turn")
    ours = prepare(held.open(of, threads), operation, params, Loop(), inputs)
    if isinstance(other, Work):
        return in_turn(ours.work, other, limits, one_thread=threads == 1)
    theirs = other.load(threads)
    try:
        work = prepare(theirs, ours.asked.name, params, Loop(), ours.asked.inputs).work
        return in_turn(ours.work, work, limits, one_thread=threads == 1)
    finally:
        theirs.session.close()


def _described(name: str, data: Any) -> dict[str, Any]:
    return {name: dict(data.describe())} if isinstance(data, Describes) else {}


def _reading(meter: Instrument, read: Callable[[], Reading]) -> Reading:
    try:
        return read()
    except Unavailable as unavailable:
        if not meter.optional:
            raise
        return Reading(missing=dict.fromkeys(meter.gives, str(unavailable)))


def _joined(first: Reading, second: Reading) -> Reading:
    return Reading(
        {**first.metrics, **second.metrics},
        {**first.missing, **second.missing},
        {**first.details, **second.details},
        {**first.kernel, **second.kernel},
    )

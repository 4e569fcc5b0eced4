"""The search for a limit of one cell: every trial a worker of its own, whose death is the trial's answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from benchgate.core import (
    DataError,
    Unavailable,
    UnknownName,
    all_needs,
    axes,
    operations,
    unknown_name,
)
from benchgate.executors.local import Local, Settings
from benchgate.machine.budget import room
from benchgate.machine.devices import usable_cores
from benchgate.machine.limits import counted_bytes, tells_out_of_memory
from benchgate.machine.packages import versions
from benchgate.machine.workers import WorkerDied, WorkerKilledForMemory, WorkerTimeout, one_line
from benchgate.measuring.held import Held
from benchgate.measuring.limit_search import Found, Outcome, Plan, search
from benchgate.measuring.limit_trial import SESSIONS, THREADS, Asking, Measured, Refused, tried
from benchgate.measuring.meters import meters
from benchgate.measuring.resolved import Resolved
from benchgate.measuring.run import attempted
from benchgate.results import PASSED, Record

MEMORY, LATENCY = "memory", "latency"
RESULTS = {"oom": "oom", "refused": "skipped", "timeout": "timeout", "crash": "crash", "error": "error"}
ENERGY = "energy"


@dataclass(frozen=True)
class Wanted:
    """The axis to raise and what it must fit into. `memory` in bytes (None: what is free here), `latency` in s."""

    axis: str
    operation: str | None = None
    params: Mapping[str, int] = field(default_factory=dict)
    memory: int | None = None
    latency: float | None = None
    threads: int | None = None
    timeout_s: float = 120.0
    trials: int = 10


@dataclass(frozen=True)
class Trial:
    """One trial with all that is known of it; `reason` why it does not fit, "" where it does."""

    value: int
    outcome: Outcome
    ended: str
    reason: str
    record: Record
    growth: float | None = None


@dataclass(frozen=True)
class Limit:
    """The answer for one axis: the search, its trials in order, the budgets in bytes and seconds and what they are.

    `needed` is what the lowest value takes without the limit, where nothing fits and that could be measured.
    """

    axis: str
    operation: str
    found: Found
    trials: tuple[Trial, ...]
    budgets: Mapping[str, float]
    of: str
    enforced: str
    needed: float | None = None


def find(of: Resolved, wanted: Wanted, said: Callable[[Trial], None] = lambda trial: None) -> Limit:
    """Return the largest value of an axis at which the cell stays within the budgets; `said` hears of each trial.

    Raises UnknownName for an operation or axis that the task has not, Unavailable for a cell that cannot run here.
    """
    if reason := of.missing():
        raise Unavailable(f"{of.cell}: {reason}")
    operation, sizes = _sizes(of, wanted)
    start = sizes[wanted.axis]
    budgets, where, held_to = _budgets(of, wanted)
    local = Local(Settings(timeout_s=wanted.timeout_s))
    trials: list[Trial] = []

    def run(value: int, limit: int | None) -> Trial:
        return _trial(local, _asking(of, operation, wanted, value, limit), wanted.axis, value, budgets)

    def trial(value: int) -> Outcome:
        made = run(value, held_to)
        if any(value == earlier.value for earlier in trials):
            made = replace(made, record=replace(made.record, key=f"{made.record.key} again"))
        trials.append(made)
        said(made)
        return trials[-1].outcome

    try:
        local.build(of)
        found = search(trial, budgets, Plan(start=start, trials=wanted.trials))
        needed = None
        if found.largest is None and trials[-1].ended == "oom":
            # By how much it does not fit is known only where it may have more; not more than is there.
            freely = run(trials[-1].value, room().bytes)
            needed = freely.outcome.needs.get("whole")
    finally:
        local.close()
    enforced = _enforced(of, held_to)
    return Limit(wanted.axis, operation, found, tuple(trials), budgets, where, enforced, needed)


def _sizes(of: Resolved, wanted: Wanted) -> tuple[str, dict[str, int]]:
    """The operation's name, and every axis that it has with the value that the search begins with."""
    known = operations(of.task)
    operation = wanted.operation or next(iter(known))
    if operation not in known:
        raise UnknownName(unknown_name(f"operation of {of.task.name}", operation, list(known)))
    sizes = {**axes(of.task, known[operation]), THREADS: 1, SESSIONS: 1}
    for name in (wanted.axis, *wanted.params):
        if name not in sizes:
            raise UnknownName(unknown_name(f"axis of {of.task.name} {operation}", name, list(sizes)))
    if low := [f"{name}={value}" for name, value in wanted.params.items() if value < 1]:
        raise DataError(f"{low[0]} must be at least 1")
    return operation, sizes


def _budgets(of: Resolved, wanted: Wanted) -> tuple[dict[str, float], str, int | None]:
    """The budgets, what that of memory is of, and what the process is held to (None: nothing can hold it)."""
    if of.device.peak_bytes is not None and of.device.total_bytes is not None:
        memory, where, held_to = of.device.total_bytes(), f"the memory of {of.device.name}", None
    else:
        here = room()
        memory, where = here.bytes, here.of
        held_to = _can_hold(memory)
    if wanted.memory is not None:
        memory, where = wanted.memory, "--memory"
        held_to = None if of.device.peak_bytes is not None else _can_hold(memory)
    budgets: dict[str, float] = {MEMORY: memory}
    return budgets | ({LATENCY: wanted.latency} if wanted.latency is not None else {}), where, held_to


def _can_hold(memory: int) -> int | None:
    try:
        counted_bytes()
    except Unavailable:
        return None
    return memory


def _enforced(of: Resolved, held_to: int | None) -> str:
    if held_to is not None:
        return "private memory was limited (RLIMIT_DATA); files mapped for reading and shared memory were not"
    if of.device.peak_bytes is not None:
        return f"no limit was set on {of.device.name}: what its allocator took is held against the budget"
    return "no limit can be set on this system (it needs Linux): what was resident is held against the budget"


def _asking(of: Resolved, operation: str, wanted: Wanted, value: int, limit: int | None) -> Asking:
    given = {**wanted.params, wanted.axis: value}
    threads = given.pop(THREADS, wanted.threads or usable_cores())
    sessions = given.pop(SESSIONS, 1)
    return Asking(of, operation, given, threads, sessions, limit, {ENERGY: meters[ENERGY]})  # type: ignore[dict-item]


def _trial(local: Local, asking: Asking, axis: str, value: int, budgets: Mapping[str, float]) -> Trial:
    """Run one in a worker of its own. Whatever ends it is its answer; only Ctrl-C is raised."""
    place = local.place(asking.of, Held())
    try:
        answer: Measured | Refused = place.call(tried, asking)
    except WorkerTimeout as error:
        return _ended(asking, axis, value, "timeout", one_line(error).replace("--cell-timeout", "--timeout"))
    except WorkerKilledForMemory as error:
        return _ended(asking, axis, value, "oom", one_line(error))
    except WorkerDied as error:
        words = tells_out_of_memory(str(error))
        return _ended(asking, axis, value, "oom" if words else "crash", one_line(error))
    except Exception as error:
        # Whatever a cell raises is what became of this value.
        return _ended(asking, axis, value, "error", one_line(error))
    finally:
        place.close()
    if isinstance(answer, Refused):
        return _ended(asking, axis, value, answer.ended, answer.reason, answer.excess)
    return _judged(asking, axis, value, answer, budgets)


def _ended(asking: Asking, axis: str, value: int, ended: str, reason: str, excess: int | None = None) -> Trial:
    record = replace(_record(asking, axis, value), outcome=RESULTS[ended], reason=reason)
    return Trial(value, Outcome(False, {}, excess), ended, reason, record)


def _judged(asking: Asking, axis: str, value: int, answer: Measured, budgets: Mapping[str, float]) -> Trial:
    whole = max(answer.memory, answer.loading)
    needs = {MEMORY: answer.memory, LATENCY: answer.metrics["latency_median_s"].value}
    over = [name for name, need in {**needs, MEMORY: whole}.items() if need > budgets.get(name, need)]
    reason = " and ".join(f"{name} above the budget" for name in over)
    details = {**answer.details, "private_growth_bytes_per_round": answer.growth}
    record = replace(
        _record(asking, axis, value),
        metrics=answer.metrics,
        missing={name: why for name, why in answer.missing.items() if name not in answer.metrics},
        kernel=answer.kernel,
        packages=versions(all_needs(asking.of.runtime)),
        outcome=PASSED,
        details=details,
    )
    return Trial(
        value,
        Outcome(not over, {**needs, "whole": whole}),
        "fits" if not over else "over",
        reason,
        record,
        answer.growth,
    )


def _record(asking: Asking, axis: str, value: int) -> Record:
    key = f"benchgate limits::{asking.operation}[{asking.of.cell}-{axis}={value}]"
    extra: dict[str, Any] = {THREADS: asking.threads, SESSIONS: asking.sessions}
    shown = {**asking.params, **({axis: extra[axis]} if axis in extra else {})}
    return attempted(asking.of, key, asking.threads, asking.operation, shown)

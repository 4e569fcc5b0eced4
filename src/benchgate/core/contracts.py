"""The contracts of a model and of a task, as checks; `benchgate.testing` is where they are called from.

Each check demands one thing that benchgate relies on, and says in one sentence what was expected and what was found.
"""

from __future__ import annotations

import inspect
import math
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchgate.core.arrays import np
from benchgate.core.errors import BenchgateError
from benchgate.core.metrics import TABLE, refusal
from benchgate.core.operations import Operation, default_inputs, operations
from benchgate.core.protocols import Buildable, Calibrated, FromFile, Structured
from benchgate.core.registry import tasks
from benchgate.core.words import Metric, Work

# Characters that stand between the parts of a test id, or that a shell takes for its own.
FORBIDDEN = frozenset("[]+ \t\n'\"*?|;&$`\\")


class ContractBroken(AssertionError):
    """A runtime, model or task that does not do what benchgate relies on; the message says what it must do."""


def demand(holds: bool, what: str) -> None:
    """Raise ContractBroken with the sentence `what` where `holds` is False."""
    if not holds:
        raise ContractBroken(what)


def can_be_sent(*things: Any) -> None:
    """Demand that each thing can be sent to a process of its own."""
    for what in things:
        try:
            pickle.dumps(what)
        except Exception as error:
            raise ContractBroken(
                f"{type(what).__name__} cannot be sent to a process of its own ({error}); define it in a module"
            ) from error


def leaves(outputs: Any) -> list[Any]:
    """The arrays and numbers in lists, tuples and mappings, in their order."""
    if isinstance(outputs, Mapping):
        return [leaf for value in outputs.values() for leaf in leaves(value)]
    if isinstance(outputs, list | tuple):
        return [leaf for value in outputs for leaf in leaves(value)]
    return [outputs]


def numbers(outputs: Any) -> np.ndarray[Any, Any]:
    """All numbers of an answer, one after the other."""
    found = [np.asarray(leaf, dtype=np.float64).ravel() for leaf in leaves(outputs)]
    return np.concatenate(found) if found else np.array([math.nan])[:0]


def named(what: Any, kind: str) -> None:
    """Demand a name that can be part of a test id."""
    name = getattr(what, "name", None)
    demand(isinstance(name, str) and bool(name), f"a {kind} has a name, a text; {type(what).__name__} has {name!r}")
    wrong = sorted(FORBIDDEN & set(what.name))
    demand(not wrong, f"{kind} {what.name!r}: a name is part of the test id, leave {' '.join(map(repr, wrong))} out")


def model_says_what_it_is(model: Any) -> None:
    """Demand a version, and a task that is registered."""
    version, task = getattr(model, "version", None), getattr(model, "task", None)
    demand(
        isinstance(version, str) and bool(version),
        f"{model.name}: version is a text, kept with every result so that another one is new; got {version!r}",
    )
    demand(
        isinstance(task, str) and task in tasks,
        f"{model.name}: task names a registered one ({', '.join(tasks)}); got {task!r}",
    )


def model_has_a_source(model: Any) -> None:
    """Demand a `build()`, another `build_...()`, or a file that is there and not empty."""
    name: str = model.name
    if isinstance(model, FromFile):
        path = Path(model.path)
        demand(path.is_file() and path.stat().st_size > 0, f"{name}: {path} is a file that is there, of > 0 bytes")
        return
    builders = [member for member in dir(model) if member.startswith("build_")]
    demand(
        isinstance(model, Buildable) or bool(builders),
        f"{name}: a model has build(), which returns the module, or path, its file",
    )


def model_builds(model: Any, rebuilt_differs: str) -> list[str]:
    """Demand finite weights that two builds agree on, and a `structure()` of the same names and shapes."""
    name: str = model.name
    if not isinstance(model, Buildable):
        return ["nothing is built: the model is a file, or is built by another method than build()"]
    built = model.build()
    first = _weights(built)
    if first is None:
        return [f"two builds are not compared: a {type(built).__name__} has no state_dict()"]
    wrong = [key for key, value in first.items() if not np.isfinite(value).all()]
    demand(not wrong, f"{name}: weights are finite numbers; NaN or infinity in {', '.join(wrong)}")
    if isinstance(model, Structured):
        _same_structure(model, first)
    second = _weights(model.build()) or {}
    differing = sorted(key for key in first.keys() | second.keys() if not _equal(first.get(key), second.get(key)))
    if rebuilt_differs:
        demand(bool(differing), f"{name}: two builds are equal, rebuilt_differs is not needed any more")
        return [f"two builds are not compared: {rebuilt_differs}"]
    demand(
        not differing,
        f"{name}: two builds have the same weights; {', '.join(differing)} differ: seed build(), or say why with "
        "rebuilt_differs=",
    )
    return []


def model_calibrates(model: Any) -> None:
    """Demand calibration inputs where the model has `calibration()`."""
    name: str = model.name
    if isinstance(model, Calibrated):
        first = next(iter(model.calibration()), None)
        demand(first is not None, f"{name}: calibration() gives inputs, one call's at a time; it gave none")


def _weights(built: Any) -> dict[str, np.ndarray[Any, Any]] | None:
    if not hasattr(built, "state_dict"):
        return None
    return {name: np.asarray(value.detach().cpu().double()) for name, value in built.state_dict().items()}


def _equal(first: Any, second: Any) -> bool:
    return first is not None and second is not None and np.array_equal(first, second, equal_nan=True)


def _same_structure(model: Any, built: Mapping[str, Any]) -> None:
    shapes = {name: tuple(value.shape) for name, value in model.structure().state_dict().items()}
    wanted = {name: value.shape for name, value in built.items()}
    differing = sorted(name for name in shapes.keys() | wanted.keys() if shapes.get(name) != wanted.get(name))
    demand(not differing, f"{model.name}: structure() has build()'s tensors; other names or shapes: {differing}")


def task_says_what_it_is(task: Any) -> None:
    """Demand a unit, and operations that are functions by name."""
    unit = getattr(task, "unit", None)
    demand(
        isinstance(unit, str) and bool(unit),
        f"{task.name}: unit is a text, what its throughput counts (images, tokens); got {unit!r}",
    )
    found = operations(task)
    demand(
        all(isinstance(name, str) and callable(function) for name, function in found.items()),
        f"{task.name}: operations maps names to functions (session, model, inputs, **params); got {dict(found)!r}",
    )


def task_samples(task: Any, model: Any) -> None:
    """Demand the same sample twice, with as many items as were asked for where it is arrays."""
    for batch in (1, 2):
        sample, again = task.sample(model, batch), task.sample(model, batch)
        arrays = [leaf for leaf in leaves(sample) if isinstance(leaf, np.ndarray)]
        same = all(map(np.array_equal, arrays, [leaf for leaf in leaves(again) if isinstance(leaf, np.ndarray)]))
        demand(same, f"{task.name}: sample(model, {batch}) gives the same inputs each time; seed its generator")
        wrong = [leaf.shape for leaf in arrays if leaf.ndim == 0 or len(leaf) != batch]
        demand(not wrong, f"{task.name}: sample(model, {batch}) has {batch} items along the first axis; got {wrong}")


def task_works(task: Any, model: Any, session: Any, inputs: Any) -> list[str]:
    """Demand of each operation a Work that says its units, whose call answers with what its own check lets pass.

    It runs on `inputs`, on the task's own where they are None. Returns notes of those that need parameters.
    """
    notes = []
    for name, operation in operations(task).items():
        needed = _needed(operation)
        if needed:
            notes.append(f"{name} is not run: it needs {', '.join(needed)}")
        else:
            _work(task, name, operation(session, model, default_inputs(task, model, {}) if inputs is None else inputs))
    return notes


def _needed(operation: Operation) -> list[str]:
    """The parameters after session, model and inputs that have no default."""
    parameters = list(inspect.signature(operation).parameters.values())[3:]
    return [p.name for p in parameters if p.default is p.empty and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]


def _work(task: Any, name: str, work: Any) -> None:
    demand(isinstance(work, Work), f"{task.name}: {name} returns a Work, got {type(work).__name__}")
    demand(work.units > 0, f"{task.name}: {name} says with units > 0 what one call processes; got {work.units!r}")
    known = work.throughput in TABLE
    demand(known, f"{task.name}: {name}: throughput {work.throughput!r} has a row; add it with metric_row")
    for before in filter(None, (work.begin, work.prepare)):
        before()
    output = work.started()()
    try:
        if work.check is not None:
            work.check(output)
    except BenchgateError as error:
        raise ContractBroken(f"{task.name}: {name} lets its own answer pass; {error}") from error


def task_scores(task: Any, model: Any, session: Any, data: Any) -> list[str]:
    """Demand metrics with unit, direction and an interval around a finite value, the same ones twice."""
    found, again = task.score(session, model, data), task.score(session, model, data)
    demand(isinstance(found, Mapping), f"{task.name}: score returns a mapping from name to Metric; got {found!r}")
    for name, metric in found.items():
        _scored(f"{task.name}: score's {name!r}", name, metric)
    demand(dict(found) == dict(again), f"{task.name}: score gives the same metrics for the same data; they differ")
    without = [name for name in found if name not in TABLE]
    empty = ["score gives no metric"] if not found else []
    return empty + [f"{name} has no row: it is shown and never gated" for name in without]


def _scored(where: str, name: str, metric: Any) -> None:
    demand(isinstance(metric, Metric), f"{where} is a Metric, got {metric!r}")
    demand(bool(metric.unit), f"{where} has a unit, '1' for a share; got {metric.unit!r}")
    demand(metric.better in ("lower", "higher"), f"{where}: better is 'lower' or 'higher'; got {metric.better!r}")
    row = TABLE.get(name)
    demand(
        row is None or (metric.unit, metric.better) == (row.unit, row.better),
        f"{where} has its row's unit and direction{f', {row.unit}, {row.better}' if row else ''}; got {metric.unit}, "
        f"{metric.better}: make it with benchgate.metric({name!r}, value)",
    )
    reason = refusal(name, metric)
    demand(reason is None, f"{where} is a finite number; {reason}")
    low = metric.value if metric.low is None else metric.low
    high = metric.value if metric.high is None else metric.high
    demand(
        low <= metric.value <= high, f"{where}: its interval holds its value; got {low} to {high} and {metric.value}"
    )

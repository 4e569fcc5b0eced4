"""From names on each axis to cells: the product, less what a runtime refuses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from benchgate.core import Cell, models, runtimes, schemes, support, task_of
from benchgate.machine.devices import devices


@dataclass(frozen=True)
class LeftOut:
    """A combination that makes no sense anywhere, and why."""

    cell: Cell
    reason: str


@dataclass(frozen=True)
class Matrix:
    """The cells of a product, and what of it makes no sense."""

    cells: tuple[Cell, ...]
    left_out: tuple[LeftOut, ...]


def expand(axes: Mapping[str, Sequence[str]], overrides: Mapping[str, Sequence[str]]) -> Matrix:
    """All cells of one mark. `overrides` replace an axis; a model of another task than the mark's is not taken.

    Raises UnknownName for a name in no registry.
    """
    chosen = {axis: tuple(overrides.get(axis) or names) for axis, names in axes.items()}
    if overrides.get("model"):
        own_tasks = _tasks(axes["model"], chosen["runtime"])
        chosen["model"] = tuple(name for name in chosen["model"] if _tasks([name], chosen["runtime"]) & own_tasks)
    cells, left_out = [], []
    for names in product(*chosen.values()):
        cell = Cell(**dict(zip(chosen, names, strict=True)))
        reason = support.refusal(models[cell.model], schemes[cell.scheme], runtimes[cell.runtime])
        _ = devices[cell.device]
        if reason is None:
            cells.append(cell)
        else:
            left_out.append(LeftOut(cell, reason))
    return Matrix(tuple(cells), tuple(left_out))


def _tasks(model_names: Iterable[str], runtime_names: Iterable[str]) -> set[str]:
    return {task_of(models[model], runtimes[runtime]) for model, runtime in product(model_names, runtime_names)}

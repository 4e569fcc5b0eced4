"""From marks to cells: the product of the axes, less what a runtime refuses, with the command line's overrides."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from benchgate.core import (
    BenchgateError,
    Cell,
    Registry,
    Runtime,
    all_needs,
    models,
    runtimes,
    schemes,
    support,
    task_of,
    unknown_name,
)
from benchgate.gate.policy import parse_tolerances
from benchgate.machine.devices import devices
from benchgate.machine.packages import missing_packages
from benchgate.measuring.resolved import missing as missing_here
from benchgate.pytest_plugin.names import AXES

REGISTRIES: Mapping[str, Registry[Any]] = {
    "model": models,
    "scheme": schemes,
    "runtime": runtimes,
    "device": devices,
}
# How a cell may end without being measured.
EARLY_ENDS = ("oom", "timeout", "crash")
DEFAULTS = {"scheme": ("fp32",), "device": ("cpu",)}


class MarkError(BenchgateError):
    """A `cells` mark that cannot be understood; the message shows one that can."""


@dataclass(frozen=True)
class LeftOut:
    """A combination that makes no sense anywhere, and why."""

    cell: Cell
    reason: str


@dataclass(frozen=True)
class Matrix:
    cells: tuple[Cell, ...]
    left_out: tuple[LeftOut, ...]


def parse_mark(args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """The axes of one `cells` mark, every value a registered name. Raises MarkError or UnknownName."""
    example = '@pytest.mark.cells(model="name", scheme=["fp32"], runtime=["torch"], device="cpu")'
    if args:
        raise MarkError(f"cells takes keyword arguments only, got {args!r}; write {example}")
    allowed = (*AXES, "tolerance", "measure", "may_end")
    unknown = sorted(set(kwargs) - set(allowed))
    if unknown:
        raise MarkError(f"cells has no argument {unknown[0]!r}; allowed: {', '.join(allowed)}; write {example}")
    if not isinstance(kwargs.get("measure", True), bool):
        raise MarkError(f"cells(measure=...) is True or False, got {kwargs['measure']!r}")
    for outcome in _names(kwargs.get("may_end", ())):
        if outcome not in EARLY_ENDS:
            raise MarkError(unknown_name("outcome in cells(may_end=...)", str(outcome), EARLY_ENDS))
    axes = {}
    for axis in AXES:
        value = kwargs.get(axis, DEFAULTS.get(axis))
        names = _names(value)
        if not names or not all(isinstance(name, str) for name in names):
            raise MarkError(f"cells needs {axis}= a name or a list of names, got {value!r}; write {example}")
        axes[axis] = names
    return axes


def _names(value: Any) -> tuple[Any, ...]:
    return (value,) if isinstance(value, str) else tuple(value) if isinstance(value, Iterable) else ()


def may_end(marks: Iterable[Any]) -> frozenset[str]:
    """The outcomes that are no failure of a test, by its marks: a cell that ends so is a row of its table."""
    return frozenset(name for mark in marks for name in _names(mark.kwargs.get("may_end", ())))


def tolerance_of(marks: Iterable[Any]) -> dict[str, float]:
    """The gate's tolerances that a test's own marks give, the closest mark first in line."""
    found: dict[str, float] = {}
    for mark in marks:
        found = {**parse_tolerances(mark.kwargs.get("tolerance", {}), "cells(tolerance=...)"), **found}
    return found


def measures(marks: Iterable[Any]) -> bool:
    """False for a test whose closest mark with a `measure` says False: it only uses the session."""
    return next((bool(mark.kwargs["measure"]) for mark in marks if "measure" in mark.kwargs), True)


def expand(axes: Mapping[str, Sequence[str]], overrides: Mapping[str, Sequence[str]]) -> Matrix:
    """All cells of one mark. `overrides` replace an axis; a model of another task than the mark's is not taken.

    Raises UnknownName for a name in no registry.
    """
    chosen = {axis: tuple(overrides.get(axis) or axes[axis]) for axis in AXES}
    if overrides.get("model"):
        own_tasks = _tasks(axes["model"], chosen["runtime"])
        chosen["model"] = tuple(name for name in chosen["model"] if _tasks([name], chosen["runtime"]) & own_tasks)
    cells, left_out = [], []
    for cell in (
        Cell(m, s, r, d)
        for m in chosen["model"]
        for s in chosen["scheme"]
        for r in chosen["runtime"]
        for d in chosen["device"]
    ):
        reason = support.refusal(models[cell.model], schemes[cell.scheme], runtimes[cell.runtime])
        _ = devices[cell.device]
        if reason is None:
            cells.append(cell)
        else:
            left_out.append(LeftOut(cell, reason))
    return Matrix(tuple(cells), tuple(left_out))


def _tasks(model_names: Iterable[str], runtime_names: Iterable[str]) -> set[str]:
    return {task_of(models[model], runtimes[runtime]) for model, runtime in product(model_names, runtime_names)}


def missing(cell: Cell) -> str | None:
    """Why the cell cannot run on this machine, with the install command where a package is what is missing."""
    return missing_here(runtimes[cell.runtime], devices[cell.device])


def is_needed(runtime: Runtime, device: str, needs: Sequence[str]) -> bool:
    """True where `--cell-need` names what cannot run: by runtime, device, or a package or extra that is missing.

    A package that is there is not what is missing: `--cell-need torch` asks nothing of another runtime built on torch.
    """
    packages = all_needs(runtime)
    absent = {name: extra for name, extra in packages.items() if missing_packages({name: extra})} or packages
    return not {runtime.name, device, *absent, *absent.values()}.isdisjoint(needs)


def check_names(axis: str, names: Sequence[str]) -> None:
    """Raises UnknownName for a name that the command line gave and no registry has."""
    for name in names:
        REGISTRIES[axis][name]

"""`cells` marks and `--cell-*` options, checked: the axes, the tolerances, what must not be missing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
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


def missing(cell: Cell, way: str = "") -> str | None:
    """Return why the cell cannot run here, its weights loaded in this way; with the install command of a package."""
    return missing_here(runtimes[cell.runtime], devices[cell.device], way)


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

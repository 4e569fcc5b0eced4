"""A cell as it is typed: `MODEL --scheme S --runtime R --device D`, or a test's id, `model-scheme-runtime-device`.

Names hold dashes, so an id is never split at them: it is compared with what the registries know.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import asdict, replace

from benchgate.core import (
    BenchgateError,
    Cell,
    Unavailable,
    UnknownName,
    models,
    runtimes,
    schemes,
    support,
    unknown_name,
)
from benchgate.machine.devices import devices
from benchgate.measuring.resolved import resolve
from benchgate.schemes import REFERENCE

DEFAULTS = {**REFERENCE, "device": "cpu"}


def add_cell_arguments(parser: argparse.ArgumentParser) -> None:
    """CELL and its three options, for a verb that runs one cell; `chosen_cell` reads them."""
    parser.add_argument("cell", metavar="CELL", help="a model, or a whole cell: rewrite-t5-fp32-torch-cpu")
    for axis, default in DEFAULTS.items():
        parser.add_argument(f"--{axis}", metavar=axis.upper(), help=f"default: {default}")


def chosen_cell(arguments: argparse.Namespace, task: str) -> Cell:
    """The cell of the command line; it can run here and its model has this task. See `parse_cell`, `check_cell`."""
    cell = parse_cell(arguments.cell, arguments.scheme, arguments.runtime, arguments.device)
    check_cell(cell, task)
    return cell


def parse_cell(name: str, scheme: str | None = None, runtime: str | None = None, device: str | None = None) -> Cell:
    """The cell that `name` and the options mean; every part is registered.

    Raises UnknownName with near matches, BenchgateError for an id that means two cells or that an option contradicts.
    """
    given = {axis: value for axis, value in [("scheme", scheme), ("runtime", runtime), ("device", device)] if value}
    if name in models:
        return _registered(Cell(**{"model": name, **DEFAULTS, **given}))
    found = [cell for cell in _suffixes(name) if cell.model in models]
    if not found:
        return _by_model_only(name, given)
    if len(found) > 1:
        ways = " or ".join(_options(cell) for cell in found)
        raise BenchgateError(f"{name!r} means {len(found)} cells; write {ways}")
    cell = found[0]
    against = {axis: value for axis, value in given.items() if asdict(cell)[axis] != value}
    if against:
        axis, value = next(iter(against.items()))
        other = replace(cell, **against)
        raise BenchgateError(f"{name!r} contradicts --{axis} {value}; write {_options(other)}")
    return cell


def names_cell(name: str) -> bool:
    """True for a registered model, and for the id of a cell of one."""
    return name in models or any(cell.model in models for cell in _suffixes(name))


def is_part(name: str) -> bool:
    """True for a scheme, runtime or device that there is."""
    return name in runtimes or name in devices or _is_scheme(name)


def check_cell(cell: Cell, task: str) -> None:
    """Raises UnknownName for a model of another task, Unavailable for a cell that cannot be or cannot run here."""
    model = models[cell.model]
    if model.task != task:
        fitting = [known.name for known in models.values() if known.task == task]
        raise UnknownName(
            f"{cell.model!r} is a model of task {model.task!r}; one of {task!r} is needed: "
            f"{', '.join(fitting) or 'none is known'}"
        )
    reason = support.refusal(model, schemes[cell.scheme], runtimes[cell.runtime]) or resolve(cell).missing()
    if reason:
        raise Unavailable(f"{cell}: {reason}")


def _suffixes(name: str) -> Iterator[Cell]:
    """Every way to read `name` as something before a known scheme, runtime and device."""
    for device in devices:
        for runtime in runtimes:
            if name.endswith(f"-{runtime}-{device}"):
                for scheme in schemes:
                    model = name.removesuffix(f"-{scheme}-{runtime}-{device}")
                    if model and model != name:
                        yield Cell(model, scheme, runtime, device)
                yield from _of_steps(name.removesuffix(f"-{runtime}-{device}"), runtime, device)


def _of_steps(name: str, runtime: str, device: str) -> Iterator[Cell]:
    """Every way to read `name` as a known model and a scheme that is put together from steps, in no registry."""
    for model in models:
        scheme = name.removeprefix(f"{model}-")
        if scheme not in (name, *schemes) and _is_scheme(scheme):
            yield Cell(model, scheme, runtime, device)


def _is_scheme(name: str) -> bool:
    """Is there such a scheme? Raises BenchgateError for one whose number cannot be."""
    try:
        return schemes[name] is not None
    except UnknownName:
        return False


def _by_model_only(name: str, given: dict[str, str]) -> Cell:
    """A model that is in no registry but can be resolved (a hub name, a folder); else the error with near matches."""
    try:
        models[name]
    except UnknownName:
        known = [*models, *(str(cell) for cell in _all_cells(name))]
        raise UnknownName(unknown_name("cell", name, known).partition(" known: ")[0] + f" {_known()}") from None
    return _registered(Cell(**{"model": name, **DEFAULTS, **given}))


def _all_cells(name: str) -> Iterator[Cell]:
    """Ids near which a mistyped one may be: those of a model that begins like it."""
    for model in models:
        if model[:3] == name[:3]:
            yield from (Cell(model, s, r, d) for s in schemes for r in runtimes for d in devices)


def _known() -> str:
    parts = (("models", models), ("schemes", schemes), ("runtimes", runtimes), ("devices", devices))
    return "write MODEL --scheme S --runtime R --device D; known " + "; ".join(
        f"{kind}: {', '.join(registry) or 'none'}" for kind, registry in parts
    )


def _registered(cell: Cell) -> Cell:
    _ = schemes[cell.scheme], runtimes[cell.runtime], devices[cell.device]
    return cell


def _options(cell: Cell) -> str:
    return f"{cell.model} --scheme {cell.scheme} --runtime {cell.runtime} --device {cell.device}"

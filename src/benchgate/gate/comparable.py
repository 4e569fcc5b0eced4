"""Reasons not to compare two figures: the only place that decides, for gate, `benchgate compare`, floors and history.

Two tables: PARTS, what of a record can make a figure another figure, and NEEDS, which of them must be equal for a
metric of each group. The docs have the second one, which a test holds against this.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from benchgate.core.metrics import MODELLED, OTHER, Row
from benchgate.results import Record

# `repr` of an object whose class gives it no text of its own: another one in every process.
ADDRESS = re.compile(r"\s+at 0x[0-9a-fA-F]+")
HASH_DIGITS = 12


@dataclass(frozen=True)
class Part:
    """One thing that must be equal. `of(record, metric)` is what a record says of it, by name; `said` introduces what
    differs."""

    of: Callable[[Record, str], Mapping[str, Any]]
    said: str


def data_of(record: Record, metric: str) -> dict[str, Any] | None:
    """The data behind a metric as its record tells it, without the batch size, which decides no example; None where it
    tells nothing. A fidelity's data are its passages and the cell it was held against."""
    fidelity = record.details.get("fidelity") or {}
    compared = metric in fidelity.get("metrics", ())
    data = fidelity.get("data") if compared else record.details.get("data")
    if not isinstance(data, Mapping):
        return {"reference": fidelity.get("reference")} if compared else None
    against = {"reference": fidelity.get("reference")} if compared else {}
    return {**{key: value for key, value in data.items() if key != "batch"}, **against}


def _operation(record: Record, metric: str) -> Mapping[str, Any]:
    return {"": record.operation}


def _detail(name: str) -> Callable[[Record, str], Mapping[str, Any]]:
    return lambda record, metric: {"": record.details.get(name)}


def _counter(record: Record, metric: str) -> Mapping[str, Any]:
    """The source of an energy, or the watts that it was modelled with."""
    detail, key = ("modelled_energy", "watts_per_core") if metric in MODELLED else ("energy", "source")
    told = record.details.get(detail)
    return {"": told.get(key)} if isinstance(told, Mapping) else {}


PARTS: Mapping[str, Part] = {
    "version": Part(lambda record, metric: {"": record.version}, "model version"),
    "params": Part(lambda record, metric: record.params, "parameters changed:"),
    "operation": Part(_operation, "other operation:"),
    "data": Part(lambda record, metric: data_of(record, metric) or {}, "other data:"),
    "threads": Part(_detail("threads"), "other threads:"),
    "timer": Part(_detail("timer"), "other timer:"),
    "counter": Part(_counter, "other energy counter:"),
    "machine": Part(lambda record, metric: record.machine, "other machine:"),
    "packages": Part(lambda record, metric: record.packages, "other packages:"),
}

# Sizes and accuracies may cross machines. What is measured over time may not, and memory depends on no timer.
CELL = ("version", "params")
ON_THIS_MACHINE = (*CELL, "operation", "data", "threads", "machine", "packages")
NEEDS: Mapping[str, tuple[str, ...]] = {
    "size": CELL,
    "accuracy": (*CELL, "data"),
    "memory": ON_THIS_MACHINE,
    "energy": (*ON_THIS_MACHINE, "counter"),
    "time": (*ON_THIS_MACHINE, "timer"),
    "throughput": (*ON_THIS_MACHINE, "timer"),
    OTHER: (*ON_THIS_MACHINE, "timer"),
}
# Two cells of one model may run on different runtimes; `benchgate compare` and floors hold them against each other.
BETWEEN_CELLS = frozenset({"packages"})


def comparable(row: Row, ours: Record, theirs: Record, apart: frozenset[str] = frozenset()) -> str | None:
    """The reason why a metric of two records must not be compared, or None where it may be.

    `theirs` is the baseline or reference, and stands first where two values differ: `cores 2 -> 8`. `apart` are PARTS
    that may differ.
    """
    found = [
        _differing(part, ours, theirs, row.name) for part in NEEDS.get(row.group, NEEDS[OTHER]) if part not in apart
    ]
    if row.group == "accuracy" and "data" not in apart:
        found.append(_other_count(row.name, ours, theirs))
    return "; ".join(filter(None, found)) or None


def other_cell(ours: Record, theirs: Record) -> str | None:
    """The reason why no metric of two records of one test may be compared: model version, parameters; else None."""
    return "; ".join(filter(None, (_differing(part, ours, theirs, "") for part in CELL))) or None


def unstable(record: Record) -> str | None:
    """The reason why the record's parameters are equal to nothing, or None: an object that shows only its address."""
    for name, value in record.params.items():
        if isinstance(value, str) and ADDRESS.search(value):
            shown = ADDRESS.sub("", value)
            return (
                f"parameter {name}={shown} shows an address, which says nothing of its value; give its class a "
                "__repr__ or pass a name"
            )
    return None


def same(ours: Any, theirs: Any) -> bool:
    """True for equal values of JSON; NaN equals itself, and so do a tuple and the list it becomes in a file."""
    return json.dumps(ours, sort_keys=True, default=str) == json.dumps(theirs, sort_keys=True, default=str)


def _differing(name: str, ours: Record, theirs: Record, metric: str) -> str | None:
    part = PARTS[name]
    if name == "params" and (reason := unstable(ours) or unstable(theirs)):
        return reason
    now, before = part.of(ours, metric), part.of(theirs, metric)
    if name == "data" and (bool(now) != bool(before)):
        return f"{part.said} {_about(before)} -> {_about(now)}"
    keys = sorted({*now, *before})
    changed = [
        f"{key} {_shown(key, before)} -> {_shown(key, now)}".strip()
        for key in keys
        if not same(now.get(key), before.get(key))
    ]
    return f"{part.said} {', '.join(changed)}" if changed else None


def _other_count(metric: str, ours: Record, theirs: Record) -> str | None:
    """The reason why two accuracies whose data no record describes are of different data all the same."""
    if data_of(ours, metric) or data_of(theirs, metric) or not {metric} <= ours.metrics.keys() & theirs.metrics.keys():
        return None
    now, before = ours.metrics[metric].n, theirs.metrics[metric].n
    return None if now == before else f"other data: n {before} -> {now}"


def _about(data: Mapping[str, Any]) -> str:
    if not data:
        return "not told"
    return ", ".join(f"{key} {_shown(key, data)}" for key in data)


def _shown(key: str, values: Mapping[str, Any]) -> str:
    """A value as the reason shows it; a hash by its first digits."""
    if values.get(key) is None:
        return "not recorded"
    if key == "sha256":
        return str(values[key])[:HASH_DIGITS]
    return repr(values[key]) if key == "" and isinstance(values[key], str) else str(values[key])

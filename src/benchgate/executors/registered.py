"""Things that the project registered, for workers that know only what benchgate and installed packages bring."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import cloudpickle

from benchgate.core import Registry, models, runtimes, schemes, support, tasks, transforms
from benchgate.core.metrics import ROWS, TABLE, Row
from benchgate.machine.devices import devices

REGISTRIES: tuple[Registry[Any], ...] = (models, schemes, runtimes, tasks, transforms, devices)


@dataclass(frozen=True)
class Registered:
    """Items by kind, rows of support, the objects that targets in modules sent by value name, and rows of metrics."""

    items: tuple[tuple[str, Any], ...]
    rows: tuple[Any, ...]
    targets: tuple[tuple[str, str, Any], ...]
    metrics: tuple[Row, ...]


@contextmanager
def by_value(modules: Iterable[ModuleType]) -> Iterator[Mapping[str, str]]:
    """Have classes and functions of these modules sent whole, and yield their files by name.

    A worker cannot import a test module or a conftest by its name, and must not: it would run its side effects again.
    """
    sent = [module for module in modules if sys.modules.get(module.__name__) is module]
    for module in sent:
        cloudpickle.register_pickle_by_value(module)
    try:
        yield {module.__name__: str(module.__file__) for module in sent}
    finally:
        for module in sent:
            cloudpickle.unregister_pickle_by_value(module)


def beside(known: Mapping[str, frozenset[str]], rows: frozenset[tuple[str, ...]], sent: Iterable[str]) -> Registered:
    """Return what is registered beside the names and rows that a worker knows; `sent` are the modules sent by value.

    What cannot be sent is left out: it fails the cell that needs it, and no other.
    """
    items = [
        (registry.kind, registry[name])
        for registry in REGISTRIES
        for name in registry
        if name not in known[registry.kind]
    ]
    new = [row for of in (support.sessions, support.compressors) for row in of.all() if row.key not in rows]
    modules = set(sent)
    named = [tuple(target.split(":", 1)) for row in new for target in row.targets if target]
    targets = [
        (module, name, found)
        for module, name in named
        if module in modules and (found := getattr(sys.modules[module], name, None)) is not None
    ]
    # A test file is not run again in a worker: what it called `metric_row` with has to come along.
    metrics = tuple(row for row in TABLE.values() if row not in ROWS)
    return Registered(tuple(filter(_goes, items)), tuple(new), tuple(filter(_goes, targets)), metrics)


def _goes(item: Any) -> bool:
    try:
        cloudpickle.dumps(item)
    except Exception:
        return False
    return True

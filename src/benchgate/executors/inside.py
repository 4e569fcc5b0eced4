"""The inside of a cell's worker: it becomes like its parent, then runs the functions of benchgate.measuring.run."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from benchgate import registration
from benchgate.core import support
from benchgate.core.metrics import Row, add_row
from benchgate.executors.registered import REGISTRIES
from benchgate.machine.limits import limit_process_memory
from benchgate.measuring.held import Held
from benchgate.measuring.imports import importable

_HELD = Held()


@dataclass(frozen=True)
class Surroundings:
    """The state that a worker takes over once from its parent.

    `path` is sys.path; `files` are the source files of modules that are sent by value (tests, conftests), by name;
    `memory_limit` in bytes beyond what the worker takes already.
    """

    path: tuple[str, ...]
    files: Mapping[str, str]
    memory_limit: int | None = None


@dataclass(frozen=True)
class Now:
    """The state that may change from one call to the next: os.environ and the working folder."""

    environment: Mapping[str, str]
    folder: str


def here(beside: Mapping[str, str]) -> Now:
    """The state of this process, with these variables beside its own."""
    return Now({**os.environ, **beside}, os.getcwd())


def names() -> tuple[dict[str, frozenset[str]], frozenset[tuple[str, ...]]]:
    """All that is registered here without a project: names by kind, keys of the rows of support."""
    registration.load_builtin()
    rows = {row.key for rows in (support.sessions, support.compressors) for row in rows.all()}
    return {registry.kind: frozenset(registry) for registry in REGISTRIES}, frozenset(rows)


def enter(around: Surroundings, now: Now) -> None:
    """Import and find sources as the parent does. Comes first: what is sent later may be unpickled by it."""
    _become(now)
    sys.path[:] = around.path
    for name, file in around.files.items():
        # Their functions and classes come by value; what is asked of the module is where its source is.
        module = sys.modules.setdefault(name, ModuleType(name))
        module.__file__ = file
    registration.load_builtin()
    if around.memory_limit is not None:
        limit_process_memory(around.memory_limit)


def register(
    items: Sequence[tuple[str, Any]],
    rows: Sequence[Any],
    targets: Sequence[tuple[str, str, Any]],
    metrics: Sequence[Row],
) -> None:
    """Take over what the project registered: (kind, item), rows of support, targets as (module, name, object), and
    rows of the metric table."""
    for metric in metrics:
        add_row(metric)
    registries = {registry.kind: registry for registry in REGISTRIES}
    for kind, item in items:
        if item.name not in registries[kind]:
            registries[kind].add(item)
    for row in rows:
        (support.sessions if isinstance(row, support.SessionRow) else support.compressors).add(row)
    for module, name, target in targets:
        setattr(sys.modules[module], name, target)


def run(now: Now, function: Callable[..., Any], args: Sequence[Any]) -> Any:
    """`function(held, *args)` with the loaded cell of this worker."""
    _become(now)
    return function(_HELD, *args)


def run_alone(now: Now, function: Callable[..., Any], args: Sequence[Any]) -> Any:
    """`function(*args)`."""
    _become(now)
    return function(*args)


def imported(held: Held) -> tuple[str, ...]:
    """The modules that loading the cell imported, see `importable`."""
    return importable(held.imported or ())


def _become(now: Now) -> None:
    if dict(os.environ) != dict(now.environment):
        for name in os.environ.keys() - now.environment.keys():
            del os.environ[name]
        os.environ.update(now.environment)
    os.chdir(now.folder)

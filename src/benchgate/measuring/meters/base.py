"""The protocol of instruments: what they are given and what they give back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from benchgate.core import Metric, Operation, Work
from benchgate.measuring.resolved import Loaded, Resolved
from benchgate.measuring.timing import Rounds


@dataclass(frozen=True)
class Asked:
    """The operation that is measured: its name and function, what it runs on, its parameters."""

    name: str
    function: Operation
    inputs: Any
    params: Mapping[str, Any]


@dataclass(frozen=True)
class Subject:
    """The subject of a meter: a loaded cell, what is asked of it, how calls are repeated, and the metrics so far."""

    loaded: Loaded
    asked: Asked
    work: Work
    rounds: Rounds
    metrics: Mapping[str, Metric] = field(default_factory=dict)


@dataclass(frozen=True)
class Reading:
    """The answer of a meter: metrics, those that cannot be had with the reason, details and kernels for the record."""

    metrics: Mapping[str, Metric] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)
    kernel: Mapping[str, Any] = field(default_factory=dict)


class Elsewhere(Protocol):
    """Who starts processes: returns `function(*args)` of a new one that has the runtime's packages imported.

    Raises what the function raised, WorkerDied, WorkerTimeout after `timeout_s`, Unavailable for what cannot be sent.
    """

    def __call__(self, function: Callable[..., Any], *args: Any, timeout_s: float | None = None) -> Any: ...

    def side_by_side(
        self, functions: Sequence[Callable[..., Any]], *args: Any, timeout_s: float | None = None
    ) -> list[Callable[[], Any]]:
        """Return for each function who returns or raises what a call of it alone would have; all ran at once."""


@dataclass(frozen=True)
class Apart:
    """A cell for a meter that loads it itself, in a process of its own: what it is, its artifact, what is asked.

    `resident_bytes` is the most that the process took which was timed, None where the system does not tell; `imports`
    are the modules that it had imported, as `benchgate.measuring.imports.importable` tells them.
    """

    of: Resolved
    path: Path
    threads: int
    asked: Asked
    resident_bytes: int | None = None
    imports: tuple[str, ...] = ()


class Instrument(Protocol):
    """An instrument. `gives` are the metrics that are missing, with one reason, when it raises Unavailable.

    `optional` says whether a cell makes sense without it; Unavailable from one that is not skips the whole cell.
    """

    name: str
    optional: bool
    gives: tuple[str, ...]


class Meter(Instrument, Protocol):
    """An instrument that looks at the loaded cell, in its process."""

    def measure(self, subject: Subject) -> Reading:
        """Return the reading of this subject; single metrics that cannot be had are its `missing`."""


@runtime_checkable
class MeasuresApart(Instrument, Protocol):
    """An instrument that must not share the timed cell's process."""

    def measure_apart(self, cell: Apart, elsewhere: Elsewhere) -> Reading:
        """Return the reading of a cell that `elsewhere` loads, in as many processes as it takes."""

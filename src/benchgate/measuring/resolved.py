"""A cell's names looked up once: the only place that turns a Cell into the objects that it names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchgate.core import (
    LOAD_WAYS,
    Cell,
    Model,
    Runtime,
    Scheme,
    Session,
    Task,
    UnknownName,
    models,
    runtimes,
    schemes,
    task_of,
    tasks,
    unknown_name,
)
from benchgate.core.protocols import LoadsInWays
from benchgate.core.transformed import for_load
from benchgate.machine.devices import Device, devices
from benchgate.machine.packages import missing_packages
from benchgate.storage.artifacts import opened
from benchgate.storage.describing import digest
from benchgate.storage.sources import sources

# The parameter of a record that tells the way of loading. No argument of a test can have this name.
WAY = "cell-load"


def missing(runtime: Runtime, device: Device, way: str = "") -> str | None:
    """Return why the runtime cannot run on the device here, with the install command for a package, or None.

    Nor load weights in this way, where it is another than its own.
    """
    lacks = missing_packages(runtime.needs) or device.missing() or runtime.missing(device.name)
    return lacks or _missing_way(runtime, device, chosen(runtime, way))


def ways(runtime: Runtime) -> tuple[str, ...]:
    """Return the ways in which the runtime can load weights, its default first; none where it has no choice."""
    return runtime.ways if isinstance(runtime, LoadsInWays) else ()


def chosen(runtime: Runtime, way: str) -> str:
    """Return the way of loading, "" for the runtime's default. Raises UnknownName for none of LOAD_WAYS."""
    if way and way not in LOAD_WAYS:
        raise UnknownName(unknown_name("way of loading", way, LOAD_WAYS))
    return "" if ways(runtime)[:1] == (way,) else way


def _missing_way(runtime: Runtime, device: Device, way: str) -> str | None:
    if not way:
        return None
    if way not in ways(runtime):
        able = [name for name in sorted(runtimes) if way in ways(runtimes[name])]
        return f"{runtime.name} has no choice of loading; --cell-load {way} is for {', '.join(able)}"
    if device.name != "cpu":
        return f"weights go to the memory of {device.name} however they are read; --cell-load is for the cpu"
    return None


@dataclass(frozen=True)
class Resolved:
    """A cell and what its names stand for. `task` is what the runtime does with the model.

    `way` is how weights are loaded, one of LOAD_WAYS, "" where the runtime's default is asked for.
    """

    cell: Cell
    model: Model
    scheme: Scheme
    runtime: Runtime
    device: Device
    task: Task
    way: str = ""

    def missing(self) -> str | None:
        """Return why the cell cannot run here, with the install command where a package is missing, or None."""
        return missing(self.runtime, self.device, self.way)

    @property
    def shown(self) -> dict[str, Any]:
        """The way of loading among a record's parameters, so that no figure is compared with one of another way.

        The default has no name there: it is what was measured before there was a choice.
        """
        return {WAY: self.way} if self.way else {}

    def load(self, threads: int) -> Loaded:
        """Build or reuse the artifact and load it. Raises whatever the runtime raises."""
        device = self.device.name
        built, session = opened(self.model, self.scheme, self.runtime, device, lambda path: self.session(path, threads))
        # What partial results of this session may be kept under: what decided the artifact, what scores it, and how. A
        # way of loading may choose other kernels.
        scoring = digest(dict(sources([type(self.task).__module__])))[:12]
        session.identity = f"{built.path.name}-{built.digest[:16]}-{built.content}-{scoring}-{device}-{threads}"
        session.identity += f"-{self.way}" if self.way else ""
        return Loaded(self, built.path, session, threads)

    def session(self, path: Path, threads: int) -> Session:
        """Load the artifact in the folder `path`. Raises whatever the runtime raises."""
        chosen = {"way": self.way} if self.way else {}
        return self.runtime.load(path, for_load(self.model, self.scheme), self.device.name, threads, **chosen)


@dataclass(frozen=True)
class Loaded:
    """A resolved cell with its session. Whoever loads it closes it."""

    of: Resolved
    path: Path
    session: Session
    threads: int


def resolve(cell: Cell, way: str = "") -> Resolved:
    """Look all of a cell's names up. Raises UnknownName, also for a `way` that is none of LOAD_WAYS or ""."""
    model, runtime = models[cell.model], runtimes[cell.runtime]
    task = tasks[task_of(model, runtime)]
    return Resolved(cell, model, schemes[cell.scheme], runtime, devices[cell.device], task, chosen(runtime, way))

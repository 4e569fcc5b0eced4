"""A cell's names looked up once: the only place that turns a Cell into the objects that it names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchgate.core import Cell, Model, Runtime, Scheme, Session, Task, models, runtimes, schemes, task_of, tasks
from benchgate.core.transformed import for_load
from benchgate.machine.devices import Device, devices
from benchgate.machine.packages import missing_packages
from benchgate.storage.artifacts import opened
from benchgate.storage.describing import digest
from benchgate.storage.sources import sources


def missing(runtime: Runtime, device: Device) -> str | None:
    """Return why the runtime cannot run on the device here, with the install command for a package, or None."""
    return missing_packages(runtime.needs) or device.missing() or runtime.missing(device.name)


@dataclass(frozen=True)
class Resolved:
    """A cell and what its names stand for. `task` is what the runtime does with the model."""

    cell: Cell
    model: Model
    scheme: Scheme
    runtime: Runtime
    device: Device
    task: Task

    def missing(self) -> str | None:
        """Return why the cell cannot run here, with the install command where a package is missing, or None."""
        return missing(self.runtime, self.device)

    def load(self, threads: int) -> Loaded:
        """Build or reuse the artifact and load it. Raises whatever the runtime raises."""
        model, device = for_load(self.model, self.scheme), self.device.name
        built, session = opened(
            self.model, self.scheme, self.runtime, device, lambda path: self.runtime.load(path, model, device, threads)
        )
        # What partial results of this session may be kept under: what decided the artifact, what scores it, and how.
        scoring = digest(dict(sources([type(self.task).__module__])))[:12]
        session.identity = f"{built.path.name}-{built.digest[:16]}-{built.content}-{scoring}-{device}-{threads}"
        return Loaded(self, built.path, session, threads)


@dataclass(frozen=True)
class Loaded:
    """A resolved cell with its session. Whoever loads it closes it."""

    of: Resolved
    path: Path
    session: Session
    threads: int


def resolve(cell: Cell) -> Resolved:
    """Look all of a cell's names up. Raises UnknownName."""
    model, runtime = models[cell.model], runtimes[cell.runtime]
    return Resolved(cell, model, schemes[cell.scheme], runtime, devices[cell.device], tasks[task_of(model, runtime)])

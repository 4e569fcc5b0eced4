"""Peak memory of a training step by part, and its course over time for the picture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Protocol, runtime_checkable

from benchgate.core import Unavailable
from benchgate.core.metrics import metric
from benchgate.measuring.meters.base import Reading, Subject

METRICS = {
    "parameters": "peak_parameters_bytes",
    "gradients": "peak_gradients_bytes",
    "optimizer": "peak_optimizer_bytes",
    "activations": "peak_activations_bytes",
    "step": "peak_step_bytes",
}


@runtime_checkable
class TellsMemory(Protocol):
    """A session that knows what its memory is for."""

    def memory_by_part(self) -> Mapping[str, Any]:
        """Return one step's course: see TrainingMemory. Raises Unavailable."""


class TrainingMemory:
    """Each part's own high-water mark within one step (they need not fall together), and that of their sum.

    Uses `session.memory_by_part()`: `{"seconds": [...], "parts": {part: [bytes, ...]}, "peaks": {part: bytes}}`, kept
    in the record.
    """

    name = "training-memory"
    optional = True
    gives: ClassVar[tuple[str, ...]] = tuple(METRICS.values())

    def measure(self, subject: Subject) -> Reading:
        session = subject.loaded.session
        if not isinstance(session, TellsMemory):
            raise Unavailable(f"{subject.loaded.of.runtime.name} does not tell what its memory is for")
        timeline = session.memory_by_part()
        if not timeline["seconds"]:
            raise Unavailable("torch's memory profiler recorded nothing")
        method = "torch's memory profiler over one step"
        found = {name: metric(name, timeline["peaks"][part], method=method) for part, name in METRICS.items()}
        return Reading(found, details={"memory_timeline": timeline})

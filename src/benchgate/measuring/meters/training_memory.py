"""Peak memory of a training step by part, and its course over time for the picture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from benchgate.core import Metric, Unavailable
from benchgate.core.metrics import metric

if TYPE_CHECKING:
    from benchgate.measuring.run import Run

METRICS = {
    "parameters": "peak_parameters_bytes",
    "gradients": "peak_gradients_bytes",
    "optimizer": "peak_optimizer_bytes",
    "activations": "peak_activations_bytes",
    "step": "peak_step_bytes",
}


class TrainingMemory:
    """Each part's own high-water mark within one step (they need not fall together), and that of their sum.

    Uses `session.memory_by_part()`: `{"seconds": [...], "parts": {part: [bytes, ...]}, "peaks": {part: bytes}}`, kept
    in the record.
    """

    name = "training-memory"
    optional = True
    gives: ClassVar[tuple[str, ...]] = tuple(METRICS.values())

    def measure(self, run: Run) -> Mapping[str, Metric]:
        if not hasattr(run.session, "memory_by_part"):
            raise Unavailable(f"{run.runtime.name} does not tell what its memory is for")
        timeline = run.session.memory_by_part()
        if not timeline["seconds"]:
            raise Unavailable("torch's memory profiler recorded nothing")
        run.details["memory_timeline"] = timeline
        method = "torch's memory profiler over one step"
        return {name: metric(name, timeline["peaks"][part], method=method) for part, name in METRICS.items()}

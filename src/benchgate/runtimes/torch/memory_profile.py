"""Memory of one training step by what it is for, over time, from torch's own memory profiler."""

from __future__ import annotations

import json
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

# The columns of the profiler's exported timeline, in its order (torch/profiler/_memory_profiler.py); the first of
# them is always 0 and left out. A test holds parameters and optimizer against what they must be.
COLUMNS = ("parameters", "optimizer", "inputs", "temporary", "activations", "gradients", "autograd", "other")
# What is drawn and kept: the four that people ask for, and the rest as one.
PARTS = ("parameters", "optimizer", "gradients", "activations")
REST = "other"
POINTS = 200


def memory_by_part(step: Callable[[], None], device: str) -> Mapping[str, Any]:
    """`{"seconds": [...], "parts": {part: [bytes, ...]}, "peaks": {part: bytes}}` of one step.

    On CPU and CUDA alike; what was there before the step counts from its start.
    """
    from torch.profiler import ProfilerActivity, profile

    activities = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if device == "cuda" else [])
    with profile(activities=activities, profile_memory=True, record_shapes=True, with_stack=True) as profiled:
        step()
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        # Deprecated in favour of a picture that only CUDA has, and that knows no parameters from activations.
        warnings.simplefilter("ignore", FutureWarning)
        path = Path(folder) / "timeline.json"
        profiled.export_memory_timeline(str(path), "cuda:0" if device == "cuda" else device)
        times, sizes = json.loads(path.read_text(encoding="utf-8"))
    return by_part(times, sizes)


def by_part(times: Sequence[int], sizes: Sequence[Sequence[int]]) -> dict[str, Any]:
    """Return the result of `memory_by_part`, of the profiler's rows (microseconds; bytes by COLUMNS, after a 0).

    The course over time has at most POINTS moments, of each stretch the one with the highest sum; the peaks ("step" is
    that of the sum) are those of all rows.
    """
    rows = [_parts_of(row) for row in sizes]
    width = -(-len(rows) // POINTS) or 1
    stretches = (range(i, min(i + width, len(rows))) for i in range(0, len(rows), width))
    kept = [max(stretch, key=lambda i: sum(rows[i].values())) for stretch in stretches]
    peaks = {part: max((row[part] for row in rows), default=0) for part in (*PARTS, REST)}
    return {
        "seconds": [(times[i] - times[0]) / 1e6 for i in kept],
        "parts": {part: [rows[i][part] for i in kept] for part in (*PARTS, REST)},
        "peaks": {**peaks, "step": max((sum(row.values()) for row in rows), default=0)},
    }


def _parts_of(row: Sequence[int]) -> dict[str, int]:
    columns = dict(zip(COLUMNS, row[1:], strict=True))
    named = {part: columns[part] for part in PARTS}
    return {**named, REST: sum(columns.values()) - sum(named.values())}

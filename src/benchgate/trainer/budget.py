"""How many steps fit into a number of minutes: planned from the measured speed, once, so that a run that was
interrupted goes on with the plan it had.
"""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchgate.core import BenchgateError, DataError
from benchgate.storage import cache
from benchgate.storage.reading import parse_object, read_bytes
from benchgate.storage.whole import write_whole
from benchgate.trainer.kept import version_of
from benchgate.trainer.sweep import measure
from benchgate.trainer.train import Changes, Trainable, examples_of

# Of the minutes; the rest is for evaluations, checkpoints and the artifact.
SHARE = 0.85
# Steps that are measured: batches differ in length.
MEASURED = 10
EVALUATIONS = 6


def planned(model: Trainable, changes: Changes, device: str, minutes: float) -> Changes:
    """The changes with the number of steps that fit, and with six evaluations among them.

    Raises BenchgateError for minutes that are no number above 0 or too few for two steps, and where no step worked.
    """
    if not (math.isfinite(minutes) and minutes > 0):
        raise BenchgateError(f"--minutes {minutes:g} must be above 0, as 60")
    path = _file(model, changes, device, minutes)
    if not path.is_file():
        _write(path, _steps(model, changes, device, minutes))
    steps = _read(path)
    return replace(changes, steps=steps, evaluate_every=max(1, -(-steps // EVALUATIONS)))


def _steps(model: Trainable, changes: Changes, device: str, minutes: float) -> int:
    batch = changes.applied(model.recipe, 1).batch
    (speed,) = measure(model, changes, [batch], [device], MEASURED)
    if speed.steps_per_s is None:
        raise BenchgateError(f"{model.name}: no step worked, so there is no plan: {speed.status}")
    if (steps := int(minutes * 60 * SHARE * speed.steps_per_s)) < 2:
        raise BenchgateError(
            f"--minutes {minutes:g}: a step takes {1 / speed.steps_per_s:.1f} s, and {1 - SHARE:.0%} are for the rest; "
            "give more minutes or a smaller --batch"
        )
    return steps


def _file(model: Trainable, changes: Changes, device: str, minutes: float) -> Path:
    examples = examples_of(model)
    recipe = changes.applied(model.recipe, len(examples["train"]))
    key: dict[str, Any] = model.key(recipe, {split: found.sha256 for split, found in examples.items()})
    name = f"{model.name}-{version_of(key | {'minutes': minutes, 'device': device})}.plan.json"
    return cache.root() / "trained" / name.replace("/", "--")


def _read(path: Path) -> int:
    again = f"delete {path} for a new plan"
    steps = parse_object(read_bytes(path, again), str(path), again).get("steps")
    if not isinstance(steps, int):
        raise DataError(f"{path}: steps is {steps!r}; {again}")
    return steps


def _write(path: Path, steps: int) -> None:
    with cache.explained(path):
        write_whole(path, json.dumps({"steps": steps}))

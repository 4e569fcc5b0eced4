"""Training steps: how long forward, backward and the optimizer's update of a model take.

A runtime of this task gives a `TrainingSession`, whose parts run one after the other:

    clear     gradients to None, the last pass's graph freed
    forward   the loss of one batch
    backward  its gradients
    update    AdamW, which makes its state in its first call

Every operation clears before its timer starts. What is trained on is random tokens: the time does not depend on them.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Protocol

from benchgate.core import DataError, InvalidOutput, Lapped, Metric, Model, Session, Work, tasks, unknown_name
from benchgate.machine.limits import parse_bytes

ATTENTION = ("default", "math", "flash", "efficient", "cudnn")


@dataclass(frozen=True)
class Setting:
    """The data of one training cell and how it trains on them. `context` in tokens; `attention` is one of ATTENTION.

    With `memory_limit` (bytes beyond what the process takes before there is a model) or `timeout_s` (seconds for the
    whole cell) it runs in a process of its own, which ends with the cell.
    """

    batch: int = 4
    context: int = 256
    attention: str = "default"
    memory_limit: int | None = None
    timeout_s: float | None = None

    @property
    def isolated(self) -> bool:
        return self.memory_limit is not None or self.timeout_s is not None


@dataclass(frozen=True)
class Flops:
    """Floating-point operations of one batch, a multiplication and an addition counted as two."""

    forward: int
    forward_backward: int


class TrainingSession(Session, Protocol):
    """The session that a runtime provides for this task."""

    def begin(self, setting: Setting) -> None:
        """Build the model and its batch. Raises DataError for a context that it cannot take, MemoryError."""

    def run(self, *parts: str) -> None:
        """Run these parts and wait until the device is done. Raises MemoryError; what was allocated is free then."""

    def loss(self) -> float:
        """The loss of the last forward pass."""

    def flops(self) -> Flops:
        """Counted, not timed. Raises Unavailable where the model has operators that the counter does not know."""

    def matmul_peak(self) -> float:
        """FLOP/s of the fastest matrix product in this cell's precision, on its device and threads."""

    def memory_by_part(self) -> Mapping[str, Any]:
        """One step under the profiler: see benchgate.measuring.meters.training_memory. Raises Unavailable."""


def forward(session: TrainingSession, model: Model, inputs: None = None, **options: Any) -> Work:
    """The loss of one batch, with the graph that a backward pass needs."""
    return _work(session, model, options, ("forward",))


def backward(session: TrainingSession, model: Model, inputs: None = None, **options: Any) -> Work:
    """The gradients alone: clearing and the forward pass happen outside the timer."""
    return _work(session, model, options, ("backward",), before=("clear", "forward"))


def forward_backward(session: TrainingSession, model: Model, inputs: None = None, **options: Any) -> Work:
    """Forward and backward; also `forward_s` and `backward_s`, each of the same rounds."""
    return _work(session, model, options, ("forward", "backward"))


def step(session: TrainingSession, model: Model, inputs: None = None, **options: Any) -> Work:
    """Forward, backward and AdamW's update; also the seconds of each and of forward and backward together."""
    return _work(session, model, options, ("forward", "backward", "update"))


def _work(
    session: TrainingSession,
    model: Model,
    options: Mapping[str, Any],
    parts: Sequence[str],
    before: Sequence[str] = ("clear",),
) -> Work:
    """The parts one after the other. The clock, and so the device, stops after each: on a GPU they cannot overlap."""
    setting = parse_setting(options)
    session.begin(setting)
    laps = tuple(f"{part}_s" for part in parts) if len(parts) > 1 else ()
    both = "update" in parts

    def call() -> Lapped:
        times = [time.perf_counter()]
        for part in parts:
            session.run(part)
            times.append(time.perf_counter())
        found = dict(zip(laps, (end - start for start, end in itertools.pairwise(times)), strict=False))
        if both:
            found["forward_backward_s"] = times[2] - times[0]
        return Lapped(None, found)

    return Work(
        call=call,
        units=setting.batch * setting.context,
        throughput="training_tokens_per_s",
        check=lambda _: _check_loss(session, model),
        laps=(*laps, "forward_backward_s") if both else laps,
        prepare=lambda: session.run(*before),
    )


def parse_setting(options: Mapping[str, Any]) -> Setting:
    """A Setting of an operation's arguments. Raises DataError for one that it has not, or that cannot be."""
    known = [f.name for f in fields(Setting)]
    for name in options:
        if name not in known:
            raise DataError(unknown_name("option of a training step", name, known))
    limit = options.get("memory_limit")
    setting = Setting(**{**options, "memory_limit": None if limit is None else parse_bytes(limit)})
    if setting.batch < 1 or setting.context < 1:
        raise DataError(f"batch {setting.batch} and context {setting.context} must be at least 1")
    if setting.timeout_s is not None and setting.timeout_s <= 0:
        raise DataError(f"timeout_s {setting.timeout_s} must be above 0")
    if setting.attention not in ATTENTION:
        raise DataError(unknown_name("attention kernel", setting.attention, ATTENTION))
    return setting


def _check_loss(session: TrainingSession, model: Model) -> None:
    loss = session.loss()
    if not math.isfinite(loss):
        raise InvalidOutput(f"{model.name}: the loss is {loss}")


class TrainingTask:
    """Registered as "training". A runtime of training has it for models of any task (`Runtime.task`)."""

    name = "training"
    unit = "tokens"
    stepwise = True
    operations: ClassVar[Mapping[str, Callable[..., Work]]] = {
        "step": step,
        "forward": forward,
        "backward": backward,
        "forward_backward": forward_backward,
    }
    headline = (
        *("training_tokens_per_s", "latency_median_s", "mfu", "forward_s", "backward_s", "update_s"),
        *("peak_rss_bytes", "flops_per_s"),
    )
    sizes: ClassVar[Mapping[str, int]] = {"batch": Setting.batch, "context": Setting.context}

    def inputs(self, model: Model, params: Mapping[str, Any]) -> None:
        """Nothing: the runtime makes random tokens of the size that the parameters ask for."""

    def sample(self, model: Model, batch: int) -> Any:
        raise DataError(
            f"{model.name}: a training step makes its own batch; name an operation: {', '.join(OPERATIONS)}"
        )

    def score(self, session: TrainingSession, model: Model, data: Any) -> Mapping[str, Metric]:
        """A few steps on random tokens have no accuracy."""
        return {}


OPERATIONS = tuple(TrainingTask.operations)
tasks.add(TrainingTask)

"""How fast a model trains and how much memory that takes, by batch size and device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from benchgate.machine import workers
from benchgate.tasks.text2text.decoding import FixedLimits
from benchgate.trainer.data import Batch, Order, collate, per_epoch
from benchgate.trainer.recipe import Schedule
from benchgate.trainer.train import Changes, Trainable, check_device, examples_of, peak_memory

WARM_STEPS, STEPS = 3, 20
# A large batch of a large model takes 20 s on two cores.
STEP_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Speed:
    """Training speed at one batch size. `epoch_s` is a pass over the training split at that speed.

    `peak_bytes` of `memory_bytes`: the process's resident set on the CPU, the device's own allocator elsewhere.
    `swap_bytes` of the process at the end, and the page faults of its life that waited for a disk. None where there is
    no figure; `status` says why. `settings` are those of the recipe that decide both, "" where there is no choice.
    """

    model: str
    device: str
    batch: int
    threads: int | None
    timed_steps: int
    steps_per_s: float | None
    epoch_s: float | None
    peak_bytes: int | None
    memory_bytes: int | None
    swap_bytes: int | None = None
    major_faults: int | None = None
    status: str = "ok"
    settings: str = ""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def of_run(cls, report: dict[str, Any]) -> Speed:
        """From the report of a whole run."""
        per_second = report["steps"] / report["seconds"]
        return cls(
            report["model"],
            report["device"],
            report["recipe"]["batch"],
            report["threads"],
            report["steps"],
            per_second,
            report["batches_per_epoch"] / per_second,
            report["peak_bytes"],
            report["memory_bytes"],
            # Reports of before have neither.
            report.get("swap_bytes"),
            report.get("major_faults"),
            settings=report.get("settings", ""),
        )


def measure(
    model: Trainable, changes: Changes, batches: Sequence[int], on: Sequence[str], steps: int = STEPS
) -> list[Speed]:
    """Each batch size on each device, in a fresh process each: a row that fails says so and the others go on.

    The batches are those that a run would begin with. Raises BenchgateError for a device that is not here.
    """
    for device in on:
        check_device(device)
    examples = examples_of(model)
    data = model.material(model.recipe, examples)
    found = []
    for device in on:
        for batch in batches:
            recipe = changes.applied(replace(model.recipe, batch=batch), len(examples["train"]))
            order = Order(data.train, batch, recipe.seed)
            seen = [collate(order.pairs(step), data.limits.start_token) for step in range(WARM_STEPS + steps)]
            job = _Job(model.name, model, data.limits, recipe, seen, device)
            found.append(_measured(job, per_epoch(len(data.train), batch)))
    return found


@dataclass(frozen=True)
class _Job:
    """All that the fresh process needs, all picklable."""

    name: str
    model: Trainable
    limits: FixedLimits
    recipe: Schedule
    batches: Sequence[Batch]
    device: str


def _measured(job: _Job, batches_per_epoch: int) -> Speed:
    row = Speed(job.name, job.device, job.recipe.batch, None, 0, None, None, None, None, settings=job.recipe.told())
    try:
        with workers.start() as worker:
            seconds, figures = worker.call(_run, job, timeout_s=STEP_TIMEOUT_S * (len(job.batches) + 1))
    except Exception as error:
        # Out of memory has many types: whatever it is, it is this row's answer and the others go on.
        return replace(row, status=workers.one_line(error))
    steps = len(job.batches) - WARM_STEPS
    per_second = steps / seconds
    return replace(row, timed_steps=steps, steps_per_s=per_second, epoch_s=batches_per_epoch / per_second, **figures)


def _run(job: _Job) -> tuple[float, dict[str, Any]]:
    """Runs in the fresh process: seconds of the timed steps, its threads and its memory."""
    import torch

    from benchgate.trainer.loop import adamw, timed_step

    torch.manual_seed(job.recipe.seed)
    module = job.model.start(job.recipe, job.limits).to(job.device)
    optimizer, loss = adamw(module, job.recipe), job.model.loss(job.recipe)
    seconds = [
        timed_step(module, optimizer, batch, job.recipe.rate(step), job.recipe.clip_norm, job.device, loss)[1]
        for step, batch in enumerate(job.batches)
    ]
    return sum(seconds[WARM_STEPS:]), {"threads": torch.get_num_threads(), **peak_memory(job.device)}

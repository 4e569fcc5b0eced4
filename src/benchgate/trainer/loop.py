"""The training loop: seeded, resumable to the bit on one machine, early stopping on dev.

Imports torch: import this module only inside a function.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from benchgate.core import DataError, InvalidOutput
from benchgate.machine.devices import devices
from benchgate.runtimes.torch.text2text import TorchStepper
from benchgate.tasks.text2text.decoding import Limits, generate
from benchgate.trainer import checkpoint
from benchgate.trainer.data import IGNORED, Batch, Loss, Order, Pair, collate
from benchgate.trainer.history import Row
from benchgate.trainer.recipe import Schedule

# Steps between two rows of the curve, each with a checkpoint: what a kill costs at most.
ROW_STEPS = 50
DECODE_BATCH = 100
# Logits of dev that are held at once, 128 MiB: those of 100 answers of a pretrained model's vocabulary would be the
# training's peak of memory.
DECODE_LOGITS = 1 << 25


class Dev(NamedTuple):
    """Figures of dev; greater is better."""

    exact_match: float
    negative_loss: float

    def rank(self, judged: str) -> tuple[float, ...]:
        """The figures to compare evaluations by: the one that is judged, then all."""
        return getattr(self, judged), *self


@dataclass
class State:
    """Where a run is. Everything but `best` goes into the checkpoint's header."""

    step: int = 0
    seconds: float = 0.0
    rows: list[Row] = field(default_factory=list)
    best_dev: Dev | None = None
    best_step: int = 0
    stale: int = 0
    best: dict[str, Any] = field(default_factory=dict)

    def header(self) -> dict[str, Any]:
        shown = {name: value for name, value in vars(self).items() if name != "best"}
        return shown | {"rows": [asdict(row) for row in self.rows]}

    @classmethod
    def restored(cls, best: dict[str, Any], header: dict[str, Any]) -> State:
        """Raises DataError, or whatever Python raises, for a header that `header` did not write."""
        counts = [header[name] for name in ("step", "best_step", "stale")]
        if not all(isinstance(count, int) and count >= 0 for count in counts) or not math.isfinite(header["seconds"]):
            raise DataError(f"step, best_step and stale are {counts}; numbers from 0 are needed")
        rows = [Row(**row) for row in header.pop("rows")]
        dev = header.pop("best_dev")
        return cls(**header, rows=rows, best_dev=dev and Dev(*dev), best=best)


@dataclass(frozen=True)
class Run:
    """One training: the model, its data, its recipe. `watch(state)` is called after each step.

    `loss` is a teacher's; None is `batch_loss`, which dev is scored with in any case.
    """

    module: Any
    recipe: Schedule
    limits: Limits
    train: Sequence[Pair]
    dev: Sequence[Pair]
    device: str
    file: Path
    watch: Callable[[State], None] = lambda state: None
    loss: Loss | None = None


def fit(run: Run) -> State:
    """Train to the end, from the checkpoint in `run.file` if there is one; the module is left with the best weights.

    Raises InvalidOutput where the loss is not a number. What was done up to the last checkpoint survives a kill.
    """
    recipe, module = run.recipe, run.module.to(run.device)
    optimizer = adamw(module, recipe)
    order = Order(run.train, recipe.batch, recipe.seed)
    state = checkpoint.load(run.file, module, optimizer, State.restored) or State()
    losses: list[Any] = []
    while state.step < recipe.steps and state.stale < recipe.patience:
        batch = collate(order.pairs(state.step), run.limits.start_token)
        rate = recipe.rate(state.step)
        last, seconds = timed_step(module, optimizer, batch, rate, recipe.clip_norm, run.device, run.loss)
        losses.append(last)
        state.step += 1
        state.seconds += seconds
        evaluated = state.step % recipe.evaluate_every == 0 or state.step == recipe.steps
        if evaluated or state.step % ROW_STEPS == 0:
            loss = _mean(losses, state.step, rate)
            dev = evaluate(run) if evaluated else None
            _record(state, loss, rate, dev, order.batches_per_epoch)
            _keep_best(state, dev, module, recipe.judged)
            checkpoint.save(run.file, module, optimizer, state.best, state.header())
            losses.clear()
        run.watch(state)
    checkpoint.put_weights(module, state.best)
    return state


def adamw(module: Any, recipe: Schedule) -> Any:
    wanted = [parameter for parameter in module.parameters() if parameter.requires_grad]
    return torch.optim.AdamW(wanted, lr=recipe.learning_rate, weight_decay=recipe.weight_decay)


def timed_step(
    module: Any, optimizer: Any, batch: Batch, rate: float, clip_norm: float, device: str, loss_of: Loss | None = None
) -> tuple[Any, float]:
    """One step: (the loss, a tensor; seconds until the device was done, moving the batch there included).

    `loss_of` in place of `batch_loss`, where a teacher has another.
    """
    began = time.perf_counter()
    for group in optimizer.param_groups:
        group["lr"] = rate
    module.train()
    loss = (loss_of or batch_loss)(module, batch, device)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(module.parameters(), clip_norm)
    optimizer.step()
    if (synchronize := devices[device].synchronize) is not None:
        synchronize()
    return loss.detach(), time.perf_counter() - began


def arrays(batch: Batch, device: str) -> tuple[Any, ...]:
    """Tensors of a batch on a device: source, mask, target, labels."""
    return tuple(torch.from_numpy(part).to(device) for part in vars(batch).values())


def batch_loss(module: Any, batch: Batch, device: str, reduction: str = "mean") -> Any:
    """Cross-entropy in nats a target token."""
    source, mask, target, labels = arrays(batch, device)
    logits = module(source, mask, target)
    return nn.functional.cross_entropy(
        logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORED, reduction=reduction
    )


def evaluate(run: Run) -> Dev:
    """Exact match of greedily decoded tokens, and the loss, over all of dev."""
    run.module.eval()
    stepper, total, tokens, matches = TorchStepper(run.module, run.device), 0.0, 0, 0
    by_length = sorted(run.dev, key=lambda pair: len(pair.source))
    rows = min(DECODE_BATCH, max(1, DECODE_LOGITS // (run.limits.max_target * run.limits.vocabulary)))
    with torch.inference_mode():
        for start in range(0, len(by_length), rows):
            pairs = by_length[start : start + rows]
            batch = collate(pairs, run.limits.start_token)
            total += float(batch_loss(run.module, batch, run.device, "sum"))
            tokens += sum(len(pair.target) for pair in pairs)
            longest = max(len(pair.target) for pair in pairs)
            found = generate(stepper, run.limits, [pair.source for pair in pairs], longest)
            matches += sum(tuple(got) == pair.target[:-1] for got, pair in zip(found, pairs, strict=True))
    return Dev(matches / len(run.dev), -total / tokens)


def _mean(losses: list[Any], step: int, rate: float) -> float:
    loss = float(torch.stack(losses).mean())
    if not math.isfinite(loss):
        raise InvalidOutput(f"the loss is {loss} at step {step}; train with a lower --lr (the last was {rate:g})")
    return loss


def _record(state: State, loss: float, rate: float, dev: Dev | None, batches_per_epoch: int) -> None:
    state.rows.append(
        Row(
            step=state.step,
            epoch=state.step / batches_per_epoch,
            loss=loss,
            learning_rate=rate,
            seconds=state.seconds,
            dev_loss=None if dev is None else -dev.negative_loss,
            dev_exact_match=None if dev is None else dev.exact_match,
        )
    )


def _keep_best(state: State, dev: Dev | None, module: Any, judged: str) -> None:
    if dev is None:
        return
    best = state.best_dev
    state.stale = 0 if best is None or getattr(dev, judged) > getattr(best, judged) else state.stale + 1
    if best is None or dev.rank(judged) > best.rank(judged):
        state.best_dev, state.best_step, state.best = dev, state.step, checkpoint.weights(module)

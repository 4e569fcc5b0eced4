"""Settings that decide how a model is trained; part of its version."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import ClassVar

from benchgate.core import BenchgateError, unknown_name

# The type that most of the arithmetic is done in while training; weights, moments and the loss stay fp32.
PRECISIONS = ("fp32", "bf16")


@dataclass(frozen=True)
class Schedule:
    """AdamW with linear warm-up and linear decay to zero.

    Every `evaluate_every` steps the first `dev_samples` of dev are decoded. The weights that are best by `judged`, a
    figure of `benchgate.trainer.loop.Dev`, are kept, and training stops early after `patience` evaluations without a
    better one.
    """

    judged: ClassVar[str] = "exact_match"

    steps: int
    learning_rate: float
    batch: int = 64
    warmup_steps: int = 100
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    seed: int = 0
    evaluate_every: int = 250
    patience: int = 4
    dev_samples: int = 300

    def __post_init__(self) -> None:
        for field in fields(Schedule):
            self._check(field.name, zero=field.name in ("warmup_steps", "weight_decay", "seed"))

    def _check(self, name: str, zero: bool = False) -> None:
        value = getattr(self, name)
        if not value >= 0 or (value == 0 and not zero):
            allowed = "at least 0" if zero else "above 0"
            raise BenchgateError(f"{name.replace('_', ' ')} {value} must be {allowed}")

    def rate(self, step: int) -> float:
        """The learning rate of a step, counted from 0."""
        warm = min(1.0, (step + 1) / self.warmup_steps) if self.warmup_steps else 1.0
        return self.learning_rate * warm * (1 - step / self.steps)

    def told(self) -> str:
        """The settings that decide speed and memory of a step beside its batch; "" where there is no choice."""
        return ""


@dataclass(frozen=True)
class Recipe(Schedule):
    """A schedule for a model that is trained from nothing. `vocabulary` is that of the tokenizer it trains."""

    vocabulary: int = 800

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check("vocabulary")


@dataclass(frozen=True)
class Tuning(Schedule):
    """A schedule for a model that can do something already.

    `lora` is the rank of low-rank adapters on all linear layers but the head (Hu et al. 2021, LoRA,
    https://arxiv.org/abs/2106.09685), which are merged into the weights afterwards; 0 trains all weights.
    `checkpointing` computes the layers' activations a second time in place of keeping them (Chen et al. 2016,
    https://arxiv.org/abs/1604.06174): less memory, more time.

    Real conversations are few, and of few examples the loss, a mean over all their tokens, tells two evaluations apart
    where exact match hangs on one answer. A pretrained model learns them by heart soon: two evaluations without a
    better loss are enough.
    """

    judged: ClassVar[str] = "negative_loss"

    patience: int = 2
    lora: int = 0
    precision: str = "bf16"
    checkpointing: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.lora < 0:
            raise BenchgateError(f"lora {self.lora} must be at least 0; it is a rank, as 16, or 0 for all weights")
        if self.precision not in PRECISIONS:
            raise BenchgateError(unknown_name("precision", self.precision, PRECISIONS))

    def told(self) -> str:
        """Adapters or all weights, precision, checkpointing."""
        trained = f"lora {self.lora}" if self.lora else "all weights"
        return f"{trained}, {self.precision}" + (", checkpointing" if self.checkpointing else "")

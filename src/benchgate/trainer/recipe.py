"""Settings that decide how a model is trained; part of its version."""

from __future__ import annotations

from dataclasses import dataclass, fields

from benchgate.core import BenchgateError, unknown_name

# The type that most of the arithmetic is done in while training; weights, moments and the loss stay fp32.
PRECISIONS = ("fp32", "bf16")


@dataclass(frozen=True)
class Recipe:
    """AdamW with linear warm-up and linear decay to zero.

    `vocabulary` is that of the tokenizer. Every `evaluate_every` steps the first `dev_samples` of dev are decoded;
    training stops early after `patience` evaluations without a better exact match.
    """

    steps: int
    learning_rate: float
    batch: int = 64
    warmup_steps: int = 100
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    seed: int = 0
    vocabulary: int = 800
    evaluate_every: int = 250
    patience: int = 4
    dev_samples: int = 300

    def __post_init__(self) -> None:
        for field in fields(Recipe):
            value = getattr(self, field.name)
            smallest = 0 if field.name in ("warmup_steps", "weight_decay", "seed") else None
            if not value >= 0 or (smallest is None and value == 0):
                allowed = "at least 0" if smallest == 0 else "above 0"
                raise BenchgateError(f"{field.name.replace('_', ' ')} {value} must be {allowed}")

    def rate(self, step: int) -> float:
        """The learning rate of a step, counted from 0."""
        warm = min(1.0, (step + 1) / self.warmup_steps) if self.warmup_steps else 1.0
        return self.learning_rate * warm * (1 - step / self.steps)


@dataclass(frozen=True)
class Tuning(Recipe):
    """A recipe for a model that can do something already.

    `lora` is the rank of low-rank adapters on all linear layers but the head (Hu et al. 2021, LoRA,
    https://arxiv.org/abs/2106.09685), which are merged into the weights afterwards; 0 trains all weights.
    `checkpointing` computes the layers' activations a second time in place of keeping them (Chen et al. 2016,
    https://arxiv.org/abs/1604.06174): less memory, more time.
    """

    lora: int = 0
    precision: str = "bf16"
    checkpointing: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.lora < 0:
            raise BenchgateError(f"lora {self.lora} must be at least 0; it is a rank, as 16, or 0 for all weights")
        if self.precision not in PRECISIONS:
            raise BenchgateError(unknown_name("precision", self.precision, PRECISIONS))
